"""A data frame that prints within 80 columns."""

from __future__ import annotations

from typing import Any

import pandas as pd

WIDTH = 80
_MOST_ROWS = 60
_SHORTEST = 8  # characters of a name


class Table(pd.DataFrame):  # type: ignore[misc]
    """A data frame in all but how it prints: pandas would break wide ones into two halves.

    What is selected or computed from it is an ordinary data frame, of numbers in full.
    """

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __repr__(self) -> str:
        return within(pd.DataFrame(self))


def within(table: pd.DataFrame, width: int = WIDTH) -> str:
    """The table as text of at most ``width`` columns: few digits, long names cut in the middle."""
    text = _text(table)
    excess = max(map(len, text.splitlines())) - width
    if excess <= 0:
        return text
    names = table.index.get_level_values(-1)
    room = max(_SHORTEST, max(len(str(name)) for name in names) - excess)
    short = [_shortened(str(name), room) for name in names]
    index: pd.Index
    if table.index.nlevels == 1:
        index = pd.Index(short, name=table.index.name)
    else:
        others = [table.index.get_level_values(i) for i in range(table.index.nlevels - 1)]
        index = pd.MultiIndex.from_arrays([*others, short], names=table.index.names)
    return _text(table.set_axis(index))


def _text(table: pd.DataFrame) -> str:
    return str(table.to_string(float_format=_number, max_rows=_MOST_ROWS))


def _number(value: Any) -> str:
    return f"{value:.3f}" if 1e-2 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def _shortened(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    head = (room - 1) // 2
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"
