"""Parameter expansion against the ELBO itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.accelerate import ACCELERATORS
from pymc_vmrp.cavi.expand import EXPANSIONS, _Expanded, recentre, translate
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.cavi.sweep import Setup, starts, sweep
from pymc_vmrp.glmm.priors.covariance import HuangWand, InverseWishart, covariance_log_density
from pymc_vmrp.glmm.priors.scales import HalfNormal
from pymc_vmrp.solvers.dense import DenseSolver
from tests.cavi.designs import BOUNDS, random_glmm


def a_state(glmm, sweeps=2, bound="polya-gamma"):
    setup = Setup(glmm, DenseSolver(glmm, expand=True), BOUNDS[bound])
    state = sweep(setup, starts(setup)[0])
    for _ in range(sweeps):
        state = sweep(setup, state.target)
    return state


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_quadratic_is_the_expectation_over_rows(seed):
    """Against E[s'φ − ½ w φφ'] summed row by row with a dense V."""
    glmm = random_glmm(seed)
    state = a_state(glmm)
    q, sites = state.gaussian, state.point.sites
    p = glmm.n_coefficients
    moment = q.marginal_covariance(np.arange(p)) + np.outer(q.mean, q.mean)
    x = glmm.rows.dense(p)
    # φ_i = T_i θ: one row of T for the common part, one for each z_a u_b
    selectors = [np.zeros((glmm.n_cells, p))]
    selectors[0][:, : glmm.common.size] = x[:, : glmm.common.size]
    for j, group in enumerate(glmm.groups):
        for b in range(group.d):
            for a in range(group.d):
                selector = np.zeros((glmm.n_cells, p))
                column = glmm.group_slice(j).start + group.members * group.d + b
                np.add.at(
                    selector,
                    (np.arange(glmm.n_cells)[:, None], column),
                    group.member_values[:, :, a],
                )
                selectors.append(selector)
    t = np.array(selectors)
    curvature = np.einsum("n,anp,pq,bnq->ab", sites.precision, t, moment, t, optimize=True)
    slope = np.einsum("n,anp,p->a", sites.shift, t, q.mean)
    quadratic = q.quadratic()
    np.testing.assert_allclose(quadratic.curvature[1:, 1:], curvature[1:, 1:], atol=1e-8)
    np.testing.assert_allclose(quadratic.curvature[1:, 0], curvature[1:, 0], atol=1e-8)
    np.testing.assert_allclose(quadratic.slope[1:], slope[1:], atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_gradient_of_the_gain(seed):
    state = a_state(random_glmm(seed))
    expanded = _Expanded(state.gaussian.quadratic(), state.factors)
    x = expanded.start() + 0.05 * np.random.default_rng(seed).normal(size=expanded.start().size)
    numeric = approx_fprime(x, lambda x: expanded.gain(x)[0], 1e-7)
    np.testing.assert_allclose(expanded.gain(x)[1], numeric, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prior", [HuangWand(), InverseWishart(), HalfNormal(0.7)])
def test_the_gain_is_the_change_of_the_elbo(survey, prior):
    """Scale u and Σ by hand, under Pólya–Gamma sites held fixed, and compare with Monte Carlo."""
    glmm = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": prior}).glmm
    state = a_state(glmm)
    expanded = _Expanded(state.gaussian.quadratic(), state.factors)
    rng = np.random.default_rng(0)
    draws = state.gaussian.sample(rng, 200_000)
    covariances = state.factors[0].sample(rng, 200_000)
    dense, sites = glmm.rows.dense(glmm.n_coefficients), state.point.sites

    def elbo(log_r):  # E[quadratic of the sites + log p(Σ)] + log Jacobians; p(u|Σ) is unchanged
        moved = draws.copy()
        moved[:, glmm.group_slice(0)] *= np.exp(log_r)
        mean = moved.mean(0)
        second = moved.T @ moved / len(moved)
        likelihood = sites.shift @ (dense @ mean)
        likelihood -= 0.5 * np.sum((dense.T * sites.precision) @ dense * second)
        if isinstance(prior, HuangWand):  # given the auxiliary, as coordinate ascent has it
            scale = state.factors[0].prior_scale[0, 0]
            log_p = -0.5 * (prior.nu + 2) * (np.log(covariances[:, 0, 0]) + 2 * log_r)
            log_p -= 0.5 * scale / (covariances[:, 0, 0] * np.exp(2 * log_r))
        else:
            log_p = covariance_log_density(prior, covariances * np.exp(2 * log_r))
        return likelihood + log_p.mean() + 2 * log_r

    for log_r in (-0.3, 0.2):
        gain = expanded.gain(np.array([log_r]))[0] - expanded.gain(np.zeros(1))[0]
        assert gain == pytest.approx(elbo(log_r) - elbo(0.0), abs=0.05)


@pytest.mark.parametrize("bound", sorted(BOUNDS))
@pytest.mark.parametrize("move", [translate, recentre])
def test_nothing_moves_at_a_fixed_point(bound, move):
    glmm = random_glmm(12, states=5)
    fit = run(glmm, Options(bound, 1e-10, 5000, expansion="none"))
    state = a_state_at(glmm, fit, bound)
    if move is translate:
        moved = translate(state.gaussian.quadratic(), state.factors)
    else:
        moved = recentre(glmm, state.gaussian, state.factors)
    for before, after in zip(state.target.precisions, moved, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-6)


def a_state_at(glmm, fit, bound):
    return sweep(Setup(glmm, DenseSolver(glmm, expand=True), BOUNDS[bound]), fit.state.target)


def test_recentring_moves_a_shifted_mean_into_the_intercept(survey):
    """Shift u by 1 and the intercept by −1 in q: recentring must take it back."""
    glmm = vmrp.Model("y ~ 1 + (1|state)", survey, priors={"Intercept": "flat"}).glmm
    state = a_state(glmm, sweeps=8)
    plain = recentre(glmm, state.gaussian, state.factors)[0]
    shift = np.zeros(glmm.n_coefficients)
    shift[0], shift[1:] = -1.0, 1.0
    shifted = replace(state.gaussian, mean=state.gaussian.mean + shift)
    np.testing.assert_allclose(recentre(glmm, shifted, state.factors)[0], plain, rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("bound", sorted(BOUNDS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_accelerator_and_expansion_reaches_the_same_fixed_point(bound, seed):
    glmm = random_glmm(seed, states=6)
    fits = [
        run(glmm, Options(bound, 1e-8, 5000, "auto", accelerate, expansion))
        for accelerate in ACCELERATORS
        for expansion in EXPANSIONS
    ]
    for fit in fits:
        assert fit.converged
        assert np.diff(fit.elbo[: fit.warmup]).min(initial=0) >= -1e-7
        assert np.diff(fit.elbo[fit.warmup :]).min(initial=0) >= -1e-7
        assert fit.state.elbo == pytest.approx(fits[0].state.elbo, abs=1e-5)
        np.testing.assert_allclose(fit.state.gaussian.mean, fits[0].state.gaussian.mean, atol=2e-4)
