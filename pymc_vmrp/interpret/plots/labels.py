"""What pictures of effects call levels, groups and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.text import printable

LevelNames = Mapping[str, Mapping[Any, str]]

EVERYBODY = "all"  # the group of no by= columns
_LONGEST = 40  # characters of a level


def level_labels(
    names: Sequence[str], levels: Sequence[Sequence[Any]], level_names: LevelNames | None
) -> tuple[list[str], ...]:
    """What the levels of each column are called.

    Text is called by itself; a number or a truth value says nothing without its column, ``dem=1``.

    Parameters
    ----------
    names : sequence of str
        The columns.
    levels : sequence of sequence
        Their distinct values.
    level_names : mapping of column to mapping of level to name, optional
        Other names for some of them.

    Raises
    ------
    DataError
        Where ``level_names`` has a column or a level that is not there.
    """
    given = _check_level_names(names, levels, level_names)
    return tuple(
        [
            printable(given.get(name, {}).get(level, text))
            for level, text in zip(of_column, _texts(name, of_column), strict=True)
        ]
        for name, of_column in zip(names, levels, strict=True)
    )


def _check_level_names(
    names: Sequence[str], levels: Sequence[Sequence[Any]], level_names: LevelNames | None
) -> LevelNames:
    if level_names is None:
        return {}
    if not isinstance(level_names, Mapping) or not all(
        isinstance(one, Mapping) for one in level_names.values()
    ):
        raise DataError(
            "level_names= must map columns to names of their levels, such as "
            f"{{'dem': {{0: 'autocracy', 1: 'democracy'}}}}, not {level_names!r}."
        )
    for name, renamed in level_names.items():
        if name not in names:
            raise DataError(
                f"level_names= has the column {name!r}; the groups are by "
                f"{', '.join(names) or 'no column whose levels have names'}."
            )
        known = levels[names.index(name)]
        unknown = [level for level in renamed if level not in known]
        if unknown:
            raise DataError(
                f"level_names= has {unknown[0]!r}, which is no level of {name!r}: it has "
                f"{abbreviate(known, 10)}."
            )
    return level_names


def _texts(name: str, levels: Sequence[Any]) -> list[str]:
    if all(isinstance(level, str) for level in levels):
        return list(levels)
    short = [f"{level:g}" if isinstance(level, float) else str(level) for level in levels]
    if len(set(short)) < len(short):
        short = [str(level) for level in levels]
    return [f"{name}={text}" for text in short]


def shorten(label: str, most: int = _LONGEST) -> str:
    """The label, its middle left out where it is longer than ``most`` characters."""
    if len(label) <= most:
        return label
    tail = most // 3
    return f"{label[: most - tail - 1]}…{label[-tail:]}"


def joined(parts: Sequence[str]) -> str:
    """What a group with these levels is called."""
    return ", ".join(map(shorten, parts)) if parts else EVERYBODY


def decimals_for(low: np.ndarray, high: np.ndarray) -> int:
    """Decimals that show two digits of the width of most intervals."""
    width = np.abs(high - low)
    width = width[np.isfinite(width) & (width > 0)]
    if not len(width):
        return 2
    return int(np.clip(1 - np.floor(np.log10(np.median(width))), 0, 6))


def number(value: float, decimals: int) -> str:
    """A number, never a negative zero; of many digits, in powers of ten."""
    return f"{value:z.{decimals}f}" if abs(value) < 1e6 else f"{value:.3g}"


def interval_text(low: float, high: float, decimals: int) -> str:
    """An interval, such as ``[0.25, 0.41]``."""
    return f"[{number(low, decimals)}, {number(high, decimals)}]"
