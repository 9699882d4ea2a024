"""What a treatment is compared with: two values of it, or its slope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate

SLOPE = "slope"
PAIRWISE = "pairwise"


@dataclass(frozen=True)
class Contrast:
    """``high`` against ``low``; both are None where it is the slope."""

    label: str
    low: Any
    high: Any

    @property
    def is_slope(self) -> bool:
        """Whether it is the derivative, at each row's own value."""
        return self.label == SLOPE


def arms_of(column: pd.Series) -> list[Any]:
    """Distinct values, in the order of the categories where there is one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories().cat.categories.tolist()
    return sorted(column.unique().tolist())


def arm_codes(column: pd.Series, arms: Sequence[Any]) -> IntArray:
    """Position of each row's value among the arms; −1 for one that is none of them."""
    return pd.Index(arms).get_indexer(np.asarray(column))


def is_numeric(column: pd.Series) -> bool:
    """Whether values have a distance; true and false have none."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def find_contrasts(column: pd.Series, contrast: Any) -> tuple[Contrast, ...]:
    """The contrasts of a treatment.

    Parameters
    ----------
    column : Series
        The treatment in the rows at hand.
    contrast : None, "slope", "pairwise", pair of values, or sequence of pairs
        None compares every arm with the first; that is an error for a number of more than two
        values.

    Raises
    ------
    DataError
        Where the treatment does not vary, or a value is none of its own.
    """
    name, arms = str(column.name), arms_of(column)
    if len(arms) < 2:
        raise DataError(
            f"The treatment {name!r} does not vary: all rows have {arms[0]!r}. An effect needs "
            "rows of at least two arms."
        )
    numeric = is_numeric(column)
    if contrast is None:
        if numeric and len(arms) > 2:
            raise DataError(
                f"The treatment {name!r} is a number with {len(arms)} values: say what is compared "
                f"with what, such as contrast=({arms[0]!r}, {arms[-1]!r}), or contrast='slope'."
            )
        return tuple(_contrast(arms[0], arm) for arm in arms[1:])
    if isinstance(contrast, str):
        if contrast == PAIRWISE:
            return tuple(_contrast(low, high) for low, high in combinations(arms, 2))
        if contrast == SLOPE and numeric:
            return (Contrast(SLOPE, None, None),)
        if contrast == SLOPE:
            raise DataError(
                f"contrast='slope' is for numbers, but the treatment {name!r} has the arms "
                f"{abbreviate(arms)}: leave contrast= out, or name two of them."
            )
    pairs = _pairs(contrast)
    if pairs is None:
        raise DataError(
            f"contrast= must be a pair of values of {name!r}, a list of pairs, 'pairwise' or "
            f"'slope', not {contrast!r}."
        )
    valued = (tuple(_value(name, arms, numeric, v) for v in pair) for pair in pairs)
    return tuple(_contrast(low, high) for low, high in dict.fromkeys(valued))


def _contrast(low: Any, high: Any) -> Contrast:
    return Contrast(f"{_shown(high)} - {_shown(low)}", low, high)


def _shown(arm: Any) -> str:
    """An arm in the name of a contrast, which must not be that of another."""
    return f"({arm})" if " - " in str(arm) else str(arm)


def _pairs(contrast: Any) -> Sequence[tuple[Any, Any]] | None:
    if not isinstance(contrast, list | tuple) or not contrast:
        return None
    if len(contrast) == 2 and not any(isinstance(one, list | tuple) for one in contrast):
        return [tuple(contrast)]
    good = all(isinstance(one, list | tuple) and len(one) == 2 for one in contrast)
    return [tuple(one) for one in contrast] if good else None


def _value(name: str, arms: Sequence[Any], numeric: bool, value: Any) -> Any:
    """A value that was asked for, as the column has it."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if numeric and is_number and np.isfinite(value):
        return value
    if value in arms:
        return arms[arms.index(value)]
    raise DataError(
        f"contrast= has {value!r}, which is no arm of {name!r}: it has {abbreviate(arms)}."
    )
