import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import cumulative_trapezoid

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.prior_draws import (
    check_proper,
    draw_covariance,
    draw_deviations,
    draw_prior,
    draw_scale,
    improper_terms,
)

SCALES = [
    vmrp.HalfStudentT(3, 2.0),
    vmrp.HalfCauchy(0.7),
    vmrp.HalfNormal(1.5),
    vmrp.Exponential(2.0),
    vmrp.Uniform(3.0),
    vmrp.Uniform(3.0, on="variance"),
    vmrp.Gamma(2.0, 3.0),
    vmrp.Gamma(2.0, 3.0, on="variance"),
    vmrp.InverseGamma(3.0, 2.0),
    vmrp.InverseGamma(3.0, 2.0, on="sd"),
    vmrp.LogNormal(-0.5, 0.6),
]


def cdf(log_density, t):
    """Distribution function of exp(t) by the trapezoid rule, from its log density."""
    return cumulative_trapezoid(np.exp(log_density + t), t, initial=0.0)


@pytest.mark.parametrize("prior", SCALES, ids=repr)
def test_scales_follow_their_density(prior):
    rng = np.random.default_rng(1)
    t = np.linspace(-14, 12, 60_001)
    table = cdf(prior.log_density_sigma(np.exp(t)), t)
    draws = np.array([draw_scale(prior, rng) for _ in range(3000)])
    assert stats.kstest(draws, lambda x: np.interp(np.log(x), t, table)).pvalue > 1e-3


@pytest.mark.parametrize(
    "prior",
    [
        vmrp.StudentT(3, 0, 0.8),
        vmrp.Cauchy(0, 1.5),
        vmrp.Laplace(0, 0.6),
        vmrp.Horseshoe(0.5),
        vmrp.Horseshoe(),
    ],
    ids=repr,
)
def test_deviations_follow_their_density(prior):
    rng = np.random.default_rng(2)
    t = np.linspace(-30, 25, 20_001)
    x = np.exp(t)
    table = cdf(np.log(2) + prior.log_density_of_squares(x[:, None] ** 2), t)
    draws = np.abs([draw_deviations(prior, 1, rng)[0] for _ in range(2000)])
    assert stats.kstest(draws, lambda x: np.interp(np.log(x), t, table)).pvalue > 1e-3


def test_huang_wand_has_half_t_sds_and_uniform_correlations():
    # Huang & Wand (2013), properties 2 and 4
    rng = np.random.default_rng(3)
    prior = vmrp.HuangWand(2, (0.5, 3.0))
    sigma = np.array([draw_covariance(prior, 2, rng) for _ in range(3000)])
    sds = np.sqrt(np.einsum("ikk->ik", sigma))
    for k, scale in enumerate((0.5, 3.0)):
        assert stats.kstest(sds[:, k] / scale, lambda x: 2 * stats.t(2).cdf(x) - 1).pvalue > 1e-3
    correlation = sigma[:, 0, 1] / sds.prod(1)
    assert stats.kstest(correlation, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_inverse_wishart_has_its_mean():
    rng = np.random.default_rng(4)
    scale = np.array([[2.0, 0.6], [0.6, 1.0]])
    prior = vmrp.InverseWishart(12, scale.tolist())
    mean = np.mean([draw_covariance(prior, 2, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, scale / (12 - 3), rtol=0.06)
    assert draw_covariance(vmrp.InverseWishart(), 1, rng).shape == (1, 1)


def test_a_draw_of_everything(slopes_model):
    rng = np.random.default_rng(5)
    glmm = slopes_model.glmm
    draws = [draw_prior(glmm, rng) for _ in range(400)]
    beta = np.array([theta[: glmm.common.size] for theta, _, _ in draws])
    z = (beta - glmm.common.prior_mean) / glmm.common.prior_sd
    np.testing.assert_allclose(z.std(0), 1, atol=0.15)
    # given Σ, the effects are standard normals in the coordinates of its Cholesky factor
    whitened = []
    for theta, covariances, _ in draws:
        u = theta[glmm.group_slice(0)].reshape(-1, 2)
        whitened.append(np.linalg.solve(np.linalg.cholesky(covariances[0]), u.T).T)
    whitened = np.concatenate(whitened)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(2), atol=0.1)


def test_flat_priors_are_named():
    frame = pd.DataFrame({"y": [0, 1, 1, 0, 1, 0], "x": [1.0, 2, 3, 1, 5, 2], "g": list("aabbcc")})
    priors = {"x": "flat", "group_specific": "jeffreys"}
    with pytest.warns(vmrp.PriorWarning):
        model = vmrp.Model("y ~ x + (1|g)", frame, priors=priors)
    assert improper_terms(model.glmm) == ["x", "1|g"]
    with pytest.raises(vmrp.PriorError, match=r"'x', '1\|g' is improper: give proper"):
        check_proper(model.glmm, "calibrate()")
    check_proper(vmrp.Model("y ~ x + (1|g)", frame).glmm, "calibrate()")
