"""The dense solver against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.sites import Sites


@pytest.fixture
def problem(slopes_model):
    glmm = slopes_model.glmm
    rng = np.random.default_rng(0)
    sites = Sites(rng.uniform(0, 1, glmm.n_cells), rng.normal(size=glmm.n_cells))
    precisions = [np.array([[3.0, 0.4], [0.4, 5.0]]), np.array([[2.0]])]
    gaussian = DenseSolver(glmm).solve(sites, precisions)
    x = glmm.rows.dense(glmm.n_coefficients)
    prior = np.zeros((glmm.n_coefficients,) * 2)
    prior[range(3), range(3)] = glmm.common.prior_sd**-2
    prior[3:15, 3:15] = np.kron(np.eye(6), precisions[0])
    prior[15:, 15:] = np.kron(np.eye(3), precisions[1])
    covariance = np.linalg.inv(prior + (x.T * sites.precision) @ x)
    return glmm, gaussian, x, covariance, covariance @ (x.T @ sites.shift)


def test_moments(problem):
    _, gaussian, x, covariance, mean = problem
    np.testing.assert_allclose(gaussian.mean, mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gaussian.variances(), np.diag(covariance), rtol=1e-9)
    row_mean, row_variance = gaussian.row_moments()
    np.testing.assert_allclose(row_mean, x @ mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(row_variance, np.einsum("ij,jk,ik->i", x, covariance, x))
    index = np.array([4, 0, 17])
    np.testing.assert_allclose(
        gaussian.marginal_covariance(index), covariance[np.ix_(index, index)]
    )
    levels = np.array([[0, 4], [17, 3]])
    np.testing.assert_allclose(
        gaussian.level_covariances(levels), [covariance[np.ix_(i, i)] for i in levels]
    )
    gradient = np.cos(np.arange(len(x)))
    np.testing.assert_allclose(gaussian.row_response(gradient), x @ covariance @ x.T @ gradient)
    assert gaussian.log_det_precision == pytest.approx(-np.linalg.slogdet(covariance)[1])


def test_second_moments(problem):
    _, gaussian, _, covariance, mean = problem
    joint = covariance + np.outer(mean, mean)
    expected = sum(joint[i : i + 2, i : i + 2] for i in range(3, 15, 2))
    np.testing.assert_allclose(gaussian.second_moment(0), expected, rtol=1e-9)
    np.testing.assert_allclose(gaussian.second_moment(1), [[np.trace(joint[15:, 15:])]])


def test_samples_and_density(problem):
    from scipy.stats import multivariate_normal

    _, gaussian, _, covariance, mean = problem
    draws = gaussian.sample(np.random.default_rng(0), 100_000)
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.02)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.02)
    expected = multivariate_normal.logpdf(draws[:5], mean, covariance)
    np.testing.assert_allclose(gaussian.log_density(draws[:5]), expected, rtol=1e-9)


def test_prior_means_enter(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey, priors={"x": vmrp.Normal(3.0, 1e-3)})
    assert model.approximate(hyperparameters="mean_field").mean()[1] == pytest.approx(3.0, abs=0.01)
