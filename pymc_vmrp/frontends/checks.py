"""Checks of a user's data frame, before anything is computed from it."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.glmm.codes import look_up, occurring, ranks

_RESERVED = ("Intercept", "chain", "draw", "step", "__obs__")  # names in the DataTree


def check_frame(data: object, what: str) -> pd.DataFrame:
    """Return ``data`` if it is a non-empty data frame with unique string column names."""
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"{what} must be a pandas DataFrame, not {type(data).__name__}.")
    strange = [column for column in data.columns if not isinstance(column, str)]
    if strange:
        raise DataError(
            f"{what} has column names that are not strings ({strange[:3]}): rename them, for "
            "example with data.columns = data.columns.map(str)."
        )
    duplicated = data.columns[data.columns.duplicated()].unique().tolist()
    if duplicated:
        raise DataError(f"{what} has duplicate columns {duplicated}: keep one of each.")
    if len(data) == 0:
        raise DataError(f"{what} has no rows.")
    return data


def check_columns(
    data: pd.DataFrame, needed: Iterable[str], what: str, reasons: dict[str, str] | None = None
) -> None:
    """Raise DataError where a needed column is missing, with the nearest name there is."""
    missing = [name for name in needed if name not in data.columns]
    if not missing:
        return
    parts = []
    for name in missing:
        part = repr(name)
        if reasons and name in reasons:
            part += f" (needed by {reasons[name]})"
        close = difflib.get_close_matches(name, list(data.columns), n=1)
        if close:
            part += f", did you mean {close[0]!r}"
        parts.append(part)
    raise DataError(
        f"{what} has no column {'; '.join(parts)}. Its columns are "
        f"{', '.join(map(repr, data.columns[:20]))}{' ...' if len(data.columns) > 20 else ''}: "
        "correct the name, or merge the column in."
    )


def drop_or_refuse_missing(
    data: pd.DataFrame, columns: Sequence[str], what: str, dropna: bool
) -> pd.DataFrame:
    """Refuse missing values in ``columns``, or drop those rows and say how many."""
    missing = {name: int(count) for name in columns if (count := data[name].isna().sum())}
    if not missing:
        return data
    counts = ", ".join(f"{name!r} ({count})" for name, count in missing.items())
    if not dropna:
        raise DataError(
            f"{what} has missing values in {counts}. Fill them in, or pass dropna=True to leave "
            "those rows out."
        )
    kept = data.loc[data[list(missing)].notna().all(axis=1)]
    warnings.warn(
        f"dropped {len(data) - len(kept)} of {len(data)} rows of {what} with missing values in "
        f"{counts}.",
        UserWarning,
        stacklevel=2,
    )
    if len(kept) == 0:
        raise DataError(f"{what} has no row without missing values (missing in {counts}).")
    return kept


def tidy_column(column: pd.Series, what: str) -> pd.Series:
    """One predictor as a plain numeric, string or categorical column.

    Nullable numbers become numpy numbers, categories that do not occur are removed, and infinite
    values or types that cannot be a predictor are refused.
    """
    name = column.name
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _without_unused_categories(column)
    if isinstance(dtype, pd.StringDtype):
        return column
    if pd.api.types.is_bool_dtype(dtype):
        return column.astype(bool)
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"Column {name!r} of {what} is complex: use real numbers.")
    if pd.api.types.is_numeric_dtype(dtype):
        # one width for all: products of small integers would overflow, and new data may differ
        unsigned = pd.api.types.is_unsigned_integer_dtype(dtype)
        integer = pd.api.types.is_integer_dtype(dtype) and not (
            unsigned and int(column.max()) > np.iinfo(np.int64).max
        )
        column = column.astype(np.int64 if integer else np.float64)
        if not integer and not np.isfinite(column.to_numpy()).all():
            raise DataError(f"Column {name!r} of {what} has infinite values: correct or drop them.")
        return column
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind == "boolean":
        return column.astype(bool)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        numbers = pd.to_numeric(column)
        if pd.api.types.is_numeric_dtype(numbers):
            return tidy_column(numbers, what)
    if kind == "string":
        return column
    raise DataError(
        f"Column {name!r} of {what} holds {kind} values, which cannot be a predictor: make it "
        "numbers, strings or a pandas categorical."
    )


def _without_unused_categories(column: pd.Series) -> pd.Series:
    """What ``column.cat.remove_unused_categories()`` gives, without sorting the rows."""
    codes, dtype = column.array.codes, column.dtype
    used = occurring(codes, len(dtype.categories))
    if used.all():
        return column
    position = np.append(ranks(used), -1)  # the last stands for a missing value
    values = pd.Categorical.from_codes(
        look_up(position, codes),
        dtype=pd.CategoricalDtype(dtype.categories[used], dtype.ordered),
    )
    return pd.Series(values, index=column.index, name=column.name)


def kind_of(column: pd.Series) -> str:
    """What a tidy column holds: "numbers", "true/false" or "text" (of categories, theirs)."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return kind_of(pd.Series(dtype.categories))
    if pd.api.types.is_bool_dtype(dtype):
        return "true/false"
    return "numbers" if pd.api.types.is_numeric_dtype(dtype) else "text"


def check_weights(weights: pd.Series, what: str, most: float = np.inf) -> np.ndarray:
    """Weights as floats: finite, not negative, not all zero, with a sum of at most ``most``."""
    name = weights.name
    if pd.api.types.is_bool_dtype(weights) or not pd.api.types.is_numeric_dtype(weights):
        raise DataError(f"The weights column {name!r} of {what} must be numeric.")
    if pd.api.types.is_complex_dtype(weights):
        raise DataError(f"The weights column {name!r} of {what} is complex: use real numbers.")
    if weights.isna().any():
        raise DataError(f"The weights column {name!r} of {what} has missing values.")
    values = weights.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise DataError(f"The weights column {name!r} of {what} has infinite values.")
    if (values < 0).any():
        raise DataError(
            f"The weights column {name!r} of {what} has negative values "
            f"({int((values < 0).sum())} rows): weights are population counts."
        )
    if not (values > 0).any():
        raise DataError(f"The weights column {name!r} of {what} is zero in every row.")
    with np.errstate(over="ignore"):
        total = float(values.sum())
    if total > most:
        raise DataError(
            f"The weights in {name!r} of {what} sum to {total:.3g}, which the posterior would take "
            "for so many answers: scale them to sum to the number of rows."
        )
    return values


def storable_labels(labels: pd.Index) -> np.ndarray:
    """Labels as numbers or text, which every file format can hold."""
    plain = isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "iufb"
    if plain and not isinstance(labels, pd.MultiIndex):
        return labels.to_numpy()
    return np.array([str(label) for label in labels])


def abbreviate(values: Collection[object], limit: int = 5) -> str:
    """A short list for an error message."""
    shown = ", ".join(repr(value) for value in list(values)[:limit])
    return shown + (f" and {len(values) - limit} more" if len(values) > limit else "")


def check_name(name: str) -> None:
    """Refuse names that a DataTree cannot hold or uses itself."""
    if name in _RESERVED:
        raise FormulaError(
            f"A term cannot be called {name!r}, which results use for something else: rename the "
            "column."
        )
    if "/" in name:  # a DataTree path separator: no variable may be called so
        raise FormulaError(
            f"The term {name!r} has '/' in its name, which ArviZ's files cannot store: multiply by "
            "a number instead, or compute a column beforehand."
        )
