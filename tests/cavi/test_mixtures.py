"""Coordinate ascent under priors of random variance: exact, climbing, optimal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.mixtures import expected_scales, prior_precision
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.cavi.sweep import Setup, starts, sweep
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.solvers.dense import DenseSolver
from tests.cavi.designs import BOUNDS, random_glmm, with_mixtures

PRIORS = [
    vmrp.StudentT(3, 0.5, 0.4),
    vmrp.Cauchy(-0.2, 0.7),
    vmrp.Laplace(0.3, 0.5),
    vmrp.Horseshoe(0.3),
    vmrp.Horseshoe(),
]
seeds = st.integers(0, 10**6)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_plain_sweeps_never_lower_the_elbo(seed):
    glmm = with_mixtures(random_glmm(seed), seed)
    setup = Setup(glmm, DenseSolver(glmm), BOUNDS["polya-gamma"])
    state = sweep(setup, starts(setup)[0])
    trace = [state.elbo]
    for _ in range(25):
        state = sweep(setup, state.target)
        trace.append(state.elbo)
    assert np.diff(trace).min() >= -1e-11 * abs(trace[-1])


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seeds, st.sampled_from(sorted(BOUNDS)))
def test_accelerated_sweeps_reach_what_plain_ones_reach(seed, bound):
    glmm = with_mixtures(random_glmm(seed), seed)
    options = Options(bound=bound, tol=1e-4, max_iter=5000, accelerate="none", expansion="none")
    plain, fast = run(glmm, options), run(glmm, Options(bound=bound, tol=1e-6))
    assert plain.converged
    assert fast.converged
    assert fast.state.elbo >= plain.state.elbo - 1e-6


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from(["translation", "mean", "none"]))
def test_both_solvers_agree(seed, expansion):
    glmm = with_mixtures(random_glmm(seed), seed)
    a, b = (
        run(glmm, Options(tol=1e-8, max_iter=5000, solver=solver, expansion=expansion))
        for solver in ("dense", "partitioned")
    )
    assert a.state.elbo == pytest.approx(b.state.elbo, abs=1e-7)
    np.testing.assert_allclose(a.state.gaussian.mean, b.state.gaussian.mean, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_each_precision_goes_to_its_own_coefficient(seed):
    glmm = with_mixtures(random_glmm(seed), seed)
    gaussian = run(glmm, Options(max_iter=3)).state.gaussian
    precision = prior_precision(glmm.common, expected_scales(glmm.common, gaussian))
    size = glmm.common.size
    squares = (gaussian.mean[:size] - glmm.common.prior_mean) ** 2 + gaussian.variances()[:size]
    expected = glmm.common.prior_sd**-2.0
    for mixture in glmm.common.mixtures:
        index = list(mixture.index)
        expected[index] = mixture.prior.expected_precision(squares[index])
    np.testing.assert_array_equal(precision, expected)


def one_coefficient(prior):
    """Nine answers and one intercept under ``prior``."""
    frame = pd.DataFrame({"y": [1, 1, 0, 1, 1, 1, 0, 1, 1]})
    return vmrp.Model("y ~ 1", frame, priors={"Intercept": prior})


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_one_coefficient_is_the_best_gaussian_and_its_elbo_is_below_the_evidence(prior):
    """Brute force: max over N(m, v) of E log likelihood + log p(β)|_{S = E(β − μ)²} + entropy."""
    q = one_coefficient(prior).approximate(tol=1e-9, hyperparameters="mean_field")
    nodes = np.linspace(-9, 9, 401)
    weights = np.exp(-0.5 * nodes**2) / np.exp(-0.5 * nodes**2).sum()

    def log_likelihood(b):
        return 7 * b - 9 * np.logaddexp(0, b)

    def log_prior(square):
        return float(prior.log_density_of_squares(np.atleast_1d(square)))

    def negative_elbo(x):
        m, sd = x[0], np.exp(x[1])
        likelihood = log_likelihood(m + sd * nodes) @ weights
        entropy = 0.5 * (1 + np.log(2 * np.pi)) + x[1]
        return -(likelihood + log_prior((m - prior.location) ** 2 + sd**2) + entropy)

    best = optimize.minimize(negative_elbo, [0.5, -0.5], method="Nelder-Mead", tol=1e-10)
    assert q.elbo == pytest.approx(-best.fun, abs=1e-6)
    assert q.mean()[0] == pytest.approx(best.x[0], abs=1e-4)
    assert q.sd()[0] == pytest.approx(np.exp(best.x[1]), rel=1e-4)

    def joint(b):
        return np.exp(log_likelihood(b) + log_prior((b - prior.location) ** 2))

    pieces = [(-12, prior.location), (prior.location, 12)]  # a horseshoe has its pole there
    evidence = np.log(sum(integrate.quad(joint, *piece, limit=200)[0] for piece in pieces))
    gap = 0.3 if not isinstance(prior, vmrp.Horseshoe) else 0.8  # what q(β)q(λ) costs
    assert evidence - gap < q.elbo < evidence


def test_elbo_is_its_monte_carlo_estimate_with_the_variances_drawn(survey):
    """ELBO = E_q[log p − log q] of (β, λ², u, σ²), with q(λ²) written out by scipy."""
    nu, scale = 4.0, 0.5
    priors = {"x": vmrp.StudentT(nu, 0.2, scale), "1|state": vmrp.HalfNormal(1)}
    q = vmrp.Model("y ~ x + (1|state)", survey, priors=priors).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    rng = np.random.default_rng(1)
    draws = q.sample(100_000, rng)
    square = (q.mean()[1] - 0.2) ** 2 + q.sd()[1] ** 2
    optimal = stats.invgamma((nu + 1) / 2, scale=(nu * scale**2 + square) / 2)
    variance = optimal.rvs(len(draws), random_state=rng)
    beta = draws.coefficients[:, 1]
    log_ratio = log_joint(q.glmm, draws.coefficients, draws.covariances) - q.log_density(draws)
    # p(β | λ²) p(λ²) in place of the marginal p(β)
    log_ratio -= stats.t.logpdf(beta, nu, 0.2, scale)
    log_ratio += stats.norm.logpdf(beta, 0.2, np.sqrt(variance))
    log_ratio += stats.invgamma.logpdf(variance, nu / 2, scale=nu * scale**2 / 2)
    log_ratio -= optimal.logpdf(variance)
    error = log_ratio.std() / np.sqrt(len(draws))
    assert q.elbo == pytest.approx(log_ratio.mean(), abs=4 * error)


def test_lp_holds_the_marginal_density(survey):
    prior = vmrp.Horseshoe()
    model = vmrp.Model("y ~ x + male + (1|state)", survey, priors={"common": prior})
    flat = vmrp.Model("y ~ x + male + (1|state)", survey, priors={"common": "flat"})
    draws = model.approximate(hyperparameters="mean_field").sample(50, 1)
    difference = model.approximate(hyperparameters="mean_field").log_joint(draws) - log_joint(
        flat.glmm, draws.coefficients, draws.covariances
    )
    expected = prior.log_density_of_squares(draws.coefficients[:, 1:3] ** 2)
    np.testing.assert_allclose(difference, expected, atol=1e-9)


def test_shrinkage_depends_on_the_size():
    """A horseshoe shrinks what is near zero to zero, and hardly what is not."""
    rng = np.random.default_rng(2)
    n = 2000
    x = rng.normal(size=(n, 6))
    y = rng.random(n) < 1 / (1 + np.exp(-1.5 * x[:, 0]))
    frame = pd.DataFrame(x, columns=list("abcdef")).assign(y=y.astype(int))
    formula = "y ~ a + b + c + d + e + f"
    wide = vmrp.Model(formula, frame).approximate(hyperparameters="mean_field")
    shrunk = vmrp.Model(formula, frame, priors={"common": vmrp.Horseshoe()}).approximate(
        hyperparameters="mean_field"
    )
    ratio = shrunk.mean() / wide.mean()
    assert ratio[1] == pytest.approx(1, abs=0.02)
    assert np.abs(ratio[2:]).max() < 0.6
