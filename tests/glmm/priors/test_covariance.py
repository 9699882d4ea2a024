"""Densities against scipy and against numerical integration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.covariance import (
    covariance_log_density,
    inverse_wishart_log_density,
)
from pymc_vmrp.glmm.priors.support import check_covariance_prior


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse_wishart_density_is_scipys(d):
    rng = np.random.default_rng(d)
    scale = np.cov(rng.normal(size=(d, 20))).reshape(d, d)
    sigma = np.atleast_2d(stats.invwishart.rvs(d + 2.5, scale, random_state=1))
    expected = stats.invwishart.logpdf(sigma, d + 2.5, scale)
    actual = inverse_wishart_log_density(sigma[None], d + 2.5, scale)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_half_priors_are_scipys():
    sigma = np.array([0.1, 1.0, 4.0])
    np.testing.assert_allclose(
        vmrp.HalfStudentT(3, 2).log_density_sigma(sigma),
        np.log(2) + stats.t.logpdf(sigma, 3, scale=2),
    )
    np.testing.assert_allclose(
        vmrp.HalfNormal(2).log_density_sigma(sigma), stats.halfnorm.logpdf(sigma, scale=2)
    )


def test_huang_wand_with_one_effect_is_half_t():
    variance = np.array([0.04, 1.0, 9.0])[:, None, None]
    np.testing.assert_allclose(
        covariance_log_density(vmrp.HuangWand(2.7, 3.0), variance),
        covariance_log_density(vmrp.HalfStudentT(2.7, 3.0), variance),
        rtol=1e-12,
    )


@pytest.mark.slow
def test_huang_wand_marginal_integrates_the_auxiliaries():
    prior = vmrp.HuangWand(2.0, [1.5, 4.0])
    sigma = np.array([[0.8, 0.3], [0.3, 1.7]])

    def density(log_a0, log_a1):
        a = np.exp([[log_a0, log_a1]])
        return np.exp(prior.log_density_augmented(sigma[None], a)[0] + log_a0 + log_a1)

    total, _ = integrate.dblquad(density, -12, 18, -12, 18, epsabs=1e-12, epsrel=1e-9)
    np.testing.assert_allclose(np.log(total), prior.log_density(sigma[None])[0], rtol=1e-6)


def test_huang_wand_correlations_are_uniform():
    # Huang & Wand (2013), property 4, by simulation from the augmented form
    rng = np.random.default_rng(0)
    a = 1 / rng.gamma(0.5, 25.0, size=(4000, 2))
    draws = [stats.invwishart.rvs(3, np.diag(4 / pair), random_state=rng) for pair in a]
    rho = np.array([s[0, 1] / np.sqrt(s[0, 0] * s[1, 1]) for s in draws])
    assert stats.kstest(rho, stats.uniform(-1, 2).cdf).pvalue > 0.001


def test_priors_with_arrays_compare_by_value():
    assert vmrp.InverseWishart(3, np.eye(2)) == vmrp.InverseWishart(3, np.eye(2))
    assert vmrp.HuangWand(2, np.array([1, 2])) != vmrp.HuangWand(2, [1, 3])
    assert hash(vmrp.Normal(0, np.array([1.0, 2.0]))) == hash(vmrp.Normal(0, (1.0, 2.0)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: vmrp.HuangWand(nu=-1),
        lambda: vmrp.HuangWand(A=0),
        lambda: vmrp.HalfNormal(float("nan")),
        lambda: vmrp.HalfStudentT(nu=0),
        lambda: vmrp.Normal(0, -1),
        lambda: vmrp.Normal(float("inf"), 1),
        lambda: vmrp.InverseWishart(scale=[[1, 2], [2, 1]]),
        lambda: vmrp.InverseWishart(df=0.5).parameters(2),
        lambda: vmrp.HuangWand(A=[1, 2]).scales(3),
        lambda: vmrp.Normal("a", 1),
        lambda: vmrp.HuangWand([1, 2], 5),
        lambda: vmrp.HuangWand("a"),
        lambda: vmrp.InverseWishart(float("nan")),
        lambda: vmrp.InverseWishart(3, float("inf")),
        lambda: vmrp.InverseWishart(3, [[1, 2], [3]]),
        lambda: vmrp.HalfNormal([1, 2]),
        lambda: check_covariance_prior(vmrp.HalfNormal(1), 2, "1+x|g"),
    ],
)
def test_invalid_priors_are_refused(make):
    with pytest.raises(vmrp.PriorError):
        make()
