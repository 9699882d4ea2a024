"""Columns of a user's data frame as plain numbers, text or categories of labels."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.glmm.codes import look_up, occurring, ranks, slices

# what infer_dtype says of values that stand for points or spans of time, or of a scale
_LABELLED = (
    "datetime64", "datetime", "date", "period", "timedelta64", "timedelta", "time", "interval",
)  # fmt: skip
_JOINED = 1 << 16  # rows of text looked at together


def tidy_column(column: pd.Series, what: str) -> pd.Series:
    """One predictor as a plain numeric, string or categorical column.

    Nullable and Arrow columns become numpy's, categories that do not occur are removed, dates,
    times, periods and intervals become ordered categories of their labels. Infinite values, text
    that no file can hold and types that cannot be a predictor are refused.
    """
    name = column.name
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return tidy_column(_from_arrow(column), what)
    if isinstance(dtype, pd.CategoricalDtype):
        return _tidy_categories(_without_unused_categories(column), what)
    if isinstance(dtype, pd.StringDtype):
        check_text(column, what)
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
        check_text(column, what)
        return column
    if kind in _LABELLED:
        return _as_labels(column, what)
    raise DataError(
        f"Column {name!r} of {what} holds {kind} values, which cannot be a predictor: make it "
        "numbers, strings or a pandas categorical."
    )


def is_labelled(column: pd.Series) -> bool:
    """Whether a column holds dates, times, periods or intervals, which can group rows only."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return False
    if isinstance(dtype, pd.ArrowDtype):
        return is_labelled(_from_arrow(column.head(1)))
    if pd.api.types.is_numeric_dtype(dtype) or isinstance(dtype, pd.StringDtype):
        return False
    return pd.api.types.infer_dtype(column.head(1), skipna=True) in _LABELLED


def kind_of(column: pd.Series) -> str:
    """What a tidy column holds: "numbers", "true/false" or "text" (of categories, theirs)."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return kind_of(pd.Series(dtype.categories))
    if pd.api.types.is_bool_dtype(dtype):
        return "true/false"
    return "numbers" if pd.api.types.is_numeric_dtype(dtype) else "text"


def check_text(column: pd.Series, what: str) -> None:
    """Refuse text that would be cut short, or that no file can hold.

    pandas and NetCDF end text at the character NUL, so that two levels that differ after it would
    be one; half of a surrogate pair has no encoding.
    """
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        # Arrow has checked the encoding; a look at its bytes spares nearly all columns one by row
        if _may_hold_nul(column) and column.str.contains("\0", regex=False).any():
            raise _unusable(column, what, "hold the character NUL")
        return
    for rows in slices(len(column), _JOINED):
        joined = "".join(column.iloc[rows].tolist())
        if not _is_encodable(joined):
            raise _unusable(column, what, "are no valid Unicode (lone surrogates)")
        if "\0" in joined:
            raise _unusable(column, what, "hold the character NUL")


def _may_hold_nul(column: pd.Series) -> bool:
    """Whether the bytes of a column of Arrow's text, or those beside them, have a zero."""
    text = column.array.__arrow_array__()
    buffers = [chunk.buffers()[-1] for chunk in getattr(text, "chunks", [text])]
    return any(not np.frombuffer(data, np.uint8).all() for data in buffers if data is not None)


def _unusable(column: pd.Series, what: str, reason: str) -> DataError:
    bad = [v for v in dict.fromkeys(map(str, column)) if "\0" in v or not _is_encodable(v)]
    return DataError(
        f"Column {column.name!r} of {what} has values that {reason}, which no result can tell "
        f"apart or store: {abbreviate([ascii(v) for v in bad])}. Recode them."
    )


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _from_arrow(column: pd.Series) -> pd.Series:
    """A column of Arrow's types as pandas holds it by itself."""
    plain = column.array.__arrow_array__().to_pandas()
    return pd.Series(plain.array, index=column.index, name=column.name)


def _tidy_categories(column: pd.Series, what: str) -> pd.Series:
    """Categories that are text or numbers, whatever type they came in."""
    dtype = column.dtype
    values = pd.Series(dtype.categories, name=column.name)
    if pd.api.types.infer_dtype(values).startswith("mixed"):
        values = values.map(str)
        if values.duplicated().any():
            raise DataError(
                f"Column {column.name!r} of {what} has categories that read alike as text: recode."
            )
    tidy = tidy_column(values, what)
    if isinstance(tidy.dtype, pd.CategoricalDtype):  # dates and the like, in their order
        ordered = bool(dtype.ordered)
        own = list(dict.fromkeys(tidy.astype(object))) if ordered else tidy.cat.categories
        labels = pd.CategoricalDtype(own, True)
        position = labels.categories.get_indexer(tidy.astype(object)).astype(np.int32)
        return _with_codes(column, look_up(np.append(position, -1), column.array.codes), labels)
    if tidy.dtype == dtype.categories.dtype:
        return column
    return column.cat.rename_categories(pd.Index(tidy))


def _as_labels(column: pd.Series, what: str) -> pd.Series:
    """Dates and the like as ordered categories of their labels.

    Times of several time zones are those of UTC, so that an instant is one level; those of a single
    zone keep it.
    """
    if column.dtype == object:
        zones = {str(v.tzinfo) for v in column if isinstance(v, datetime.datetime)}
        if len(zones - {"None"}) > 1 and "None" not in zones:
            utc = [pd.Timestamp(value).tz_convert("UTC") for value in column]
            column = pd.Series(pd.DatetimeIndex(utc), index=column.index, name=column.name)
    codes, distinct = pd.factorize(column)
    values = list(distinct)
    try:
        order = sorted(range(len(values)), key=values.__getitem__)
    except TypeError:
        raise DataError(
            f"Column {column.name!r} of {what} holds times that cannot be ordered, with and "
            "without a time zone: make them alike."
        ) from None
    labels = [_label(value) for value in values]
    dtype = pd.CategoricalDtype(list(dict.fromkeys(labels[i] for i in order)), ordered=True)
    position = dtype.categories.get_indexer(labels)
    return _with_codes(column, position[np.asarray(codes)], dtype)


def _label(value: Any) -> str:
    """The text of a date, a time, a period or an interval; of midnight, the day."""
    if isinstance(value, datetime.datetime):  # a Timestamp is one
        midnight = value.tzinfo is None and value == pd.Timestamp(value).normalize()
        return str(value.date()) if midnight else str(value)
    return str(value)


def _without_unused_categories(column: pd.Series) -> pd.Series:
    """What ``column.cat.remove_unused_categories()`` gives, without sorting the rows."""
    codes, dtype = column.array.codes, column.dtype
    used = occurring(codes, len(dtype.categories))
    if used.all():
        return column
    position = np.append(ranks(used), -1)  # the last stands for a missing value
    kept = pd.CategoricalDtype(dtype.categories[used], dtype.ordered)
    return _with_codes(column, look_up(position, codes), kept)


def _with_codes(column: pd.Series, codes: Any, dtype: pd.CategoricalDtype) -> pd.Series:
    """Categories in the place of a column."""
    values = pd.Categorical.from_codes(codes, dtype=dtype)
    return pd.Series(values, index=column.index, name=column.name)
