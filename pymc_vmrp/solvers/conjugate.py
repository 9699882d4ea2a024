"""Preconditioned conjugate gradients: a linear system from products with its matrix alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pymc_vmrp.arrays import FloatArray

_MOST_STEPS = 5000


def conjugate_gradients(
    multiply: Callable[[FloatArray], FloatArray],
    right: FloatArray,
    precondition: Callable[[FloatArray], FloatArray],
    tolerance: float,
) -> FloatArray:
    """Solve Ax = right for a positive definite A.

    Parameters
    ----------
    multiply : callable
        v ↦ Av.
    right : ndarray, shape (n,)
    precondition : callable
        v ↦ Mv for a positive definite M near A⁻¹.
    tolerance : float
        Of the residual's size in the norm of M, relative to that of ``right``.

    References
    ----------
    Golub, G. H. and Van Loan, C. F. (2013). Matrix Computations, 4th edition, algorithm 11.5.1.
    """
    x = np.zeros_like(right)
    residual = right.copy()
    z = precondition(residual)
    direction, size = z.copy(), float(residual @ z)
    goal = tolerance**2 * size
    for _ in range(_MOST_STEPS):
        if size <= goal:
            break
        product = multiply(direction)
        step = size / float(direction @ product)
        x += step * direction
        residual -= step * product
        z = precondition(residual)
        before, size = size, float(residual @ z)
        direction = z + (size / before) * direction
    return x
