"""Coordinates of the hyperparameters: round trips, Jacobians, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.integration.hyper import HyperCoordinates
from tests.cavi.designs import random_glmm


def coordinates_of(seed):
    glmm = random_glmm(seed)
    rng = np.random.default_rng(seed)
    coordinates = HyperCoordinates(glmm, tuple(rng.uniform(0.1, 1, g.d) for g in glmm.groups))
    psi = rng.normal(size=coordinates.size)
    return coordinates, np.where(coordinates.folded, np.abs(psi) + 0.05, psi)


def flat(theta):
    return np.concatenate([c[np.tril_indices(len(c))] for c in theta.covariances])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_prior_is_that_of_the_covariances_times_the_numerical_jacobian(seed):
    coordinates, psi = coordinates_of(seed)
    np.testing.assert_allclose(coordinates.encode(coordinates.decode(psi)), psi, rtol=1e-7)
    step = 1e-6
    jacobian = np.array(
        [
            (flat(coordinates.decode(psi + e)) - flat(coordinates.decode(psi - e))) / (2 * step)
            for e in step * np.eye(len(psi))
        ]
    )
    log_det = np.linalg.slogdet(jacobian)[1]
    theta = coordinates.decode(psi)
    prior = sum(
        float(covariance_log_density(group.prior, covariance))
        for group, covariance in zip(coordinates.glmm.groups, theta.covariances, strict=True)
    )
    assert coordinates.log_jacobian(psi) == pytest.approx(log_det, abs=1e-5)
    assert coordinates.log_prior(psi) == pytest.approx(prior + log_det, abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_gradients_are_pulled_back(seed):
    """Of the linear function tr(GΣ) of every Σ."""
    coordinates, psi = coordinates_of(seed)
    rng = np.random.default_rng(seed)
    weights = []
    for group in coordinates.glmm.groups:
        g = rng.normal(size=(group.d, group.d))
        weights.append(g + g.T)

    def value(at):
        theta = coordinates.decode(at)
        return sum((w * c).sum() for w, c in zip(weights, theta.covariances, strict=True))

    gradient = coordinates.pull_back(psi[None], tuple(w[None] for w in weights), np.empty((1, 0)))[
        0
    ]
    step = 1e-6
    expected = [(value(psi + e) - value(psi - e)) / (2 * step) for e in step * np.eye(len(psi))]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "prior", [vmrp.HalfNormal(1), vmrp.HuangWand(2, 5), vmrp.LogNormal(0, 1), vmrp.Uniform(3)]
)
def test_prior_integrates_to_one(survey, prior):
    model = vmrp.Model("y ~ 1 + (1|state)", survey, priors={"1|state": prior})
    coordinates = HyperCoordinates(model.glmm, (np.array([0.3]),))
    end = min(float(coordinates.upper[0]), 30.0)
    mass = integrate.quad(
        lambda psi: np.exp(coordinates.log_prior(np.array([psi]))), 1e-4, end, limit=500
    )[0]
    assert mass == pytest.approx(1, abs=1e-3)
    grid = np.linspace(0.01, end - 1e-6, 7)
    np.testing.assert_allclose(
        coordinates.separate_log_priors(grid[None])[0], coordinates.log_prior(grid[:, None])
    )


def test_parameters_of_the_likelihood_are_log_coordinates(survey):
    data = survey.assign(z=survey["x"] + survey["y"])
    model = vmrp.Model("z ~ 1 + (1|state)", data, family="gaussian")
    coordinates = HyperCoordinates(model.glmm, (np.array([0.3]),))
    psi = np.array([0.7, -0.4])
    theta = coordinates.decode(psi)
    assert theta.parameters == pytest.approx([np.exp(-0.4)])
    prior = model.glmm.free_parameters[0].prior
    expected = float(prior.log_density_sigma(np.array(np.exp(-0.4)))) - 0.4
    without = coordinates.log_prior(psi) - expected
    assert without == pytest.approx(float(coordinates.separate_log_priors(psi[:, None])[0, 0]))
