"""Sites and bounds against numerical integration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.special import expit

from pymc_vmrp.cavi.bounds import PolyaGamma, Quadrature
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.logistic import logistic_expectations
from pymc_vmrp.glmm.spec import GLMM, CommonEffects, Response

MEAN, VARIANCE = (a.ravel() for a in np.meshgrid(np.linspace(-8, 8, 9), [0.01, 0.3, 2.0, 12.0]))
RESPONSE = Response("y", (np.full(MEAN.size, 2.0), np.full(MEAN.size, 5.0)))
NOTHING = CommonEffects(np.empty((MEAN.size, 0)), (), False, *(np.empty(0) for _ in range(3)))
MODEL = GLMM(get_family("binomial"), RESPONSE, NOTHING, ())


def integrate(f):
    """E f(η) over N(MEAN, VARIANCE) on a fine even grid, which converges faster than any power."""
    z = np.linspace(-12, 12, 4801)
    weight = np.exp(-0.5 * z**2)
    eta = MEAN[:, None] + np.sqrt(VARIANCE)[:, None] * z
    return (f(eta) * weight).sum(1) / weight.sum()


def test_closed_form_expectations_are_within_2e8():
    out = [np.empty_like(MEAN) for _ in range(3)]
    logistic_expectations(MEAN, VARIANCE, *out)
    exact = [
        integrate(lambda t: np.logaddexp(0, t)),
        integrate(expit),
        integrate(lambda t: expit(t) * expit(-t)),
    ]
    for actual, expected in zip(out, exact, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-8)


def test_gauss_hermite_agrees():
    # an independent rule: 60 nodes are enough for the smaller variances
    nodes, weights = hermegauss(60)
    small = VARIANCE <= 2
    eta = MEAN[small][:, None] + np.sqrt(VARIANCE[small])[:, None] * nodes
    expected = (expit(eta) * weights).sum(1) / weights.sum()
    out = [np.empty(small.sum()) for _ in range(3)]
    logistic_expectations(MEAN[small], VARIANCE[small], *out)
    np.testing.assert_allclose(out[1], expected, atol=1e-7)


def test_quadrature_sites_are_the_gradient_of_the_expectation():
    # k − wμ = dE[ℓ]/dμ and −w/2 = dE[ℓ]/dv (Opper & Archambeau 2009)
    bound, h = Quadrature(), 1e-4
    sites = bound.evaluate(MODEL, MEAN, VARIANCE).sites

    def expected(mean, variance):
        out = [np.empty_like(mean) for _ in range(3)]
        logistic_expectations(mean, variance, *out)
        return RESPONSE.statistics[0] * mean - RESPONSE.statistics[1] * out[0]

    by_mean = (expected(MEAN + h, VARIANCE) - expected(MEAN - h, VARIANCE)) / (2 * h)
    by_variance = (expected(MEAN, VARIANCE + 1e-3) - expected(MEAN, VARIANCE - 1e-3)) / 2e-3
    np.testing.assert_allclose(sites.shift - sites.precision * MEAN, by_mean, atol=1e-6)
    np.testing.assert_allclose(-0.5 * sites.precision, by_variance, atol=2e-5)


def test_polya_gamma_is_a_lower_bound_and_tight_without_variance():
    tight, loose = Quadrature().evaluate, PolyaGamma().evaluate
    at = (MODEL, MEAN, VARIANCE)
    assert loose(*at).expected_log_likelihood < tight(*at).expected_log_likelihood
    at = (MODEL, MEAN, np.full_like(VARIANCE, 1e-12))
    assert loose(*at).expected_log_likelihood == pytest.approx(
        tight(*at).expected_log_likelihood, abs=1e-5
    )


def test_polya_gamma_precision_at_zero():
    zero = np.zeros_like(MEAN)
    np.testing.assert_allclose(
        PolyaGamma().evaluate(MODEL, zero, zero).sites.precision, RESPONSE.statistics[1] / 4
    )


@pytest.mark.parametrize("bound", [Quadrature(), PolyaGamma()])
def test_offset_is_a_shift_of_the_marginals(bound):
    """The site of η − o at marginals of mean m is that of η at m + o, written in η − o."""
    offset = np.linspace(-1, 1, MEAN.size)
    shifted = replace(MODEL, response=replace(RESPONSE, offset=offset))
    with_offset = bound.evaluate(shifted, MEAN, VARIANCE)
    without = bound.evaluate(MODEL, MEAN + offset, VARIANCE)
    assert with_offset.expected_log_likelihood == pytest.approx(without.expected_log_likelihood)
    w = without.sites.precision
    np.testing.assert_allclose(with_offset.sites.precision, w)
    np.testing.assert_allclose(with_offset.sites.shift, without.sites.shift - w * offset)
