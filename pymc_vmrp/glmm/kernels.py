"""Compiled loops over design rows and posterior draws, shared by the engines and by MRP."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

DRAW_BLOCK = 128  # draws a thread works on at a time: their linear predictors stay in cache


@numba.njit(cache=True, parallel=True, fastmath=False)
def log_likelihood_of_draws(columns, values, draws, successes, trials):  # type: ignore[no-untyped-def]
    """Σ_i y_i η_is − n_i log(1 + e^η_is) for each draw s; ``draws`` has shape (S, p)."""
    n, width = columns.shape
    n_draws = draws.shape[0]
    out = np.zeros(n_draws)
    for s in numba.prange(n_draws):
        total = 0.0
        for i in range(n):
            eta = 0.0
            for k in range(width):
                eta += values[i, k] * draws[s, columns[i, k]]
            softplus = max(eta, 0.0) + math.log1p(math.exp(-abs(eta)))
            total += successes[i] * eta - trials[i] * softplus
        out[s] = total
    return out


@numba.njit(cache=True, parallel=True, fastmath=False)
def weighted_probabilities(columns, values, coefficients, weights, groups, out):  # type: ignore[no-untyped-def]
    """Add w_i logit⁻¹(x_i'θ_s) of each row i to ``out[groups[i], s]``.

    ``coefficients`` has shape (p, S). Threads share out the draws, so that the result does not
    depend on how many threads there are.
    """
    n, width = columns.shape
    n_draws = coefficients.shape[1]
    n_blocks = (n_draws + DRAW_BLOCK - 1) // DRAW_BLOCK
    for block in numba.prange(n_blocks):
        low = block * DRAW_BLOCK
        high = min(low + DRAW_BLOCK, n_draws)
        eta = np.empty(DRAW_BLOCK)
        for i in range(n):
            eta[:] = 0.0
            for k in range(width):
                value = values[i, k]
                if value != 0.0:
                    column = columns[i, k]
                    for s in range(low, high):
                        eta[s - low] += value * coefficients[column, s]
            for s in range(low, high):
                out[groups[i], s] += weights[i] / (1.0 + math.exp(-eta[s - low]))
