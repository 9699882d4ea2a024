"""Rows collapse into cells: find the distinct rows of some columns, and sum within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cells:
    """Which cell each row belongs to.

    Attributes
    ----------
    index : ndarray of int64, shape (rows,)
        Cell of each row; cells are numbered in the lexicographic order of the columns' values, so
        that the order of the rows does not matter.
    first : ndarray of int64, shape (cells,)
        A row that represents each cell.
    """

    index: NDArray[np.int64]
    first: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.first)

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum ``values`` over the rows of each cell."""
        return np.bincount(self.index, weights=values, minlength=self.size)

    def counts(self) -> NDArray[np.float64]:
        """Number of rows in each cell."""
        return np.bincount(self.index, minlength=self.size).astype(float)


def collapse(columns: Sequence[pd.Series], n_rows: int) -> Cells:
    """Group rows that agree in every column.

    Parameters
    ----------
    columns : sequence of Series
        The columns that define a cell; without any, all rows form one cell.
    n_rows : int
        Number of rows.
    """
    key = np.zeros(n_rows, dtype=np.int64)
    size = 1
    for column in columns:
        codes, levels = pd.factorize(column, sort=True)
        if size * len(levels) >= np.iinfo(np.int64).max // 2:
            key, size = _renumber(key)
        key = key * len(levels) + codes
        size *= len(levels)
    index, first = _unique(key)
    return Cells(index, first)


def _renumber(key: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    index, first = _unique(key)
    return index, len(first)


def _unique(key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rank of each key among the distinct keys, and the first row that has each."""
    codes, uniques = pd.factorize(key)  # hashing beats sorting all rows
    order = np.argsort(uniques, kind="stable")
    rank = np.empty(len(uniques), dtype=np.int64)
    rank[order] = np.arange(len(uniques))
    first = np.empty(len(uniques), dtype=np.int64)
    first[codes[::-1]] = np.arange(len(key) - 1, -1, -1)  # the last write wins: the first row
    return rank[codes], first[order]
