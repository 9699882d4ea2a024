"""A mixture over the hyperparameters as an object, and as a DataTree."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.written import written_covariance
from pymc_vmrp.integration.conditional import Theta


@pytest.fixture(scope="module")
def q(slopes_model):
    return slopes_model.approximate(hyperparameters="integrated")


def test_draws_have_the_moments(q):
    draws = q.sample(50_000, 0)
    np.testing.assert_allclose((draws.coefficients.mean(0) - q.mean()) / q.sd(), 0, atol=0.02)
    np.testing.assert_allclose(draws.coefficients.std(0) / q.sd(), 1, atol=0.03)
    covariances = written_covariance(q.glmm.groups[0], draws.covariances[0])
    sigma = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    mean, sd = q.sigma_moments()[0]
    np.testing.assert_allclose(sigma.mean(0), mean, rtol=0.01)
    np.testing.assert_allclose(sigma.std(0), sd, rtol=0.02)
    covariance = np.cov(draws.coefficients[:, :3].T)
    scale = np.outer(q.sd()[:3], q.sd()[:3])
    np.testing.assert_allclose(q.common_covariance() / scale, covariance / scale, atol=0.03)


def test_moments_are_those_of_the_mixture(q):
    gaussians = [q.fit.gaussian(i) for i in range(len(q.weights))]
    means = np.array([g.mean for g in gaussians])
    variances = np.array([g.variances() for g in gaussians])
    mean = q.weights @ means
    np.testing.assert_allclose(q.mean(), mean)
    np.testing.assert_allclose(q.sd(), np.sqrt(q.weights @ (variances + (means - mean) ** 2)))


def test_log_density_is_the_same_at_points_and_beside_them(q):
    draws = q.sample(30, 1)
    at_points = q.log_density(draws)
    moved = vmrp.results.posterior.Draws(
        draws.coefficients,
        tuple(c * (1 + 1e-9) for c in draws.covariances),
        draws.parameters,
    )
    assert q.fit.at(Theta(tuple(c[0] for c in moved.covariances), np.empty(0))) is not None
    np.testing.assert_allclose(q.log_density(moved), at_points, atol=0.02)


def test_few_draws_and_generators(q):
    assert len(q.sample(1, 0)) == 1
    rng = np.random.default_rng(3)
    a, b = q.sample(5, rng), q.sample(5, rng)
    assert (a.coefficients != b.coefficients).all()
    np.testing.assert_array_equal(a.coefficients, q.sample(5, 3).coefficients)


def test_datatree_and_what_reads_it(slopes_model, survey, q):
    idata = slopes_model.fit(500, random_seed=1, hyperparameters="integrated")
    attrs = idata["fit"].attrs
    assert attrs["hyperparameters"] == "integrated"
    assert attrs["theta_points"] == len(q.weights)
    assert attrs["theta_ess"] == pytest.approx(q.fit.exploration.ess)
    assert idata["fit"]["elbo"].values[-1] == pytest.approx(q.elbo)
    for name in ("Intercept", "x", "1|state", "x|state", "1|age", "1|state_sigma"):
        mean, sd = idata[f"fit/mean/{name}"], idata[f"fit/sd/{name}"]
        draws = idata["posterior"][name]
        np.testing.assert_array_less(abs(draws.mean(("chain", "draw")) - mean) / sd, 0.2)
        np.testing.assert_allclose(draws.std(("chain", "draw")) / sd, 1, atol=0.2)
    estimates = vmrp.poststratify(slopes_model, idata, survey.assign(n=1), weights="n", by="state")
    assert estimates["posterior"]["estimate"].sizes["draw"] == 500


def test_summary(q):
    assert "θ worth" in repr(q)
    assert "converged" in repr(q)
