"""Groups of population cells, by the values of some of their columns, and how results hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import names_of
from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate, storable_labels

ESTIMATE = "estimate"
GROUP_DIM = "__group__"

# a grid of more combinations than this, of which fewer than this share have a cell, is not laid out
_SMALL_GRID, _SHARE_OF_GRID = 10_000, 0.1


@dataclass(frozen=True)
class Groups:
    """The groups to estimate.

    Attributes
    ----------
    names : tuple of str
        The columns.
    levels : tuple of list
        Their distinct values, in order.
    position : tuple of ndarray of integers, each of shape (groups,)
        Which value of each column a group has.
    codes : ndarray of integers, shape (cells,)
        Group of each cell.
    """

    names: tuple[str, ...]
    levels: tuple[list[Any], ...]
    position: tuple[IntArray, ...]
    codes: IntArray

    @property
    def size(self) -> int:
        """How many groups there are."""
        return len(self.position[0]) if self.names else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the grid of all combinations."""
        return tuple(len(level) for level in self.levels)

    @property
    def is_sparse(self) -> bool:
        """Whether results list the groups, as few of many combinations have a cell."""
        combinations = math.prod(self.shape)
        return combinations > _SMALL_GRID and self.size < _SHARE_OF_GRID * combinations

    @property
    def stored(self) -> int:
        """How many values a result has per draw."""
        return self.size if self.is_sparse else math.prod(self.shape)

    def label(self, group: int) -> str:
        """What errors call a group: ``state=A, age=55+``."""
        parts = zip(self.names, self.levels, self.position, strict=True)
        return ", ".join(f"{name}={level[at[group]]}" for name, level, at in parts)

    def labels(self) -> pd.DataFrame:
        """The levels of each group: one row each, with the columns by which they are."""
        parts = zip(self.names, self.levels, self.position, strict=True)
        columns = {name: [levels[i] for i in at] for name, levels, at in parts}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.size))

    def lay_out(self, values: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
        """Values of shape (groups, ...) as results hold them: dims, and the array.

        The groups are the last dimensions: the grid of all combinations, NaN where there is no
        cell, or, where that is sparse, a list.
        """
        moved = np.moveaxis(values, 0, -1)
        if not self.names:
            return (), moved[..., 0]
        if self.is_sparse:
            return (GROUP_DIM,), moved
        grid = np.full((*moved.shape[:-1], *self.shape), np.nan)
        at: tuple[Any, ...] = (..., *self.position)
        grid[at] = moved
        return self.names, grid

    def coords(self) -> dict[str, Any]:
        """Coordinates of the dimensions that :meth:`lay_out` returns."""
        if not self.is_sparse:
            return dict(zip(self.names, self.levels, strict=True))
        values = {
            name: (GROUP_DIM, np.asarray(level)[at])
            for name, level, at in zip(self.names, self.levels, self.position, strict=True)
        }
        columns = [array.astype(str) for _, array in values.values()]
        labels = [", ".join(parts) for parts in zip(*columns, strict=True)]
        return {GROUP_DIM: labels, **values}


def by_columns(by: str | Sequence[str] | None) -> list[str]:
    """The columns that define groups, each once."""
    named = names_of("by=", by, "a column name, a list of column names")
    columns = list(dict.fromkeys(named or []))
    for name in columns:
        if name in ("chain", "draw", ESTIMATE, "population", GROUP_DIM) or "/" in name:
            raise DataError(f"by= cannot use a column called {name!r} in a result: rename it.")
    return columns


def group_cells(frame: pd.DataFrame, columns: Sequence[str]) -> Groups:
    """Find the groups that have cells."""
    codes: list[IntArray] = []
    levels = []
    for name in columns:
        column = frame[name]
        if column.isna().any():
            raise DataError(f"cells has missing values in the by= column {name!r}.")
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        try:
            code, level = pd.factorize(column, sort=True)
        except TypeError:
            raise DataError(
                f"The by= column {name!r} holds values that cannot be grouped: make it text."
            ) from None
        codes.append(code.astype(np.int64))
        levels.append(storable_labels(pd.Index(level)).tolist())
    if not columns:
        return Groups((), (), (), np.zeros(len(frame), dtype=np.int64))
    # column by column: the number of all combinations may exceed the largest integer
    combined = codes[0]
    for code, level in zip(codes[1:], levels[1:], strict=True):
        combined = np.unique(combined * len(level) + code, return_inverse=True)[1].reshape(-1)
    _, first, position = np.unique(combined, return_index=True, return_inverse=True)
    return Groups(
        tuple(columns),
        tuple(levels),
        tuple(code[first] for code in codes),
        position.reshape(-1).astype(np.int64),
    )


def by_group(values: Any) -> pd.Series:
    """A DataArray of one value per group as a Series, indexed by the columns in either layout."""
    if GROUP_DIM in values.dims:
        along = [name for name, c in values.coords.items() if c.dims == (GROUP_DIM,)]
        values = values.set_xindex([name for name in along if name != GROUP_DIM])
    series: pd.Series = values.to_series()
    return series


@dataclass(frozen=True)
class Shares:
    """Cells' weights within their group.

    Attributes
    ----------
    weights : ndarray, shape (cells,)
        In units of the group's own, a power of two, so that huge and tiny ones neither overflow
        nor vanish, and others are the same bits.
    total : ndarray, shape (groups,)
        Their sums.
    unit : ndarray of integers, shape (groups,)
        Exponents of those units.
    """

    weights: FloatArray
    total: FloatArray
    unit: IntArray

    def population(self, unit: float) -> FloatArray:
        """Weights of each group, summed, in units of ``unit``; infinite beyond the largest."""
        with np.errstate(over="ignore"):
            return np.ldexp(self.total / unit, self.unit)


def weigh_cells(groups: Groups, weights: FloatArray) -> Shares:
    """The weights of cells within their group.

    Raises
    ------
    DataError
        Where all weights of a group are zero.
    """
    largest = np.zeros(groups.size)
    np.maximum.at(largest, groups.codes, weights)
    empty = np.flatnonzero(largest == 0)
    if len(empty):
        named = abbreviate([groups.label(int(i)) for i in empty])
        raise DataError(f"All weights are zero in {named}: leave those cells out or correct them.")
    unit = np.frexp(largest)[1].astype(np.int64)
    scaled = np.ldexp(weights, -unit[groups.codes])
    total = np.bincount(groups.codes, weights=scaled, minlength=groups.size)
    return Shares(scaled, total, unit)
