"""One iteration leaves the joint distribution of parameters and data as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import pymc_vmrp as vmrp
from pymc_vmrp.gibbs.iteration import draw_sites, iterate, set_up
from pymc_vmrp.glmm.priors.scales import HalfNormal, LogNormal
from pymc_vmrp.solvers.factor import SingularPrecision
from tests.gibbs.joint import z_scores

LARGEST = 4.5  # of some thirty correlated z-scores
NORMAL = {"Intercept": vmrp.Normal(0.3, 0.7), "common": vmrp.Normal(-0.2, 0.5)}


def frame(copies=1):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": list("aabbccdd") * copies, "h": list("xyxyyxxx") * copies})
    data["x"] = rng.normal(size=len(data)).round(2)
    data["y"], data["n"] = rng.integers(0, 2, len(data)), rng.integers(1, 6, len(data))
    return data


def draw_scale(rng, prior):
    if isinstance(prior, HalfNormal):
        return abs(rng.normal(0, prior.sigma))
    assert isinstance(prior, LogNormal)
    return rng.lognormal(prior.mu, prior.sigma)


def binomial(glmm):
    trials = glmm.response.statistics[1]

    def respond(rng, eta, _):
        return rng.binomial(trials.astype(int), expit(eta)).astype(float), trials

    return respond


def gaussian(glmm):
    n = glmm.response.statistics[1]

    def respond(rng, eta, phi):
        squares = phi[0] ** 2 * np.where(n > 1, rng.chisquare(np.maximum(n - 1, 1)), 0.0)
        return rng.normal(eta, phi[0] / np.sqrt(n)), n, squares

    return respond


def negative_binomial(glmm):
    weight = glmm.response.statistics[1]
    assert (weight == 1).all()

    def respond(rng, eta, phi):
        rate = np.exp(eta) * rng.gamma(np.full(len(eta), phi[0])) / phi[0]
        return rng.poisson(rate).astype(float), weight

    return respond


def student_t(glmm):
    weight = glmm.response.statistics[1]

    def respond(rng, eta, phi):
        return eta + phi[0] * rng.standard_t(phi[1], len(eta)), weight

    return respond


def build(name):
    """A model with enough cells to hold on to the parameters, and how its responses are drawn."""
    data = frame()
    if name == "binomial":
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.8), "1|h": vmrp.HalfNormal(0.7)}
        model = vmrp.Model("p(y, n) ~ x + (1|g) + (1|h)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "random variances":
        priors = {"Intercept": vmrp.StudentT(4, 0.3, 0.5), "x": vmrp.Laplace(-0.2, 0.4)}
        priors |= {"male": vmrp.Cauchy(0, 0.3), "1|g": vmrp.HuangWand(3, 0.8)}
        data["male"] = np.tile([-0.5, 0.5], 4)
        model = vmrp.Model("p(y, n) ~ x + male + (1|g)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "correlated":
        priors = NORMAL | {"1+x|g": vmrp.HuangWand(3, (0.6, 1.2))}
        model = vmrp.Model("p(y, n) ~ x + (1 + x|g)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "inverse wishart":
        scale = ((0.8, 0.3), (0.3, 0.5))
        priors = NORMAL | {"1+x|g": vmrp.InverseWishart(6, scale)}
        model = vmrp.Model("p(y, n) ~ 1 + (1 + x|g)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "gaussian":
        data["x"] = data["x"].round(0)
        data = pd.concat([data] * 2)
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.8), "sigma": vmrp.LogNormal(-0.3, 0.5)}
        model = vmrp.Model("y ~ x + (1|g)", data, "gaussian", priors=priors)
        return model.glmm, gaussian(model.glmm)
    data["y"] = np.arange(len(data))  # responses that differ: a cell for each row
    if name == "negative binomial":
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.5), "alpha": vmrp.LogNormal(0.5, 0.5)}
        model = vmrp.Model("y ~ x + offset(n) + (1|g)", data, "negativebinomial", priors=priors)
        return model.glmm, negative_binomial(model.glmm)
    priors = NORMAL | {
        "1|g": vmrp.HuangWand(3, 0.8),
        "sigma": vmrp.LogNormal(-0.3, 0.5),
        "nu": vmrp.LogNormal(1, 0.4),
    }
    model = vmrp.Model("y ~ x + (1|g)", data, "t", priors=priors)
    return model.glmm, student_t(model.glmm)


NAMES = [
    "binomial",
    "correlated",
    "inverse wishart",
    "gaussian",
    "negative binomial",
    "t",
    "random variances",
]


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_variables_make_the_likelihood_quadratic(name):
    """On average over ω given η, the slope of the sites at η is that of the likelihood.

    (Fisher's identity.)
    """
    glmm, _ = build(name)
    rng = np.random.default_rng(0)
    eta = rng.normal(size=glmm.n_cells)
    phi = np.array([0.7, 4.0][: len(glmm.free_parameters)])
    slopes = []
    for _ in range(2000):
        sites = draw_sites(glmm, eta, phi, rng)
        slopes.append(sites.shift - sites.precision * eta)
    slopes = np.array(slopes)
    total = glmm.response.with_offset(eta)
    arguments = glmm.family_arguments(phi)
    expected = glmm.family.derivatives(total, glmm.response.statistics, arguments)[0]
    error = slopes.std(0) / np.sqrt(len(slopes))
    assert (np.abs(slopes.mean(0) - expected) < 4.5 * error + 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_joint_distribution(name):
    glmm, respond = build(name)
    assert np.abs(z_scores(glmm, draw_scale, respond, 1500, seed=1)).max() < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_joint_distribution_longer(name):
    glmm, respond = build(name)
    assert np.abs(z_scores(glmm, draw_scale, respond, 20_000, seed=2)).max() < LARGEST


def test_a_chain_that_cannot_be_solved_says_where_it_got_to():
    """σ of t at rounding, with every row fitted exactly by its own effect."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.normal(size=40), "w": 50, "g": np.arange(40).astype(str)})
    priors = {"sigma": vmrp.InverseGamma(2, 1)}  # under which σ has a posterior
    model = vmrp.Model("y ~ 1 + (1|g)", data, family="t", weights="w", priors=priors)
    setup = set_up(model.glmm)
    coefficients = np.concatenate([[0.0], data["y"].to_numpy()])
    state = setup.state(coefficients, (np.eye(1),), np.array([1e-160, 0.1]))
    match = r"sigma .*1\|g_sigma 1\)"
    with pytest.raises(SingularPrecision, match=match), np.errstate(all="ignore"):
        iterate(setup, state, rng)
