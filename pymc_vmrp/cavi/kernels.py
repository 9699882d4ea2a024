"""Compiled loops over fixed-width design rows, for one sweep of coordinate ascent."""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def add_weighted_cross_products(columns, values, weights, out):  # type: ignore[no-untyped-def]
    """Add Σ_i w_i x_i x_i' to the lower triangle of ``out``."""
    n, width = columns.shape
    for i in range(n):
        w = weights[i]
        if w == 0.0:
            continue
        for a in range(width):
            wa = w * values[i, a]
            if wa == 0.0:
                continue
            row = columns[i, a]
            for b in range(a + 1):
                column = columns[i, b]
                if row >= column:
                    out[row, column] += wa * values[i, b]
                else:
                    out[column, row] += wa * values[i, b]


@numba.njit(cache=True)
def transposed_product(columns, values, vector, out):  # type: ignore[no-untyped-def]
    """Add X'vector to ``out``."""
    n, width = columns.shape
    for i in range(n):
        for a in range(width):
            out[columns[i, a]] += values[i, a] * vector[i]


@numba.njit(cache=True)
def row_products(columns, values, vector, out):  # type: ignore[no-untyped-def]
    """Write X·vector to ``out``."""
    n, width = columns.shape
    for i in range(n):
        total = 0.0
        for a in range(width):
            total += values[i, a] * vector[columns[i, a]]
        out[i] = total


@numba.njit(cache=True)
def row_variances(columns, values, covariance, out):  # type: ignore[no-untyped-def]
    """Write x_i' V x_i to ``out``, reading the lower triangle of ``covariance`` only."""
    n, width = columns.shape
    for i in range(n):
        total = 0.0
        for a in range(width):
            va = values[i, a]
            if va == 0.0:
                continue
            row = columns[i, a]
            part = 0.0
            for b in range(a):
                column = columns[i, b]
                if row >= column:
                    part += values[i, b] * covariance[row, column]
                else:
                    part += values[i, b] * covariance[column, row]
            total += va * (2.0 * part + va * covariance[row, row])
        out[i] = total
