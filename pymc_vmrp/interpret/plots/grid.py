"""`plot_effect_grid`: groups in rows and columns, their effects as colours and numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.arguments import check_choice, names_of
from pymc_vmrp.errors import DataError
from pymc_vmrp.figures import ShownFigure, plain_text
from pymc_vmrp.interpret.plots.estimates import CI_PROB, GroupEffects, read_effects
from pymc_vmrp.interpret.plots.labels import (
    LevelNames,
    decimals_for,
    interval_text,
    joined,
    number,
    shorten,
)
from pymc_vmrp.interpret.plots.layout import FONT, SMALL, check_rows, text_width
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymc_vmrp.interpret.result import Effects

IntArray = NDArray[np.int64]

CENTRES = ("zero", "average")
_MOST_COLUMNS = 60
_WIDE = 8  # columns of a grid whose sides are not chosen, at most
_WRAP = 16  # characters in a line of a column's label
_CELL = 0.36  # inches, the height


@plain_text()
def plot_effect_grid(
    effects: Effects,
    rows: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    *,
    centre: str = "zero",
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    level_names: LevelNames | None = None,
) -> Figure:
    """Plot effects as a grid of groups: the estimate as colour, and with its interval as text.

    Parameters
    ----------
    effects : Effects
        What :func:`effects` returned.
    rows, columns : str or sequence of str, optional
        The columns of ``by`` whose levels, or combinations of levels, are the rows and the columns
        of the grid. Where one is left out, it is the rest; where both are, the last columns of
        ``by`` are the grid's columns, as many as make up to eight.
    centre : {"zero", "average"}
        Where the colours turn.
    contrast : str, optional
        Which one to show, where there are several.
    ci_prob : float
        Of the intervals, equal-tailed.
    level_names : mapping of column to mapping of level to name, optional
        What to call levels, such as ``{"dem": {0: "autocracy", 1: "democracy"}}``.

    Returns
    -------
    Figure
        Hatched: combinations without rows. An asterisk: the group lacks an arm.

    Raises
    ------
    DataError
        Where a column of ``by`` is in neither ``rows`` nor ``columns``, or in both.

    References
    ----------
    Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Figure 4.
    """
    shown = read_effects(effects, contrast, ci_prob, level_names)
    check_choice("centre", centre, CENTRES)
    down, across = _sides(shown, rows, columns)
    row, column = _side(shown, down, joined), _side(shown, across, _stacked)
    check_rows(len(row.labels), "more of the columns of by= in columns= make it lower.")
    if len(column.labels) > _MOST_COLUMNS:
        raise DataError(
            f"A grid has at most {_MOST_COLUMNS} columns, not {len(column.labels):,}: put more of "
            "the columns of by= in rows=."
        )
    return _draw(shown, row, column, centre)


@dataclass(frozen=True)
class _Side:
    """Rows, or columns, of the grid: their title and labels, and which one a group is in."""

    title: str
    labels: list[str]
    of_group: IntArray


def _sides(
    shown: GroupEffects, rows: str | Sequence[str] | None, columns: str | Sequence[str] | None
) -> tuple[list[int], list[int]]:
    down = _places(shown, "rows=", rows)
    across = _places(shown, "columns=", columns)
    everything = range(len(shown.names))
    if down is None and across is None:
        first = len(shown.names)
        while first > 1 and prod(len(one) for one in shown.levels[first - 1 :]) <= _WIDE:
            first -= 1
        across = list(everything[first:])
        if not across and first > 1:  # the last is too wide
            across = [min(everything, key=lambda k: len(shown.levels[k]))]
    if down is None:
        down = [k for k in everything if k not in (across or [])]
    if across is None:
        across = [k for k in everything if k not in down]
    for k in everything:
        if k in down and k in across:
            raise DataError(f"rows= and columns= both have {shown.names[k]!r}.")
        if k not in down and k not in across:
            raise DataError(
                f"{shown.names[k]!r}, which the effects are by, is in neither rows= nor columns=: "
                "a cell would hold several groups. Add it to one of them, or leave it out of by= "
                "of effects()."
            )
    return down, across


def _places(
    shown: GroupEffects, argument: str, value: str | Sequence[str] | None
) -> list[int] | None:
    names = names_of(argument, value, "a column of by=, a list of columns of by=")
    if names is None:
        return None
    if len(set(names)) < len(names):
        raise DataError(f"{argument} has a column twice: {', '.join(names)}.")
    return [shown.column(argument, name) for name in names]


def _side(
    shown: GroupEffects, columns: Sequence[int], call: Callable[[Sequence[str]], str]
) -> _Side:
    keys, of_group = shown.combinations(columns)
    labels = [
        call([shown.texts[k][at] for k, at in zip(columns, key, strict=True)]) for key in keys
    ]
    return _Side(printable(", ".join(shown.names[k] for k in columns)), labels, of_group)


def _stacked(parts: Sequence[str]) -> str:
    """A label that is narrow."""
    return "\n".join(textwrap.fill(shorten(part), _WRAP) for part in parts)


def _draw(shown: GroupEffects, row: _Side, column: _Side, centre: str) -> Figure:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    estimates = shown.estimates
    shape = (len(row.labels), len(column.labels))
    texts = _cell_texts(shown)
    middle = 0.0 if centre == "zero" else shown.average
    reach = float(np.abs(estimates.mean - middle).max()) or 1.0
    norm, colours = Normalize(middle - reach, middle + reach), colormaps["RdBu_r"]
    values = np.full(shape, np.nan)
    values[row.of_group, column.of_group] = estimates.mean

    width = max(text_width(texts, SMALL), text_width(column.labels), 0.7)
    lines = max(label.count("\n") for label in column.labels) + 1
    figure = ShownFigure(
        figsize=(
            text_width(row.labels) + 1.5 + width * shape[1],
            1.0 + 0.14 * lines + _CELL * shape[0],
        ),
        layout="constrained",
    )
    axis = figure.subplots()
    axis.set_facecolor("0.95")
    axis.patch.set(hatch="////", edgecolor="0.75", lw=0)
    image = axis.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=colours, norm=norm)
    for group, text in enumerate(texts):
        cell = axis.text(
            column.of_group[group], row.of_group[group], text, ha="center", va="center",
            fontsize=SMALL, linespacing=1.1, color=_ink(colours(norm(estimates.mean[group]))),
        )  # fmt: skip
        cell.set_in_layout(False)  # it is inside: a layout in half the time
    _name_sides(axis, row, column)
    bar = figure.colorbar(image, ax=axis, aspect=30, shrink=min(1.0, 5 / figure.get_figheight()))
    bar.set_label(shown.title, fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT)
    note = f"mean and {estimates.interval}"
    if shown.pooled.any():
        note += "; * lacks an arm"
    axis.set_title(note, fontsize=FONT, loc="right")
    return figure


def _ink(background: Sequence[float]) -> str:
    """Black or white, whichever stands out more (relative luminance, WCAG 2.2)."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _cell_texts(shown: GroupEffects) -> list[str]:
    estimates = shown.estimates
    decimals = decimals_for(estimates.low, estimates.high)
    return [
        f"{number(mean, decimals)}{'*' if pooled else ''}\n{interval_text(low, high, decimals)}"
        for mean, low, high, pooled in zip(
            estimates.mean, estimates.low, estimates.high, shown.pooled, strict=True
        )
    ]


def _name_sides(axis: Any, row: _Side, column: _Side) -> None:
    axis.set_xticks(range(len(column.labels)), column.labels, fontsize=FONT)
    axis.set_yticks(range(len(row.labels)), row.labels, fontsize=FONT)
    axis.set_xlabel(column.title, fontsize=FONT + 1)
    axis.set_ylabel(row.title, fontsize=FONT + 1)
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(1, len(column.labels)) - 0.5, minor=True)
    axis.set_yticks(np.arange(1, len(row.labels)) - 0.5, minor=True)
    axis.grid(which="minor", color="white", lw=1.5)
    axis.tick_params(which="minor", length=0)
