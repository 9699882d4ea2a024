"""Coefficients of the collapsed factorization: the border, and the levels of all other terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM


@dataclass(frozen=True)
class CollapsedLayout:
    """Coefficients that are kept as one border, and all others by level.

    The others are those of terms that are not kept, and of one kept term of many levels.

    Attributes
    ----------
    kept_at, rest_at : ndarray
        Where they lie in the coefficient vector.
    kept, rest : ndarray, shape (p,)
        Number of each coefficient among them, −1 elsewhere.
    level, effect : ndarray, shape (len(rest_at),)
        A number for each level of each term, and which of its effects the coefficient is.
    sizes : tuple of (int, int)
        Levels and effects of each term outside of the border, in order.
    own : slice
        The kept term of many levels, numbered like ``rest``; empty where there is none.
    """

    kept_at: IntArray
    rest_at: IntArray
    kept: IntArray
    rest: IntArray
    level: IntArray
    effect: IntArray
    sizes: tuple[tuple[int, int], ...]
    own: slice

    @property
    def width(self) -> int:
        """Most effects of a term outside of the border."""
        return max((d for _, d in self.sizes), default=1)

    @cached_property
    def n_effects(self) -> IntArray:
        """How many effects the term of each coefficient outside of the border has."""
        return np.repeat([d for _, d in self.sizes], [n * d for n, d in self.sizes])

    @property
    def own_effects(self) -> int:
        """Effects of the kept term of many levels."""
        return int(self.n_effects[self.own.start])

    def terms(self) -> Iterator[tuple[slice, int]]:
        """Where each term lies among the coefficients outside of the border, and its effects."""
        start = 0
        for levels, d in self.sizes:
            yield slice(start, start + levels * d), d
            start += levels * d

    def times(self, blocks: FloatArray, right: FloatArray) -> FloatArray:
        """A block-diagonal matrix, held as one row of its block a coefficient, times ``right``."""
        out = np.empty_like(right)
        for where, d in self.terms():
            if d == 1:
                out[where] = (blocks[where, 0] * right[where].T).T
                continue
            part = right[where].reshape((where.stop - where.start) // d, d, *right.shape[1:])
            product = np.einsum("gab,gb...->ga...", blocks[where, :d].reshape(-1, d, d), part)
            out[where] = product.reshape(right[where].shape)
        return out


def lay_out(glmm: GLMM, kept: Sequence[int], by_level: int | None = None) -> CollapsedLayout:
    """Number the coefficients; the common effects and the terms ``kept`` are the border."""
    p = glmm.n_coefficients
    is_kept = np.zeros(p, dtype=bool)
    is_kept[: glmm.common.size] = True
    for j in kept:
        is_kept[glmm.group_slice(j)] = True
    sizes, levels, effects, first = [], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for j, group in enumerate(glmm.groups):
        if j in kept:
            continue
        n, d = len(group.levels), group.d
        sizes.append((n, d))
        levels.append(first + np.repeat(np.arange(n), d))
        effects.append(np.tile(np.arange(d), n))
        first += n
    return CollapsedLayout(
        np.flatnonzero(is_kept),
        np.flatnonzero(~is_kept),
        np.where(is_kept, np.cumsum(is_kept) - 1, -1),
        np.where(is_kept, -1, np.cumsum(~is_kept) - 1),
        np.concatenate(levels),
        np.concatenate(effects),
        tuple(sizes),
        _among(
            np.cumsum(~is_kept), slice(0, 0) if by_level is None else glmm.group_slice(by_level)
        ),
    )


def _among(counts: IntArray, where: slice) -> slice:
    """Where coefficients lie among those that ``counts`` has counted."""
    if where.stop == where.start:
        return slice(0, 0)
    return slice(int(counts[where.start]) - 1, int(counts[where.stop - 1]))


def prior_blocks(glmm: GLMM, precisions: Sequence[FloatArray], common: FloatArray) -> FloatArray:
    """Prior precision of each coefficient with each of its level, shape (p, most effects)."""
    out = np.zeros((glmm.n_coefficients, max((len(one) for one in precisions), default=1)))
    out[: glmm.common.size, 0] = common
    for j, precision in enumerate(precisions):
        out[glmm.group_slice(j), : len(precision)] = np.tile(
            precision, (len(glmm.groups[j].levels), 1)
        )
    return out
