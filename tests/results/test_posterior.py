"""The variational posterior as an object."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def q(slopes_model):
    return slopes_model.approximate(hyperparameters="mean_field")


def test_draws_have_the_moments(q):
    draws = q.sample(50_000, 0)
    assert len(draws) == 50_000
    np.testing.assert_allclose(draws.coefficients.mean(0), q.mean(), atol=0.02)
    np.testing.assert_allclose(draws.coefficients.std(0), q.sd(), rtol=0.03)


def test_log_density_adds_up_its_factors(q):
    draws = q.sample(100, 1)
    total = q.fit.state.gaussian.log_density(draws.coefficients)
    for factor, covariance in zip(q.fit.state.factors, draws.covariances, strict=True):
        total = total + factor.log_density(covariance)
    np.testing.assert_array_equal(q.log_density(draws), total)


def test_a_generator_goes_on_where_it_was(q):
    rng = np.random.default_rng(3)
    a, b = q.sample(5, rng), q.sample(5, rng)
    assert (a.coefficients != b.coefficients).all()
    np.testing.assert_array_equal(a.coefficients, q.sample(5, 3).coefficients)


def test_summary(q):
    assert q.converged
    assert q.elbo == q.fit.elbo[-1]
    assert f"{q.fit.iterations} sweeps" in repr(q)
