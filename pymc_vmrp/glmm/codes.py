"""A column as small integer codes and the distinct values they stand for.

All loops run over slices of the rows: a column of millions never needs a temporary of its length
that is wider than the codes themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_vmrp.arrays import AnyArray, BoolArray, IndexArray, IntArray

CodeArray = NDArray[np.signedinteger[Any]]

SLICE = 1 << 16  # rows at a time: their temporaries stay in cache
SMALL_TABLE = 1 << 16  # a look-up table of this size costs nothing, however few the rows
_SAMPLE = 4096
_HASHED = 1 << 18  # rows hashed at a time: pandas codes them in 64 bits, twice


@dataclass(frozen=True)
class Codes:
    """Which of a column's distinct values each row has.

    Attributes
    ----------
    codes : ndarray of signed integers, shape (rows,)
        Position of each row's value in ``levels``, in the smallest dtype that holds it.
    levels : Index
        The distinct values in order; a categorical column's categories in their own order.
    ordered : bool
        False for categories whose order was never declared.
    """

    codes: CodeArray
    levels: pd.Index
    ordered: bool = True

    def take(self, rows: IndexArray) -> Codes:
        """The codes of some rows."""
        return Codes(self.codes[rows], self.levels, self.ordered)

    def sorted(self) -> Codes:
        """The same values, with levels whose order was never declared in sorted order.

        Raises
        ------
        TypeError
            Where the levels cannot be compared.
        """
        if self.ordered or self.levels.is_monotonic_increasing:
            return Codes(self.codes, self.levels)
        levels, order = self.levels.sort_values(return_indexer=True)
        position = np.empty(len(levels), dtype=self.codes.dtype)
        position[order] = np.arange(len(levels))
        return Codes(look_up(position, self.codes), levels)


def encode_column(column: pd.Series) -> Codes:
    """Code a column without missing values.

    Raises
    ------
    TypeError
        Where its values cannot be compared.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return Codes(column.array.codes, dtype.categories, bool(dtype.ordered))
    if isinstance(dtype, np.dtype) and dtype.kind == "b":
        codes, levels = encode_integers(column.to_numpy().view(np.int8))
        return Codes(codes, pd.Index(levels.astype(bool)))
    if isinstance(dtype, np.dtype) and dtype.kind == "i":
        codes, levels = encode_integers(column.to_numpy())
        return Codes(codes, pd.Index(levels))
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        codes, levels = _encode_widely_spread(column.to_numpy())
        return Codes(codes, pd.Index(levels + 0.0))  # −0.0 and 0.0 are one level: call it 0.0
    return _encode_by_hashing(column)


def _encode_by_hashing(column: pd.Series) -> Codes:
    """Code each slice by itself, then the slices' distinct values together."""
    parts, distinct = [], []
    for rows in slices(len(column), _HASHED):
        codes, levels = pd.factorize(column.iloc[rows])
        parts.append(codes.astype(code_dtype(len(levels))))
        distinct.append(pd.Series(levels, dtype=column.dtype))
    numbers, levels = pd.factorize(pd.concat(distinct, ignore_index=True), sort=True)
    out = np.empty(len(column), dtype=code_dtype(len(levels)))
    at = 0
    for rows, codes, values in zip(slices(len(column), _HASHED), parts, distinct, strict=True):
        out[rows] = look_up(numbers[at : at + len(values)].astype(out.dtype), codes)
        at += len(values)
    return Codes(out, pd.Index(levels))


def encode_integers(values: AnyArray) -> tuple[CodeArray, AnyArray]:
    """Code integers: their codes, and the distinct values in order."""
    low, high = int(values.min()), int(values.max())
    span = high - low + 1
    if span > max(len(values), SMALL_TABLE):
        return _encode_widely_spread(values)
    occurs = np.zeros(span, dtype=bool)
    for rows in slices(len(values)):
        occurs[_offset(values[rows], low)] = True
    position = ranks(occurs)
    codes = np.empty(len(values), dtype=position.dtype)
    for rows in slices(len(values)):
        codes[rows] = position[_offset(values[rows], low)]
    return codes, (np.flatnonzero(occurs) + low).astype(values.dtype)


def occurring(codes: CodeArray, size: int) -> BoolArray:
    """Which of the codes 0, ..., size − 1 occur; −1 stands for a missing value."""
    occurs = np.zeros(size + 1, dtype=bool)
    for rows in slices(len(codes)):
        occurs[codes[rows]] = True
    return occurs[:size]


def ranks(occurs: BoolArray) -> CodeArray:
    """The new code of each old one when those that do not occur are left out."""
    count = int(np.count_nonzero(occurs))
    position = np.empty(len(occurs), dtype=code_dtype(count))
    position[occurs] = np.arange(count)
    return position


def look_up(table: AnyArray, codes: CodeArray) -> AnyArray:
    """``table[codes]``, a slice at a time."""
    out = np.empty(len(codes), dtype=table.dtype)
    for rows in slices(len(codes)):
        out[rows] = table[codes[rows]]
    return out


def code_dtype(size: int) -> type[np.signedinteger[Any]]:
    """The smallest signed integers that number ``size`` things."""
    for dtype in (np.int8, np.int16, np.int32):
        if size <= np.iinfo(dtype).max:
            return dtype
    return np.int64


def slices(n: int, length: int = SLICE) -> Iterator[slice]:
    """Slices that cover n rows in order."""
    return (slice(at, min(at + length, n)) for at in range(0, n, length))


def _offset(values: AnyArray, low: int) -> IntArray:
    return values.astype(np.int64) - low  # small integers would overflow


def _encode_widely_spread(values: AnyArray) -> tuple[CodeArray, AnyArray]:
    sample = values[:: max(1, len(values) // _SAMPLE)]
    if 2 * len(np.unique(sample)) > len(sample):  # sorting beats hashing; the codes are the same
        order, begins = sort_into_runs(values)
        return numbers_of_runs(order, begins), values[order[begins]]
    codes, levels = pd.factorize(values, sort=True)
    return codes.astype(code_dtype(len(levels))), levels


def sort_into_runs(values: AnyArray) -> tuple[IntArray, BoolArray]:
    """Rows in the order of their values, and where in that order a new value begins."""
    order = np.argsort(values)
    arranged = values[order]
    begins = np.empty(len(values), dtype=bool)
    begins[:1] = True
    np.not_equal(arranged[1:], arranged[:-1], out=begins[1:])
    return order, begins


def numbers_of_runs(order: AnyArray, begins: BoolArray) -> CodeArray:
    """The number of each row's run, in the order of the rows."""
    number = np.cumsum(begins, dtype=np.int64)
    number -= 1
    codes = np.empty(len(order), dtype=code_dtype(int(number[-1]) + 1))
    codes[order] = number
    return codes
