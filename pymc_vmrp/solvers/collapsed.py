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
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import CHUNKS, Chunk, map_chunks, split
from pymc_vmrp.solvers import collapsed_kernels as kernels
from pymc_vmrp.solvers.collapsed_layout import CollapsedLayout, lay_out, prior_blocks
from pymc_vmrp.solvers.collapsed_pairs import (
    Elimination,
    Pairs,
    eliminate,
    find_pairs,
    pair_moments,
)
from pymc_vmrp.solvers.conjugate import conjugate_gradients
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.factor import factor_and_invert, singular
from pymc_vmrp.solvers.gaussian import covariances_by_chunks
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope, product_slots
from pymc_vmrp.solvers.sites import Sites

_TOLERANCE, _LOOSE_TOLERANCE = (
    1e-12,
    1e-6,
)  # of conjugate gradients: for q, for the convergence test
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
        loadings = _solve(factor, cross.T).T  # G', one row a coefficient
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
        complete(_solve(parts.factor, kept - parts.cross.T @ v), v, solution)
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


def _solve(factor: FloatArray, right: FloatArray) -> FloatArray:
    """P_CC⁻¹ right; LAPACK complains of empty matrices."""
    if right.size == 0:
        return right.copy()
    return np.asarray(cho_solve((factor, True), right, check_finite=False))


@dataclass(frozen=True)
class Parts:
    """What q is made of, with b coefficients in the border and r others.

    Of a kept term of many levels, ``precisions`` and ``covariances`` are those given all else, and
    ``cross`` and ``loadings`` are zero.

    Attributes
    ----------
    factor : ndarray, shape (b, b)
        Lower Cholesky factor of P_CC.
    cross, loadings : ndarray, shape (r, b)
        P_RC and G'.
    precisions, covariances : ndarray, shape (r, most effects)
        S_gg and Λ_g, one row a coefficient.
    prior : ndarray, shape (r, most effects)
        See :func:`prior_blocks`; of the others alone.
    eliminated : Elimination, optional
    """

    factor: FloatArray
    cross: FloatArray
    loadings: FloatArray
    precisions: FloatArray
    covariances: FloatArray
    prior: FloatArray
    eliminated: Elimination | None


@dataclass(frozen=True)
class CollapsedGaussian:
    """q(θ_C | θ_R) Π q(u_g)."""

    solver: CollapsedSolver
    sites: Sites
    parts: Parts
    right: FloatArray = field(repr=False)  # X'k
    mean: FloatArray
    border_covariance: FloatArray
    cross_covariance: FloatArray  # between all others and the border
    covariances: FloatArray  # of each coefficient outside of the border with its level
    pairs: FloatArray = field(repr=False)  # covariances with a kept term of many levels
    log_det_precision: float

    def variances(self) -> FloatArray:
        """See :class:`Gaussian`."""
        layout = self.solver.layout
        out = np.empty(len(self.mean))
        out[layout.kept_at] = np.diag(self.border_covariance)
        out[layout.rest_at] = self.covariances[np.arange(len(layout.effect)), layout.effect]
        return out

    def marginal_covariance(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`."""
        layout = self.solver.layout
        out = np.zeros((len(index), len(index)))
        kept = np.flatnonzero(layout.kept[index] >= 0)
        rest = np.flatnonzero(layout.kept[index] < 0)
        c, r = layout.kept[index[kept]], layout.rest[index[rest]]
        out[np.ix_(kept, kept)] = self.border_covariance[np.ix_(c, c)]
        cross = self.cross_covariance[np.ix_(r, c)]
        out[np.ix_(rest, kept)] = cross
        out[np.ix_(kept, rest)] = cross.T
        same = layout.level[r][:, None] == layout.level[r]
        pairs = self.covariances[r[:, None], layout.effect[r][None, :]]
        own = np.where(same, pairs, 0.0)
        if self.parts.eliminated is not None:
            self._add_eliminated(self.parts.eliminated, r, same, own)
        out[np.ix_(rest, rest)] = own
        return out

    def level_covariances(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`."""
        return covariances_by_chunks(self, index)

    def _add_eliminated(
        self,
        eliminated: Elimination,
        r: IntArray,
        same: BoolArray,
        out: FloatArray,
    ) -> None:
        """Covariances of the kept term of many levels with all of ``r``, into their places."""
        layout = self.solver.layout
        is_own = (r >= layout.own.start) & (r < layout.own.stop)
        for k in np.flatnonzero(is_own):
            i = r[k] - layout.own.start
            loading = np.asarray(eliminated.matrix[[i]].todense())[0]
            with_rest = -self.cross_covariance @ eliminated.border[i]
            with_rest -= layout.times(self.parts.covariances, loading)
            with_rest[layout.own] = 0.0
            with_own = -(
                eliminated.border @ self.cross_covariance[r[k]] + eliminated.matrix @ with_rest
            )
            values = with_rest[r]
            values[is_own] = with_own[r[is_own] - layout.own.start]
            out[k] = out[:, k] = np.where(same[k], out[k], values)

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`Gaussian`."""
        solver, rows = self.solver, self.solver.glmm.rows
        variance = np.empty(solver.glmm.n_cells)

        def task(first: int, last: int) -> None:
            kernels.row_variances(
                first, last, rows.columns, rows.values, *self._row_arrays, variance
            )

        map_chunks(task, solver.chunks, solver.operations)
        return solver.design.row_products(self.mean), variance

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """See :class:`Gaussian`; the mean is the joint Gaussian's, and responds as it does."""
        right = self.solver.design.transposed_product(gradient)
        change = self.solver.solve_joint(self.parts, self.sites.precision, right, _LOOSE_TOLERANCE)
        return self.solver.design.row_products(change)

    def quadratic(self) -> Quadratic:
        """See :class:`Gaussian`; by a pass over the rows."""
        solver, rows = self.solver, self.solver.glmm.rows
        size = n_products(solver.glmm)

        def task(first: int, last: int) -> FloatArray:
            out = np.zeros((size, size))
            kernels.add_curvature(
                first, last, rows.columns, rows.values, *self._row_arrays,
                self.sites.precision, solver.slots[rows.columns[0]], self.mean, out,
            )  # fmt: skip
            return out

        curvature = np.sum(map_chunks(task, solver.chunks, solver.operations), axis=0)
        return Quadratic(curvature, product_slope(solver.glmm, self.right, self.mean))

    def second_moment(self, j: int) -> FloatArray:
        """See :class:`Gaussian`."""
        layout, d = self.solver.layout, self.solver.glmm.groups[j].d
        where = self.solver.glmm.group_slice(j)
        u = self.mean[where].reshape(-1, d)
        if j in self.solver.kept:
            index = layout.kept[where].reshape(-1, d)
            own = self.border_covariance[index[:, :, None], index[:, None, :]].sum(0)
        else:
            own = self.covariances[layout.rest[where], :d].reshape(-1, d, d).sum(0)
        return np.asarray(u.T @ u + own)

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`Gaussian`; first the levels, then what is kept given them."""
        layout, parts = self.solver.layout, self.parts
        rest = np.empty((len(layout.rest_at), draws))
        for where, d in layout.terms():
            z = rng.standard_normal((len(rest[where]) // d, d, draws))
            root = np.linalg.cholesky(parts.covariances[where, :d].reshape(-1, d, d))
            rest[where] = (root @ z).reshape(-1, draws)
        kept = rng.standard_normal((len(layout.kept_at), draws))
        if kept.size:
            kept = solve_triangular(parts.factor, kept, lower=True, trans="T", check_finite=False)
        kept -= parts.loadings.T @ rest
        if parts.eliminated is not None:
            rest[layout.own] -= parts.eliminated.expected(kept, rest)
        out = np.empty((draws, len(self.mean)))
        out[:, layout.kept_at] = kept.T
        out[:, layout.rest_at] = rest.T
        return out + self.mean

    def log_density(self, coefficients: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        layout, parts = self.solver.layout, self.parts
        away = (coefficients - self.mean).T
        rest, border = np.ascontiguousarray(away[layout.rest_at]), away[layout.kept_at]
        if parts.eliminated is not None:
            rest[layout.own] += parts.eliminated.expected(border, rest)
        total = (rest * layout.times(parts.precisions, rest)).sum(0)
        kept = border + parts.loadings.T @ rest
        total += ((parts.factor.T @ kept) ** 2).sum(0)
        constant = 0.5 * self.log_det_precision - 0.5 * len(self.mean) * np.log(2 * np.pi)
        return np.asarray(constant - 0.5 * total)

    @property
    def _row_arrays(
        self,
    ) -> tuple[
        IntArray, IntArray, IntArray, IntArray, IntArray, IntArray,
        FloatArray, FloatArray, FloatArray, FloatArray,
    ]:  # fmt: skip
        """What finds the covariances of a row's coefficients."""
        layout, pairs = self.solver.layout, self.solver.pairs
        none = np.full((1, self.solver.glmm.rows.columns.shape[1]), -1)
        return (
            none if pairs is None else pairs.offsets,
            layout.kept,
            layout.rest,
            layout.level,
            layout.effect,
            np.full(len(layout.rest_at), -1) if pairs is None else pairs.start_of,
            self.border_covariance,
            self.cross_covariance,
            self.covariances,
            self.pairs,
        )
