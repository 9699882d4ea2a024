"""Values of predictors to predict at: those asked for, typical ones, or the rows' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.interpret.contrasts import arms_of, is_numeric
from pymc_vmrp.interpret.sample import Sample
from pymc_vmrp.interpret.versions import holding

Conditional = str | Sequence[str] | Mapping[str, Any] | None
Levels = Callable[[str], Sequence[Any]]

_POINTS = 50  # of a predictor that is a real number, as in Bambi


def no_further(name: str) -> list[Any]:
    """No values of a column are known beside those in the sample."""
    return []


@dataclass(frozen=True)
class Grid:
    """Rows to predict for.

    Attributes
    ----------
    frame : DataFrame
    weights : ndarray, shape (rows,)
        Of averages over them.
    """

    frame: pd.DataFrame
    weights: FloatArray


def make_grid(
    sample: Sample,
    needed: Sequence[str],
    conditional: Conditional,
    focal: str | None,
    levels: Levels = no_further,
) -> Grid:
    """The rows of a sample, or all combinations of the values of ``conditional``.

    Predictors that neither ``conditional`` nor ``focal`` names are held at their mean (real
    numbers) or their most frequent value, as in Bambi's interpret.

    Parameters
    ----------
    sample : Sample
    needed : sequence of str
        Columns that the model reads.
    conditional : str, sequence of str, mapping or None
        A mapping gives values; None takes the rows of the sample as they are.
    focal : str, optional
        A column that will be set.
    levels : callable
        Name of a column → values that the model knows beside those in the sample.

    Raises
    ------
    DataError
        Where a column is none of the model's, or a level is unknown.
    """
    if conditional is None:
        return Grid(sample.frame, sample.weights)
    values = _conditional_values(sample, needed, conditional, focal, levels)
    for name in needed:
        if name not in values and name != focal:
            values[name] = pd.Series([_typical(sample, name)], dtype=sample.frame[name].dtype)
    frame = pd.DataFrame(index=pd.RangeIndex(1))
    for name, column in values.items():
        frame = frame.merge(column.rename(name).to_frame(), how="cross")
    return Grid(frame, np.ones(len(frame)))


def _conditional_values(
    sample: Sample,
    needed: Sequence[str],
    conditional: Conditional,
    focal: str | None,
    levels: Levels,
) -> dict[str, pd.Series]:
    if isinstance(conditional, str):
        conditional = [conditional]
    given: dict[str, Any]
    if isinstance(conditional, Mapping):
        given = {
            name: np.atleast_1d(np.asarray(v, dtype=object)) for name, v in conditional.items()
        }
    elif isinstance(conditional, list | tuple):
        given = dict.fromkeys(conditional)
    else:
        raise DataError(
            "conditional= must be a column, a list of columns, or a dict of columns and their "
            f"values, not {type(conditional).__name__}."
        )
    found = {}
    for name, values in given.items():
        if name not in needed:
            raise DataError(
                f"conditional= has {name!r}, which the model does not read (it reads "
                f"{abbreviate(list(needed), 10)})."
            )
        if name == focal:
            raise DataError(f"conditional= has {name!r} itself: leave it out.")
        column = sample.frame[name]
        chosen = _spread(column) if values is None else _checked(column, values, levels)
        found[name] = pd.Series(chosen, dtype=_dtype_of(column, chosen))
    return found


def _spread(column: pd.Series) -> list[Any]:
    """Values that show how a predictor matters: levels, or points over its range."""
    if pd.api.types.is_float_dtype(column):
        return np.linspace(column.min(), column.max(), _POINTS).tolist()
    return arms_of(column)


def _checked(
    column: pd.Series, values: Any, levels: Levels, argument: str = "conditional"
) -> list[Any]:
    name = str(column.name)
    chosen: list[Any] = list(values)
    if not chosen:
        raise DataError(f"{argument}= has no values of {name!r}.")
    if is_numeric(column):
        for value in chosen:
            if not isinstance(value, int | float | np.number) or not np.isfinite(value):
                raise DataError(f"{argument}= has {value!r} for {name!r}, which holds numbers.")
        return chosen
    arms = arms_of(column)
    if any(value not in arms for value in chosen):
        arms += [value for value in levels(name) if value not in arms]
    for value in chosen:
        if value not in arms:
            raise DataError(
                f"{argument}= has {value!r} for {name!r}, which has no such level: it has "
                f"{abbreviate(arms)}."
            )
    return chosen


def _dtype_of(column: pd.Series, values: Sequence[Any]) -> Any:
    """The column's own dtype, unless whole numbers are asked for at others."""
    whole = pd.api.types.is_integer_dtype(column)
    if whole and any(float(value) != int(value) for value in values):
        return float
    return holding(column.dtype, values)


def _typical(sample: Sample, name: str) -> Any:
    """The mean of real numbers; of all else the most frequent value, the first of several."""
    column = sample.frame[name]
    if pd.api.types.is_float_dtype(column):
        return float(np.average(column.to_numpy(dtype=float), weights=sample.weights))
    counts = pd.Series(sample.weights).groupby(column.to_numpy(), observed=True).sum()
    arms = [arm for arm in arms_of(column) if arm in counts.index]
    return max(arms, key=lambda arm: counts[arm])


def focal_values(
    sample: Sample, contrast: Any, argument: str = "contrast", levels: Levels = no_further
) -> tuple[str, list[Any]]:
    """The column that is compared, and its values.

    ``contrast`` is a column, or a dict of one column and its values. By default levels of text
    and categories, and numbers of two values, are compared as such; real numbers half a unit
    below and above their mean, whole ones a unit below and above the most frequent.
    """
    if isinstance(contrast, Mapping):
        if len(contrast) != 1:
            raise DataError(f"{argument}= must name one column, not {len(contrast)}.")
        name, values = next(iter(contrast.items()))
    else:
        name, values = contrast, None
    if not isinstance(name, str) or name not in sample.frame.columns:
        raise DataError(
            f"{argument}= has {name!r}, which the model does not read: it reads "
            f"{abbreviate(list(sample.frame.columns), 10)}."
        )
    column = sample.frame[name]
    if values is not None:
        given = np.atleast_1d(np.asarray(values, dtype=object))
        return name, _checked(column, given, levels, argument)
    arms = arms_of(column)
    if not is_numeric(column) or len(arms) == 2:
        return name, arms
    centre = _typical(sample, name)
    reach = 0.5 if pd.api.types.is_float_dtype(column) else 1
    return name, [centre - reach, centre + reach]
