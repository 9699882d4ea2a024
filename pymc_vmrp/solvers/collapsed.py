"""q(β, u) that keeps some coefficients dependent on all others: partially factorized.

With C the kept coefficients (the common effects and chosen terms) and R the rest,

    q(β, u) = q(θ_C | θ_R) Π_{levels g of terms not kept} q(u_g),

where q(θ_C | θ_R) is free. For given sites and E[Σ⁻¹] the target is Gaussian with precision P; the
best q(θ_C | θ_R) is its exact conditional, with precision P_CC and mean m_C − G(θ_R − m_R),
G = P_CC⁻¹P_CR. That leaves mean field on the marginal of θ_R, whose precision is the Schur
complement S = P_RR − P_RC G: each q(u_g) has precision S_gg =: Λ_g⁻¹, and the mean of all is the
joint Gaussian's, P m = h. So V_RR = Λ, V_CR = −GΛ and V_CC = P_CC⁻¹ + GΛG'.

The mean comes from conjugate gradients on S, preconditioned by Λ, without P: cost is linear in rows
and in the coefficients that are not kept.

References
----------
Goplerud, M., Papaspiliopoulos, O. and Zanella, G. (2024). Partially factorized variational
inference for high-dimensional mixed models. Biometrika; arXiv:2312.13148.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import CHUNKS, Chunk, map_chunks, split
from pymc_vmrp.solvers import collapsed_kernels as kernels
from pymc_vmrp.solvers.collapsed_gaussian import CollapsedGaussian, Parts, solve_kept
from pymc_vmrp.solvers.collapsed_layout import CollapsedLayout, lay_out, prior_blocks
from pymc_vmrp.solvers.collapsed_pairs import (
    Pairs,
    eliminate,
    find_pairs,
    pair_moments,
)
from pymc_vmrp.solvers.conjugate import conjugate_gradients
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.factor import factor_and_invert, singular
from pymc_vmrp.solvers.quadratic import product_slots
from pymc_vmrp.solvers.sites import Sites

_TOLERANCE = 1e-12  # of conjugate gradients; looser for the convergence test
_CHUNK_MEMORY = 2**26  # bytes of all chunks' sums together


@dataclass(frozen=True)
class CollapsedSolver:
    """Keeps the common effects and some terms together; all other levels are independent.

    Attributes
    ----------
    glmm : GLMM
    kept : tuple of int
        Group-specific terms that are kept besides the common effects, in one dense border.
    by_level : int, optional
        One more kept term, of any number of levels; no row may belong to two of them.
    """

    glmm: GLMM
    kept: tuple[int, ...] = ()
    by_level: int | None = None
    name: str = "conjugate-gradients"

    @cached_property
    def layout(self) -> CollapsedLayout:
        """Which coefficients are kept, and the levels of the others."""
        return lay_out(self.glmm, self.kept, self.by_level)

    @cached_property
    def pairs(self) -> Pairs | None:
        """What rows tie to the kept term of many levels, if there is one."""
        return None if self.by_level is None else find_pairs(self.layout, self.glmm.rows)

    @cached_property
    def slots(self) -> IntArray:
        """See :func:`product_slots`."""
        return product_slots(self.glmm)

    @cached_property
    def design(self) -> DenseSolver:
        """Products with X."""
        return DenseSolver(self.glmm)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """Rows shared out evenly, in as many parts as their sums fit into memory."""
        b, r = len(self.layout.kept_at), len(self.layout.rest_at)
        most = max(1, min(CHUNKS, _CHUNK_MEMORY // max(8 * (b + r) * max(b, 1), 1)))
        return split(np.ones(self.glmm.n_cells), most)

    @property
    def operations(self) -> float:
        """See :class:`Solver`: a pass over pairs of entries of each row."""
        return float(self.glmm.rows.values.size * self.glmm.rows.values.shape[1])

    def solve(
        self,
        sites: Sites,
        precisions: Sequence[FloatArray],
        common: FloatArray | None = None,
    ) -> CollapsedGaussian:
        """See :class:`Solver`."""
        glmm, layout = self.glmm, self.layout
        border, cross, blocks = self._products(sites.precision)
        beta = glmm.common.normal_precision if common is None else common
        prior = prior_blocks(glmm, precisions, beta)  # of every coefficient with those of its level
        for q, at in enumerate(layout.kept_at):
            first, size = at - self.slots[at, 0], self.slots[at, 1]
            border[q, layout.kept[first : first + size]] += prior[at, :size]
        blocks += prior[layout.rest_at, : blocks.shape[1]]
        eliminated = None
        if self.pairs is not None:
            eliminated = eliminate(self.pairs, glmm.rows, sites.precision, border, cross, blocks)
        factor, inverse = factor_and_invert(border)
        inverse = inverse + np.tril(inverse, -1).T
        loadings = solve_kept(factor, cross.T).T  # G', one row a coefficient
        schur, own, log_det = _levels(layout, blocks, cross, loadings)
        log_det += 2 * float(np.log(np.diag(factor)).sum())
        parts = Parts(factor, cross, loadings, schur, own, prior[layout.rest_at], eliminated)
        right = self.design.transposed_product(sites.shift)
        shift = right.copy()
        shift[: glmm.common.size] += beta * glmm.common.prior_mean
        scaled = layout.times(own, loadings)
        border_covariance, cross_covariance = inverse + loadings.T @ scaled, -scaled
        covariances, pairs = own, np.zeros(0)
        if eliminated is not None:
            moments = pair_moments(eliminated, own, border_covariance, cross_covariance)
            cross_covariance[layout.own] = moments.cross
            covariances, pairs = own.copy(), moments.pairs
            covariances[layout.own] = moments.blocks
        return CollapsedGaussian(
            solver=self,
            sites=sites,
            parts=parts,
            right=right,
            mean=self.solve_joint(parts, sites.precision, shift, _TOLERANCE),
            border_covariance=border_covariance,
            cross_covariance=cross_covariance,
            covariances=covariances,
            pairs=pairs,
            log_det_precision=log_det,
        )

    def solve_joint(
        self, parts: Parts, weights: FloatArray, right: FloatArray, tolerance: float
    ) -> FloatArray:
        """P⁻¹ right, by conjugate gradients once C is eliminated."""
        layout, eliminated = self.layout, parts.eliminated
        kept, rest = right[layout.kept_at], right[layout.rest_at]
        own = layout.times(parts.covariances, rest)[layout.own]  # A⁻¹ of its right-hand side
        if eliminated is not None:
            kept = kept - eliminated.border.T @ rest[layout.own]
            rest = rest - eliminated.matrix.T @ rest[layout.own]
            rest[layout.own] = 0.0
        reduced = rest - parts.loadings @ kept

        def complete(b: FloatArray, v: FloatArray, out: FloatArray) -> None:
            """All coefficients from those of the border and of the terms not kept."""
            out[layout.kept_at], out[layout.rest_at] = b, v
            if eliminated is not None:
                out[layout.rest_at[layout.own]] = -eliminated.expected(b, v)

        out = np.empty(self.glmm.n_coefficients)

        def multiply(v: FloatArray) -> FloatArray:
            complete(-(parts.loadings.T @ v), v, out)
            rows = weights * self.design.row_products(out)
            product = self.design.transposed_product(rows)[layout.rest_at]
            product += layout.times(parts.prior, v)
            product[layout.own] = 0.0
            return product

        v = conjugate_gradients(
            multiply, reduced, lambda v: layout.times(parts.covariances, v), tolerance
        )
        solution = np.empty_like(out)
        complete(solve_kept(parts.factor, kept - parts.cross.T @ v), v, solution)
        solution[layout.rest_at[layout.own]] += own
        return solution

    def _products(self, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """X'WX among the kept, between the others and the kept, and within each level."""
        rows, layout = self.glmm.rows, self.layout
        b, r = len(layout.kept_at), len(layout.rest_at)

        def task(first: int, last: int) -> tuple[FloatArray, FloatArray, FloatArray]:
            out = np.zeros((b, b)), np.zeros((r, b)), np.zeros((r, layout.width))
            kernels.add_products(
                first, last, rows.columns, rows.values, weights,
                layout.kept, layout.rest, layout.level, layout.effect, *out,
            )  # fmt: skip
            return out

        parts = map_chunks(task, self.chunks, self.operations)
        border, cross, blocks = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        return border, cross, blocks


def _levels(
    layout: CollapsedLayout, blocks: FloatArray, cross: FloatArray, loadings: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """S_gg and its inverse for every level, one row a coefficient, and Σ log |S_gg|."""
    schur, own, log_det = np.empty_like(blocks), np.empty_like(blocks), 0.0
    for where, d in layout.terms():
        shape = ((where.stop - where.start) // d, d, cross.shape[1])
        coupling = cross[where].reshape(shape) @ np.swapaxes(loadings[where].reshape(shape), 1, 2)
        precision = blocks[where, :d].reshape(-1, d, d) - coupling
        precision = 0.5 * (precision + np.swapaxes(precision, 1, 2))
        try:
            root = np.linalg.cholesky(precision)
        except np.linalg.LinAlgError:
            raise singular() from None
        log_det += 2 * float(np.log(np.einsum("gkk->gk", root)).sum())
        schur[where, :d] = precision.reshape(-1, d)
        own[where, :d] = np.linalg.inv(precision).reshape(-1, d)
    return schur, own, log_det
