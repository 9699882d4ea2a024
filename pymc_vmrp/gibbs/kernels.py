"""Compiled loops over the cells."""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True)
def path_products(  # type: ignore[no-untyped-def]
    columns, values, first, members, d, a, b, coefficients, precision, residual, out
):
    """Write Σ z_a u_b over each cell's memberships in a block of d effects to ``out``.

    The block's entries of a row start at ``first``. Returns ``out`` times the residuals, and its
    square times the precisions, summed over the cells.
    """
    slope, curvature = 0.0, 0.0
    for i in range(len(out)):
        total = 0.0
        for k in range(first + a, first + members * d, d):
            total += values[i, k] * coefficients[columns[i, k] - a + b]
        out[i] = total
        slope += total * residual[i]
        curvature += total * total * precision[i]
    return slope, curvature


@numba.njit(cache=True, nogil=True)
def move_predictors(amount, direction, precision, eta, residual):  # type: ignore[no-untyped-def]
    """Add a multiple of ``direction`` to η, and keep up the sites' residuals k − wη."""
    for i in range(len(eta)):
        change = amount * direction[i]
        eta[i] += change
        residual[i] -= precision[i] * change
