"""Priors of random variance, against scipy, integration and the grids of the covariance factors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.covariance import update_covariance

BETA = np.array([-3.0, -0.4, 0.01, 0.7, 12.0])

# each prior with its density, and the prior of λ that it is a mixture over
CASES = [
    (vmrp.StudentT(3.5, 0, 0.8), stats.t(3.5, scale=0.8), vmrp.InverseGamma(1.75, 1.12)),
    (vmrp.Cauchy(0, 1.5), stats.cauchy(scale=1.5), vmrp.InverseGamma(0.5, 1.125)),
    (vmrp.Laplace(0, 0.7), stats.laplace(scale=0.7), vmrp.Gamma(1, 1 / 0.98, on="variance")),
    (vmrp.Horseshoe(0.3), None, vmrp.HalfCauchy(0.3)),
]
CASES_OF_SCIPY = [case[:2] for case in CASES[:3]]
NAMES = [repr(prior) for prior, _ in CASES_OF_SCIPY]  # repr of a distribution has its address
squares_of_any_size = st.floats(-25, 25).map(lambda t: np.array([np.exp(t)]))


@pytest.mark.parametrize(("prior", "distribution"), CASES_OF_SCIPY, ids=NAMES)
def test_density_is_scipys(prior, distribution):
    each = [float(prior.log_density_of_squares(np.array([b**2]))) for b in BETA]
    np.testing.assert_allclose(each, distribution.logpdf(BETA), rtol=1e-12)
    assert prior.log_density_of_squares(BETA**2) == pytest.approx(sum(each))


@pytest.mark.parametrize("tau", [0.05, 1.0, 30.0])
def test_horseshoe_density_is_the_integral_over_its_local_scale(tau):
    prior = vmrp.Horseshoe(tau)
    for b in BETA:

        def joint(t, b=b):
            local = np.exp(t)
            return stats.norm.pdf(b, 0, tau * local) * stats.halfcauchy.pdf(local) * local

        expected = integrate.quad(joint, -30, 30, limit=500, epsabs=0, points=[-5, 0, 5])[0]
        actual = float(prior.log_density_of_squares(np.array([b**2])))
        assert actual == pytest.approx(np.log(expected), rel=1e-6)


@pytest.mark.parametrize(
    "beta", [[0.3], [1e-6], [40.0], [0.3, -1.2, 0.001], [5.0, 1e-9], [0.2] * 60]
)
def test_horseshoe_density_is_the_integral_over_its_global_scale(beta):
    squares = np.array(beta) ** 2
    t = np.linspace(-45, 30, 1501)  # log τ
    given_tau = [vmrp.Horseshoe(np.exp(x)).log_density_of_squares(squares) for x in t]
    log_p = np.array(given_tau) + stats.halfcauchy.logpdf(np.exp(t)) + t
    expected = log_p.max() + np.log(np.trapezoid(np.exp(log_p - log_p.max()), t))
    assert float(vmrp.Horseshoe().log_density_of_squares(squares)) == pytest.approx(
        expected, abs=1e-8
    )


def test_horseshoe_density_of_draws_is_that_of_each(monkeypatch):
    from pymc_vmrp.glmm.priors import horseshoe

    squares = np.random.default_rng(0).normal(size=(2, 5, 3)) ** 2
    prior = vmrp.Horseshoe()
    monkeypatch.setattr(horseshoe, "_MOST", 2_000)  # a few draws at a time
    actual = prior.log_density_of_squares(squares)
    assert actual.shape == (2, 5)
    for index in np.ndindex(2, 5):
        assert actual[index] == pytest.approx(float(prior.log_density_of_squares(squares[index])))


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case[0]))
@given(squares_of_any_size)
def test_elbo_term_and_precision_are_those_of_the_tabulated_factor(case, squares):
    """update_covariance normalises q(λ) on a grid, for one level: an independent computation."""
    prior, _, of_the_scale = case
    factor = update_covariance(of_the_scale, squares[None], 1)
    assert float(prior.log_density_of_squares(squares)) == pytest.approx(factor.elbo, abs=1e-6)
    assert prior.expected_precision(squares)[0] == pytest.approx(
        factor.expected_precision[0, 0], rel=1e-6
    )


@pytest.mark.parametrize("prior", [*(case[0] for case in CASES), vmrp.Horseshoe()], ids=repr)
@given(st.lists(st.floats(-9, 9), min_size=1, max_size=4))
def test_precision_is_minus_twice_the_slope_of_the_log_density(prior, log_squares):
    squares = np.exp(log_squares)
    precision = prior.expected_precision(squares)
    for k in range(len(squares)):
        step = np.zeros(len(squares))
        step[k] = 1e-4 * squares[k]
        low, high = (float(prior.log_density_of_squares(squares + s)) for s in (-step, step))
        assert -2 * (high - low) / (2 * step[k]) == pytest.approx(precision[k], rel=1e-5)


def test_horseshoe_with_its_scales_integrates_to_its_marginal():
    prior, beta = vmrp.Horseshoe(), np.array([0.4, -2.0])
    t = np.linspace(-14, 14, 81)
    a, b, c = np.meshgrid(t, t, t, indexing="ij")
    local = np.exp(np.stack([a, b], axis=-1))
    log_p = prior.log_density_augmented(beta, local, np.exp(c)) + a + b + c
    total = np.log(np.exp(log_p).sum() * (t[1] - t[0]) ** 3)
    assert total == pytest.approx(float(prior.log_density_of_squares(beta**2)), abs=1e-4)


@pytest.mark.parametrize("prior", [vmrp.Horseshoe(0.4), vmrp.Horseshoe()], ids=repr)
def test_likely_scales_are_positive_and_follow_the_coefficients(prior):
    local, tau = prior.likely_scales(np.array([0.0, 0.1, 3.0]))
    assert np.isfinite(local).all()
    assert tau > 0
    assert 0 < local[0] < local[1] < local[2]
    assert prior.tau is None or tau == prior.tau


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vmrp.StudentT(0), "StudentT: nu"),
        (lambda: vmrp.StudentT([1, 2]), "one number"),
        (lambda: vmrp.StudentT(3, 0, -1), "StudentT: sigma"),
        (lambda: vmrp.StudentT(3, np.nan), "StudentT: mu"),
        (lambda: vmrp.Laplace(0, 0), "Laplace: b"),
        (lambda: vmrp.Cauchy("a"), "Cauchy: alpha"),
        (lambda: vmrp.Cauchy(0, np.inf), "Cauchy: beta"),
        (lambda: vmrp.Horseshoe(0), "Horseshoe: tau"),
        (lambda: vmrp.Horseshoe([1, 2]), "one number"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(vmrp.PriorError, match=message):
        make()


def test_priors_compare_and_hash_by_value():
    assert vmrp.StudentT(3, 0, [1, 2]) == vmrp.StudentT(3, 0, np.array([1.0, 2.0]))
    assert len({vmrp.Laplace(0, 1), vmrp.Laplace(0, 1), vmrp.Laplace(0, 2)}) == 2
