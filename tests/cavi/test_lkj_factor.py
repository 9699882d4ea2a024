"""q(Σ) under an LKJ prior, against numerical integration."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.covariance import update_covariance
from pymc_vmrp.cavi.lkj_factor import update_lkj
from pymc_vmrp.glmm.priors.lkj import LKJ

SECOND_MOMENT = np.array([[6.0, 1.5], [1.5, 3.0]])


def by_grid(prior, second_moment, levels):
    """Log normaliser and E[Σ⁻¹] over a fine grid of (log σ₁, log σ₂, atanh ρ)."""
    t = np.linspace(-5, 4, 121)
    z = np.linspace(-5, 5, 101)
    a, b, c = (g.ravel() for g in np.meshgrid(t, t, z, indexing="ij"))
    rho, first, second = np.tanh(c), np.exp(a), np.exp(b)
    sigma = np.empty((len(a), 2, 2))
    sigma[:, 0, 0], sigma[:, 1, 1] = first**2, second**2
    sigma[:, 0, 1] = sigma[:, 1, 0] = rho * first * second
    precision = np.linalg.inv(sigma)
    log_p = prior.log_density(sigma) - 0.5 * levels * np.linalg.slogdet(sigma)[1]
    log_p -= 0.5 * np.einsum("ij,nji->n", second_moment, precision)
    log_p += np.log(4 * (first * second) ** 3 * (1 - rho**2))
    top = log_p.max()
    mass = np.exp(log_p - top)
    step = (t[1] - t[0]) ** 2 * (z[1] - z[0])
    return top + np.log(mass.sum() * step), np.einsum("n,nij->ij", mass / mass.sum(), precision)


@pytest.mark.parametrize("levels", [3.0, 12.0])
@pytest.mark.parametrize(
    "prior",
    [
        LKJ(1, vmrp.HalfNormal(1)),
        LKJ(3, [vmrp.HalfCauchy(0.5), vmrp.Exponential(5)]),  # against what the data say
        LKJ(1.5, vmrp.HalfNormal(0.2)),
    ],
)
def test_normaliser_and_precision_are_those_of_a_grid(prior, levels):
    factor = update_lkj(prior, SECOND_MOMENT, levels)
    log_normaliser, precision = by_grid(prior, SECOND_MOMENT, levels)
    assert factor.log_normaliser == pytest.approx(log_normaliser, abs=0.02)
    np.testing.assert_allclose(factor.expected_precision, precision, rtol=0.03, atol=0.03)


def test_upper_ends_of_priors_are_kept():
    factor = update_lkj(LKJ(1, vmrp.Uniform(0.3)), SECOND_MOMENT, 12.0)
    assert np.isfinite(factor.elbo)
    sigma = np.sqrt(np.einsum("nkk->nk", factor.sample(np.random.default_rng(0), 500)))
    assert sigma.max() <= 0.3
    assert (factor.sigma_moments()[0] < 0.3).all()


def test_draws_have_the_density_of_the_factor():
    """E_q[f/q] is the volume of f's support; here moments by both ways."""
    factor = update_lkj(LKJ(2, vmrp.HalfNormal(1)), SECOND_MOMENT, 10.0)
    draws = factor.sample(np.random.default_rng(1), 4000)
    sigma = np.sqrt(np.einsum("nkk->nk", draws))
    mean, sd = factor.sigma_moments()
    np.testing.assert_allclose(sigma.mean(0), mean, atol=0.02)
    np.testing.assert_allclose(sigma.std(0), sd, rtol=0.08)
    conjugate = update_covariance(vmrp.InverseWishart(5, SECOND_MOMENT), SECOND_MOMENT, 20.0)
    ratio = np.exp(conjugate.log_density(draws) - factor.log_density(draws))
    assert ratio.mean() == pytest.approx(1, abs=0.15)  # both integrate to 1


def test_it_is_a_smooth_function_of_the_moments():
    prior, step = LKJ(1, vmrp.HalfNormal(1)), 1e-4
    values = [
        update_lkj(prior, SECOND_MOMENT * (1 + k * step), 8.0).log_normaliser for k in range(4)
    ]
    first = np.diff(values) / step
    assert abs(np.diff(first)).max() < 0.01 * abs(first).max()


def test_the_elbo_of_a_fit_is_that_of_its_draws(survey):
    model = vmrp.Model(
        "y ~ x + (x|state)", survey, priors={"1+x|state": LKJ(2, vmrp.HalfNormal(1))}
    )
    q = model.approximate(hyperparameters="mean_field", progressbar=False)
    draws = q.sample(2000, 1)
    gap = q.log_joint(draws) - q.log_density(draws)
    assert q.elbo == pytest.approx(gap.mean(), abs=4 * gap.std() / np.sqrt(2000) + 0.02)
