"""Functions of formulas that make categories, and remember which: C, S, T and binary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from formulae.categorical import CategoricalBox, Sum, Treatment

from pymc_vmrp.arrays import AnyArray, IntArray
from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.checks import abbreviate


class Categories:
    """``C(x, contrast=None, levels=None)``: a column as categories."""

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.learned = False
        self.levels: list[Any] | None = None

    def __call__(self, data: Any, contrast: Any = None, levels: Any = None) -> CategoricalBox:
        """Learn the order of the levels the first time."""
        if isinstance(data, CategoricalBox):
            contrast = data.contrast if contrast is None else contrast
            levels = data.levels if levels is None else levels
            data = data.data
        if isinstance(contrast, str):
            raise FormulaError(
                f"C() takes a coding, such as Sum, for its second argument: write "
                f"C(x, Treatment({contrast!r})) for the reference level {contrast!r}."
            )
        if not self.learned:
            self.levels = _levels(data, levels)
            self.learned = True
        box = CategoricalBox(_array(data), contrast, None)
        box._levels = self.levels  # what the setter checks need not be true of new rows
        return box


class SumCategories(Categories):
    """``S(x, omit=None, levels=None)``: categories coded by their differences from the mean."""

    def __call__(self, data: Any, omit: Any = None, levels: Any = None) -> CategoricalBox:
        """See :class:`Categories`."""
        return super().__call__(data, Sum(omit), levels)


class TreatmentCategories(Categories):
    """``T(x, ref=None, levels=None)``: categories coded by their differences from one level."""

    def __call__(self, data: Any, ref: Any = None, levels: Any = None) -> CategoricalBox:
        """See :class:`Categories`."""
        return super().__call__(data, Treatment(ref), levels)


class Binary:
    """``binary(x, success=None)``: 1 where x is the success level, by default the first."""

    __stateful_transform__ = True

    def __init__(self) -> None:
        self.learned = False
        self.success: Any = None

    def __call__(self, x: Any, success: Any = None) -> IntArray:
        """Learn the success level the first time."""
        if not self.learned:
            levels = sorted(pd.unique(x).tolist())
            self.success = levels[0] if success is None else success
            if self.success not in levels:
                raise DataError(f"no value is {self.success!r}; there are {abbreviate(levels)}")
            self.learned = True
        return np.where(np.asarray(x == self.success), 1, 0)


def _array(data: Any) -> AnyArray:
    array = np.asarray(data)
    if array.ndim != 1:
        raise FormulaError("C() takes one column.")
    return array


def _levels(data: Any, given: Any) -> list[Any] | None:
    """The levels in order: as given, or as an ordered categorical has them; None sorts them."""
    dtype = getattr(data, "dtype", None)
    if given is None:
        if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
            return list(dtype.categories)
        return None
    levels = list(given)
    present = set(pd.unique(_array(data)).tolist())
    if present != set(levels) or len(set(levels)) < len(levels):
        raise DataError(
            f"levels= must name each level of the column once: the column has "
            f"{abbreviate(sorted(present, key=str))}, not {abbreviate(levels)}"
        )
    return levels
