"""Compiled loops over the cells."""

from __future__ import annotations

import numba


@numba.njit(cache=True, nogil=True)
def path_direction(  # type: ignore[no-untyped-def]
    columns, values, first, members, d, a, b, coefficients, precision, common, residual, out
):
    """How η moves with a path: Σ z_a u_b over each cell's memberships, less c times ``common``.

    The block's entries of a row start at ``first``. c is the regression of the sums on ``common``,
    weighted by the precisions; 0 where ``common`` is empty. Returns c, and ``out`` times the
    residuals and its square times the precisions, both summed over the cells.
    """
    cross, square = 0.0, 0.0
    for i in range(len(out)):
        total = 0.0
        for k in range(first + a, first + members * d, d):
            total += values[i, k] * coefficients[columns[i, k] - a + b]
        out[i] = total
        if len(common) > 0:
            weighted = precision[i] * common[i]
            cross += weighted * total
            square += weighted * common[i]
    c = cross / square if square > 0.0 else 0.0
    slope, curvature = 0.0, 0.0
    for i in range(len(out)):
        if c != 0.0:
            out[i] -= c * common[i]
        slope += out[i] * residual[i]
        curvature += out[i] * out[i] * precision[i]
    return c, slope, curvature


@numba.njit(cache=True, nogil=True)
def move_predictors(amount, direction, precision, eta, residual):  # type: ignore[no-untyped-def]
    """Add a multiple of ``direction`` to η, and keep up the sites' residuals k − wη."""
    for i in range(len(eta)):
        change = amount * direction[i]
        eta[i] += change
        residual[i] -= precision[i] * change
