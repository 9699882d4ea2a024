"""The Gaussian of a fit at every θ, and coefficients as a function of whitened coordinates."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.mixtures import prior_precision
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.mcmc.whitened import whitened_coefficients
from pymc_vmrp.mcmc.whitened_kernels import backward, forward
from pymc_vmrp.mcmc.whitening import whitening
from tests.cavi.designs import random_glmm, with_mixtures

seeds = st.integers(0, 10**6)


def random_entries(rng, glmm):
    """Entries of D(θ) at a random θ: one per coefficient with a horseshoe, then each Σ⁻¹."""
    n = sum(len(m.index) for m in glmm.common.mixtures if isinstance(m.prior, Horseshoe))
    parts = [rng.uniform(0.3, 3, n)]
    for group in glmm.groups:
        root = np.tril(rng.normal(size=(group.d, group.d))) + np.eye(group.d)
        parts.append((root @ root.T + 0.3 * np.eye(group.d)).ravel())
    return np.concatenate(parts)


def dense_precision(glmm, fit, entries):
    """P(θ) from its definition."""
    x = glmm.rows.dense(glmm.n_coefficients)
    out = x.T @ (np.maximum(fit.state.target.sites.precision, 0)[:, None] * x)
    prior = prior_precision(glmm.common, fit.state.target.scales).copy()
    scaled = [i for m in glmm.common.mixtures if isinstance(m.prior, Horseshoe) for i in m.index]
    prior[sorted(scaled)] = entries[: len(scaled)]
    out[np.diag_indices(glmm.common.size)] += prior
    at = len(scaled)
    for j, group in enumerate(glmm.groups):
        block = entries[at : at + group.d**2].reshape(group.d, group.d)
        at += group.d**2
        part = glmm.group_slice(j)
        out[part, part] += np.kron(np.eye(len(group.levels)), block)
    return out


@settings(max_examples=12, deadline=None)
@given(seeds)
def test_precision_is_that_of_its_definition(seed):
    glmm = with_mixtures(random_glmm(seed), seed)
    fit = run(glmm, Options(tol=0.1))
    entries = random_entries(np.random.default_rng(seed), glmm)
    ours, expected = whitening(glmm, fit).precision(entries), dense_precision(glmm, fit, entries)
    np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-8)


@settings(max_examples=8, deadline=None)
@given(seeds)
def test_the_mean_is_that_of_the_fit_at_its_expected_precisions(seed):
    glmm = random_glmm(seed)
    fit = run(glmm, Options(tol=1e-6))
    gaussian = whitening(glmm, fit)
    entries = np.concatenate([np.ravel(m) for m in fit.state.target.precisions])
    mean = np.linalg.solve(gaussian.precision(entries), gaussian.right)
    np.testing.assert_allclose(mean, fit.state.gaussian.mean, atol=1e-4)


def by_hand(gaussian, xi, entries):
    lower = np.linalg.cholesky(gaussian.precision(entries))
    mean = np.linalg.solve(gaussian.precision(entries), gaussian.right)
    return mean + np.linalg.solve(lower.T, xi), -np.log(np.diag(lower)).sum()


def from_kernels(gaussian, xi, entries, slope, by_jacobian):
    places = gaussian.rows, gaussian.columns, gaussian.which
    b, log_jacobian, inverse = forward(xi, entries, gaussian.matrix, gaussian.right, *places)
    gradients = backward(
        xi, gaussian.right, inverse, slope, np.array(by_jacobian), entries, *places
    )
    return [b, log_jacobian, *gradients]


def from_graph(gaussian, xi, entries, slope, by_jacobian):
    x, e = pt.vector("x", shape=xi.shape), pt.vector("e", shape=entries.shape)
    b, log_jacobian = whitened_coefficients(gaussian, x, e)
    total = pt.dot(slope, b) + by_jacobian * log_jacobian
    outputs = [b, log_jacobian, *pt.grad(total, [x, e])]
    return pytensor.function([x, e], outputs, mode="FAST_COMPILE")(xi, entries)


def check_against_dense_algebra(evaluate, seed):
    """Values, and gradients by central differences."""
    rng = np.random.default_rng(seed)
    glmm = with_mixtures(random_glmm(seed, states=3), seed)
    gaussian = whitening(glmm, run(glmm, Options(tol=0.1)))
    xi, entries = rng.normal(size=gaussian.size), random_entries(rng, glmm)
    slope = rng.normal(size=gaussian.size)

    def value(xi, entries):
        b, log_jacobian = by_hand(gaussian, xi, entries)
        return slope @ b + 0.7 * log_jacobian

    b, log_jacobian, by_xi, by_entries = evaluate(gaussian, xi, entries, slope, 0.7)
    expected = by_hand(gaussian, xi, entries)
    np.testing.assert_allclose(b, expected[0], rtol=1e-6, atol=1e-8)
    assert log_jacobian == pytest.approx(expected[1])
    step = 1e-5
    for _ in range(6):
        moved = step * rng.normal(size=gaussian.size)
        change = value(xi + moved, entries) - value(xi - moved, entries)
        assert by_xi @ moved == pytest.approx(change / 2, rel=1e-4, abs=1e-9)
    # off-diagonal entries come in pairs: symmetric directions
    for _ in range(6):
        direction = random_entries(rng, glmm)
        change = value(xi, entries + step * direction) - value(xi, entries - step * direction)
        assert by_entries @ direction == pytest.approx(change / (2 * step), rel=1e-4, abs=1e-4)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(seeds)
def test_coefficients_jacobian_and_gradients_of_the_kernels(seed):
    check_against_dense_algebra(from_kernels, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_coefficients_jacobian_and_gradients_of_the_graph(seed):
    check_against_dense_algebra(from_graph, seed)


def test_sites_of_negative_precision_are_flattened():
    """Student t responses are not log-concave; the whitening still is positive definite."""
    rng = np.random.default_rng(3)
    frame = vmrp.simulate(60, 4, random_seed=1).survey.assign(y=rng.standard_cauchy(60))
    model = vmrp.Model("y ~ male + (1|state)", frame, family="t")
    fit = run(model.glmm, Options(tol=0.1))
    assert fit.state.target.sites.precision.min() < 0
    gaussian = whitening(model.glmm, fit)
    assert np.linalg.eigvalsh(gaussian.precision(np.full(1, 1e-3))).min() > 0
