"""The LKJ prior as a user gives it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.prior_draws import draw_covariance
from pymc_vmrp.glmm.priors.lkj import LKJ, correlation_root, partial_correlations


def test_one_prior_stands_for_all_effects():
    one, two = LKJ(2, vmrp.HalfNormal(1)), LKJ(2, [vmrp.HalfNormal(1)] * 2)
    sigma = np.array([[1.0, 0.3], [0.3, 0.5]])
    assert one.log_density(sigma) == two.log_density(sigma)
    assert hash(two) == hash(LKJ(2, (vmrp.HalfNormal(1), vmrp.HalfNormal(1))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eta": 0}, "eta must be positive"),
        ({"sd": vmrp.HuangWand()}, "sd must be a prior on one standard deviation"),
        ({"sd": [vmrp.HalfNormal(1), 2]}, "sd must be"),
        ({"sd": []}, "sd is empty"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(vmrp.PriorError, match=message):
        LKJ(**arguments)


@pytest.mark.slow
def test_the_density_integrates_to_one():
    """Over σ₁, σ₂ and ρ of two effects; dΣ = 4 σ₁² σ₂² d(σ, ρ)."""
    prior = LKJ(1.7, [vmrp.HalfNormal(0.8), vmrp.Exponential(2)])

    def density(rho, a, b):
        sigma = np.array([[a * a, rho * a * b], [rho * a * b, b * b]])
        return float(np.exp(prior.log_density(sigma))) * 4 * a**2 * b**2

    nodes, weights = np.polynomial.legendre.leggauss(24)
    total = 0.0
    for b, wb in zip(4 * (nodes + 1), 4 * weights, strict=True):
        for a, wa in zip(2.5 * (nodes + 1), 2.5 * weights, strict=True):
            inside = integrate.quad(density, -1, 1, args=(a, b))[0]
            total += wa * wb * inside
    assert total == pytest.approx(1, abs=1e-4)


def test_draws_have_its_margins():
    rng = np.random.default_rng(0)
    prior = LKJ(2, [vmrp.HalfNormal(1), vmrp.Exponential(2), vmrp.HalfNormal(3)])
    draws = np.array([draw_covariance(prior, 3, rng) for _ in range(2000)])
    sigma = np.sqrt(np.einsum("nkk->nk", draws))
    assert stats.kstest(sigma[:, 1], stats.expon(scale=0.5).cdf).pvalue > 0.001
    for a, b in ((0, 1), (0, 2), (1, 2)):  # each correlation is Beta(η + 1/2) on (−1, 1)
        rho = draws[:, a, b] / (sigma[:, a] * sigma[:, b])
        assert stats.kstest((rho + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 0.001


def test_partial_correlations_go_there_and_back():
    rng = np.random.default_rng(1)
    partial = rng.uniform(-0.9, 0.9, 6)
    np.testing.assert_allclose(partial_correlations(correlation_root(partial, 4)), partial)


def test_a_single_effect_has_the_prior_of_its_sd(survey):
    lkj = vmrp.Model("y ~ (1|state)", survey, priors={"group_specific": LKJ(3, vmrp.Gamma(2, 1))})
    assert lkj.glmm.groups[0].prior == vmrp.Gamma(2, 1)


def test_the_gibbs_sampler_refuses_it(survey):
    model = vmrp.Model("y ~ x + (x|state)", survey, priors={"1+x|state": LKJ()})
    with pytest.raises(vmrp.PriorError, match=r"'1\+x\|state'.*LKJ.*'cavi' or 'nuts'"):
        model.fit(inference_method="gibbs")


@pytest.mark.slow
def test_every_method_meets_nuts(survey):
    prior = LKJ(2, [vmrp.HalfNormal(0.7), vmrp.Exponential(2)])
    model = vmrp.Model("y ~ x + (x|state)", survey, priors={"1+x|state": prior})
    nuts = model.fit(
        1500, inference_method="nuts", chains=2, cores=1, random_seed=1, progressbar=False,
        target_accept=0.95,
    )  # fmt: skip
    for hyperparameters, shift, ratio in (("integrated", 0.15, 0.15), ("mean_field", 0.4, 0.4)):
        table = vmrp.compare(model.fit(4000, random_seed=2, hyperparameters=hyperparameters), nuts)
        assert table["shift"].abs().max() < shift
        assert abs(np.log(table["sd_ratio"])).mean() < ratio
