"""Compiled loops over rows for the collapsed factorization.

``kept`` and ``rest`` number each coefficient among those that are kept together and among all
others (−1 elsewhere); ``level`` and ``effect`` tell of the latter which level and which effect.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def add_products(  # type: ignore[no-untyped-def]
    first, last, columns, values, weights, kept, rest, level, effect, border, cross, blocks
):
    """Add Σ_i w_i x_i x_i' to its parts: kept × kept, others × kept, and each level's block."""
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
            for b in range(width):
                column = columns[i, b]
                if kept[column] >= 0:
                    if kept[row] >= 0:
                        border[kept[row], kept[column]] += wa * values[i, b]
                    else:
                        cross[rest[row], kept[column]] += wa * values[i, b]
                elif rest[row] >= 0 and level[rest[row]] == level[rest[column]]:
                    blocks[rest[row], effect[rest[column]]] += wa * values[i, b]


@numba.njit(cache=True, nogil=True)
def _row_covariance(  # type: ignore[no-untyped-def]
    row, kept, rest, level, effect, border, cross, blocks, out
):
    """Write V[row, row] to ``out``: zero between different levels of what is not kept."""
    for a in range(len(row)):
        p = row[a]
        k = kept[p]
        for b in range(a + 1):
            q = row[b]
            m = kept[q]
            v = 0.0
            if k >= 0 and m >= 0:
                v = border[k, m]
            elif k >= 0:
                v = cross[rest[q], k]
            elif m >= 0:
                v = cross[rest[p], m]
            elif level[rest[p]] == level[rest[q]]:
                v = blocks[rest[p], effect[rest[q]]]
            out[a, b] = v
            out[b, a] = v


@numba.njit(cache=True, nogil=True)
def row_variances(  # type: ignore[no-untyped-def]
    first, last, columns, values, kept, rest, level, effect, border, cross, blocks, out
):
    """Write x_i' V x_i to ``out``."""
    width = columns.shape[1]
    own = np.empty((width, width))
    for i in range(first, last):
        _row_covariance(columns[i], kept, rest, level, effect, border, cross, blocks, own)
        total = 0.0
        for a in range(width):
            part = 0.5 * own[a, a] * values[i, a]
            for b in range(a):
                part += own[a, b] * values[i, b]
            total += values[i, a] * part
        out[i] = 2.0 * total


@numba.njit(cache=True, nogil=True)
def add_curvature(  # type: ignore[no-untyped-def]
    first, last, columns, values, weights, slots, mean,
    kept, rest, level, effect, border, cross, blocks, out,
):  # fmt: skip
    """Add Σ_i w_i E[φ_i φ_i'] to ``out``, φ being the products z_a u_b of a row.

    ``slots`` holds for each entry of a row its effect, how many effects its term has, and the
    term's first product; entries of a level come one after the other.
    """
    width = columns.shape[1]
    own = np.empty((width, width))
    for i in range(first, last):
        w = weights[i]
        if w == 0.0:
            continue
        _row_covariance(columns[i], kept, rest, level, effect, border, cross, blocks, own)
        for a in range(width):
            for b in range(width):
                own[a, b] += mean[columns[i, a]] * mean[columns[i, b]]
        for q in range(width):
            wx = w * values[i, q]
            if wx == 0.0:
                continue
            a, size, start = slots[q, 0], slots[q, 1], slots[q, 2]
            for r in range(width):
                c, other_size, other_start = slots[r, 0], slots[r, 1], slots[r, 2]
                x = wx * values[i, r]
                for b in range(size):
                    for d in range(other_size):
                        out[start + b * size + a, other_start + d * other_size + c] += (
                            x * own[q - a + b, r - c + d]
                        )
