"""Rows and coefficients in the order of a partition's blocks: what its compiled loops read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray, SmallIntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.partition import Partition

_TABLE = 20_000_000  # entries of a lookup table of (block, level) at most; else sort


@dataclass(frozen=True)
class Rows:
    """Cells in the order of their blocks.

    Attributes
    ----------
    order : ndarray of int64, shape (N,)
        Cell of each row.
    starts : ndarray of int64, shape (B + 1,)
        First row of each block.
    own, own_values : ndarray, shape (N, a)
        Coefficients of the block that a row touches, numbered inside the block, and their values.
    border, border_values : ndarray, shape (N, b)
        The same for border coefficients, numbered inside ``Layout.touched`` of the block.
    """

    order: IntArray
    starts: IntArray
    own: SmallIntArray
    own_values: FloatArray
    border: SmallIntArray
    border_values: FloatArray


@dataclass(frozen=True)
class Layout:
    """A partition as arrays.

    Attributes
    ----------
    partition : Partition
    coefficients : ndarray of int64, shape (p − border,)
        Positions of the blocks' coefficients in the coefficient vector, block after block.
    starts : ndarray of int64, shape (B + 1,)
        First of them in each block.
    terms, effects : ndarray of int64, shape (p − border,)
        Group-specific term of each, and which of the term's effects it is.
    border : ndarray of int64
        Positions of the border's coefficients in the coefficient vector.
    touched : ndarray of int64
        Border coefficients that each block's rows touch, block after block.
    touched_starts : ndarray of int64, shape (B + 1,)
    rows : Rows
    """

    partition: Partition
    coefficients: IntArray
    starts: IntArray
    terms: IntArray
    effects: IntArray
    border: IntArray
    touched: IntArray
    touched_starts: IntArray
    rows: Rows

    @property
    def n_own(self) -> int:
        """Coefficients in all blocks; in the layout's order the border comes after them."""
        return len(self.coefficients)

    @cached_property
    def permutation(self) -> IntArray:
        """Position in the coefficient vector of each coefficient in the layout's order."""
        return np.concatenate([self.coefficients, self.border])

    def coefficient_order(self, own: FloatArray, border: FloatArray) -> FloatArray:
        """Values of the blocks' and the border's coefficients in one array, shape (p, ...)."""
        out = np.empty((len(self.permutation), *own.shape[1:]))
        out[self.coefficients], out[self.border] = own, border
        return out

    @property
    def sizes(self) -> IntArray:
        """Coefficients in each block."""
        return np.diff(self.starts)

    @property
    def touched_sizes(self) -> IntArray:
        """Border coefficients that each block touches."""
        return np.diff(self.touched_starts)

    def border_terms(self, glmm: GLMM) -> Iterator[tuple[int, IntArray]]:
        """Term and border numbers, shape (L, d), of each term in the border."""
        at = glmm.common.size
        for j, levels in enumerate(self.partition.levels):
            if levels is None:
                group = glmm.groups[j]
                yield j, np.arange(at, at + group.size).reshape(-1, group.d)
                at += group.size


def lay_out(glmm: GLMM, partition: Partition) -> Layout:
    """Arrange the cells and coefficients of ``glmm`` by blocks."""
    n_blocks = partition.n_blocks
    nested = [j for j, levels in enumerate(partition.levels) if levels is not None]
    crossed = [j for j, levels in enumerate(partition.levels) if levels is None]
    order = np.argsort(partition.cells, kind="stable")
    row_block = partition.cells[order]

    parts = [_own_coefficients(glmm, partition, j) for j in nested]
    block, terms, effects, position = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    by_block = np.argsort(block, kind="stable")
    starts = _starts(block, n_blocks)
    inside = np.empty(len(block), dtype=np.int32)  # number of each coefficient inside its block
    inside[by_block] = np.arange(len(block)) - np.repeat(starts[:-1], np.diff(starts))
    first = dict(zip(nested, _offsets([glmm.groups[j].size for j in nested]), strict=True))
    own, own_values = _empty_slots(glmm, nested, len(order))
    for j, slots in _slots(glmm, nested):
        group = glmm.groups[j]
        for (i, a), slot in zip(np.ndindex(group.m, group.d), slots, strict=True):
            codes = first[j] + group.members[order, i].astype(np.int64) * group.d
            own[:, slot] = inside[codes + a]
            own_values[:, slot] = group.member_values[order, i, a]

    k = glmm.common.size
    border, border_values = _empty_slots(glmm, crossed, len(order), k)
    border[:, :k] = np.arange(k)
    border_values[:, :k] = glmm.common.design(glmm.common.columns)[order]
    pairs = {j: _pairs(row_block, glmm.groups[j].members[order], n_blocks) for j in crossed}
    before = np.full(n_blocks, k)  # touched coefficients of each block so far
    at = {}
    for j, slots in _slots(glmm, crossed, k):
        group, pair = glmm.groups[j], pairs[j]
        at[j] = before.copy()
        for (i, a), slot in zip(np.ndindex(group.m, group.d), slots, strict=True):
            rank = pair.index[:, i] - pair.starts[row_block]
            border[:, slot] = before[row_block] + rank * group.d + a
            border_values[:, slot] = group.member_values[order, i, a]
        before += group.d * np.diff(pair.starts)
    touched_starts = np.concatenate([[0], np.cumsum(before)])
    touched = np.empty(touched_starts[-1], dtype=np.int64)
    touched[(touched_starts[:-1, None] + np.arange(k)).ravel()] = np.tile(np.arange(k), n_blocks)
    first = dict(zip(crossed, _offsets([glmm.groups[j].size for j in crossed], k), strict=True))
    for j, pair in pairs.items():
        d = glmm.groups[j].d
        rank = np.arange(len(pair.block)) - pair.starts[pair.block]
        where = touched_starts[pair.block] + at[j][pair.block] + rank * d
        for a in range(d):
            touched[where + a] = first[j] + pair.level * d + a

    slices = [glmm.group_slice(j) for j in crossed]
    return Layout(
        partition=partition,
        coefficients=position[by_block],
        starts=starts,
        terms=terms[by_block],
        effects=effects[by_block],
        border=np.concatenate([np.arange(k), *(np.arange(s.start, s.stop) for s in slices)]),
        touched=touched,
        touched_starts=touched_starts,
        rows=Rows(
            order, _starts(partition.cells, n_blocks), own, own_values, border, border_values
        ),
    )


def _own_coefficients(
    glmm: GLMM, partition: Partition, j: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Block, term, effect and position of each coefficient of a nested term."""
    levels, group, where = partition.levels[j], glmm.groups[j], glmm.group_slice(j)
    assert levels is not None
    effects = np.tile(np.arange(group.d), len(group.levels))
    terms = np.full(group.size, j)
    return np.repeat(levels, group.d), terms, effects, np.arange(where.start, where.stop)


def _slots(glmm: GLMM, terms: list[int], at: int = 0) -> Iterator[tuple[int, range]]:
    """The columns of a row's entries that belong to each term."""
    for j in terms:
        width = glmm.groups[j].m * glmm.groups[j].d
        yield j, range(at, at + width)
        at += width


def _empty_slots(
    glmm: GLMM, terms: list[int], n_rows: int, at: int = 0
) -> tuple[SmallIntArray, FloatArray]:
    width = at + sum(glmm.groups[j].m * glmm.groups[j].d for j in terms)
    return np.empty((n_rows, width), dtype=np.int32), np.empty((n_rows, width))


def _offsets(sizes: list[int], at: int = 0) -> list[int]:
    return [at + int(end) - size for size, end in zip(sizes, np.cumsum(sizes), strict=True)]


def _starts(block: IntArray, n_blocks: int) -> IntArray:
    """First position of each block among sorted members."""
    return np.concatenate([[0], np.cumsum(np.bincount(block, minlength=n_blocks))])


@dataclass(frozen=True)
class _Pairs:
    """Distinct (block, level) pairs in order, each block's first, and the pairs of each row."""

    block: IntArray
    level: IntArray
    starts: IntArray
    index: IntArray


def _pairs(row_block: IntArray, members: SmallIntArray, n_blocks: int) -> _Pairs:
    n_levels = int(members.max()) + 1
    key = row_block[:, None] * n_levels + members
    if n_blocks * n_levels <= _TABLE:
        table = np.zeros(n_blocks * n_levels, dtype=bool)
        table[key] = True
        distinct = np.flatnonzero(table)
        index = (np.cumsum(table, dtype=np.int32) - 1)[key].astype(np.int64)
    else:
        distinct, index = np.unique(key, return_inverse=True)
    block, level = np.divmod(distinct, n_levels)
    return _Pairs(block, level, _starts(block, n_blocks), index)
