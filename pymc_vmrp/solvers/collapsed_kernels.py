"""Compiled loops over rows for the collapsed factorization.

``kept`` and ``rest`` number each coefficient among those of the border and among all others (−1
elsewhere); ``level`` and ``effect`` tell of the latter which level and which effect. ``start_of``,
``offsets`` and ``pairs`` find covariances of a kept term of many levels: see collapsed_pairs.py.
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
    row, offsets, kept, rest, level, effect, start_of, border, cross, blocks, pairs, out
):
    """Write V[row, row] to ``out``: zero between different levels of terms that are not kept."""
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
            elif start_of[rest[p]] >= 0:
                v = pairs[start_of[rest[p]] + offsets[b]]
            elif start_of[rest[q]] >= 0:
                v = pairs[start_of[rest[q]] + offsets[a]]
            out[a, b] = v
            out[b, a] = v


@numba.njit(cache=True, nogil=True)
def row_variances(  # type: ignore[no-untyped-def]
    first, last, columns, values, offsets,
    kept, rest, level, effect, start_of, border, cross, blocks, pairs, out,
):  # fmt: skip
    """Write x_i' V x_i to ``out``."""
    width = columns.shape[1]
    own = np.empty((width, width))
    for i in range(first, last):
        _row_covariance(
            columns[i], offsets[i % len(offsets)],
            kept, rest, level, effect, start_of, border, cross, blocks, pairs, own,
        )  # fmt: skip
        total = 0.0
        for a in range(width):
            part = 0.5 * own[a, a] * values[i, a]
            for b in range(a):
                part += own[a, b] * values[i, b]
            total += values[i, a] * part
        out[i] = 2.0 * total


@numba.njit(cache=True, nogil=True)
def add_curvature(  # type: ignore[no-untyped-def]
    first, last, columns, values, offsets,
    kept, rest, level, effect, start_of, border, cross, blocks, pairs, weights, slots, mean, out,
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
        _row_covariance(
            columns[i], offsets[i % len(offsets)],
            kept, rest, level, effect, start_of, border, cross, blocks, pairs, own,
        )  # fmt: skip
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


# Values of pairs lie level by level, and in each level once for each of its d effects: those of
# effect a of level g start at d * starts[g] + a * n, n being the level's number of pairs.


@numba.njit(cache=True, nogil=True)
def add_pair_products(columns, values, weights, rest, start_of, offsets, out):  # type: ignore[no-untyped-def]
    """Add Σ_i w_i x_i x_i' for the pairs of F and R."""
    width = columns.shape[1]
    for i in range(len(columns)):
        for a in range(width):
            p = rest[columns[i, a]]
            if p < 0 or start_of[p] < 0:
                continue
            wx = weights[i] * values[i, a]
            for b in range(width):
                if offsets[i, b] >= 0:
                    out[start_of[p] + offsets[i, b]] += wx * values[i, b]


@numba.njit(cache=True, nogil=True)
def multiply_levels(starts, d, blocks, values, out):  # type: ignore[no-untyped-def]
    """Multiply each level's values, as a matrix with d rows, by its d × d block from the left."""
    for g in range(len(starts) - 1):
        n, first = starts[g + 1] - starts[g], d * starts[g]
        for a in range(d):
            for e in range(n):
                total = 0.0
                for b in range(d):
                    total += blocks[g, a, b] * values[first + b * n + e]
                out[first + a * n + e] = total


@numba.njit(cache=True, nogil=True)
def multiply_columns(starts, d, columns, effect, n_effects, blocks, values, out):  # type: ignore[no-untyped-def]
    """Multiply the values by a symmetric block-diagonal matrix over R from the right."""
    for g in range(len(starts) - 1):
        n, first = starts[g + 1] - starts[g], d * starts[g]
        for e in range(n):
            r = columns[starts[g] + e]
            for a in range(d):
                total = 0.0
                for b in range(n_effects[r]):
                    # all effects of a level are among the pairs, one after the other
                    total += values[first + a * n + e - effect[r] + b] * blocks[r, b]
                out[first + a * n + e] = total


@numba.njit(cache=True, nogil=True)
def subtract_level_blocks(starts, d, columns, effect, n_effects, left, right, blocks):  # type: ignore[no-untyped-def]
    """Subtract left'right from the block of each level of R."""
    for g in range(len(starts) - 1):
        n, first = starts[g + 1] - starts[g], d * starts[g]
        for e in range(n):
            r = columns[starts[g] + e]
            for b in range(n_effects[r]):
                total = 0.0
                for a in range(d):
                    at = first + a * n + e
                    total += left[at] * right[at - effect[r] + b]
                blocks[r, b] -= total


@numba.njit(cache=True, nogil=True)
def add_level_products(starts, d, left, right, out):  # type: ignore[no-untyped-def]
    """Add left·right' of each level of F to its d × d block."""
    for g in range(len(starts) - 1):
        n, first = starts[g + 1] - starts[g], d * starts[g]
        for a in range(d):
            for b in range(d):
                total = 0.0
                for e in range(n):
                    total += left[first + a * n + e] * right[first + b * n + e]
                out[g, a, b] += total


@numba.njit(cache=True, nogil=True)
def pair_covariances(starts, d, columns, spread, loadings, cross, out):  # type: ignore[no-untyped-def]
    """Write −(H_R Λ + H_B V_BR) for every pair."""
    for g in range(len(starts) - 1):
        n, first = starts[g + 1] - starts[g], d * starts[g]
        for a in range(d):
            for e in range(n):
                r = columns[starts[g] + e]
                total = spread[first + a * n + e]
                for k in range(cross.shape[1]):
                    total += loadings[g * d + a, k] * cross[r, k]
                out[first + a * n + e] = -total
