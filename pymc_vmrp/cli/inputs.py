"""What a command reads: tables, merged and with the order of their levels, and saved fits."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pymc_vmrp.errors import DataError
from pymc_vmrp.files import read_table, read_tree
from pymc_vmrp.frontends.checks import abbreviate, check_columns

if TYPE_CHECKING:
    import xarray as xr

Orders = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Tables:
    """The survey and, where given, the population's cells."""

    survey: pd.DataFrame
    cells: pd.DataFrame | None

    @property
    def orders(self) -> Orders:
        """Levels in order, of the survey's text columns that have one."""
        return {
            str(name): list(column.cat.categories)
            for name, column in self.survey.items()
            if isinstance(column.dtype, pd.CategoricalDtype)
            and column.dtype.ordered
            and _is_text(column.cat.categories)
        }


def read_tables(
    survey: Path,
    cells: Path | None,
    join: Sequence[Path] | None,
    level_order: Sequence[str] | None,
    saved: Orders | None = None,
) -> Tables:
    """Read and merge the tables of a command.

    Parameters
    ----------
    survey, cells : Path
    join : sequence of Path, optional
        Tables merged onto both.
    level_order : sequence of str, optional
        As typed: ``"age=18-29,30-44,45+"``.
    saved : dict, optional
        Orders that a fit was made with; those of the tables and of the command come first.
    """
    added = [(path, read_table(path)) for path in join or []]
    typed = dict(map(_read_order, level_order or []))
    if len(typed) < len(level_order or []):
        raise DataError("--level-order is given twice for one column.")
    frame = _merge(read_table(survey), added, "the survey")
    cell_frame = None if cells is None else _merge(read_table(cells), added, "cells")
    names = {*frame.columns, *([] if cell_frame is None else cell_frame.columns)}
    reasons = dict.fromkeys(typed, "--level-order")
    check_columns(pd.DataFrame(columns=sorted(names)), typed, "the data", reasons)
    frame = _ordered(frame, typed, "the survey")
    unordered = {n: levels for n, levels in (saved or {}).items() if not _has_order(frame, n)}
    tables = Tables(_ordered(frame, unordered, "the survey"), None)
    if cell_frame is None:
        return tables
    known = {  # the cells' text has the survey's order where all its levels are among these
        n: levels
        for n, levels in tables.orders.items()
        if not _has_order(cell_frame, n) and set(_levels(cell_frame[n])) <= set(levels)
    }
    return Tables(tables.survey, _ordered(_ordered(cell_frame, typed, "cells"), known, "cells"))


def _has_order(frame: pd.DataFrame, name: str) -> bool:
    """Whether nothing is to be ordered: numbers and ordered categories have an order."""
    if name not in frame.columns:
        return True
    dtype = frame[name].dtype
    return bool(getattr(dtype, "ordered", False)) or not _is_text(_levels(frame[name]))


def _levels(column: pd.Series) -> pd.Index:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.categories
    return pd.Index(column.dropna().unique())


def _is_text(levels: pd.Index) -> bool:
    return pd.api.types.infer_dtype(levels, skipna=True) in ("string", "empty")


def _read_order(text: str) -> tuple[str, list[str]]:
    name, equals, levels = text.partition("=")
    try:
        fields = next(csv.reader([levels], skipinitialspace=True, strict=True), [])
    except csv.Error:
        fields = []
    found = [level.strip() for level in fields]
    name = name.strip()
    if not equals or not name or len(found) < 2 or "" in found:
        raise DataError(
            f"--level-order {text!r} must name a column and its levels in order, as in "
            "'age=18-29,30-44,45+'."
        )
    if len(set(found)) < len(found):
        raise DataError(f"--level-order {text!r} names a level twice.")
    return name, found


def _ordered(frame: pd.DataFrame, orders: Orders, what: str) -> pd.DataFrame:
    """Text columns as ordered categories."""
    made = {}
    for name, levels in orders.items():
        if name not in frame.columns:
            continue
        column = frame[name]
        found = _levels(column)
        if not _is_text(found):
            raise DataError(
                f"--level-order {name}: the column of {what} holds no text. Numbers have an order."
            )
        strange = [value for value in found if value not in levels]
        if strange:
            raise DataError(
                f"The order of {name!r} leaves out {abbreviate(strange)} of {what}: name all "
                "levels in --level-order."
            )
        made[name] = pd.Categorical(column.astype(object), list(levels), ordered=True)
    return frame.assign(**made)


def _merge(
    frame: pd.DataFrame, tables: Sequence[tuple[Path, pd.DataFrame]], what: str
) -> pd.DataFrame:
    for path, table in tables:
        keys = [column for column in table.columns if column in frame.columns]
        if not keys:
            raise DataError(f"{path} shares no column with {what}, so it cannot be joined.")
        if table.duplicated(keys).any():
            raise DataError(f"{path} has more than one row for some values of {keys}.")
        try:
            joined = frame.merge(table, on=keys, how="left", indicator="_joined")
        except ValueError as error:  # text in one, numbers in the other
            raise DataError(f"{path} cannot be joined to {what} by {keys}: {error}.") from error
        lost = (joined["_joined"] == "left_only").to_numpy()
        if lost.any():
            missing = frame.loc[lost, keys].drop_duplicates().head(5).to_dict("records")
            raise DataError(f"{path} has no row for {missing} of {what}.")
        # the merged keys may have lost their categories and the order of these
        new = joined[[column for column in table.columns if column not in keys]]
        frame = pd.concat([frame, new.set_axis(frame.index)], axis=1)
    return frame


@dataclass(frozen=True)
class Saved:
    """A fit as it was saved, and what it says of its model.

    All of it is data that somebody may have written: text that is read, never code that is run.
    """

    tree: xr.DataTree
    formula: str
    family: str
    link: str | None
    weights: str | None
    orders: Orders


def read_fit(path: Path) -> Saved:
    """Read what ``pymc-vmrp fit`` wrote.

    Raises
    ------
    DataError
        Where it is no fit of this package, with what it is.
    """
    tree = read_tree(path)
    attrs = tree.attrs
    if "by" in attrs and "unseen_levels" in attrs:
        raise DataError(f"{path} holds estimates, not a fit: pass the fit.nc they were made from.")
    for name in ("formula", "family"):
        if name not in attrs:
            raise DataError(
                f"{path} does not say its {name}: it was not written by 'pymc-vmrp fit', or by an "
                "older version. Fit again."
            )
    texts = {
        name: attrs[name] for name in ("formula", "family", "link", "weights") if name in attrs
    }
    for name, value in texts.items():
        if not isinstance(value, str):
            raise DataError(f"{path} is damaged: its {name} is no text.")
    return Saved(
        tree, texts["formula"], texts["family"], texts.get("link"), texts.get("weights"),
        _saved_orders(attrs.get("level_order", "{}"), path),
    )  # fmt: skip


def _saved_orders(text: object, path: Path) -> Orders:
    try:
        orders = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        orders = None
    if not isinstance(orders, dict) or not all(
        isinstance(levels, list) and all(isinstance(level, str) for level in levels)
        for levels in orders.values()
    ):
        raise DataError(f"{path} is damaged: its order of levels cannot be read.")
    return orders
