"""Compiled loops over design rows and posterior draws, shared by the engines and by MRP.

Linear predictors are computed for a block of draws at a time, whose coefficients lie next to each
other in memory, and for a few rows at a time, so that everything stays in cache and every inner
loop is long.
"""

from __future__ import annotations

import numba
import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray, SmallIntArray
from pymc_vmrp.glmm.threads import share_out
from pymc_vmrp.glmm.vectorised import COMPILED, expit, softplus

DRAW_BLOCK = 128  # draws a thread works on at a time, at most
_TILE = 1024  # linear predictors at a time
_LEAST_ROWS = 1024  # rows of a task, at least
_MOST_TASKS = 64  # tasks that share out the rows, at most
_PARALLEL_FROM = 1_048_576  # linear predictors; below it, a second thread saves little, or nothing


def log_likelihood_of_draws(
    columns: SmallIntArray,
    values: FloatArray,
    draws: FloatArray,
    successes: FloatArray,
    trials: FloatArray,
) -> FloatArray:
    """Σ_i y_i η_is − n_i log(1 + e^η_is) for each draw s.

    Threads share out blocks of draws and of rows, whose sums are added in a fixed order, so that
    the result does not depend on how many threads there are.

    Parameters
    ----------
    columns, values : ndarray, shape (N, K)
        Design rows, as in :class:`~pymc_vmrp.glmm.spec.DesignRows`.
    draws : ndarray, shape (S, p)
    successes, trials : ndarray, shape (N,)

    Returns
    -------
    ndarray, shape (S,)
    """
    n = len(columns)
    blocks = _blocks_of_draws(draws)
    n_blocks, _, width = blocks.shape
    rows = max(_LEAST_ROWS, -(-n // _MOST_TASKS))
    parts = np.zeros((n_blocks, -(-n // rows), width))
    arguments = (columns, values, blocks, successes, trials, rows, parts)
    n_tasks = parts.shape[0] * parts.shape[1]
    parallel = n * len(draws) >= _PARALLEL_FROM
    share_out(_log_likelihood_of_blocks, n_tasks, *arguments, parallel=parallel)
    return parts.sum(1).ravel()[: len(draws)]


def weighted_probabilities(
    columns: SmallIntArray,
    values: FloatArray,
    coefficients: FloatArray,
    weights: FloatArray,
    groups: IntArray,
    out: FloatArray,
) -> None:
    """Add w_i logit⁻¹(x_i'θ_s) of each row i to ``out[groups[i], s]``.

    Threads share out the draws, so that the result does not depend on how many threads there are.

    Parameters
    ----------
    columns, values : ndarray, shape (N, K)
        Design rows, as in :class:`~pymc_vmrp.glmm.spec.DesignRows`.
    coefficients : ndarray, shape (p, S)
    weights, groups : ndarray, shape (N,)
    out : ndarray, shape (groups, S)
    """
    n_draws = coefficients.shape[1]
    width = _block_width(n_draws)
    arguments = (columns, values, coefficients, weights, groups, width, out)
    parallel = len(columns) * n_draws >= _PARALLEL_FROM
    share_out(_add_weighted_probabilities, -(-n_draws // width), *arguments, parallel=parallel)


def _block_width(n_draws: int) -> int:
    """Draws of a block: an even number of blocks, for two threads; whole vectors of 8."""
    n_blocks = 2 * max(1, -(-n_draws // (2 * DRAW_BLOCK)))
    return max(1, n_draws) if n_draws < 8 else 8 * -(-n_draws // (8 * n_blocks))


def _blocks_of_draws(draws: FloatArray) -> FloatArray:
    """``draws`` of shape (S, p) as (blocks, p, width), the last block filled up with zeros."""
    n_draws, p = draws.shape
    width = _block_width(n_draws)
    blocks = np.zeros((-(-n_draws // width), p, width))
    for block, low in enumerate(range(0, n_draws, width)):
        part = draws[low : low + width]
        blocks[block, :, : len(part)] = part.T
    return blocks


@numba.njit(**COMPILED)
def _linear_predictors(columns, values, coefficients, low, high, eta):  # type: ignore[no-untyped-def]
    """Write x_i'θ_s of the rows from ``low`` to ``high`` to ``eta``, shape (rows, draws)."""
    width = columns.shape[1]
    n_draws = coefficients.shape[1]
    for i in range(low, high):
        out = eta[i - low]
        for s in range(n_draws):
            out[s] = 0.0
        k = 0
        while k + 4 <= width:  # four terms for each time that the sum is read and written
            v0, v1, v2, v3 = values[i, k], values[i, k + 1], values[i, k + 2], values[i, k + 3]
            c0, c1 = coefficients[columns[i, k]], coefficients[columns[i, k + 1]]
            c2, c3 = coefficients[columns[i, k + 2]], coefficients[columns[i, k + 3]]
            for s in range(n_draws):
                out[s] += (v0 * c0[s] + v1 * c1[s]) + (v2 * c2[s] + v3 * c3[s])
            k += 4
        while k < width:
            v0, c0 = values[i, k], coefficients[columns[i, k]]
            for s in range(n_draws):
                out[s] += v0 * c0[s]
            k += 1


@numba.njit(**COMPILED)
def _add_log_likelihood(columns, values, coefficients, successes, trials, low, high, out):  # type: ignore[no-untyped-def]
    """Add the log likelihood of the rows from ``low`` to ``high`` to ``out``, shape (draws,)."""
    n_draws = coefficients.shape[1]
    rows = _TILE // n_draws
    eta = np.empty((rows, n_draws))
    log_normaliser = np.empty((rows, n_draws))
    flat_eta, flat_log_normaliser = eta.reshape(-1), log_normaliser.reshape(-1)
    for start in range(low, high, rows):
        stop = min(start + rows, high)
        _linear_predictors(columns, values, coefficients, start, stop, eta)
        for j in range((stop - start) * n_draws):
            flat_log_normaliser[j] = softplus(flat_eta[j])
        for i in range(start, stop):
            y, n = successes[i], trials[i]
            linear, log_n = eta[i - start], log_normaliser[i - start]
            for s in range(n_draws):
                out[s] += y * linear[s] - n * log_n[s]


@numba.njit(**COMPILED)
def _log_likelihood_of_blocks(  # type: ignore[no-untyped-def]
    columns, values, blocks, successes, trials, rows, parts, first, last
):
    """Fill the parts from ``first`` to before ``last``, counted block by block."""
    n_parts = parts.shape[1]
    for task in range(first, last):
        block, part = task // n_parts, task % n_parts
        low, high = part * rows, min((part + 1) * rows, len(columns))
        out = parts[block, part]
        _add_log_likelihood(columns, values, blocks[block], successes, trials, low, high, out)


@numba.njit(**COMPILED)
def _add_weighted_probabilities(  # type: ignore[no-untyped-def]
    columns, values, coefficients, weights, groups, width, out, first, last
):
    """Do what :func:`weighted_probabilities` does, for the blocks of draws from ``first`` on."""
    n = len(columns)
    p, n_draws = coefficients.shape
    rows = _TILE // width
    for draw in range(first * width, min(last * width, n_draws), width):
        size = min(width, n_draws - draw)
        block = np.empty((p, size))
        for j in range(p):
            for s in range(size):
                block[j, s] = coefficients[j, draw + s]
        eta = np.empty((rows, size))
        flat = eta.reshape(-1)
        for start in range(0, n, rows):
            stop = min(start + rows, n)
            _linear_predictors(columns, values, block, start, stop, eta)
            for j in range((stop - start) * size):
                flat[j] = expit(flat[j])
            for i in range(start, stop):
                weight, group, probability = weights[i], groups[i], eta[i - start]
                for s in range(size):
                    out[group, draw + s] += weight * probability[s]
