"""Priors on one standard deviation, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.glmm.priors.scales import largest_sigma

SIGMA = np.array([0.05, 0.4, 1.0, 3.0])

# each prior with the distribution of what it is on
CASES = [
    (vmrp.HalfStudentT(3, 2), None),
    (vmrp.HalfNormal(2), stats.halfnorm(scale=2)),
    (vmrp.HalfCauchy(1.5), stats.halfcauchy(scale=1.5)),
    (vmrp.Exponential(0.7), stats.expon(scale=1 / 0.7)),
    (vmrp.Uniform(5.0), stats.uniform(0, 5)),
    (vmrp.Uniform(12.0, on="variance"), stats.uniform(0, 12)),
    (vmrp.Gamma(2.5, 1.3), stats.gamma(2.5, scale=1 / 1.3)),
    (vmrp.Gamma(0.6, 1.3, on="variance"), stats.gamma(0.6, scale=1 / 1.3)),
    (vmrp.InverseGamma(2.0, 1.3, on="sd"), stats.invgamma(2.0, scale=1.3)),
    (vmrp.InverseGamma(1.5, 0.5), stats.invgamma(1.5, scale=0.5)),
]
NAMES = [repr(prior) for prior, _ in CASES]  # repr of a distribution has its address


@pytest.mark.parametrize(("prior", "distribution"), CASES, ids=NAMES)
def test_density_is_scipys(prior, distribution):
    if distribution is None:
        expected = np.log(2) + stats.t.logpdf(SIGMA, 3, scale=2)
    elif getattr(prior, "on", "sd") == "sd":
        expected = distribution.logpdf(SIGMA)
    else:
        expected = distribution.logpdf(SIGMA**2) + np.log(2 * SIGMA)
    np.testing.assert_allclose(prior.log_density_sigma(SIGMA), expected)


@pytest.mark.parametrize(("prior", "distribution"), CASES, ids=NAMES)
def test_density_of_the_variance_integrates_to_one(prior, distribution):
    def density(t):  # over the log variance
        variance = np.exp(np.atleast_1d(t))[:, None, None]
        return float(np.exp(covariance_log_density(prior, variance)[0] + t))

    most = 2 * np.log(largest_sigma(prior))
    top = min(most, 60.0)
    total = integrate.quad(density, -60, min(top, 0), limit=500)[0]
    total += integrate.quad(density, min(top, 0), top, limit=500)[0]
    assert total == pytest.approx(1.0, abs=1e-6)


def test_beyond_its_limit_a_uniform_prior_has_no_density():
    assert vmrp.Uniform(2.0).log_density_sigma(np.array([2.1]))[0] == -np.inf
    assert vmrp.Uniform(4.0, on="variance").log_density_sigma(np.array([2.1]))[0] == -np.inf
    assert np.isfinite(vmrp.Uniform(4.0, on="variance").log_density_sigma(np.array([2.0]))[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vmrp.HalfCauchy(0), "HalfCauchy: beta"),
        (lambda: vmrp.Exponential(-1), "Exponential: lam"),
        (lambda: vmrp.Uniform(np.inf), "Uniform: upper"),
        (lambda: vmrp.Gamma(1, "a"), "Gamma: beta"),
        (lambda: vmrp.InverseGamma(1, 1, on="precision"), "'sd' or 'variance'"),
        (lambda: vmrp.Gamma([1, 2], 1), "one number"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(vmrp.PriorError, match=message):
        make()


@pytest.mark.parametrize("prior", [case[0] for case in CASES], ids=repr)
def test_a_fit_under_each_prior_converges_and_agrees_with_both_solvers(survey, prior):
    model = vmrp.Model("y ~ x + (1|state) + (1|age)", survey, priors={"group_specific": prior})
    a, b = (
        model.approximate(solver=solver, tol=1e-7, hyperparameters="mean_field")
        for solver in ("dense", "partitioned")
    )
    assert a.converged
    assert a.elbo == pytest.approx(b.elbo, abs=1e-6)
    draws = a.sample(200, 1)
    assert np.isfinite(a.log_density(draws)).all()
    assert np.isfinite(a.log_joint(draws)).all()
