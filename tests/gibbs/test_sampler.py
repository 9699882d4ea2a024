"""Chains: exact on a model small enough to integrate, repeatable, thinned, interruptible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.gibbs import sampler
from pymc_vmrp.gibbs.sampler import run_chains, sample_chains
from pymc_vmrp.gibbs.starts import dispersed_starts
from pymc_vmrp.glmm.log_joint import log_joint

SCALE = 1.5
COUNTS = np.array([[1, 6], [5, 6], [3, 4]])


@pytest.fixture(scope="module")
def tiny():
    data = pd.DataFrame({"y": COUNTS[:, 0], "n": COUNTS[:, 1], "g": list("abc")})
    priors = {"Intercept": vmrp.Normal(0, 1), "1|g": vmrp.HuangWand(2, SCALE)}
    return vmrp.Model("p(y, n) ~ 1 + (1|g)", data, "binomial", priors=priors).glmm


def by_quadrature():
    """Mean and sd of the intercept and of log σ, and P(σ > 2)."""
    b = np.linspace(-5, 5, 161)
    t = np.linspace(-7, 4.5, 231)
    z, w = np.polynomial.hermite_e.hermegauss(60)
    sigma = np.exp(t)
    eta = b[:, None, None] + sigma[:, None] * z
    log_weight = -0.5 * b[:, None] ** 2 + t - 1.5 * np.log1p((sigma / SCALE) ** 2 / 2)
    for y, n in COUNTS:
        each = (w * np.exp(y * eta - n * np.logaddexp(0, eta))).sum(-1)
        log_weight = log_weight + np.log(each)
    mass = np.exp(log_weight - log_weight.max())
    mass /= mass.sum()
    mean = [(mass.sum(1) @ b), (mass.sum(0) @ t)]
    sd = [np.sqrt(mass.sum(1) @ (b - mean[0]) ** 2), np.sqrt(mass.sum(0) @ (t - mean[1]) ** 2)]
    return mean, sd, mass.sum(0)[sigma > 2].sum()


def check_against_quadrature(glmm, steps, tolerance):
    starts = dispersed_starts(glmm, 2, np.random.default_rng(0))
    draws = run_chains(glmm, starts, steps, 200, random_seed=2).flat()
    intercept, log_sigma = draws.coefficients[:, 0], 0.5 * np.log(draws.covariances[0][:, 0, 0])
    mean, sd, large = by_quadrature()
    for x, m, s in zip((intercept, log_sigma), mean, sd, strict=True):
        assert abs(x.mean() - m) < tolerance * s
        assert x.std() == pytest.approx(s, rel=2 * tolerance)
    assert (log_sigma > np.log(2)).mean() == pytest.approx(large, abs=tolerance)


def test_against_quadrature(tiny):
    check_against_quadrature(tiny, 1500, 0.1)


@pytest.mark.slow
def test_against_quadrature_to_two_digits(tiny):
    check_against_quadrature(tiny, 100_000, 0.012)


def test_a_seed_gives_the_same_draws_on_any_number_of_threads(slopes_model):
    glmm = slopes_model.glmm
    starts = dispersed_starts(glmm, 3, np.random.default_rng(0))
    one, two, other = (
        run_chains(glmm, starts, 6, 3, random_seed=seed, cores=cores)
        for seed, cores in ((5, 1), (5, 2), (6, 1))
    )
    assert one.coefficients.shape == (3, 6, glmm.n_coefficients)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    for a, b in zip(one.covariances, two.covariances, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.coefficients != other.coefficients).all()


def test_thinning_and_tuning_leave_out_iterations(slopes_model):
    glmm = slopes_model.glmm
    starts = dispersed_starts(glmm, 2, np.random.default_rng(0))
    every = run_chains(glmm, starts, 11, random_seed=5)
    some = run_chains(glmm, starts, 3, 2, thin=3, random_seed=5)
    np.testing.assert_array_equal(some.coefficients, every.coefficients[:, 4::3])


def test_both_solvers(slopes_model):
    """Two solvers of one Gaussian: chains of the same distribution."""
    from pymc_vmrp.gibbs.iteration import Setup
    from pymc_vmrp.solvers.choose import choose_solver

    glmm = slopes_model.glmm
    starts = dispersed_starts(glmm, 2, np.random.default_rng(0))
    means, sds = [], []
    for name in ("dense", "partitioned"):
        setup = Setup(glmm, choose_solver(glmm, name))
        draws = run_chains(glmm, starts, 200, 50, random_seed=1, setup=setup).flat()
        means.append(draws.coefficients.mean(0))
        sds.append(draws.coefficients.std(0))
    assert (np.abs(means[0] - means[1]) < 0.5 * sds[0]).all()
    np.testing.assert_allclose(sds[0], sds[1], rtol=0.45)


def test_interruption_keeps_draws_of_equal_length(slopes_model, monkeypatch):
    glmm = slopes_model.glmm
    starts = dispersed_starts(glmm, 3, np.random.default_rng(0))
    told = []

    def callback(done):
        told.append(done)
        if min(done) > 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(sampler, "_SECONDS_BETWEEN_REPORTS", 0.01)
    run = sample_chains(glmm, starts, 100_000, 10, random_seed=1, cores=2, callback=callback)
    assert run.interrupted
    kept = run.draws.coefficients.shape[1]
    assert 50 < kept < 100_000
    full = run_chains(glmm, starts, kept, 10, random_seed=1)
    np.testing.assert_array_equal(run.draws.coefficients, full.coefficients)


def test_interruption_before_the_first_draw(slopes_model):
    def callback(done):
        raise KeyboardInterrupt

    starts = dispersed_starts(slopes_model.glmm, 2, np.random.default_rng(0))
    with pytest.raises(KeyboardInterrupt):
        sample_chains(slopes_model.glmm, starts, 10, 10**8, callback=callback)


def test_what_a_thread_raises_is_raised(slopes_model, monkeypatch):
    def fails(*_):
        raise vmrp.DataError("of the thread")

    starts = dispersed_starts(slopes_model.glmm, 2, np.random.default_rng(0))
    monkeypatch.setattr(sampler, "iterate", fails)
    with pytest.raises(vmrp.DataError, match="of the thread"):
        run_chains(slopes_model.glmm, starts, 10)


@pytest.mark.parametrize("prior", [vmrp.Uniform(1.0), vmrp.HalfNormal(1)])
def test_starts_are_spread_out_and_in_the_support(survey, prior):
    model = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": prior})
    starts = dispersed_starts(model.glmm, 200, np.random.default_rng(0))
    value = log_joint(
        model.glmm, starts.coefficients, starts.covariances, parameters=starts.parameters
    )
    assert np.isfinite(value).all()
    q = model.approximate(hyperparameters="mean_field")
    assert (starts.coefficients.std(0) > 1.6 * q.sd()).all()


def test_free_parameters_start_apart(survey):
    model = vmrp.Model("x ~ male + (1|state)", survey, "gaussian", {"sigma": vmrp.Uniform(1.1)})
    starts = dispersed_starts(model.glmm, 50, np.random.default_rng(0))
    assert (starts.parameters <= 1.1).all()
    assert np.unique(starts.parameters).size == 50
