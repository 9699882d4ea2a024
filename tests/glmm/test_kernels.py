"""Compiled loops against plain numpy, and independent of the number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from pymc_vmrp.glmm import kernels
from pymc_vmrp.glmm.kernels import log_likelihood_of_draws, weighted_probabilities


def problem(n_rows=40, width=4, n_draws=300, scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, 9, (n_rows, width)).astype(np.int32)
    values = rng.normal(size=(n_rows, width)) * (rng.random((n_rows, width)) < 0.8)
    draws = rng.normal(size=(n_draws, 9)) * scale
    eta = np.einsum("ik,sik->si", values, draws[:, columns])
    trials = rng.integers(0, 5, n_rows).astype(float)
    successes = np.floor(trials * rng.random(n_rows))
    weights, groups = rng.random(n_rows), rng.integers(0, 3, n_rows)
    return columns, values, draws, eta, trials, successes, weights, groups


def grouped(eta, weights, groups):
    return np.stack([(expit(eta) * weights)[:, groups == g].sum(1) for g in range(3)])


# rows: tiles and tasks that are not full; width: terms left over by fours; draws: blocks
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([0, 1, 5, 40, 1023, 1025, 2500]),
    st.integers(1, 9),
    st.sampled_from([1, 2, 7, 8, 9, 17, 40]),
    st.sampled_from([0.1, 3.0, 100.0]),
    st.integers(0, 1000),
)
def test_kernels_equal_plain_numpy(n_rows, width, n_draws, scale, seed):
    columns, values, draws, eta, trials, successes, weights, groups = problem(
        n_rows, width, n_draws, scale, seed
    )
    np.testing.assert_allclose(
        log_likelihood_of_draws(columns, values, draws, successes, trials),
        (successes * eta - trials * np.logaddexp(0, eta)).sum(1),
        rtol=1e-10,
        atol=1e-11 * scale,
    )
    out = np.ones((3, n_draws))
    weighted_probabilities(columns, values, np.ascontiguousarray(draws.T), weights, groups, out)
    np.testing.assert_allclose(out - 1, grouped(eta, weights, groups), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_draws", [1, 100, 128, 129, 300, 513])
def test_neither_threads_nor_other_draws_change_a_bit(monkeypatch, n_draws):
    monkeypatch.setattr(kernels, "_PARALLEL_FROM", 0)
    columns, values, draws, _, trials, successes, weights, groups = problem(2500, 5, n_draws)
    likelihoods, probabilities = [], []
    for threads in (1, 2, 5):
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        likelihoods.append(log_likelihood_of_draws(columns, values, draws, successes, trials))
        out = np.zeros((3, n_draws))
        weighted_probabilities(columns, values, np.ascontiguousarray(draws.T), weights, groups, out)
        probabilities.append(out)
    alone = log_likelihood_of_draws(columns, values, draws[-1:], successes, trials)
    assert likelihoods[0][-1] == alone[0]
    for other in (1, 2):
        np.testing.assert_array_equal(likelihoods[0], likelihoods[other])
        np.testing.assert_array_equal(probabilities[0], probabilities[other])


@pytest.mark.parametrize("n_draws", [1, 3, 8, 100, 128, 256, 257, 1000, 4000])
def test_blocks_of_draws(n_draws):
    draws = np.random.default_rng(0).normal(size=(n_draws, 3))
    blocks = kernels._blocks_of_draws(draws)
    assert blocks.shape[2] <= kernels.DRAW_BLOCK
    assert n_draws < 9 or len(blocks) % 2 == 0  # for two threads
    back = blocks.transpose(0, 2, 1).reshape(-1, 3)
    np.testing.assert_array_equal(back[:n_draws], draws)
    assert not back[n_draws:].any()


def test_no_draws():
    columns, values, draws, _, trials, successes, weights, groups = problem(n_draws=0)
    assert log_likelihood_of_draws(columns, values, draws, successes, trials).shape == (0,)
    out = np.zeros((3, 0))
    weighted_probabilities(columns, values, draws.T.copy(), weights, groups, out)


def test_extreme_linear_predictors_do_not_overflow():
    columns = np.zeros((2, 1), dtype=np.int32)
    values = np.array([[1.0], [-1.0]])
    out = np.zeros((1, 1))
    groups = np.zeros(2, dtype=np.int64)
    weighted_probabilities(columns, values, np.array([[900.0]]), np.ones(2), groups, out)
    assert out[0, 0] == 1.0
    total = log_likelihood_of_draws(
        columns, values, np.array([[900.0]]), np.array([1.0, 0.0]), np.ones(2)
    )
    assert total[0] == 0.0
