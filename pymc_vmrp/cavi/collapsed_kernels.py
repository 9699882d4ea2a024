"""Compiled loops over rows for the collapsed factorization.

``kept`` and ``rest`` number each coefficient among those that are kept together and among all
others (−1 elsewhere); ``level`` and ``effect`` tell of the latter which level and which effect.
"""

from __future__ import annotations

import numba


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


@numba.njit(cache=True, nogil=True, inline="always")
def _covariance(i, j, kept, rest, level, effect, border, cross, blocks):  # type: ignore[no-untyped-def]
    """V[i, j]: zero between different levels of what is not kept."""
    if kept[i] >= 0:
        if kept[j] >= 0:
            return border[kept[i], kept[j]]
        return cross[rest[j], kept[i]]
    if kept[j] >= 0:
        return cross[rest[i], kept[j]]
    if level[rest[i]] == level[rest[j]]:
        return blocks[rest[i], effect[rest[j]]]
    return 0.0


@numba.njit(cache=True, nogil=True)
def row_variances(  # type: ignore[no-untyped-def]
    first, last, columns, values, kept, rest, level, effect, border, cross, blocks, out
):
    """Write x_i' V x_i to ``out``."""
    width = columns.shape[1]
    for i in range(first, last):
        total = 0.0
        for a in range(width):
            x = values[i, a]
            if x == 0.0:
                continue
            p = columns[i, a]
            total += x * x * _covariance(p, p, kept, rest, level, effect, border, cross, blocks)
            for b in range(a):
                q = columns[i, b]
                v = _covariance(p, q, kept, rest, level, effect, border, cross, blocks)
                total += 2.0 * x * values[i, b] * v
        out[i] = total


@numba.njit(cache=True, nogil=True)
def add_curvature(  # type: ignore[no-untyped-def]
    first, last, columns, values, weights, slots, mean,
    kept, rest, level, effect, border, cross, blocks, out,
):  # fmt: skip
    """Add Σ_i w_i E[φ_i φ_i'] to ``out``, φ being the products z_a u_b of a row."""
    width = columns.shape[1]
    for i in range(first, last):
        w = weights[i]
        for q in range(width):
            wx = w * values[i, q]
            if wx == 0.0:
                continue
            p = columns[i, q]
            a, size, start = slots[p, 0], slots[p, 1], slots[p, 2]
            for r in range(width):
                s = columns[i, r]
                c, other_size, other_start = slots[s, 0], slots[s, 1], slots[s, 2]
                x = wx * values[i, r]
                for b in range(size):
                    u = p - a + b
                    for d in range(other_size):
                        t = s - c + d
                        v = _covariance(u, t, kept, rest, level, effect, border, cross, blocks)
                        out[start + b * size + a, other_start + d * other_size + c] += x * (
                            v + mean[u] * mean[t]
                        )
