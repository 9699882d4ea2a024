"""One kept term of many levels: eliminated level by level, as its levels meet only in rows.

Let F be its coefficients, A = P_FF (block diagonal), B the other kept coefficients and R the rest.
With H = A⁻¹P_F·, the precision of (B, R) once F is integrated out is P_·· − P_·F H, and given both
θ_F − m_F is −H_B(θ_B − m_B) − H_R(θ_R − m_R) plus an independent N(0, A⁻¹). P_FR has an entry where
some row touches both: those pairs are all that is needed of V_FR, so that the cost stays linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import DesignRows
from pymc_vmrp.solvers import collapsed_kernels as kernels
from pymc_vmrp.solvers.collapsed_layout import CollapsedLayout


@dataclass(frozen=True)
class Pairs:
    """Pairs of a level of F and a coefficient of R that some row touches, level by level.

    Attributes
    ----------
    layout : CollapsedLayout
    starts : ndarray, shape (levels + 1,)
        Where the pairs of each level start. Values hold a level's pairs once for each of its
        effects, one effect after the other.
    columns : ndarray
        The coefficient of R, numbered among all that are not in the border.
    offsets : ndarray, shape (N, K)
        For each entry of a row that is in R, its place among the pairs of the row's level.
    """

    layout: CollapsedLayout
    starts: IntArray
    columns: IntArray
    offsets: IntArray

    @property
    def own(self) -> slice:
        """F among all coefficients that are not in the border."""
        return self.layout.own

    @property
    def d(self) -> int:
        """Effects of F."""
        return self.layout.own_effects

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.d * len(self.columns)

    @cached_property
    def row_starts(self) -> IntArray:
        """Where the values of each coefficient of F start; one more at the end."""
        counts = np.diff(self.starts)
        return np.concatenate([[0], np.cumsum(np.repeat(counts, self.d))])

    @cached_property
    def start_of(self) -> IntArray:
        """The same for every coefficient outside of the border, −1 where it is not in F."""
        out = np.full(len(self.layout.rest_at), -1)
        out[self.own] = self.row_starts[:-1]
        return out

    @cached_property
    def _row_columns(self) -> IntArray:
        parts = np.split(self.columns, self.starts[1:-1])
        return np.concatenate([np.tile(part, self.d) for part in parts])

    def matrix(self, values: FloatArray) -> csr_matrix:
        """F × (all not in the border), sparse."""
        shape = (len(self.row_starts) - 1, len(self.layout.rest_at))
        columns = self.columns if self.d == 1 else self._row_columns
        return csr_matrix((values, columns, self.row_starts), shape=shape)


def find_pairs(layout: CollapsedLayout, rows: DesignRows) -> Pairs:
    """Look through the rows once."""
    numbers = layout.rest[rows.columns]
    is_own = (numbers >= layout.own.start) & (numbers < layout.own.stop)
    in_rest = (numbers >= 0) & ~is_own
    place = int(np.flatnonzero(is_own[0])[0])  # the term has the same place in every row
    level = (numbers[:, place] - layout.own.start) // layout.own_effects
    n = len(layout.rest_at)
    keys = (level[:, None] * n + numbers)[in_rest]
    unique, inverse = np.unique(keys, return_inverse=True)
    n_levels = (layout.own.stop - layout.own.start) // layout.own_effects
    starts = np.searchsorted(unique, np.arange(n_levels + 1) * n)
    offsets = np.full(numbers.shape, -1)
    offsets[in_rest] = inverse - starts[np.broadcast_to(level[:, None], numbers.shape)[in_rest]]
    return Pairs(layout, starts, unique % n, offsets)


@dataclass(frozen=True)
class Elimination:
    """F integrated out.

    Attributes
    ----------
    pairs : Pairs
    border : ndarray, shape (f, b)
        H_B.
    values : ndarray
        H_R, as the values of pairs.
    matrix : csr_matrix
        H_R.
    """

    pairs: Pairs
    border: FloatArray
    values: FloatArray
    matrix: csr_matrix

    def expected(self, kept: FloatArray, rest: FloatArray) -> FloatArray:
        """H_B θ_B + H_R θ_R, whatever of F is among ``rest``."""
        return np.asarray(self.border @ kept + self.matrix @ rest)


def eliminate(
    pairs: Pairs,
    rows: DesignRows,
    weights: FloatArray,
    border: FloatArray,
    cross: FloatArray,
    blocks: FloatArray,
) -> Elimination:
    """Integrate F out of P, in place; rows of F in ``blocks`` keep A and lose their cross part."""
    layout, own, d = pairs.layout, pairs.own, pairs.d
    inverse = np.linalg.inv(blocks[own, :d].reshape(-1, d, d))
    own_cross = cross[own].copy()
    loadings = (inverse @ own_cross.reshape(len(inverse), d, cross.shape[1])).reshape(
        own_cross.shape
    )
    products, values = np.zeros(pairs.size), np.empty(pairs.size)
    kernels.add_pair_products(
        rows.columns, rows.values, weights, layout.rest, pairs.start_of, pairs.offsets, products
    )
    kernels.multiply_levels(pairs.starts, d, inverse, products, values)
    matrix = pairs.matrix(values)
    border -= own_cross.T @ loadings
    cross -= matrix.T @ own_cross
    cross[own] = 0.0
    kernels.subtract_level_blocks(
        pairs.starts, d, pairs.columns, layout.effect, layout.n_effects, products, values, blocks
    )
    return Elimination(pairs, loadings, values, matrix)


@dataclass(frozen=True)
class PairMoments:
    """V_FB, the blocks of V_FF on its diagonal, and V_FR for the pairs."""

    cross: FloatArray
    blocks: FloatArray
    pairs: FloatArray


def pair_moments(
    elimination: Elimination,
    covariances: FloatArray,
    border_covariance: FloatArray,
    cross_covariance: FloatArray,
) -> PairMoments:
    """Covariances of F, from Λ (A⁻¹ for F), V_BB and V_RB (0 for F)."""
    pairs, loadings = elimination.pairs, elimination.border
    layout, d = pairs.layout, pairs.d
    spread = np.empty(pairs.size)  # H_R Λ
    kernels.multiply_columns(
        pairs.starts, d, pairs.columns, layout.effect, layout.n_effects,
        covariances, elimination.values, spread,
    )  # fmt: skip
    mixed = elimination.matrix @ cross_covariance
    cross = loadings @ border_covariance + mixed
    shape = (len(pairs.starts) - 1, d, loadings.shape[1])
    left, right, third = (x.reshape(shape) for x in (cross, loadings, mixed))
    blocks = left @ np.swapaxes(right, 1, 2) + right @ np.swapaxes(third, 1, 2)
    kernels.add_level_products(pairs.starts, d, spread, elimination.values, blocks)
    own = covariances[pairs.own].copy()
    own[:, :d] += blocks.reshape(-1, d)
    out = np.empty(pairs.size)
    kernels.pair_covariances(
        pairs.starts, d, pairs.columns, spread, loadings, cross_covariance, out
    )
    return PairMoments(-cross, own, out)
