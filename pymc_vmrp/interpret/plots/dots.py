"""`plot_effects`: a point and an interval for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_vmrp.arguments import check_choice, names_of
from pymc_vmrp.errors import DataError
from pymc_vmrp.figures import ShownFigure, plain_text
from pymc_vmrp.interpret.plots.estimates import (
    CI_PROB,
    Estimates,
    GroupEffects,
    align,
    is_effects,
    read_effects,
    read_table,
)
from pymc_vmrp.interpret.plots.labels import LevelNames, decimals_for, number, shorten
from pymc_vmrp.interpret.plots.layout import (
    FONT,
    MANY_ROWS,
    average_line,
    check_rows,
    draw_intervals,
    name_rows,
    row_size,
    text_width,
    zero_line,
)
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymc_vmrp.interpret.result import Effects

IntArray = NDArray[np.int64]

ORDERS = ("effect", "levels")
_ACROSS = 4  # panels side by side


@plain_text()
def plot_effects(
    effects: Effects,
    other: pd.DataFrame | Effects | None = None,
    facet: str | None = None,
    *,
    order: str = "effect",
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    labels: Sequence[str] | None = None,
    level_names: LevelNames | None = None,
) -> Figure:
    """Plot the effect in each group: a point, and an interval.

    Parameters
    ----------
    effects : Effects
        What :func:`effects` returned.
    other : DataFrame or Effects, optional
        Estimates of the same groups by another method, such as the rows of one method of
        ``effects.compare()``, to draw beside them: indexed by the columns of ``by``, with columns
        ``estimate`` or ``mean``, and ``lower`` and ``upper`` (or ``ci90_lb`` and ``ci90_ub``, and
        the like). Groups that it lacks are left empty.
    facet : str, optional
        A column of ``by``: a panel for each of its levels, whose rows are the other columns.
    order : {"effect", "levels"}
        Rows by their effect, the smallest on top (of several panels: by its average over them), or
        as the levels are ordered.
    contrast : str, optional
        Which one to show, where there are several.
    ci_prob : float
        Of the interval, equal-tailed.
    labels : sequence of str, optional
        What to call the two methods; one name where there is no other.
    level_names : mapping of column to mapping of level to name, optional
        What to call levels, such as ``{"dem": {0: "autocracy", 1: "democracy"}}``.

    Returns
    -------
    Figure
        Solid: no effect. Dashed: the average over the groups, weighted by rows. Groups that lack
        an arm, whose effect the model takes from the others, have hollow points.

    Raises
    ------
    DataError
        Where an argument names a column, contrast or level that is not there, ``other`` has
        groups that ``effects`` has not, or there are more rows than a picture holds.

    References
    ----------
    Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Figure 1.
    """
    shown = read_effects(effects, contrast, ci_prob, level_names)
    check_choice("order", order, ORDERS)
    panels = None if facet is None else shown.column("facet=", facet)
    beside = None
    if other is not None:
        table = other.table(ci_prob) if is_effects(other) else other
        beside = align(read_table(table, "other", shown.contrast, shown.names), shown, "other")
    names = _method_names(labels, beside)
    rows = _rows(shown, panels, order)
    check_rows(len(rows.labels), "facet= spreads groups over panels; plot_effect_distribution() "
               "shows them together.")  # fmt: skip
    return _draw(shown, beside, panels, rows, names)


@dataclass(frozen=True)
class _Rows:
    """Labels of the rows, from the top, and the row of each group."""

    labels: list[str]
    of_group: IntArray


def _method_names(labels: Sequence[str] | None, beside: Estimates | None) -> list[str]:
    methods = 1 if beside is None else 2
    given = names_of("labels", labels, "names of the methods")
    if given is None:
        second = [] if beside is None else [beside.method or "other"]
        return [printable(name) for name in ["model", *second]]
    if len(given) != methods:
        raise DataError(
            f"labels has {len(given)} names, but {methods} "
            f"{'method is' if methods == 1 else 'methods are'} shown."
        )
    return [printable(name) for name in given]


def _rows(shown: GroupEffects, facet: int | None, order: str) -> _Rows:
    columns = [k for k in range(len(shown.names)) if k != facet]
    keys, of_group = shown.combinations(columns)
    labels = [shown.label(columns, key) for key in keys]
    if order == "levels":
        return _Rows(labels, of_group)
    mean = np.bincount(of_group, weights=shown.estimates.mean) / np.bincount(of_group)
    sequence = np.argsort(mean, kind="stable")
    return _Rows([labels[row] for row in sequence], np.argsort(sequence)[of_group])


def _draw(
    shown: GroupEffects,
    beside: Estimates | None,
    facet: int | None,
    rows: _Rows,
    names: list[str],
) -> Figure:
    panels = 1 if facet is None else len(shown.levels[facet])
    across = min(panels, _ACROSS)
    down = ceil(panels / across)
    height, font = row_size(len(rows.labels), len(names))
    panel_width = 4.0 if panels == 1 else 2.2
    figure = ShownFigure(
        figsize=(
            text_width(rows.labels, font) + 0.4 + panel_width * across,
            down * (height * len(rows.labels) + 0.5) + 1.2,
        ),
        layout="constrained",
    )
    check_rows(down * len(rows.labels), "use a facet= with fewer levels.")
    axes = np.asarray(figure.subplots(down, across, sharex=True, squeeze=False))
    for panel, axis in enumerate(axes.flat):
        if panel >= panels:
            axis.set_axis_off()
            continue
        inside = (
            np.ones(shown.size, dtype=bool) if facet is None else shown.position[facet] == panel
        )
        _draw_panel(axis, shown, beside, rows, inside, names)
        name_rows(axis, rows.labels if panel % across == 0 else [""] * len(rows.labels), font)
        axis.tick_params(labelbottom=panel + across >= panels)  # no panel is below
        if facet is not None:
            axis.set_title(shorten(shown.texts[facet][panel], 30), fontsize=FONT + 1)
        if len(rows.labels) > MANY_ROWS:
            axis.tick_params(top=True, labeltop=True)
    others = printable(", ".join(name for k, name in enumerate(shown.names) if k != facet))
    if panels == 1:
        axes[0, 0].set_xlabel(shown.title, fontsize=FONT + 1)
        axes[0, 0].set_ylabel(others, fontsize=FONT + 1)
    else:
        figure.supxlabel(shown.title, fontsize=FONT + 1)
        figure.supylabel(others, fontsize=FONT + 1)
    _legend(figure)
    return figure


def _draw_panel(
    axis: Any,
    shown: GroupEffects,
    beside: Estimates | None,
    rows: _Rows,
    inside: NDArray[np.bool_],
    names: list[str],
) -> None:
    zero_line(axis)
    y = rows.of_group[inside].astype(float)
    apart = 0.0 if beside is None else 0.17
    draw_intervals(
        axis, shown.estimates.at(inside), y - apart, shown.pooled[inside], color="C0", marker="o",
        label=f"{names[0]}, {shown.estimates.interval}",
    )  # fmt: skip
    if beside is not None:
        draw_intervals(
            axis, beside.at(inside), y + apart, np.zeros(len(y), dtype=bool), color="C1",
            marker="s", label=f"{names[1]}, {beside.interval}",
        )  # fmt: skip
    decimals = decimals_for(shown.estimates.low, shown.estimates.high)
    average_line(axis, shown.average, label=f"average {number(shown.average, decimals)}")


def _legend(figure: ShownFigure) -> None:
    entries: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center",
        ncols=min(2, max(1, int(figure.get_figwidth() / 2.6))), fontsize=FONT, frameon=False,
    )  # fmt: skip
