"""Compiled loops over fixed-width design rows.

They release the interpreter's lock and work on the rows ``first`` to ``last``, so that threads can
share out fixed chunks of rows.
"""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True)
def add_weighted_cross_products(first, last, columns, values, weights, out):  # type: ignore[no-untyped-def]
    """Add Σ_i w_i x_i x_i' to the lower triangle of ``out``."""
    width = columns.shape[1]
    for i in range(first, last):
        w = weights[i]
        if w == 0.0:
            continue
        for a in range(width):
            wa = w * values[i, a]
            if wa == 0.0:
                continue
            row = columns[i, a]
            for b in range(a + 1):
                # entries of a row come in the order of the coefficients
                out[row, columns[i, b]] += wa * values[i, b]


@numba.njit(cache=True, nogil=True)
def transposed_product(first, last, columns, values, vector, out):  # type: ignore[no-untyped-def]
    """Add X'vector to ``out``."""
    width = columns.shape[1]
    for i in range(first, last):
        for a in range(width):
            out[columns[i, a]] += values[i, a] * vector[i]


@numba.njit(cache=True, nogil=True)
def row_products(first, last, columns, values, vector, out):  # type: ignore[no-untyped-def]
    """Write X·vector to ``out``."""
    width = columns.shape[1]
    for i in range(first, last):
        total = 0.0
        for a in range(width):
            total += values[i, a] * vector[columns[i, a]]
        out[i] = total


@numba.njit(cache=True, nogil=True)
def row_variances(first, last, columns, values, covariance, out):  # type: ignore[no-untyped-def]
    """Write x_i' V x_i to ``out``, reading the lower triangle of ``covariance`` only."""
    width = columns.shape[1]
    for i in range(first, last):
        total = 0.0
        for a in range(width):
            x = values[i, a]
            if x == 0.0:
                continue
            row = columns[i, a]
            part = 0.5 * x * covariance[row, row]
            for b in range(a):
                part += values[i, b] * covariance[row, columns[i, b]]
            total += x * part
        out[i] = 2.0 * total


@numba.njit(cache=True, nogil=True)
def add_curvature(  # type: ignore[no-untyped-def]
    products, covariance, sign, row_mean, column_mean, rows, columns, symmetric, out
):
    """Add Σ (X'WX)_{ga,hc} E[u_gb u_hd] to entry (ab, cd) of ``out``, for all level pairs g, h.

    ``rows`` and ``columns`` hold for each coefficient its effect, how many effects its term has,
    and the number of the first product of the term. ``symmetric`` matrices are read below the
    diagonal and give half of the diagonal, as ``out`` is to be added to its transpose.
    """
    for q in range(len(rows)):
        effect, size, first = rows[q, 0], rows[q, 1], rows[q, 2]
        end = q + 1 if symmetric else len(columns)
        for r in range(end):
            x = products[q, r]
            if x == 0.0:
                continue
            if symmetric and q == r:
                x *= 0.5
            other_effect, other_size, other_first = columns[r, 0], columns[r, 1], columns[r, 2]
            for b in range(size):
                i = q - effect + b
                for d in range(other_size):
                    j = r - other_effect + d
                    # within a level of correlated effects the pair may lie above the diagonal
                    v = covariance[j, i] if symmetric and j > i else covariance[i, j]
                    moment = sign * v + row_mean[i] * column_mean[j]
                    out[first + b * size + effect, other_first + d * other_size + other_effect] += (
                        x * moment
                    )
