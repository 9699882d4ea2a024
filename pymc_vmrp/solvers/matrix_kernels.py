"""Compiled algebra of small dense matrices, which lie one after the other in flat arrays."""

from __future__ import annotations

import math

import numba
import numpy as np

# sums may be reordered, so that they vectorise; a machine still adds in one order each time
ASSOCIATIVE = {"reassoc", "contract", "nsz"}
SMALL = 2048  # multiplications below which plain loops beat a call of BLAS


@numba.njit(cache=True, nogil=True)
def view(flat, at, rows, columns):  # type: ignore[no-untyped-def]
    """The matrix that starts at ``at`` of a flat array."""
    return flat[at : at + rows * columns].reshape((rows, columns))


@numba.njit(cache=True, nogil=True)
def clear(matrix):  # type: ignore[no-untyped-def]
    """Fill with zeros."""
    # loops: slice assignments would triple the time to compile
    for i in range(matrix.shape[0]):
        for c in range(matrix.shape[1]):
            matrix[i, c] = 0.0


@numba.njit(cache=True, nogil=True)
def transpose(matrix, flat):  # type: ignore[no-untyped-def]
    """The transpose, written to the start of a flat array."""
    m, n = matrix.shape
    out = view(flat, 0, n, m)
    for i in range(m):
        for c in range(n):
            out[c, i] = matrix[i, c]
    return out


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def multiply(a, b, out):  # type: ignore[no-untyped-def]
    """Out = a·b, all C-contiguous."""
    m, k = a.shape
    n = b.shape[1]
    if m * k * n > SMALL:
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


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def cholesky(a, column):  # type: ignore[no-untyped-def]
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


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def invert_lower(factor, out):  # type: ignore[no-untyped-def]
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


@numba.njit(cache=True, nogil=True, fastmath=ASSOCIATIVE)
def symmetric_square(factor, out):  # type: ignore[no-untyped-def]
    """Out = factor'·factor for a lower triangle."""
    n = len(factor)
    clear(out)
    for k in range(n):
        for i in range(k + 1):
            x = factor[k, i]
            if x != 0.0:
                for c in range(i + 1):
                    out[i, c] += x * factor[k, c]
    for i in range(n):
        for c in range(i):
            out[c, i] = out[i, c]
