"""q(θ_C | θ_R) Π q(u_g) of a collapsed factorization; see ``collapsed.py`` for its moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import Chunk, map_chunks
from pymc_vmrp.solvers import collapsed_kernels as kernels
from pymc_vmrp.solvers.collapsed_layout import CollapsedLayout
from pymc_vmrp.solvers.collapsed_pairs import Elimination, Pairs
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.gaussian import covariances_by_chunks
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope
from pymc_vmrp.solvers.sites import Sites

_LOOSE_TOLERANCE = 1e-6  # of conjugate gradients, for the convergence test


def solve_kept(factor: FloatArray, right: FloatArray) -> FloatArray:
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


class _Solver(Protocol):
    """What is read of the solver that q comes from."""

    @property
    def glmm(self) -> GLMM: ...
    @property
    def kept(self) -> tuple[int, ...]: ...
    @property
    def layout(self) -> CollapsedLayout: ...
    @property
    def pairs(self) -> Pairs | None: ...
    @property
    def slots(self) -> IntArray: ...
    @property
    def design(self) -> DenseSolver: ...
    @property
    def chunks(self) -> Sequence[Chunk]: ...
    @property
    def operations(self) -> float: ...
    def solve_joint(
        self, parts: Parts, weights: FloatArray, right: FloatArray, tolerance: float
    ) -> FloatArray: ...


@dataclass(frozen=True)
class CollapsedGaussian:
    """q(θ_C | θ_R) Π q(u_g)."""

    solver: _Solver
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
    def _row_arrays(self) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]:
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
