"""Checks of a user's data frame, before anything is computed from it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from pymc_vmrp.errors import DataError, FormulaError, warn

MOST_ROWS = 1e15  # that weights may stand for: floats count whole numbers up to 9e15
_RESERVED = ("Intercept", "chain", "draw", "step", "__obs__")  # names in the DataTree


def check_frame(data: object, what: str) -> pd.DataFrame:
    """Return ``data`` if it is a non-empty data frame with unique string column names."""
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"{what} must be a pandas DataFrame, not {_type_in_words(data)}.")
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


def _type_in_words(data: object) -> str:
    """A type with its module, and how to make a pandas DataFrame of it."""
    kind = type(data)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    for method, remedy in (
        ("to_dataframe", "to_dataframe().reset_index()"),
        ("to_pandas", "to_pandas()"),
        ("to_frame", "to_frame()"),
        ("df", "df()"),  # of DuckDB's relations
        ("execute", "execute()"),  # of Ibis' tables
    ):
        if hasattr(data, method):
            return f"{name}: convert it with data.{remedy}"
    return f"{name}: make it one with pandas.DataFrame(...)"


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
    warn(
        f"dropped {len(data) - len(kept)} of {len(data)} rows of {what} with missing values in "
        f"{counts}."
    )
    if len(kept) == 0:
        raise DataError(f"{what} has no row without missing values (missing in {counts}).")
    return kept


def plain_numbers(column: pd.Series) -> pd.Series:
    """Whole or decimal numbers that came as objects, as numpy's."""
    numbers = ("decimal", "integer", "floating", "mixed-integer-float")
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in numbers:
        return pd.to_numeric(column)
    return column


def is_real(dtype: object) -> bool:
    """Whether a column of this dtype holds real numbers; true/false are none."""
    return (
        pd.api.types.is_numeric_dtype(dtype)
        and not pd.api.types.is_bool_dtype(dtype)
        and not pd.api.types.is_complex_dtype(dtype)
    )


def finite_numbers(
    column: pd.Series, what: str, kind: str = "numbers", verb: str = "has"
) -> np.ndarray:
    """A column as floats; ``what`` errors call it, ``kind`` what it must be, ``verb`` its have."""
    column = plain_numbers(column)
    if not is_real(column.dtype):
        raise DataError(f"{what} must be {kind}, not {column.dtype}.")
    if column.isna().any():
        raise DataError(f"{what} {verb} missing values.")
    values = column.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise DataError(f"{what} {verb} infinite values.")
    return values


def refuse_missing(column: pd.Series, what: str) -> None:
    """Raise DataError where a column of new rows has missing values."""
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"{what} has missing values in {column.name!r} ({missing} rows): fill them in or leave "
            "those rows out."
        )


def check_weights(weights: pd.Series, what: str) -> np.ndarray:
    """Weights as floats: finite, not negative, not all zero."""
    what = f"The weights column {weights.name!r} of {what}"
    values = finite_numbers(weights, what, "numeric (real numbers)")
    if (values < 0).any():
        raise DataError(
            f"{what} has negative values ({int((values < 0).sum())} rows): weights are population "
            "counts."
        )
    if not (values > 0).any():
        raise DataError(f"{what} is zero in every row.")
    return values


def check_total(counts: np.ndarray, what: str, remedy: str) -> None:
    """Refuse an amount of data that floats cannot count."""
    with np.errstate(over="ignore"):
        total = float(counts.sum())
    if not total < MOST_ROWS:
        raise DataError(f"{what} sum to {total:.3g}, more than can be counted: {remedy}.")


def without_weightless(data: pd.DataFrame, weights: str) -> pd.DataFrame:
    """The rows whose weight is not zero: a weight of zero says that there is no such row."""
    column = plain_numbers(data[weights])
    if not is_real(column.dtype):
        return data  # and refused later
    zero = (column == 0).fillna(False).to_numpy(dtype=bool)
    return data if zero.all() or not zero.any() else data.loc[~zero]


def storable_labels(labels: pd.Index) -> np.ndarray:
    """Labels as numbers or text, which every file format can hold."""
    plain = isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "iufb"
    if plain and not isinstance(labels, pd.MultiIndex):
        return labels.to_numpy()
    return np.array([_storable(str(label)) for label in labels])


def _storable(text: str) -> str:
    """Text with what no file can store written as escapes."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def abbreviate(values: Collection[object], limit: int = 5) -> str:
    """A short list for an error message."""
    plain = (v.item() if isinstance(v, np.generic) else v for v in list(values)[:limit])
    shown = ", ".join(map(repr, plain))
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
