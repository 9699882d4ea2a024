"""Compiled loops against plain numpy, and independent of the number of threads."""

from __future__ import annotations

import numba
import numpy as np
from scipy.special import expit

from pymc_vmrp.glmm.kernels import log_likelihood_of_draws, weighted_probabilities


def problem():
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 9, (40, 4)).astype(np.int32)
    values = rng.normal(size=(40, 4)) * (rng.random((40, 4)) < 0.8)
    draws = rng.normal(size=(300, 9)) * 3
    eta = np.einsum("ik,sik->si", values, draws[:, columns])
    return rng, columns, values, draws, eta


def test_log_likelihood():
    rng, columns, values, draws, eta = problem()
    trials = rng.integers(0, 5, 40).astype(float)
    successes = np.floor(trials * rng.random(40))
    expected = (successes * eta - trials * np.logaddexp(0, eta)).sum(1)
    actual = log_likelihood_of_draws(columns, values, draws, successes, trials)
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_weighted_probabilities_whatever_the_threads():
    rng, columns, values, draws, eta = problem()
    weights, groups = rng.random(40), rng.integers(0, 3, 40)
    expected = np.stack([(expit(eta) * weights)[:, groups == g].sum(1) for g in range(3)])
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        out = np.zeros((3, 300))
        weighted_probabilities(columns, values, np.ascontiguousarray(draws.T), weights, groups, out)
        results.append(out)
    np.testing.assert_allclose(results[0], expected, rtol=1e-10)
    np.testing.assert_array_equal(results[0], results[1])


def test_extreme_linear_predictors_do_not_overflow():
    columns = np.zeros((2, 1), dtype=np.int32)
    values = np.array([[1.0], [-1.0]])
    out = np.zeros((1, 1))
    groups = np.zeros(2, dtype=np.int64)
    weighted_probabilities(columns, values, np.array([[900.0]]), np.ones(2), groups, out)
    assert out[0, 0] == 1.0
