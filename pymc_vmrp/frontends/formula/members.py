"""Multi-membership factors: a row belongs to several levels at once, with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray, SmallIntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.formula.special import MemberTerm
from pymc_vmrp.glmm.codes import Codes
from pymc_vmrp.glmm.memberships import order_members


@dataclass(frozen=True)
class Members:
    """A multi-membership factor as learned from the data.

    Attributes
    ----------
    name : str
        Such as ``mm(a, b)``.
    term : MemberTerm
    levels : tuple of str
        Names of the levels that any of the columns holds.
    index : Index
        The same as the columns hold them.
    """

    name: str
    term: MemberTerm
    levels: tuple[str, ...]
    index: pd.Index

    def unseen(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Sorted names of the levels in ``frame`` that the factor never saw."""
        values = pd.unique(pd.concat([frame[name].astype(object) for name in self.term.columns]))
        return tuple(sorted(str(v) for v in values if v not in self.index))

    def parts(self) -> dict[str, list[str]]:
        """The levels, which the columns have in common, by the name of the factor."""
        return {self.name: list(self.levels)}

    def known_parts(self, frame: pd.DataFrame) -> set[str]:
        """The name of the factor, if some row has a level that it saw."""
        columns = (frame[name].astype(object) for name in self.term.columns)
        seen = any((self.index.get_indexer(column) >= 0).any() for column in columns)
        return {self.name} if seen else set()

    def encode(self, frame: pd.DataFrame, new: Sequence[str]) -> tuple[SmallIntArray, FloatArray]:
        """Levels and weights of each row, shape (N, m); ``new`` levels come after the known."""
        codes = []
        for name in self.term.columns:
            values = frame[name].astype(object)
            code = self.index.get_indexer(values)
            strange = code < 0
            if strange.any():
                names = [str(v) for v in values[strange].tolist()]
                code[strange] = len(self.levels) + pd.Index(new).get_indexer(names)
            codes.append(code.astype(np.int32))
        weights = [frame[name].to_numpy(dtype=float) for name in self.term.weights]
        return np.column_stack(codes), _shares(weights, len(frame), len(codes), self.name)


def fit_members(
    term: MemberTerm, coded: Mapping[str, Codes]
) -> tuple[Members, SmallIntArray, FloatArray]:
    """Learn the levels of all columns together, from one row per cell.

    Returns
    -------
    members : Members
    codes, weights : ndarray, shape (N, m)
    """
    parts = [coded[name].sorted() for name in term.columns]
    first = parts[0].levels
    if all(part.levels.equals(first) for part in parts):
        index = first  # the categories' own order, where they have one
    else:
        try:
            index = pd.Index(sorted(set().union(*(part.levels.tolist() for part in parts))))
        except TypeError:
            raise DataError(
                f"The columns of {term.name!r} hold different types: make them alike."
            ) from None
    index = pd.Index(index, dtype=object)
    levels = tuple(map(str, index.tolist()))
    if len(set(levels)) < len(levels):
        raise DataError(f"Levels of the grouping factor {term.name!r} read alike as text: recode.")
    if len(levels) < 2:
        raise DataError(f"The grouping factor {term.name!r} has only one level: leave it out.")
    codes = [
        index.get_indexer(part.levels.astype(object))[part.codes].astype(np.int32) for part in parts
    ]
    weights = [
        np.asarray(coded[name].levels, dtype=float)[coded[name].codes] for name in term.weights
    ]
    members = Members(term.name, term, levels, index)
    return members, np.column_stack(codes), _shares(weights, len(codes[0]), len(codes), term.name)


def _shares(columns: Sequence[FloatArray], n: int, m: int, name: str) -> FloatArray:
    """Weights that sum to one in each row; equal ones without columns."""
    if not columns:
        return np.broadcast_to(1.0 / m, (n, m))
    weights = np.column_stack(columns)
    total = weights.sum(axis=1, keepdims=True)
    if (weights < 0).any() or not (total > 0).all():
        raise DataError(
            f"The weights of {name!r} must not be negative, and not all zero in any row."
        )
    return np.asarray(weights / total)


def members_values(
    codes: SmallIntArray, weights: FloatArray, columns: FloatArray
) -> tuple[SmallIntArray, FloatArray]:
    """Levels and values of rows that belong to several levels with weights."""
    return order_members(codes, weights[:, :, None] * columns[:, None])
