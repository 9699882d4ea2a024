"""q(Σ): optimality, moments, samples and the ELBO term, against independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.covariance import update_covariance
from pymc_vmrp.cavi.grid_factor import GridFactor
from pymc_vmrp.cavi.inverse_wishart import InverseWishartFactor
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.glmm.priors.scales import largest_sigma

S2 = np.array([[4.0, 1.2], [1.2, 2.5]])


def test_inverse_wishart_update():
    factor = update_covariance(vmrp.InverseWishart(3, 2.0), S2, 10)
    assert factor.df == 13
    np.testing.assert_allclose(factor.scale, S2 + 2 * np.eye(2))


ALIKE = np.outer([5, 4, 3, 0.01], [5, 4, 3, 0.01]) + 1e-4 * np.eye(4)  # nearly of rank one


@pytest.mark.parametrize(
    ("second", "A"),
    [(S2, [3.0, 5.0]), (S2[:1, :1], 5.0), (S2 * 1e-6, 5.0), (ALIKE, 2.0), (ALIKE, 1e4)],
)
def test_huang_wand_update_is_the_joint_fixed_point(second, A):
    d, levels, nu = len(second), 7, 2.0
    factor = update_covariance(vmrp.HuangWand(nu, A), second, levels)
    rate = 1 / np.broadcast_to(A, d) ** 2.0 + nu * np.diag(factor.expected_precision)
    inverse_a = 0.5 * (nu + d) / rate
    np.testing.assert_allclose(factor.scale, second + 2 * nu * np.diag(inverse_a), rtol=1e-9)
    assert factor.df == nu + d - 1 + levels


def test_conjugate_elbo_term_is_the_exact_evidence_for_fixed_effects():
    # with u known, q(Σ) under InverseWishart is the posterior and its ELBO is log p(u)
    rng = np.random.default_rng(1)
    u = rng.normal(size=(9, 2))
    prior = vmrp.InverseWishart(4.0, 1.5)
    factor = update_covariance(prior, u.T @ u, len(u))
    sigma = np.array([[0.7, 0.2], [0.2, 1.1]])
    evidence = (
        stats.multivariate_normal.logpdf(u, [0, 0], sigma).sum()
        + covariance_log_density(prior, sigma[None])[0]
        - factor.log_density(sigma[None])[0]
    )
    assert factor.elbo == pytest.approx(evidence, rel=1e-10)


SCALE_PRIORS = [
    vmrp.HalfNormal(1.3),
    vmrp.HalfStudentT(3, 0.8),
    vmrp.HalfCauchy(0.5),
    vmrp.Exponential(2.0),
    vmrp.Uniform(1.1),
    vmrp.Uniform(30.0, on="variance"),
    vmrp.Gamma(2.0, 1.5),
    vmrp.Gamma(0.7, 0.5, on="variance"),
    vmrp.InverseGamma(1.5, 0.4),
    vmrp.InverseGamma(2.0, 1.0, on="sd"),
]


@pytest.mark.parametrize("prior", SCALE_PRIORS, ids=repr)
def test_grid_elbo_term_is_the_exact_evidence(prior):
    u = np.array([0.3, -0.8, 1.1])
    most = min(largest_sigma(prior), 60.0)
    factor = update_covariance(prior, np.array([[u @ u]]), 3)

    def density(sigma):
        sigma = np.asarray(sigma)
        effects = stats.norm.logpdf(u[:, None], 0, sigma.ravel()).sum(0).reshape(sigma.shape)
        return np.exp(effects + prior.log_density_sigma(sigma))

    def integral(f):  # over log σ, where every density is smooth
        t = np.linspace(-12, np.log(most), 200_001)
        return np.trapezoid(f(np.exp(t)) * np.exp(t), t)

    with np.errstate(divide="ignore", over="ignore"):
        evidence = integral(density)
        precision = integral(lambda s: density(s) / s**2) / evidence
        mean = integral(lambda s: density(s) * s) / evidence
    assert factor.elbo == pytest.approx(np.log(evidence), rel=1e-5)
    assert factor.expected_precision[0, 0] == pytest.approx(precision, rel=1e-4)
    assert factor.sigma_moments()[0][0] == pytest.approx(mean, rel=1e-3)


T = np.linspace(-6, 6, 1201)  # log σ
LOG_A = np.linspace(-12, 14, 401)


def best_inverse_gamma(log_p_given_q):
    """Largest ELBO over q(σ²) = InverseGamma, for S = 2 and L = 6, by brute force."""

    def elbo(parameters):
        shape, rate = np.exp(parameters)
        log_q = stats.invgamma.logpdf(np.exp(2 * T), shape, scale=rate) + np.log(2) + 2 * T
        q = np.exp(log_q) * (T[1] - T[0])
        effects = -3 * np.log(2 * np.pi) - 6 * T - np.exp(-2 * T)
        return log_p_given_q(q) + (q * np.where(q > 0, effects - log_q, 0)).sum()

    options = {"xatol": 1e-8, "fatol": 1e-10}
    return -optimize.minimize(
        lambda x: -elbo(x), [1.0, 0.5], method="Nelder-Mead", options=options
    ).fun


def test_huang_wand_update_maximises_its_elbo_term():
    best = update_covariance(vmrp.HuangWand(2, 5), np.array([[2.0]]), 6).elbo

    def with_optimal_q_of_a(q):
        # log ∫ exp(E_q log p(σ²|a) + log p(a)) da, on a grid of log a; dσ² = 2σ² dt
        a = np.exp(LOG_A)[:, None]
        log_p = stats.invgamma.logpdf(np.exp(2 * T), 1.0, scale=2 / a) + np.log(2) + 2 * T
        expected = (q * np.where(q > 0, log_p, 0)).sum(1)
        log_a = stats.invgamma.logpdf(a[:, 0], 0.5, scale=1 / 25) + LOG_A
        return np.log((np.exp(expected + log_a) * (LOG_A[1] - LOG_A[0])).sum())

    assert best == pytest.approx(best_inverse_gamma(with_optimal_q_of_a), abs=1e-5)


def test_grid_is_at_least_as_good_as_any_inverse_gamma():
    prior = vmrp.HalfStudentT(3, 2)
    best = update_covariance(prior, np.array([[2.0]]), 6).elbo
    log_p = prior.log_density_sigma(np.exp(T)) + T
    found = best_inverse_gamma(lambda q: (q * log_p).sum())
    assert found - 1e-8 <= best < found + 0.2


@pytest.mark.parametrize(
    "factor",
    [
        update_covariance(vmrp.HuangWand(), S2, 12),
        update_covariance(vmrp.InverseWishart(), S2[:1, :1], 12),
        update_covariance(vmrp.HalfNormal(1.0), S2[:1, :1], 12),
    ],
)
def test_samples_have_the_moments(factor):
    draws = factor.sample(np.random.default_rng(0), 200_000)
    sigma = np.sqrt(np.einsum("skk->sk", draws))
    mean, sd = factor.sigma_moments()
    np.testing.assert_allclose(sigma.mean(0), mean, rtol=5e-3)
    np.testing.assert_allclose(sigma.std(0), sd, rtol=2e-2)
    np.testing.assert_allclose(
        np.linalg.inv(draws).mean(0), factor.expected_precision, rtol=1e-2, atol=0.02
    )


def test_log_densities_integrate_to_one():
    grid = np.linspace(1e-4, 30, 300_001)[:, None, None]
    for prior in (vmrp.HuangWand(), vmrp.HalfNormal(1.0)):
        factor = update_covariance(prior, S2[:1, :1], 8)
        assert isinstance(factor, InverseWishartFactor | GridFactor)
        total = np.trapezoid(np.exp(factor.log_density(grid)), grid[:, 0, 0])
        assert total == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("upper", [1e-3, 1e-6, 1e-12, 1e-30])
def test_a_limit_far_below_the_effects(upper):
    factor = update_covariance(vmrp.Uniform(upper), np.array([[0.467]]), 5)
    mean, _ = factor.sigma_moments()
    assert mean[0] == pytest.approx(upper, rel=1e-4)
    assert np.isfinite(factor.elbo)


@pytest.mark.parametrize("rows", [1e3, 1e6, 1e9, 1e12])
def test_many_rows_leave_sigma_little_room(rows):
    factor = update_covariance(vmrp.HalfNormal(1.0), np.array([[0.25 * rows]]), rows)
    mean, sd = factor.sigma_moments()
    assert abs(mean[0] - 0.5) < 0.01 * sd[0] + 1 / rows
    assert sd[0] == pytest.approx(0.5 / np.sqrt(2 * rows), rel=0.01)
