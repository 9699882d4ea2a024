"""Compiled loops over the blocks of a partition.

They release the interpreter's lock: threads share out fixed chunks of blocks, and what the chunks
sum is added in their order, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray, SmallIntArray
from pymc_vmrp.solvers.kernels import add_curvature
from pymc_vmrp.solvers.matrix_kernels import (
    ASSOCIATIVE,
    SMALL,
    cholesky,
    clear,
    invert_lower,
    multiply,
    symmetric_square,
    transpose,
    view,
)


class Blocks(NamedTuple):
    """A :class:`~pymc_vmrp.solvers.layout.Layout` and its rows, as the loops read them.

    ``matrix_starts`` and ``cross_starts`` say where the matrix of each block, and its cross part
    with the border, start in flat arrays.
    """

    starts: IntArray
    terms: IntArray
    effects: IntArray
    touched: IntArray
    touched_starts: IntArray
    matrix_starts: IntArray
    cross_starts: IntArray
    order: IntArray
    row_starts: IntArray
    own: SmallIntArray
    own_values: FloatArray
    border: SmallIntArray
    border_values: FloatArray


@numba.njit(cache=True, nogil=True)
def _shape(blocks, b):  # type: ignore[no-untyped-def]
    """How many coefficients a block has, how many of the border it touches, and which."""
    here = blocks.touched[blocks.touched_starts[b] : blocks.touched_starts[b + 1]]
    return blocks.starts[b + 1] - blocks.starts[b], len(here), here


@numba.njit(cache=True, nogil=True)
def _largest(blocks, first, last):  # type: ignore[no-untyped-def]
    """The largest of both sizes."""
    size, width = 0, 0
    for b in range(first, last):
        n, t, _ = _shape(blocks, b)
        size, width = max(size, n), max(width, t)
    return size, width


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def assemble_blocks(  # type: ignore[no-untyped-def]
    first, last, blocks, weights, products, cross_products, border_products
):
    """Write X'WX of each block's rows to ``products`` (lower triangle) and ``cross_products``.

    Adds their part of the border's X'WX to the lower triangle of ``border_products``.
    """
    _, width = _largest(blocks, first, last)
    scratch = np.empty(width * width)
    n_own, n_border = blocks.own.shape[1], blocks.border.shape[1]
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        a = view(products, blocks.matrix_starts[b], n, n)
        cross = view(cross_products, blocks.cross_starts[b], n, t)
        outer = view(scratch, 0, t, t)
        clear(a)
        clear(cross)
        clear(outer)
        for i in range(blocks.row_starts[b], blocks.row_starts[b + 1]):
            w = weights[blocks.order[i]]
            for k in range(n_own):
                row = blocks.own[i, k]
                wx = w * blocks.own_values[i, k]
                for m in range(k + 1):
                    other = blocks.own[i, m]
                    if row >= other:
                        a[row, other] += wx * blocks.own_values[i, m]
                    else:
                        a[other, row] += wx * blocks.own_values[i, m]
                for m in range(n_border):
                    cross[row, blocks.border[i, m]] += wx * blocks.border_values[i, m]
            for k in range(n_border):
                wx = w * blocks.border_values[i, k]
                if wx != 0.0:
                    row = blocks.border[i, k]
                    for m in range(k + 1):
                        # a row's border entries are numbered in ascending order
                        outer[row, blocks.border[i, m]] += wx * blocks.border_values[i, m]
        for c in range(t):
            for e in range(c + 1):
                border_products[here[c], here[e]] += outer[c, e]


@numba.njit(cache=True, nogil=True)
def add_precisions(matrix, terms, effects, precisions):  # type: ignore[no-untyped-def]
    """Add the prior precision of each level's effects to the lower triangle of a block."""
    for q in range(len(matrix)):
        for e in range(effects[q] + 1):
            matrix[q, q - effects[q] + e] += precisions[terms[q], effects[q], e]


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def factor_blocks(  # type: ignore[no-untyped-def]
    first, last, blocks, products, precisions, largest, factors, inverses
):
    """Write chol(A) and A⁻¹ of each block, A being its X'WX plus prior precisions.

    Skips blocks of more than ``largest`` coefficients. Returns log |A| summed, or NaN where a block
    is not positive definite.
    """
    size = 0
    for b in range(first, last):
        if blocks.starts[b + 1] - blocks.starts[b] <= largest:
            size = max(size, blocks.starts[b + 1] - blocks.starts[b])
    triangle = np.empty(size * size)
    column = np.empty(size)
    log_det = 0.0
    for b in range(first, last):
        n = blocks.starts[b + 1] - blocks.starts[b]
        if n > largest:
            continue
        data = view(products, blocks.matrix_starts[b], n, n)
        a = view(factors, blocks.matrix_starts[b], n, n)
        for q in range(n):
            for c in range(n):
                a[q, c] = data[q, c]  # zeros above the diagonal
        here = slice(blocks.starts[b], blocks.starts[b + 1])
        add_precisions(a, blocks.terms[here], blocks.effects[here], precisions)
        if not cholesky(a, column):
            return math.nan
        for q in range(n):
            log_det += 2.0 * math.log(a[q, q])
        lower = view(triangle, 0, n, n)
        invert_lower(a, lower)
        symmetric_square(lower, view(inverses, blocks.matrix_starts[b], n, n))
    return log_det


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def eliminate_blocks(  # type: ignore[no-untyped-def]
    first, last, blocks, cross_products, inverses, crosses, schur
):
    """Write G = A⁻¹B of each block, and subtract B'G from the lower triangle of ``schur``."""
    size, width = _largest(blocks, first, last)
    reduction = np.empty(width * width)
    transposed = np.empty(size * width)
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        cross = view(cross_products, blocks.cross_starts[b], n, t)
        g = view(crosses, blocks.cross_starts[b], n, t)
        multiply(view(inverses, blocks.matrix_starts[b], n, n), cross, g)
        if n * t * t > SMALL:
            flipped = transpose(cross, transposed)
            product = view(reduction, 0, t, t)
            multiply(flipped, g, product)
            for c in range(t):
                for e in range(c + 1):
                    schur[here[c], here[e]] -= product[c, e]
        else:
            for c in range(t):
                for e in range(c + 1):
                    total = 0.0
                    for q in range(n):
                        total += cross[q, c] * g[q, e]
                    schur[here[c], here[e]] -= total


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def block_moments(  # type: ignore[no-untyped-def]
    first, last, blocks, inverses, crosses, mean, border_mean, border_covariance, products,
    cross_products, own_slots, border_slots, variance, row_variance, second_moments, curvature,
):  # fmt: skip
    """Variances of the blocks' coefficients and of their rows' η.

    V_ss = A⁻¹ + G V_bb G' and V_sb = −G V_bb, with V_bb of what the block touches. Adds Σ E[uu'] to
    ``second_moments`` by term and, unless ``curvature`` is empty, the blocks' part of the curvature
    in transforms of the effects.
    """
    expand = len(curvature) > 0
    local_mean = np.empty(len(border_mean))
    theirs = np.empty((len(border_mean), 3), dtype=np.int64)
    size, width = _largest(blocks, first, last)
    gathered = np.empty(width * width)
    crossing = np.empty(size * width)
    transposed = np.empty(size * width)
    square = np.empty(size * size)
    n_own, n_border = blocks.own.shape[1], blocks.border.shape[1]
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        at = blocks.matrix_starts[b]
        inverse = view(inverses, at, n, n)
        g = view(crosses, blocks.cross_starts[b], n, t)
        v_bb = view(gathered, 0, t, t)
        for c in range(t):
            for e in range(t):
                v_bb[c, e] = border_covariance[here[c], here[e]]
        h = view(crossing, 0, n, t)  # G V_bb
        multiply(g, v_bb, h)
        v_ss = view(square, 0, n, n)
        if n * n * t > SMALL:
            flipped = transpose(g, transposed)
            multiply(h, flipped, v_ss)
            for q in range(n):
                for c in range(n):
                    v_ss[q, c] += inverse[q, c]
        else:
            for q in range(n):
                for c in range(n):
                    total = inverse[q, c]
                    for e in range(t):
                        total += h[q, e] * g[c, e]
                    v_ss[q, c] = total
        for q in range(n):
            variance[blocks.starts[b] + q] = v_ss[q, q]
        m = mean[blocks.starts[b] : blocks.starts[b] + n]
        for q in range(n):
            term = blocks.terms[blocks.starts[b] + q]
            effect = blocks.effects[blocks.starts[b] + q]
            for e in range(effect + 1):
                other = q - effect + e
                second_moments[term, effect, e] += v_ss[q, other] + m[q] * m[other]
        if expand:
            data = view(products, at, n, n)
            ours = own_slots[blocks.starts[b] : blocks.starts[b + 1]]
            add_curvature(data, v_ss, 1.0, m, m, ours, ours, True, curvature)
            cross = view(cross_products, blocks.cross_starts[b], n, t)
            for c in range(t):
                local_mean[c] = border_mean[here[c]]
                for e in range(3):
                    theirs[c, e] = border_slots[here[c], e]
            add_curvature(cross, h, -1.0, m, local_mean, ours, theirs[:t], False, curvature)
        for i in range(blocks.row_starts[b], blocks.row_starts[b + 1]):
            quadratic = 0.0
            for k in range(n_own):
                x = blocks.own_values[i, k]
                row = blocks.own[i, k]
                part = 0.5 * x * v_ss[row, row]
                for c in range(k):
                    part += blocks.own_values[i, c] * v_ss[row, blocks.own[i, c]]
                for c in range(n_border):
                    part -= blocks.border_values[i, c] * h[row, blocks.border[i, c]]
                quadratic += x * part
            for k in range(n_border):
                x = blocks.border_values[i, k]
                if x != 0.0:
                    row = blocks.border[i, k]
                    part = 0.5 * x * v_bb[row, row]
                    for c in range(k):
                        part += blocks.border_values[i, c] * v_bb[row, blocks.border[i, c]]
                    quadratic += x * part
            row_variance[blocks.order[i]] = 2.0 * quadratic


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def reduce_shifts(  # type: ignore[no-untyped-def]
    first, last, blocks, shifts, inverses, crosses, right, solutions, border_right, reduced
):
    """Write h = X'shifts of each block to ``right`` and A⁻¹h to ``solutions``.

    Adds the border's h to ``border_right`` and h − Σ G'h to ``reduced``.
    """
    size, width = _largest(blocks, first, last)
    shift = np.empty(size)
    local = np.empty(width)
    n_own, n_border = blocks.own.shape[1], blocks.border.shape[1]
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        for q in range(n):
            shift[q] = 0.0
        for c in range(t):
            local[c] = 0.0
        for i in range(blocks.row_starts[b], blocks.row_starts[b + 1]):
            h = shifts[blocks.order[i]]
            for k in range(n_own):
                shift[blocks.own[i, k]] += blocks.own_values[i, k] * h
            for k in range(n_border):
                local[blocks.border[i, k]] += blocks.border_values[i, k] * h
        for c in range(t):
            border_right[here[c]] += local[c]
        inverse = view(inverses, blocks.matrix_starts[b], n, n)
        g = view(crosses, blocks.cross_starts[b], n, t)
        for q in range(n):
            right[blocks.starts[b] + q] = shift[q]
            total = 0.0
            for c in range(n):
                total += inverse[q, c] * shift[c]
            solutions[blocks.starts[b] + q] = total
            for c in range(t):
                local[c] -= g[q, c] * shift[q]
        for c in range(t):
            reduced[here[c]] += local[c]


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def expand_solutions(  # type: ignore[no-untyped-def]
    first, last, blocks, crosses, border_solution, solutions, products
):
    """Subtract G x_b from each block's ``solutions``, and write X x of each row to ``products``."""
    local = np.empty(len(border_solution))
    n_own, n_border = blocks.own.shape[1], blocks.border.shape[1]
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        g = view(crosses, blocks.cross_starts[b], n, t)
        for c in range(t):
            local[c] = border_solution[here[c]]
        for q in range(n):
            total = 0.0
            for c in range(t):
                total += g[q, c] * local[c]
            solutions[blocks.starts[b] + q] -= total
        x = solutions[blocks.starts[b] : blocks.starts[b + 1]]
        for i in range(blocks.row_starts[b], blocks.row_starts[b + 1]):
            total = 0.0
            for k in range(n_own):
                total += blocks.own_values[i, k] * x[blocks.own[i, k]]
            for k in range(n_border):
                total += blocks.border_values[i, k] * local[blocks.border[i, k]]
            products[blocks.order[i]] = total


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def sample_blocks(  # type: ignore[no-untyped-def]
    first, last, blocks, factors, crosses, border_draws, draws
):
    """Overwrite standard normals z_s, shape (own, S), by L⁻ᵀz_s − G d_b: draws less their mean."""
    n_draws = draws.shape[1]
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        lower = view(factors, blocks.matrix_starts[b], n, n)
        g = view(crosses, blocks.cross_starts[b], n, t)
        x = draws[blocks.starts[b] : blocks.starts[b + 1]]
        for q in range(n - 1, -1, -1):
            for r in range(q + 1, n):
                for s in range(n_draws):
                    x[q, s] -= lower[r, q] * x[r, s]
            for s in range(n_draws):
                x[q, s] /= lower[q, q]
        for q in range(n):
            for c in range(t):
                for s in range(n_draws):
                    x[q, s] -= g[q, c] * border_draws[here[c], s]


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def block_quadratics(  # type: ignore[no-untyped-def]
    first, last, blocks, factors, crosses, border_draws, draws, out
):
    """Add |L'(d_s + G d_b)|² of each block to ``out``; overwrites ``draws``."""
    n_draws = draws.shape[1]
    total = np.empty(n_draws)
    for b in range(first, last):
        n, t, here = _shape(blocks, b)
        lower = view(factors, blocks.matrix_starts[b], n, n)
        g = view(crosses, blocks.cross_starts[b], n, t)
        x = draws[blocks.starts[b] : blocks.starts[b + 1]]
        for q in range(n):
            for c in range(t):
                for s in range(n_draws):
                    x[q, s] += g[q, c] * border_draws[here[c], s]
        for q in range(n):
            for s in range(n_draws):
                total[s] = 0.0
            for r in range(q, n):
                for s in range(n_draws):
                    total[s] += lower[r, q] * x[r, s]
            for s in range(n_draws):
                out[s] += total[s] * total[s]
