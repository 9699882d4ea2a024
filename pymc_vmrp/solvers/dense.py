"""The dense solver: P and V as p × p matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import CHUNKS, Chunk, map_chunks, split, worth_threads
from pymc_vmrp.solvers.factor import factor, invert
from pymc_vmrp.solvers.gaussian import add_prior
from pymc_vmrp.solvers.kernels import (
    add_curvature,
    add_weighted_cross_products,
    row_products,
    row_variances,
    transposed_product,
)
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope, product_slots
from pymc_vmrp.solvers.sites import Sites

_CHUNK_MEMORY = 2**26  # bytes of all chunks' copies of P together


@dataclass(frozen=True)
class DenseGaussian:
    """q(β, u) with P factored, and V, as dense matrices."""

    solver: DenseSolver
    products: FloatArray  # lower triangle of X'WX, or empty
    right: FloatArray  # X'k
    mean: FloatArray
    cholesky: FloatArray  # lower triangle of P
    log_det_precision: float

    @cached_property
    def covariance(self) -> FloatArray:
        """V, of which the lower triangle is valid; formed when asked for, as draws do without."""
        return invert(self.cholesky)

    def variances(self) -> FloatArray:
        """See :class:`Gaussian`."""
        return np.diag(self.covariance).copy()

    def marginal_covariance(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`."""
        high, low = np.maximum.outer(index, index), np.minimum.outer(index, index)
        return self.covariance[high, low]

    def level_covariances(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`."""
        row, column = index[:, :, None], index[:, None, :]
        return self.covariance[np.maximum(row, column), np.minimum(row, column)]

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`Gaussian`."""
        rows, variance = self.solver.glmm.rows, np.empty(self.solver.glmm.n_cells)
        covariance = self.covariance

        def task(first: int, last: int) -> None:
            row_variances(first, last, rows.columns, rows.values, covariance, variance)

        map_chunks(task, self.solver.chunks, self.solver._row_operations)
        return self.solver.row_products(self.mean), variance

    def quadratic(self) -> Quadratic:
        """See :class:`Gaussian`."""
        glmm, slots = self.solver.glmm, self.solver.slots
        curvature = np.zeros((n_products(glmm),) * 2)
        add_curvature(
            self.products, self.covariance, 1.0, self.mean, self.mean, slots, slots, True, curvature
        )
        slope = product_slope(glmm, self.right, self.mean)
        return Quadratic(curvature + curvature.T, slope)

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        vector = self.solver.transposed_product(gradient)
        change = cho_solve((self.cholesky, True), vector, check_finite=False)
        return self.solver.row_products(change)

    def second_moment(self, j: int) -> FloatArray:
        """See :class:`Gaussian`."""
        index = self.solver.glmm.group_index(j)
        u = self.mean[index]
        total = u.T @ u
        for a in range(index.shape[1]):
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
        z = (coefficients - self.mean) @ self.cholesky
        constant = 0.5 * self.log_det_precision - 0.5 * len(self.mean) * np.log(2 * np.pi)
        return np.asarray(constant - 0.5 * (z**2).sum(1))


@dataclass(frozen=True)
class DenseSolver:
    """Forms P and V as dense p × p matrices.

    Attributes
    ----------
    glmm : GLMM
    expand : bool
        Whether its Gaussians provide ``quadratic``.
    """

    glmm: GLMM
    expand: bool = False
    name: str = "dense"

    @cached_property
    def slots(self) -> IntArray:
        """See :func:`product_slots`."""
        return product_slots(self.glmm)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """Rows shared out evenly; all in one where the largest loop is not worth a thread."""
        if not worth_threads(self._row_operations):
            return ((0, self.glmm.n_cells),)
        p = self.glmm.n_coefficients
        most = max(1, min(CHUNKS, _CHUNK_MEMORY // max(8 * p**2, 1)))
        return split(np.ones(self.glmm.n_cells), most)

    @property
    def _row_operations(self) -> float:
        """Of a loop over the rows' pairs of entries."""
        rows, width = self.glmm.rows.values.shape
        return 0.5 * rows * width**2

    @property
    def operations(self) -> float:
        """Rough count of multiplications of one solution."""
        return float(self.glmm.n_coefficients) ** 3 + self._row_operations

    def row_products(self, vector: FloatArray) -> FloatArray:
        """X·vector, shape (N,)."""
        rows, out = self.glmm.rows, np.empty(self.glmm.n_cells)

        def task(first: int, last: int) -> None:
            row_products(first, last, rows.columns, rows.values, vector, out)

        map_chunks(task, self.chunks, rows.values.size)
        return out

    def transposed_product(self, vector: FloatArray) -> FloatArray:
        """X'vector, shape (p,)."""
        rows = self.glmm.rows

        def task(first: int, last: int) -> FloatArray:
            out = np.zeros(self.glmm.n_coefficients)
            transposed_product(first, last, rows.columns, rows.values, vector, out)
            return out

        return np.sum(map_chunks(task, self.chunks, rows.values.size), axis=0)

    def _cross_products(self, weights: FloatArray) -> FloatArray:
        rows, p = self.glmm.rows, self.glmm.n_coefficients

        def task(first: int, last: int) -> FloatArray:
            out = np.zeros((p, p))
            add_weighted_cross_products(first, last, rows.columns, rows.values, weights, out)
            return out

        parts = map_chunks(task, self.chunks, self._row_operations)
        matrix = parts[0]
        for part in parts[1:]:
            matrix += part
        return matrix

    def solve(
        self,
        sites: Sites,
        precisions: Sequence[FloatArray],
        common: FloatArray | None = None,
    ) -> DenseGaussian:
        """See :class:`Solver`."""
        glmm = self.glmm
        prior = glmm.common.normal_precision if common is None else common
        matrix = self._cross_products(sites.precision)
        products = matrix.copy() if self.expand else np.empty((0, 0))
        right = self.transposed_product(sites.shift)
        shift = right.copy()
        beta = np.arange(glmm.common.size)
        matrix[beta, beta] += prior
        shift[beta] += prior * glmm.common.prior_mean
        for j, precision in enumerate(precisions):
            add_prior(matrix, glmm.group_index(j), precision)
        lower = factor(matrix)
        mean = cho_solve((lower, True), shift, check_finite=False)
        return DenseGaussian(
            solver=self,
            products=products,
            right=right,
            mean=mean,
            cholesky=lower,
            log_det_precision=2 * float(np.log(np.diag(lower)).sum()),
        )
