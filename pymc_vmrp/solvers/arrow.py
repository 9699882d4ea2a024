"""q(β, u) as an arrowhead of independent blocks and a border; see ``partitioned.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import Chunk, map_chunks
from pymc_vmrp.solvers.block_kernels import (
    Blocks,
    block_moments,
    block_quadratics,
    expand_solutions,
    reduce_shifts,
    sample_blocks,
)
from pymc_vmrp.solvers.factor import invert
from pymc_vmrp.solvers.kernels import add_curvature
from pymc_vmrp.solvers.layout import Layout
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope

_DRAWS = 128  # taken through the blocks at a time
_LARGEST_GATHER = 2**21  # entries of the covariance of the border, gathered at a time


class _Solver(Protocol):
    """What is read of the solver that factored the precision."""

    @property
    def glmm(self) -> GLMM: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def expand(self) -> bool: ...
    @property
    def blocks(self) -> Blocks: ...
    @property
    def chunks(self) -> Sequence[Chunk]: ...
    @property
    def slots(self) -> tuple[IntArray, IntArray]: ...
    @property
    def operations(self) -> float: ...


@dataclass(frozen=True)
class Arrow:
    """A factored precision: blocks, what ties them to the border, and the border.

    Attributes
    ----------
    solver : PartitionedSolver, or what has its arrays
    factors, inverses, crosses : ndarray
        chol(A_s), A_s⁻¹ and G_s of every block, flat.
    border_factor : ndarray, shape (b, b)
        Lower Cholesky factor of the border's precision given everything else integrated out.
    """

    solver: _Solver
    factors: FloatArray
    inverses: FloatArray
    crosses: FloatArray
    border_factor: FloatArray

    def solve_rows(self, gradient: FloatArray, shift: FloatArray) -> Solution:
        """V(X'gradient + shift); ``shift`` may be non-zero for border coefficients only."""
        solver, layout = self.solver, self.solver.layout
        own_right, solutions = np.empty(layout.n_own), np.empty(layout.n_own)
        products = np.empty(solver.glmm.n_cells)

        def reduce(first: int, last: int) -> tuple[FloatArray, FloatArray]:
            border_right, reduced = np.zeros(len(layout.border)), np.zeros(len(layout.border))
            reduce_shifts(
                first, last, solver.blocks, gradient, self.inverses, self.crosses,
                own_right, solutions, border_right, reduced,
            )  # fmt: skip
            return border_right, reduced

        operations = self._vector_operations
        parts = map_chunks(reduce, solver.chunks, operations)
        border_right, reduced = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        reduced += shift[layout.border]
        border = cho_solve((self.border_factor, True), reduced, check_finite=False)

        def expand(first: int, last: int) -> None:
            expand_solutions(first, last, solver.blocks, self.crosses, border, solutions, products)

        map_chunks(expand, solver.chunks, operations)
        return Solution(
            layout.coefficient_order(own_right, border_right),
            layout.coefficient_order(solutions, border),
            products,
        )

    @property
    def _vector_operations(self) -> float:
        rows = self.solver.layout.rows
        return float(rows.own.size + rows.border.size + len(self.crosses) + len(self.inverses))


@dataclass(frozen=True)
class Solution:
    """X'gradient, V(X'gradient + shift), both of shape (p,), and X times the latter."""

    right: FloatArray
    solution: FloatArray
    row_products: FloatArray


@dataclass(frozen=True)
class Products:
    """X'WX of blocks, of blocks and border, and of the border; and X'k."""

    own: FloatArray
    cross: FloatArray
    border: FloatArray
    right: FloatArray


@dataclass(frozen=True)
class _Moments:
    variances: FloatArray
    row_variance: FloatArray
    second_moments: FloatArray
    curvature: FloatArray


@dataclass(frozen=True)
class PartitionedGaussian:
    """q(β, u) as an arrowhead.

    Attributes
    ----------
    arrow : Arrow
    products : Products
    mean : ndarray, shape (p,)
    log_det_precision : float
    row_mean : ndarray, shape (N,)
    """

    arrow: Arrow
    products: Products
    mean: FloatArray
    log_det_precision: float
    row_mean: FloatArray = field(repr=False)

    @cached_property
    def border_covariance(self) -> FloatArray:
        """V of the border, shape (b, b); formed when asked for, as draws do without."""
        inverse = invert(self.arrow.border_factor)
        inverse += np.tril(inverse, -1).T
        return inverse

    @cached_property
    def _moments(self) -> _Moments:
        arrow, solver = self.arrow, self.arrow.solver
        layout, glmm = solver.layout, solver.glmm
        own_mean, border_mean = self.mean[layout.coefficients], self.mean[layout.border]
        border_covariance = self.border_covariance
        own_variance = np.empty(layout.n_own)
        row_variance = np.empty(glmm.n_cells)
        width = max((group.d for group in glmm.groups), default=1)

        size = n_products(glmm) if solver.expand else 0

        def moments(first: int, last: int) -> tuple[FloatArray, FloatArray]:
            second = np.zeros((len(glmm.groups), width, width))
            curvature = np.zeros((size, size))
            block_moments(
                first, last, solver.blocks, arrow.inverses, arrow.crosses,
                own_mean, border_mean, border_covariance,
                self.products.own, self.products.cross, *solver.slots,
                own_variance, row_variance, second, curvature,
            )  # fmt: skip
            return second, curvature

        parts = map_chunks(moments, solver.chunks, solver.operations)
        second, curvature = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        for j, index in layout.border_terms(glmm):
            effects = border_mean[index]
            d = effects.shape[1]
            second[j, :d, :d] = effects.T @ effects
            for a in range(d):
                for b in range(a + 1):
                    second[j, a, b] += border_covariance[index[:, a], index[:, b]].sum()
        variances = layout.coefficient_order(own_variance, np.diag(self.border_covariance))
        return _Moments(variances, row_variance, second, curvature)

    def variances(self) -> FloatArray:
        """See :class:`Gaussian`."""
        return self._moments.variances

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`Gaussian`."""
        return self.row_mean, self._moments.row_variance

    def second_moment(self, j: int) -> FloatArray:
        """See :class:`Gaussian`."""
        d = self.arrow.solver.glmm.groups[j].d
        lower = np.tril(self._moments.second_moments[j, :d, :d])
        return np.asarray(lower + np.tril(lower, -1).T)

    def quadratic(self) -> Quadratic:
        """See :class:`Gaussian`."""
        solver = self.arrow.solver
        curvature = self._moments.curvature.copy()
        slots, mean = solver.slots[1], self.mean[solver.layout.border]
        add_curvature(
            self.products.border,
            self.border_covariance,
            1.0,
            mean,
            mean,
            slots,
            slots,
            True,
            curvature,
        )
        slope = product_slope(solver.glmm, self.products.right, self.mean)
        return Quadratic(curvature + curvature.T, slope)

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        return self.arrow.solve_rows(gradient, np.zeros(len(self.mean))).row_products

    def marginal_covariance(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`; loadings on the border, plus what blocks have of their own."""
        arrow, solver = self.arrow, self.arrow.solver
        layout, n_own = solver.layout, solver.layout.n_own
        place = np.argsort(layout.permutation)[index]
        block = np.where(place < n_own, np.searchsorted(layout.starts, place, side="right") - 1, -1)
        loadings = np.zeros((len(index), len(layout.border)))
        covariance = np.zeros((len(index), len(index)))
        for k, (p, b) in enumerate(zip(place, block, strict=True)):
            if b < 0:
                loadings[k, p - n_own] = 1.0
                continue
            n, t = layout.sizes[b], layout.touched_sizes[b]
            inside = p - layout.starts[b]
            cross = arrow.crosses[solver.blocks.cross_starts[b] :][: n * t].reshape(n, t)
            loadings[k, layout.touched[layout.touched_starts[b] :][:t]] = -cross[inside]
            inverse = arrow.inverses[solver.blocks.matrix_starts[b] :][: n * n].reshape(n, n)
            same = np.flatnonzero(block == b)
            covariance[k, same] = inverse[inside, place[same] - layout.starts[b]]
        return covariance + loadings @ self.border_covariance @ loadings.T

    def level_covariances(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`; levels whose blocks touch as much of the border at a time."""
        arrow, solver = self.arrow, self.arrow.solver
        layout, n_own = solver.layout, solver.layout.n_own
        place = np.argsort(layout.permutation)[index]
        if len(index) == 0 or place[0, 0] >= n_own:  # a term is in the border or in the blocks
            return self.border_covariance[(place - n_own)[:, :, None], (place - n_own)[:, None, :]]
        block = np.searchsorted(layout.starts, place[:, 0], side="right") - 1
        inside = place - layout.starts[block][:, None]
        sizes, touched = layout.sizes[block], layout.touched_sizes[block]
        row = solver.blocks.matrix_starts[block][:, None] + inside * sizes[:, None]
        out = arrow.inverses[row[:, :, None] + inside[:, None, :]]
        cross = solver.blocks.cross_starts[block][:, None] + inside * touched[:, None]
        for t in np.unique(touched):
            same = np.flatnonzero(touched == t)
            for chunk in np.array_split(same, 1 + same.size * int(t) ** 2 // _LARGEST_GATHER):
                within = np.arange(t)
                loadings = arrow.crosses[cross[chunk][:, :, None] + within]
                border = layout.touched[layout.touched_starts[block[chunk]][:, None] + within]
                own = self.border_covariance[border[:, :, None], border[:, None, :]]
                out[chunk] += loadings @ own @ np.swapaxes(loadings, 1, 2)
        return out

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`Gaussian`."""
        arrow, solver = self.arrow, self.arrow.solver
        layout = solver.layout
        out = np.empty((draws, len(self.mean)))
        for at in range(0, draws, _DRAWS):
            size = min(_DRAWS, draws - at)
            border = solve_triangular(
                arrow.border_factor,
                rng.standard_normal((len(layout.border), size)),
                lower=True,
                trans="T",
                check_finite=False,
            )
            own = rng.standard_normal((layout.n_own, size))
            self._map_blocks(sample_blocks, np.ascontiguousarray(border), own)
            part = layout.coefficient_order(own, border)
            part += self.mean[:, None]
            out[at : at + size] = part.T
        return out

    def log_density(self, coefficients: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        arrow, layout = self.arrow, self.arrow.solver.layout
        quadratic = np.empty(len(coefficients))
        for at in range(0, len(coefficients), _DRAWS):
            part = np.ascontiguousarray((coefficients[at : at + _DRAWS] - self.mean).T)
            border, own = part[layout.border], part[layout.coefficients]
            total = (arrow.border_factor.T @ border) ** 2
            size = part.shape[1]
            quadratic[at : at + size] = total.sum(0)
            for block in self._map_blocks(block_quadratics, border, own, sums=size):
                quadratic[at : at + size] += block
        constant = 0.5 * self.log_det_precision - 0.5 * len(self.mean) * np.log(2 * np.pi)
        return np.asarray(constant - 0.5 * quadratic)

    def _map_blocks(
        self, kernel: Any, border: FloatArray, own: FloatArray, sums: int | None = None
    ) -> list[FloatArray]:
        """Run a kernel that takes draws through the blocks; with ``sums``, what each chunk adds."""
        arrow, solver = self.arrow, self.arrow.solver

        def task(first: int, last: int) -> FloatArray:
            out = [] if sums is None else [np.zeros(sums)]
            kernel(first, last, solver.blocks, arrow.factors, arrow.crosses, border, own, *out)
            return out[0] if out else own

        operations = float(own.shape[1] * (len(arrow.crosses) + len(arrow.factors)))
        return map_chunks(task, solver.chunks, operations)
