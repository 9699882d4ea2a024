"""Cholesky factor and inverse of one large precision matrix, by LAPACK."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError


class SingularPrecision(DataError):
    """The precision matrix of q(β, u) is not positive definite."""


def factor(matrix: FloatArray) -> FloatArray:
    """Lower Cholesky factor, zeros above the diagonal.

    Parameters
    ----------
    matrix : ndarray, shape (n, n)
        Of which the lower triangle is read.

    Raises
    ------
    SingularPrecision
        Where the matrix is not positive definite.
    """
    if len(matrix) == 0:  # LAPACK complains of empty matrices
        return matrix
    # LAPACK wants columns first: the transpose of a lower triangle is an upper one
    upper, info = dpotrf(matrix.T, lower=0, overwrite_a=0, clean=1)
    if info != 0:
        raise singular()
    return np.ascontiguousarray(upper.T)


def invert(lower: FloatArray) -> FloatArray:
    """Lower triangle of the inverse of LL', zeros above it, from the factor L."""
    if len(lower) == 0:
        return lower.copy()
    inverse, _ = dpotri(lower.T, lower=0)
    return np.ascontiguousarray(inverse.T)


def factor_and_invert(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both of :func:`factor` and :func:`invert`."""
    lower = factor(matrix)
    return lower, invert(lower)


def singular() -> SingularPrecision:
    """What to raise where coefficients cannot be told apart."""
    return SingularPrecision(
        "The posterior precision matrix is singular: some coefficients cannot be told apart, or "
        "weights or the response are too extreme. Give the common terms proper priors, leave out "
        "redundant ones, or rescale."
    )
