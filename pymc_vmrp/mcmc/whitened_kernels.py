"""Compiled loops of ``whitened.py``: the same numbers with a third of the work, and no compilation.

A triangular inverse takes p³/6 multiplications row by row, in steps that vectorise; the gradient
one pass over its rows.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def forward(xi, entries, matrix, right, rows, columns, which):  # type: ignore[no-untyped-def]
    """Coefficients, log |∂b/∂ξ| and M = L⁻¹."""
    p = len(xi)
    precision = np.zeros((p, p))
    precision[:, :] = matrix
    for n in range(len(rows)):
        precision[rows[n], columns[n]] += entries[which[n]]
    lower = np.linalg.cholesky(precision)
    inverse = np.zeros((p, p))
    coefficients = np.zeros(p)
    log_jacobian = 0.0
    for i in range(p):
        row = inverse[i]
        for k in range(i):
            factor, other = lower[i, k], inverse[k]
            for j in range(k + 1):
                row[j] -= factor * other[j]
        scale = 1 / lower[i, i]
        for j in range(i):
            row[j] *= scale
        row[i] = scale
        log_jacobian += np.log(scale)
        z = xi[i]
        for j in range(i + 1):
            z += row[j] * right[j]
        for j in range(i + 1):
            coefficients[j] += row[j] * z
    return coefficients, np.array(log_jacobian), inverse


@numba.njit(cache=True, nogil=True)
def backward(  # type: ignore[no-untyped-def]
    xi, right, inverse, by_coefficients, by_jacobian, entries, rows, columns, which
):
    """Gradients by ξ and by the entries of D(θ)."""
    p = len(xi)
    half = 0.5 * by_jacobian.item()
    by_xi, mean, response = np.zeros(p), np.zeros(p), np.zeros(p)
    before, below = np.zeros(p), np.zeros(p)
    diagonal = np.zeros(p)
    out = np.zeros(len(entries))
    crossed = np.flatnonzero(rows != columns)
    for a in range(p):
        row = inverse[a]
        w, rho = 0.0, 0.0
        for j in range(a + 1):
            w += row[j] * by_coefficients[j]
            rho += row[j] * right[j]
        by_xi[a] = w
        x = xi[a]
        for j in range(a + 1):
            value = row[j]
            mean[j] += value * rho
            response[j] += value * w
            product = value * w
            weight = x * (before[j] + 0.5 * product) + half * value
            below[j] = weight
            before[j] += product
            diagonal[j] += value * weight
        for pair in crossed:
            left, other = rows[pair], columns[pair]
            if left <= a and other <= a:
                out[which[pair]] -= row[left] * below[other]
    for n in range(len(rows)):
        left, other = rows[n], columns[n]
        out[which[n]] -= mean[left] * response[other]
        if left == other:
            out[which[n]] -= diagonal[left]
    return by_xi, out
