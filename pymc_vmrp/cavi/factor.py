"""Cholesky factor and inverse of one large precision matrix, by LAPACK."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri

from pymc_vmrp.errors import DataError

FloatArray = NDArray[np.float64]


class SingularPrecision(DataError):
    """The precision matrix of q(β, u) is not positive definite."""


def factor_and_invert(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower Cholesky factor, and the lower triangle of the inverse (above it zeros, in both).

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
        return matrix, matrix.copy()
    # LAPACK wants columns first: the transpose of a lower triangle is an upper one
    factor, info = dpotrf(matrix.T, lower=0, overwrite_a=0, clean=1)
    if info != 0:
        raise singular()
    inverse, _ = dpotri(factor, lower=0)
    return np.ascontiguousarray(factor.T), np.ascontiguousarray(inverse.T)


def singular() -> SingularPrecision:
    """What to raise where coefficients cannot be told apart."""
    return SingularPrecision(
        "The posterior precision matrix is singular: some coefficients cannot be told apart. Give "
        "the common terms proper priors or leave out redundant ones."
    )
