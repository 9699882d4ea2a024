"""Rows collapse into cells: find the distinct rows of some columns, and sum within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray, IntArray, SmallIntArray
from pymc_vmrp.glmm.codes import (
    SLICE,
    SMALL_TABLE,
    CodeArray,
    Codes,
    encode_column,
    numbers_of_runs,
    occurring,
    ranks,
    slices,
    sort_into_runs,
)


@dataclass(frozen=True)
class Cells:
    """Which cell each row belongs to.

    Attributes
    ----------
    index : ndarray of signed integers, shape (rows,)
        Cell of each row; cells are numbered in the lexicographic order of the columns' values, so
        that the order of the rows does not matter.
    first : ndarray of int64, shape (cells,)
        The first row of each cell, which represents it.
    """

    index: CodeArray
    first: IntArray

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.first)

    def sum(self, values: AnyArray) -> FloatArray:
        """Sum ``values`` over the rows of each cell."""
        total = np.zeros(self.size)
        # by slices, because bincount copies what is not yet int64 and float64
        for rows in slices(len(self.index), max(SLICE, self.size)):
            total += np.bincount(self.index[rows], weights=values[rows], minlength=self.size)
        return total

    def counts(self) -> FloatArray:
        """Number of rows in each cell."""
        return self.sum(np.broadcast_to(1.0, len(self.index)))


def collapse(columns: Sequence[pd.Series | Codes], n_rows: int) -> Cells:
    """Group rows that agree in every column.

    Parameters
    ----------
    columns : sequence of Series or Codes
        The columns that define a cell, coded or not; without any, all rows form one cell.
    n_rows : int
        Number of rows.
    """
    coded = [c if isinstance(c, Codes) else encode_column(c) for c in columns]
    if not coded:
        return Cells(np.zeros(n_rows, dtype=np.int8), np.zeros(1, dtype=np.int64))
    limit = min(max(n_rows, SMALL_TABLE), np.iinfo(np.int32).max)
    return _by_table(coded, limit) or _by_sorting(coded)


def _by_table(columns: list[Codes], limit: int) -> Cells | None:
    """Group rows through tables of at most ``limit`` possible keys; None where more are needed."""
    # nested factors come together early this way, and leave few of their combinations
    largest, *others = sorted(columns, key=lambda column: -len(column.levels))
    if len(largest.levels) > limit:
        return None
    key = largest.codes.astype(np.int32)
    size = _close_gaps(key, len(largest.levels))
    for column in others:
        if size * len(column.levels) > limit:
            return None
        for rows in slices(len(key)):
            key[rows] = key[rows] * np.int32(len(column.levels)) + column.codes[rows]
        size = _close_gaps(key, size * len(column.levels))
    first = _first_rows(key, size)
    order = np.lexsort([column.codes[first] for column in reversed(columns)])
    number = np.empty(size, dtype=np.int32)
    number[order] = np.arange(size)
    _replace(key, number)
    return Cells(key, first[order])


def _close_gaps(key: SmallIntArray, size: int) -> int:
    """Number the keys that occur from 0 on, in place; return how many there are."""
    occurs = occurring(key, size)
    if not occurs.all():
        _replace(key, ranks(occurs))
    return int(np.count_nonzero(occurs))


def _replace(key: SmallIntArray, table: AnyArray) -> None:
    for rows in slices(len(key)):
        key[rows] = table[key[rows]]


def _first_rows(key: SmallIntArray, size: int) -> IntArray:
    first = np.empty(size, dtype=np.int64)
    for rows in reversed(list(slices(len(key)))):
        # the last write wins: the first row
        first[key[rows][::-1]] = np.arange(rows.stop - 1, rows.start - 1, -1)
    return first


def _by_sorting(columns: list[Codes]) -> Cells:
    """Group rows by sorting keys that are in the lexicographic order of the columns."""
    key = columns[0].codes.astype(np.int64)
    size = len(columns[0].levels)
    distinct = _tells_rows_apart(columns[0])
    for column in columns[1:]:
        if distinct:  # every row is a cell already: further columns change nothing
            break
        if size * len(column.levels) > np.iinfo(np.int64).max // 2:
            index, first = _sorted_runs(key)
            key, size = index.astype(np.int64), len(first)
            if size == len(key):
                break
        key *= len(column.levels)
        key += column.codes
        size *= len(column.levels)
        distinct = _tells_rows_apart(column)
    return Cells(*_sorted_runs(key))


def _tells_rows_apart(column: Codes) -> bool:
    """Whether no two rows agree in this column."""
    n, size = len(column.codes), len(column.levels)
    return size >= n and np.count_nonzero(occurring(column.codes, size)) == n


def _sorted_runs(key: IntArray) -> tuple[CodeArray, IntArray]:
    """Rank of each key among the distinct keys, and the first row that has each."""
    order, begins = sort_into_runs(key)
    first = np.minimum.reduceat(order, np.flatnonzero(begins))
    return numbers_of_runs(order, begins), first
