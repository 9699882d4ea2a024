"""The partitioned solver: P is an arrowhead of independent blocks and a border.

With A_s the precision of block s, B_s its cross part with the border coefficients it touches and C
the border's precision, the border's covariance is V_bb = (C − Σ_s B_s'A_s⁻¹B_s)⁻¹, and with
G_s = A_s⁻¹B_s the rest follows block by block: V_sb = −G_s V_bb, V_ss = A_s⁻¹ + G_s V_bb G_s' (the
inverse of a partitioned matrix; Harville 1997, theorem 8.5.11). No more of V is ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import CHUNKS, Chunk, map_chunks, split
from pymc_vmrp.solvers.arrow import Arrow, PartitionedGaussian, Products
from pymc_vmrp.solvers.block_kernels import (
    Blocks,
    add_precisions,
    assemble_blocks,
    eliminate_blocks,
    factor_blocks,
)
from pymc_vmrp.solvers.factor import factor, factor_and_invert, singular
from pymc_vmrp.solvers.gaussian import add_prior
from pymc_vmrp.solvers.layout import Layout
from pymc_vmrp.solvers.quadratic import product_slots
from pymc_vmrp.solvers.sites import Sites

_CHUNK_MEMORY = 2**27  # bytes of what all chunks add up for the border: two matrices each
_LARGEST_BY_LOOPS = 128  # coefficients of a block; LAPACK factors larger ones faster


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
    def blocks(self) -> Blocks:
        """What the compiled loops read of the partition and its rows."""
        layout, rows = self.layout, self.layout.rows
        entries = layout.sizes**2, layout.sizes * layout.touched_sizes
        matrices, crosses = (np.concatenate([[0], np.cumsum(each)]) for each in entries)
        return Blocks(
            layout.starts, layout.terms, layout.effects, layout.touched, layout.touched_starts,
            matrices, crosses,
            rows.order, rows.starts, rows.own, rows.own_values, rows.border, rows.border_values,
        )  # fmt: skip

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
        layout, blocks, n_border = self.layout, self.blocks, len(self.layout.border)
        products, factors, inverses = (np.empty(blocks.matrix_starts[-1]) for _ in range(3))
        cross_products, crosses = (np.empty(blocks.cross_starts[-1]) for _ in range(2))
        stacked = _stack(precisions)

        def eliminate(first: int, last: int) -> tuple[FloatArray, FloatArray, float]:
            schur, border_products = (np.zeros((n_border, n_border)) for _ in range(2))
            assemble_blocks(
                first, last, blocks, sites.precision, products, cross_products, border_products
            )
            log_det = factor_blocks(
                first, last, blocks, products, stacked, _LARGEST_BY_LOOPS, factors, inverses
            )
            for b in first + np.flatnonzero(layout.sizes[first:last] > _LARGEST_BY_LOOPS):
                log_det += self._factor_large(int(b), products, stacked, factors, inverses)
            eliminate_blocks(first, last, blocks, cross_products, inverses, crosses, schur)
            return schur, border_products, log_det

        parts = map_chunks(eliminate, self.chunks, self.operations)
        schur, border_products, log_det = parts[0]
        for more_schur, more_products, more_log_det in parts[1:]:
            schur += more_schur
            border_products += more_products
            log_det += more_log_det
        schur += border_products
        beta = np.arange(self.glmm.common.size)
        schur[beta, beta] += prior
        for j, index in layout.border_terms(self.glmm):
            add_prior(schur, index, precisions[j])
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
        layout, starts = self.layout, self.blocks.matrix_starts
        at = slice(starts[b], starts[b + 1])
        here, n = slice(layout.starts[b], layout.starts[b + 1]), layout.sizes[b]
        matrix = products[at].reshape(n, n).copy()
        add_precisions(matrix, layout.terms[here], layout.effects[here], precisions)
        lower, inverse = factor_and_invert(matrix)
        inverse += np.tril(inverse, -1).T
        factors[at], inverses[at] = lower.ravel(), inverse.ravel()
        return 2 * float(np.log(np.diag(lower)).sum())


def _stack(precisions: Sequence[FloatArray]) -> FloatArray:
    """Precisions of all terms in one array, padded to the largest."""
    width = max((len(precision) for precision in precisions), default=1)
    out = np.zeros((len(precisions), width, width))
    for j, precision in enumerate(precisions):
        out[j, : len(precision), : len(precision)] = precision
    return out
