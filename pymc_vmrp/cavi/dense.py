"""The dense solver: P and V as p × p matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri

from pymc_vmrp.cavi.kernels import (
    add_weighted_cross_products,
    row_products,
    row_variances,
    transposed_product,
)
from pymc_vmrp.cavi.sites import Sites
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.spec import GLMM

FloatArray = NDArray[np.float64]

SINGULAR = (
    "The posterior precision matrix is singular: some coefficients cannot be told apart. Give the "
    "common terms proper priors or leave out redundant ones."
)


@dataclass(frozen=True)
class DenseGaussian:
    """q(β, u) with V held as a dense matrix."""

    glmm: GLMM
    mean: FloatArray
    cholesky: FloatArray  # lower triangle of P
    covariance: FloatArray  # lower triangle of V is valid
    log_det_precision: float

    def variances(self) -> FloatArray:
        """See :class:`Gaussian`."""
        return np.diag(self.covariance).copy()

    def marginal_covariance(self, index: NDArray[np.int64]) -> FloatArray:
        """See :class:`Gaussian`."""
        high, low = np.maximum.outer(index, index), np.minimum.outer(index, index)
        return self.covariance[high, low]

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`Gaussian`."""
        rows = self.glmm.rows
        mean, variance = np.empty(self.glmm.n_cells), np.empty(self.glmm.n_cells)
        row_products(rows.columns, rows.values, self.mean, mean)
        row_variances(rows.columns, rows.values, self.covariance, variance)
        return mean, variance

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        rows = self.glmm.rows
        vector, out = np.zeros(len(self.mean)), np.empty(self.glmm.n_cells)
        transposed_product(rows.columns, rows.values, gradient, vector)
        half = solve_triangular(self.cholesky, vector, lower=True, check_finite=False)
        change = solve_triangular(self.cholesky, half, lower=True, trans="T", check_finite=False)
        row_products(rows.columns, rows.values, change, out)
        return out

    def second_moment(self, j: int) -> FloatArray:
        """See :class:`Gaussian`."""
        block, d = self.glmm.group_slice(j), self.glmm.groups[j].d
        u = self.mean[block].reshape(-1, d)
        total = u.T @ u
        index = np.arange(block.start, block.stop).reshape(-1, d)
        for a in range(d):
            for b in range(a + 1):
                value = self.covariance[index[:, a], index[:, b]].sum()
                total[a, b] += value
                if a != b:
                    total[b, a] += value
        return total

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`Gaussian`."""
        z = rng.standard_normal((len(self.mean), draws))
        u = solve_triangular(self.cholesky, z, lower=True, trans="T", check_finite=False)
        return np.ascontiguousarray(self.mean + u.T)

    def log_density(self, coefficients: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        z = (coefficients - self.mean) @ np.tril(self.cholesky)
        constant = 0.5 * self.log_det_precision - 0.5 * len(self.mean) * np.log(2 * np.pi)
        return np.asarray(constant - 0.5 * (z**2).sum(1))


@dataclass(frozen=True)
class DenseSolver:
    """Forms P and V as dense p × p matrices."""

    glmm: GLMM
    name: str = "dense"

    @property
    def dense_size(self) -> int:
        """See :class:`Solver`."""
        return self.glmm.n_coefficients

    def solve(self, sites: Sites, precisions: Sequence[FloatArray]) -> DenseGaussian:
        """See :class:`Solver`."""
        glmm, rows = self.glmm, self.glmm.rows
        p = glmm.n_coefficients
        matrix = np.zeros((p, p))
        add_weighted_cross_products(rows.columns, rows.values, sites.precision, matrix)
        shift = np.zeros(p)
        transposed_product(rows.columns, rows.values, sites.shift, shift)
        common = np.arange(glmm.common.size)
        matrix[common, common] += glmm.common.prior_sd**-2.0
        shift[common] += prior_shift(glmm)
        for j, precision in enumerate(precisions):
            d = len(precision)
            block = glmm.group_slice(j)
            index = np.arange(block.start, block.stop).reshape(-1, d)
            for a in range(d):
                for b in range(a + 1):
                    matrix[index[:, a], index[:, b]] += precision[a, b]
        # LAPACK wants columns first: the transpose of a lower triangle is an upper one
        factor, info = dpotrf(matrix.T, lower=0, overwrite_a=0, clean=1)
        if info != 0:
            raise DataError(SINGULAR)
        inverse, _ = dpotri(factor, lower=0)
        lower = np.ascontiguousarray(factor.T)
        half = solve_triangular(lower, shift, lower=True, check_finite=False)
        mean = solve_triangular(lower, half, lower=True, trans="T", check_finite=False)
        return DenseGaussian(
            glmm=glmm,
            mean=mean,
            cholesky=lower,
            covariance=np.ascontiguousarray(inverse.T),
            log_det_precision=2 * float(np.log(np.diag(lower)).sum()),
        )


def prior_shift(glmm: GLMM) -> FloatArray:
    """Precision times mean of the priors of β."""
    return np.asarray(glmm.common.prior_sd**-2.0 * glmm.common.prior_mean)
