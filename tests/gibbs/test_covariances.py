"""Conditionals of Σ: from exact draws of (u, Σ), one step leaves Σ's distribution as it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.inverse_wishart import inverse_wishart_draws
from pymc_vmrp.gibbs.covariances import draw_covariance
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from tests.gibbs.joint import covariance_draw


def after_one_step(prior, d, levels, n, draw_scale=None):
    rng = np.random.default_rng(7)
    before, after = [], []
    for _ in range(n):
        covariance = covariance_draw(prior, d, draw_scale, rng)
        u = rng.standard_normal((levels, d)) @ np.linalg.cholesky(covariance).T
        before.append(covariance)
        after.append(draw_covariance(rng, prior, covariance, u.T @ u, levels))
    return np.array(before), np.array(after)


@pytest.mark.parametrize(
    "prior", [vmrp.HuangWand(2, (1, 4)), vmrp.InverseWishart(4, ((1, 0.5), (0.5, 2)))]
)
def test_two_effects(prior):
    before, after = after_one_step(prior, 2, 3, 1500)
    for of in (
        lambda c: np.log(c[:, 0, 0]),
        lambda c: np.log(c[:, 1, 1]),
        lambda c: c[:, 0, 1] / np.sqrt(c[:, 0, 0] * c[:, 1, 1]),
    ):
        assert stats.ks_2samp(of(before), of(after)).pvalue > 1e-4


def test_half_t_and_half_normal():
    _, after = after_one_step(vmrp.HuangWand(2, 3), 1, 3, 1500)
    t = np.abs(stats.t(2, scale=3).rvs(5000, random_state=1))
    assert stats.ks_2samp(np.sqrt(after[:, 0, 0]), t).pvalue > 1e-4
    prior = vmrp.HalfNormal(1.5)
    _, after = after_one_step(prior, 1, 3, 1500, lambda rng, p: abs(rng.normal(0, p.sigma)))
    assert stats.kstest(np.sqrt(after[:, 0, 0]), stats.halfnorm(0, 1.5).cdf).pvalue > 1e-4


@pytest.mark.parametrize("d", [1, 2, 3])
def test_inverse_wishart_draws(d):
    """Any real df; the mean is scale/(df − d − 1)."""
    scale = np.eye(d) + 0.3
    draws = inverse_wishart_draws(np.random.default_rng(0), d + 8.5, scale, 40_000)
    np.testing.assert_allclose(draws.mean(0), scale / 7.5, atol=0.01)
    precision = np.linalg.inv(draws).mean(0)
    np.testing.assert_allclose(precision, (d + 8.5) * np.linalg.inv(scale), rtol=0.03, atol=0.1)


def test_improper_priors_are_refused():
    with pytest.raises(vmrp.PriorError, match="jeffreys"):
        draw_covariance(
            np.random.default_rng(0), ImproperInverseWishart("jeffreys"), np.eye(1), np.eye(1), 5
        )
