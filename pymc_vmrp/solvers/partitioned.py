"""The partitioned solver: P is an arrowhead of independent blocks and a border.

With A_s the precision of block s, B_s its cross part with the border coefficients it touches and C
the border's precision, the border's covariance is V_bb = (C − Σ_s B_s'A_s⁻¹B_s)⁻¹, and with
G_s = A_s⁻¹B_s the rest follows block by block: V_sb = −G_s V_bb, V_ss = A_s⁻¹ + G_s V_bb G_s' (the
inverse of a partitioned matrix; Harville 1997, theorem 8.5.11). No more of V is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import CHUNKS, Chunk, map_chunks, split
from pymc_vmrp.solvers.block_kernels import (
    add_precisions,
    assemble_blocks,
    block_moments,
    block_quadratics,
    eliminate_blocks,
    expand_solutions,
    factor_blocks,
    reduce_shifts,
    sample_blocks,
)
from pymc_vmrp.solvers.factor import factor, factor_and_invert, invert, singular
from pymc_vmrp.solvers.kernels import add_curvature
from pymc_vmrp.solvers.layout import Layout
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope, product_slots
from pymc_vmrp.solvers.sites import Sites

_CHUNK_MEMORY = 2**27  # bytes of what all chunks add up for the border: two matrices each
_LARGEST_BY_LOOPS = 128  # coefficients of a block; LAPACK factors larger ones faster
_DRAWS = 128  # taken through the blocks at a time
_LARGEST_GATHER = 2**21  # entries of the covariance of the border, gathered at a time


@dataclass(frozen=True)
class PartitionedSolver:
    """Solves block by block.

    Attributes
    ----------
    glmm : GLMM
    layout : Layout
    expand : bool
        Whether its Gaussians provide ``quadratic``.
    """

    glmm: GLMM
    layout: Layout
    expand: bool = False

    @property
    def name(self) -> str:
        """See :class:`Solver`."""
        layout = self.layout
        return (
            f"partitioned by {layout.partition.factor}: {layout.partition.n_blocks:,} blocks of at "
            f"most {layout.sizes.max():,}, border {len(layout.border):,}"
        )

    @cached_property
    def matrix_starts(self) -> IntArray:
        """Where each block's own matrix starts in a flat array."""
        return np.concatenate([[0], np.cumsum(self.layout.sizes**2)])

    @cached_property
    def cross_starts(self) -> IntArray:
        """Where each block's cross part with the border starts in a flat array."""
        return np.concatenate([[0], np.cumsum(self.layout.sizes * self.layout.touched_sizes)])

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """Blocks shared out by their work."""
        n_border = len(self.layout.border)
        most = max(1, min(CHUNKS, _CHUNK_MEMORY // max(16 * n_border**2, 1)))
        return split(self._work, most)

    @cached_property
    def _work(self) -> FloatArray:
        n, t = self.layout.sizes.astype(float), self.layout.touched_sizes
        rows = self.layout.rows
        width = rows.own.shape[1] + rows.border.shape[1]
        return n**3 + n * t * (n + t) + t**2 + np.diff(rows.starts) * width**2 + 100.0

    @cached_property
    def row_arrays(self) -> tuple[Any, Any, Any, Any, Any, Any]:
        """What the compiled loops read of the rows."""
        rows = self.layout.rows
        values = (rows.own, rows.own_values, rows.border, rows.border_values)
        return (rows.order, rows.starts, *values)

    @cached_property
    def slots(self) -> tuple[IntArray, IntArray]:
        """See :func:`product_slots`; of the blocks' coefficients, and of the border's."""
        slots = product_slots(self.glmm)
        return slots[self.layout.coefficients], slots[self.layout.border]

    @property
    def operations(self) -> float:
        """Rough count of a sweep's multiplications in the blocks."""
        return float(self._work.sum())

    def solve(
        self,
        sites: Sites,
        precisions: Sequence[FloatArray],
        common: FloatArray | None = None,
    ) -> PartitionedGaussian:
        """See :class:`Solver`."""
        prior = self.glmm.common.normal_precision if common is None else common
        layout, n_border = self.layout, len(self.layout.border)
        products, factors, inverses = (np.empty(self.matrix_starts[-1]) for _ in range(3))
        cross_products, crosses = (np.empty(self.cross_starts[-1]) for _ in range(2))
        stacked = _stack(precisions)
        touched = (layout.starts, layout.touched, layout.touched_starts)

        def eliminate(first: int, last: int) -> tuple[FloatArray, FloatArray, float]:
            schur, border_products = (np.zeros((n_border, n_border)) for _ in range(2))
            assemble_blocks(
                first, last, *touched, self.matrix_starts, self.cross_starts, *self.row_arrays,
                sites.precision, products, cross_products, border_products,
            )  # fmt: skip
            log_det = factor_blocks(
                first, last, layout.starts, layout.terms, layout.effects, self.matrix_starts,
                products, stacked, _LARGEST_BY_LOOPS, factors, inverses,
            )  # fmt: skip
            for b in first + np.flatnonzero(layout.sizes[first:last] > _LARGEST_BY_LOOPS):
                log_det += self._factor_large(int(b), products, stacked, factors, inverses)
            eliminate_blocks(
                first, last, *touched, self.matrix_starts, self.cross_starts,
                cross_products, inverses, crosses, schur,
            )  # fmt: skip
            return schur, border_products, log_det

        parts = map_chunks(eliminate, self.chunks, self.operations)
        schur, border_products, log_det = parts[0]
        for more_schur, more_products, more_log_det in parts[1:]:
            schur += more_schur
            border_products += more_products
            log_det += more_log_det
        schur += border_products
        self._add_border_prior(schur, precisions, prior)
        if not np.isfinite(log_det):
            raise singular()
        border_factor = factor(schur)
        arrow = Arrow(self, factors, inverses, crosses, border_factor)
        shift = np.zeros(self.glmm.n_coefficients)
        shift[: self.glmm.common.size] = prior * self.glmm.common.prior_mean
        solution = arrow.solve_rows(sites.shift, shift)
        return PartitionedGaussian(
            arrow=arrow,
            products=Products(products, cross_products, border_products, solution.right),
            mean=solution.solution,
            log_det_precision=float(log_det + 2 * np.log(np.diag(border_factor)).sum()),
            row_mean=solution.row_products,
        )

    def _factor_large(
        self,
        b: int,
        products: FloatArray,
        precisions: FloatArray,
        factors: FloatArray,
        inverses: FloatArray,
    ) -> float:
        """Factor and invert one block by LAPACK; log |A|."""
        layout, at = self.layout, slice(self.matrix_starts[b], self.matrix_starts[b + 1])
        here, n = slice(layout.starts[b], layout.starts[b + 1]), layout.sizes[b]
        matrix = products[at].reshape(n, n).copy()
        add_precisions(matrix, layout.terms[here], layout.effects[here], precisions)
        lower, inverse = factor_and_invert(matrix)
        inverse += np.tril(inverse, -1).T
        factors[at], inverses[at] = lower.ravel(), inverse.ravel()
        return 2 * float(np.log(np.diag(lower)).sum())

    def _add_border_prior(
        self, schur: FloatArray, precisions: Sequence[FloatArray], prior: FloatArray
    ) -> None:
        common = np.arange(self.glmm.common.size)
        schur[common, common] += prior
        for j, index in self.layout.border_terms(self.glmm):
            for a in range(index.shape[1]):
                for b in range(a + 1):
                    schur[index[:, a], index[:, b]] += precisions[j][a, b]


def _stack(precisions: Sequence[FloatArray]) -> FloatArray:
    """Precisions of all terms in one array, padded to the largest."""
    width = max((len(precision) for precision in precisions), default=1)
    out = np.zeros((len(precisions), width, width))
    for j, precision in enumerate(precisions):
        out[j, : len(precision), : len(precision)] = precision
    return out


@dataclass(frozen=True)
class Arrow:
    """A factored precision: blocks, what ties them to the border, and the border.

    Attributes
    ----------
    solver : PartitionedSolver
    factors, inverses, crosses : ndarray
        chol(A_s), A_s⁻¹ and G_s of every block, flat.
    border_factor : ndarray, shape (b, b)
        Lower Cholesky factor of the border's precision given everything else integrated out.
    """

    solver: PartitionedSolver
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
                first, last, layout.starts, layout.touched, layout.touched_starts,
                solver.matrix_starts, solver.cross_starts, *solver.row_arrays,
                gradient, self.inverses, self.crosses,
                own_right, solutions, border_right, reduced,
            )  # fmt: skip
            return border_right, reduced

        operations = self._vector_operations
        parts = map_chunks(reduce, solver.chunks, operations)
        border_right, reduced = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        reduced += shift[layout.border]
        border = cho_solve((self.border_factor, True), reduced, check_finite=False)

        def expand(first: int, last: int) -> None:
            expand_solutions(
                first, last, layout.starts, layout.touched, layout.touched_starts,
                solver.cross_starts, *solver.row_arrays,
                self.crosses, border, solutions, products,
            )  # fmt: skip

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
                first, last,
                layout.starts, layout.terms, layout.effects, layout.touched, layout.touched_starts,
                solver.matrix_starts, solver.cross_starts, *solver.row_arrays,
                arrow.inverses, arrow.crosses, own_mean, border_mean, border_covariance,
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
            cross = arrow.crosses[solver.cross_starts[b] :][: n * t].reshape(n, t)
            loadings[k, layout.touched[layout.touched_starts[b] :][:t]] = -cross[inside]
            inverse = arrow.inverses[solver.matrix_starts[b] :][: n * n].reshape(n, n)
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
        row = solver.matrix_starts[block][:, None] + inside * sizes[:, None]
        out = arrow.inverses[row[:, :, None] + inside[:, None, :]]
        cross = solver.cross_starts[block][:, None] + inside * touched[:, None]
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
        layout = solver.layout

        def task(first: int, last: int) -> FloatArray:
            out = [] if sums is None else [np.zeros(sums)]
            kernel(
                first, last, layout.starts, layout.touched, layout.touched_starts,
                solver.matrix_starts, solver.cross_starts, arrow.factors, arrow.crosses,
                border, own, *out,
            )  # fmt: skip
            return out[0] if out else own

        operations = float(own.shape[1] * (len(arrow.crosses) + len(arrow.factors)))
        return map_chunks(task, solver.chunks, operations)
