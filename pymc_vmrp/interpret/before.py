"""`groups`: how many rows of each arm there are in every crossed group, before fitting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_count, check_text, names_of
from pymc_vmrp.errors import DataError, warn
from pymc_vmrp.frontends.checks import abbreviate, check_columns, check_frame
from pymc_vmrp.frontends.tidy import tidy_column
from pymc_vmrp.interpret.contrasts import arm_codes, arms_of, is_numeric
from pymc_vmrp.mrp.groups import group_cells
from pymc_vmrp.summaries.table import Table

_MOST_GROUPS = 1_000_000
_MOST_ARMS = 50


def groups(
    data: pd.DataFrame, by: str | Sequence[str], treatment: str, least: int = 10
) -> pd.DataFrame:
    """Count the rows of each arm of a treatment in every crossed group, before fitting.

    Parameters
    ----------
    data : DataFrame
    by : str or sequence of str
        Columns that define the groups.
    treatment : str
        A column of two or more arms.
    least : int
        How many rows of an arm are not few.

    Returns
    -------
    DataFrame
        Indexed by the columns of ``by``: all combinations of their levels, those without rows
        included, with ``n[arm]`` for each arm, ``n``, and ``note``: "no rows", "no rows of ..." or
        "few rows of ...".

    Warns
    -----
    UserWarning
        With the number of groups that have no row, none of an arm, or few of one.

    Raises
    ------
    DataError
        Where a column is missing or has missing values; where the treatment does not vary, or is a
        number of more than 50 values; where there are more than a million combinations.
    """
    frame = check_frame(data, "data")
    names = list(dict.fromkeys(names_of("by", by, "a column name, a list of column names") or []))
    if not names:
        raise DataError("by= names no column: list those that define the groups.")
    check_text("treatment=", treatment, "the name of a column")
    check_count("least", least)
    reasons = dict.fromkeys(names, "by=") | {treatment: "treatment="}
    check_columns(frame, [*names, treatment], "data", reasons)
    if treatment in names:
        raise DataError(f"by= has the treatment {treatment!r} itself: leave it out.")
    counts = _count(_tidied(frame, [*names, treatment]), names, treatment)
    table = counts.set_axis([f"n[{arm}]" for arm in counts.columns], axis=1)
    table["n"] = counts.sum(axis=1)
    table["note"] = _notes(counts, least)
    _warn(counts, treatment, least)
    return Table(table)


def _tidied(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    for name in names:
        missing = int(frame[name].isna().sum())
        if missing:
            raise DataError(
                f"data has missing values in {name!r} ({missing} rows): fill them in or leave "
                "those rows out."
            )
    return pd.DataFrame({name: tidy_column(frame[name], "data") for name in names})


def _count(frame: pd.DataFrame, names: list[str], treatment: str) -> pd.DataFrame:
    """Rows of each arm, all combinations of levels."""
    column = frame[treatment]
    arms = arms_of(column)
    if len(arms) < 2:
        raise DataError(
            f"The treatment {treatment!r} does not vary: all rows have {arms[0]!r}. An effect "
            "needs rows of at least two arms."
        )
    if is_numeric(column) and len(arms) > _MOST_ARMS:
        raise DataError(
            f"The treatment {treatment!r} is a number with {len(arms)} values: cut it into arms "
            "first, such as with pandas.cut."
        )
    found = group_cells(frame, names)
    if math.prod(found.shape) > _MOST_GROUPS:
        raise DataError(
            f"by= {', '.join(names)} has {math.prod(found.shape):,} combinations of levels, more "
            f"than {_MOST_GROUPS:,}: group by fewer or coarser columns."
        )
    group = np.ravel_multi_index(found.position, found.shape)[found.codes]
    codes = arm_codes(column, arms)
    table = np.zeros((math.prod(found.shape), len(arms)), dtype=np.int64)
    np.add.at(table, (group, codes), 1)
    index = pd.MultiIndex.from_product(found.levels, names=names)
    if len(names) == 1:
        index = pd.Index(found.levels[0], name=names[0])
    return pd.DataFrame(table, index=index, columns=arms)


def _notes(counts: pd.DataFrame, least: int) -> list[str]:
    notes = []
    for row in counts.to_numpy():
        lacking = [str(arm) for arm, n in zip(counts.columns, row, strict=True) if n == 0]
        few = [str(arm) for arm, n in zip(counts.columns, row, strict=True) if 0 < n < least]
        parts = [f"no rows of {', '.join(lacking)}"] if lacking else []
        parts += [f"few rows of {', '.join(few)}"] if few else []
        notes.append("; ".join(parts) if row.any() else "no rows")
    return notes


def _warn(counts: pd.DataFrame, treatment: str, least: int) -> None:
    rows = counts.to_numpy()
    empty = ~rows.any(axis=1)
    lacking = ~empty & (rows == 0).any(axis=1)
    few = ((rows > 0) & (rows < least)).any(axis=1)
    said = [
        (empty, "no rows"),
        (lacking, f"no rows of an arm of {treatment!r}"),
        (few, f"fewer than {least} rows of an arm"),
    ]
    parts = [
        f"{int(which.sum()):,} {text} ({abbreviate(counts.index[which].tolist(), 3)})"
        for which, text in said
        if which.any()
    ]
    if parts:
        listed = "; ".join(parts)
        warn(
            f"of {len(counts):,} crossed groups {listed}. Effects there rest on the other groups.",
        )
