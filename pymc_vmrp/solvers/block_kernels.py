"""Compiled loops over the blocks of a partition.

They release the interpreter's lock: threads share out fixed chunks of blocks, and what the chunks
sum is added in their order, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from pymc_vmrp.solvers.kernels import add_curvature

# sums may be reordered, so that they vectorise; a machine still adds in one order each time
_ASSOCIATIVE = {"reassoc", "contract", "nsz"}
_SMALL = 2048  # multiplications below which plain loops beat a call of BLAS


@numba.njit(cache=True, nogil=True)
def _view(flat, at, rows, columns):  # type: ignore[no-untyped-def]
    """The matrix that starts at ``at`` of a flat array."""
    return flat[at : at + rows * columns].reshape((rows, columns))


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def _multiply(a, b, out):  # type: ignore[no-untyped-def]
    """Out = a·b, all C-contiguous."""
    m, k = a.shape
    n = b.shape[1]
    if m * k * n > _SMALL:
        np.dot(a, b, out)
        return
    for i in range(m):
        for c in range(n):
            out[i, c] = 0.0
        for j in range(k):
            x = a[i, j]
            if x != 0.0:
                for c in range(n):
                    out[i, c] += x * b[j, c]


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def _cholesky(a, column):  # type: ignore[no-untyped-def]
    """Overwrite the lower triangle of ``a`` by its Cholesky factor; False where not positive."""
    n = len(a)
    for k in range(n):
        pivot = a[k, k]
        if not pivot > 0.0:
            return False
        root = math.sqrt(pivot)
        a[k, k] = root
        for i in range(k + 1, n):
            a[i, k] /= root
            column[i] = a[i, k]
        for i in range(k + 1, n):
            x = column[i]
            if x != 0.0:
                for j in range(k + 1, i + 1):
                    a[i, j] -= x * column[j]
    return True


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def _invert_lower(factor, out):  # type: ignore[no-untyped-def]
    """Inverse of a lower triangle; the upper one of ``out`` becomes zero."""
    n = len(factor)
    for i in range(n):
        for c in range(n):
            out[i, c] = 0.0
        for k in range(i):
            x = factor[i, k]
            if x != 0.0:
                for c in range(k + 1):
                    out[i, c] -= x * out[k, c]
        scale = 1.0 / factor[i, i]
        for c in range(i):
            out[i, c] *= scale
        out[i, i] = scale


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def _symmetric_square(factor, out):  # type: ignore[no-untyped-def]
    """Out = factor'·factor for a lower triangle."""
    n = len(factor)
    for i in range(n):
        for c in range(n):
            out[i, c] = 0.0
    for k in range(n):
        for i in range(k + 1):
            x = factor[k, i]
            if x != 0.0:
                for c in range(i + 1):
                    out[i, c] += x * factor[k, c]
    for i in range(n):
        for c in range(i):
            out[c, i] = out[i, c]


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def assemble_blocks(  # type: ignore[no-untyped-def]
    first, last,  # blocks
    starts, touched, touched_starts, matrix_starts, cross_starts,
    order, row_starts, own, own_values, border, border_values,
    weights, products, cross_products, border_products,
):  # fmt: skip
    """Write X'WX of each block's rows to ``products`` (lower triangle) and ``cross_products``.

    Adds their part of the border's X'WX to the lower triangle of ``border_products``.
    """
    width = 0
    for b in range(first, last):
        width = max(width, touched_starts[b + 1] - touched_starts[b])
    scratch = np.empty(width * width)
    n_own, n_border = own.shape[1], border.shape[1]
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        a = _view(products, matrix_starts[b], n, n)
        cross = _view(cross_products, cross_starts[b], n, t)
        outer = _view(scratch, 0, t, t)
        # loops: slice assignments would triple the time to compile
        for q in range(n):
            for c in range(n):
                a[q, c] = 0.0
            for c in range(t):
                cross[q, c] = 0.0
        for c in range(t):
            for e in range(t):
                outer[c, e] = 0.0
        for i in range(row_starts[b], row_starts[b + 1]):
            w = weights[order[i]]
            for k in range(n_own):
                row = own[i, k]
                wx = w * own_values[i, k]
                for m in range(k + 1):
                    other = own[i, m]
                    if row >= other:
                        a[row, other] += wx * own_values[i, m]
                    else:
                        a[other, row] += wx * own_values[i, m]
                for m in range(n_border):
                    cross[row, border[i, m]] += wx * border_values[i, m]
            for k in range(n_border):
                wx = w * border_values[i, k]
                if wx != 0.0:
                    row = border[i, k]
                    for m in range(k + 1):
                        # a row's border entries are numbered in ascending order
                        outer[row, border[i, m]] += wx * border_values[i, m]
        for c in range(t):
            for e in range(c + 1):
                border_products[here[c], here[e]] += outer[c, e]


@numba.njit(cache=True, nogil=True)
def add_precisions(matrix, terms, effects, precisions):  # type: ignore[no-untyped-def]
    """Add the prior precision of each level's effects to the lower triangle of a block."""
    for q in range(len(matrix)):
        for e in range(effects[q] + 1):
            matrix[q, q - effects[q] + e] += precisions[terms[q], effects[q], e]


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def factor_blocks(  # type: ignore[no-untyped-def]
    first, last, starts, terms, effects, matrix_starts, products, precisions, largest,
    factors, inverses,
):  # fmt: skip
    """Write chol(A) and A⁻¹ of each block, A being its X'WX plus prior precisions.

    Skips blocks of more than ``largest`` coefficients. Returns log |A| summed, or NaN where a block
    is not positive definite.
    """
    size = 0
    for b in range(first, last):
        if starts[b + 1] - starts[b] <= largest:
            size = max(size, starts[b + 1] - starts[b])
    triangle = np.empty(size * size)
    column = np.empty(size)
    log_det = 0.0
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        if n > largest:
            continue
        data = _view(products, matrix_starts[b], n, n)
        a = _view(factors, matrix_starts[b], n, n)
        for q in range(n):
            for c in range(n):
                a[q, c] = data[q, c]  # zeros above the diagonal
        here = slice(starts[b], starts[b + 1])
        add_precisions(a, terms[here], effects[here], precisions)
        if not _cholesky(a, column):
            return math.nan
        for q in range(n):
            log_det += 2.0 * math.log(a[q, q])
        lower = _view(triangle, 0, n, n)
        _invert_lower(a, lower)
        _symmetric_square(lower, _view(inverses, matrix_starts[b], n, n))
    return log_det


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def eliminate_blocks(  # type: ignore[no-untyped-def]
    first, last, starts, touched, touched_starts, matrix_starts, cross_starts,
    cross_products, inverses, crosses, schur,
):  # fmt: skip
    """Write G = A⁻¹B of each block, and subtract B'G from the lower triangle of ``schur``."""
    size, width = 0, 0
    for b in range(first, last):
        size = max(size, starts[b + 1] - starts[b])
        width = max(width, touched_starts[b + 1] - touched_starts[b])
    reduction = np.empty(width * width)
    transposed = np.empty(size * width)
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        cross = _view(cross_products, cross_starts[b], n, t)
        g = _view(crosses, cross_starts[b], n, t)
        _multiply(_view(inverses, matrix_starts[b], n, n), cross, g)
        if n * t * t > _SMALL:
            flipped = _view(transposed, 0, t, n)
            for q in range(n):
                for c in range(t):
                    flipped[c, q] = cross[q, c]
            product = _view(reduction, 0, t, t)
            _multiply(flipped, g, product)
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


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def block_moments(  # type: ignore[no-untyped-def]
    first, last,
    starts, terms, effects, touched, touched_starts, matrix_starts, cross_starts,
    order, row_starts, own, own_values, border, border_values,
    inverses, crosses, mean, border_mean, border_covariance,
    products, cross_products, own_slots, border_slots,
    variance, row_variance, second_moments, curvature,
):  # fmt: skip
    """Variances of the blocks' coefficients and of their rows' η.

    V_ss = A⁻¹ + G V_bb G' and V_sb = −G V_bb, with V_bb of what the block touches. Adds Σ E[uu'] to
    ``second_moments`` by term and, unless ``curvature`` is empty, the blocks' part of the curvature
    in transforms of the effects.
    """
    expand = len(curvature) > 0
    local_mean = np.empty(len(border_mean))
    theirs = np.empty((len(border_mean), 3), dtype=np.int64)
    size, width = 0, 0
    for b in range(first, last):
        size = max(size, starts[b + 1] - starts[b])
        width = max(width, touched_starts[b + 1] - touched_starts[b])
    gathered = np.empty(width * width)
    crossing = np.empty(size * width)
    transposed = np.empty(size * width)
    square = np.empty(size * size)
    n_own, n_border = own.shape[1], border.shape[1]
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        at = matrix_starts[b]
        inverse = _view(inverses, at, n, n)
        g = _view(crosses, cross_starts[b], n, t)
        v_bb = _view(gathered, 0, t, t)
        for c in range(t):
            row = touched[touched_starts[b] + c]
            for e in range(t):
                v_bb[c, e] = border_covariance[row, touched[touched_starts[b] + e]]
        h = _view(crossing, 0, n, t)  # G V_bb
        _multiply(g, v_bb, h)
        v_ss = _view(square, 0, n, n)
        if n * n * t > _SMALL:
            flipped = _view(transposed, 0, t, n)
            for q in range(n):
                for c in range(t):
                    flipped[c, q] = g[q, c]
            _multiply(h, flipped, v_ss)
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
            variance[starts[b] + q] = v_ss[q, q]
        m = mean[starts[b] : starts[b] + n]
        for q in range(n):
            term = terms[starts[b] + q]
            effect = effects[starts[b] + q]
            for e in range(effect + 1):
                other = q - effect + e
                second_moments[term, effect, e] += v_ss[q, other] + m[q] * m[other]
        if expand:
            data = _view(products, at, n, n)
            ours = own_slots[starts[b] : starts[b + 1]]
            add_curvature(data, v_ss, 1.0, m, m, ours, ours, True, curvature)
            cross = _view(cross_products, cross_starts[b], n, t)
            for c in range(t):
                row = touched[touched_starts[b] + c]
                local_mean[c] = border_mean[row]
                for e in range(3):
                    theirs[c, e] = border_slots[row, e]
            add_curvature(cross, h, -1.0, m, local_mean, ours, theirs[:t], False, curvature)
        for i in range(row_starts[b], row_starts[b + 1]):
            quadratic = 0.0
            for k in range(n_own):
                x = own_values[i, k]
                row = own[i, k]
                part = 0.5 * x * v_ss[row, row]
                for c in range(k):
                    part += own_values[i, c] * v_ss[row, own[i, c]]
                for c in range(n_border):
                    part -= border_values[i, c] * h[row, border[i, c]]
                quadratic += x * part
            for k in range(n_border):
                x = border_values[i, k]
                if x != 0.0:
                    row = border[i, k]
                    part = 0.5 * x * v_bb[row, row]
                    for c in range(k):
                        part += border_values[i, c] * v_bb[row, border[i, c]]
                    quadratic += x * part
            row_variance[order[i]] = 2.0 * quadratic


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def reduce_shifts(  # type: ignore[no-untyped-def]
    first, last,
    starts, touched, touched_starts, matrix_starts, cross_starts,
    order, row_starts, own, own_values, border, border_values,
    shifts, inverses, crosses, right, solutions, border_right, reduced,
):  # fmt: skip
    """Write h = X'shifts of each block to ``right`` and A⁻¹h to ``solutions``.

    Adds the border's h to ``border_right`` and h − Σ G'h to ``reduced``.
    """
    size, width = 0, 0
    for b in range(first, last):
        size = max(size, starts[b + 1] - starts[b])
        width = max(width, touched_starts[b + 1] - touched_starts[b])
    shift = np.empty(size)
    local = np.empty(width)
    n_own, n_border = own.shape[1], border.shape[1]
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        for q in range(n):
            shift[q] = 0.0
        for c in range(t):
            local[c] = 0.0
        for i in range(row_starts[b], row_starts[b + 1]):
            h = shifts[order[i]]
            for k in range(n_own):
                shift[own[i, k]] += own_values[i, k] * h
            for k in range(n_border):
                local[border[i, k]] += border_values[i, k] * h
        for c in range(t):
            border_right[here[c]] += local[c]
        inverse = _view(inverses, matrix_starts[b], n, n)
        g = _view(crosses, cross_starts[b], n, t)
        for q in range(n):
            right[starts[b] + q] = shift[q]
            total = 0.0
            for c in range(n):
                total += inverse[q, c] * shift[c]
            solutions[starts[b] + q] = total
            for c in range(t):
                local[c] -= g[q, c] * shift[q]
        for c in range(t):
            reduced[here[c]] += local[c]


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def expand_solutions(  # type: ignore[no-untyped-def]
    first, last,
    starts, touched, touched_starts, cross_starts,
    order, row_starts, own, own_values, border, border_values,
    crosses, border_solution, solutions, products,
):  # fmt: skip
    """Subtract G x_b from each block's ``solutions``, and write X x of each row to ``products``."""
    local = np.empty(len(border_solution))
    n_own, n_border = own.shape[1], border.shape[1]
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        g = _view(crosses, cross_starts[b], n, t)
        for c in range(t):
            local[c] = border_solution[here[c]]
        for q in range(n):
            total = 0.0
            for c in range(t):
                total += g[q, c] * local[c]
            solutions[starts[b] + q] -= total
        x = solutions[starts[b] : starts[b + 1]]
        for i in range(row_starts[b], row_starts[b + 1]):
            total = 0.0
            for k in range(n_own):
                total += own_values[i, k] * x[own[i, k]]
            for k in range(n_border):
                total += border_values[i, k] * local[border[i, k]]
            products[order[i]] = total


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def sample_blocks(  # type: ignore[no-untyped-def]
    first, last, starts, touched, touched_starts, matrix_starts, cross_starts,
    factors, crosses, border_draws, draws,
):  # fmt: skip
    """Overwrite standard normals z_s, shape (own, S), by L⁻ᵀz_s − G d_b: draws less their mean."""
    n_draws = draws.shape[1]
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        lower = _view(factors, matrix_starts[b], n, n)
        g = _view(crosses, cross_starts[b], n, t)
        x = draws[starts[b] : starts[b + 1]]
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


@numba.njit(cache=True, nogil=True, fastmath=_ASSOCIATIVE)
def block_quadratics(  # type: ignore[no-untyped-def]
    first, last, starts, touched, touched_starts, matrix_starts, cross_starts,
    factors, crosses, border_draws, draws, out,
):  # fmt: skip
    """Add |L'(d_s + G d_b)|² of each block to ``out``; overwrites ``draws``."""
    n_draws = draws.shape[1]
    total = np.empty(n_draws)
    for b in range(first, last):
        n = starts[b + 1] - starts[b]
        t = touched_starts[b + 1] - touched_starts[b]
        here = touched[touched_starts[b] : touched_starts[b + 1]]
        lower = _view(factors, matrix_starts[b], n, n)
        g = _view(crosses, cross_starts[b], n, t)
        x = draws[starts[b] : starts[b + 1]]
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
