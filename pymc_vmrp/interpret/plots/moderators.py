"""`plot_effect_moderators`: effects by level of each column that groups are by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError
from pymc_vmrp.figures import ShownFigure, plain_text
from pymc_vmrp.interpret.plots.estimates import CI_PROB, GroupEffects, read_effects, read_table
from pymc_vmrp.interpret.plots.labels import LevelNames, shorten
from pymc_vmrp.interpret.plots.layout import (
    FONT,
    average_line,
    check_rows,
    name_rows,
    text_width,
    zero_line,
)
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymc_vmrp.interpret.result import Effects

FloatArray = NDArray[np.float64]

_GOLDEN = (np.sqrt(5) - 1) / 2
_ROW = 0.48  # inches


@plain_text()
def plot_effect_moderators(
    effects: Effects,
    *,
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    level_names: LevelNames | None = None,
) -> Figure:
    """Plot effects within each level of each column that the groups are by.

    Parameters
    ----------
    effects : Effects
        What :func:`effects` returned, by at least one column.
    contrast : str, optional
        Which one to show, where there are several.
    ci_prob : float
        Of the intervals of levels' averages, equal-tailed.
    level_names : mapping of column to mapping of level to name, optional
        What to call levels, such as ``{"dem": {0: "autocracy", 1: "democracy"}}``.

    Returns
    -------
    Figure
        A panel for each column, and a row for each of its levels: a point for the posterior mean
        of each group (spread out up and down, so that all are seen), a box from their lower to
        their upper quartile, with the median, and whiskers from the smallest to the largest;
        below them the average effect of the level, over its groups by their rows, and its
        interval.

    References
    ----------
    Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Figure 3.
    """
    shown = read_effects(effects, contrast, ci_prob, level_names)
    if not shown.names:
        raise DataError(
            "plot_effect_moderators() needs groups: the effects are of all rows together; name "
            "columns in by=."
        )
    sizes = [len(levels) for levels in shown.levels]
    check_rows(sum(sizes), "name fewer columns, or columns of fewer levels, in by=.")
    averages = read_table(effects.moderators(shown.contrast, ci_prob), "moderators()")
    texts = [[shorten(text) for text in of_column] for of_column in shown.texts]
    figure = ShownFigure(
        figsize=(
            5.2 + text_width([text for of_column in texts for text in of_column]),
            1.1 + _ROW * sum(sizes) + 0.35 * len(sizes),
        ),
        layout="constrained",
    )
    axes = np.atleast_1d(
        figure.subplots(len(sizes), 1, sharex=True, height_ratios=[n + 0.2 for n in sizes])
    )
    start = 0
    for k, axis in enumerate(axes):
        rows = np.arange(len(averages.mean))
        mine = averages.at((rows >= start) & (rows < start + sizes[k]))
        start += sizes[k]
        zero_line(axis)
        average_line(axis, shown.average, label="average of all groups")
        _draw_levels(axis, shown, k)
        y = np.arange(sizes[k]) + 0.36
        axis.hlines(y, mine.low, mine.high, color="C3", lw=1.5)
        axis.plot(
            mine.mean, y, "D", color="C3", ms=4, ls="", label=f"the level's average, "
            f"{mine.interval}",
        )  # fmt: skip
        name_rows(axis, texts[k], FONT)
        axis.set_ylim(sizes[k] - 0.45, -0.5)
        axis.grid(visible=False)
        axis.set_title(shorten(printable(shown.names[k])), fontsize=FONT + 1, loc="left")
    axes[-1].set_xlabel(shown.title, fontsize=FONT + 1)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=3, fontsize=FONT, frameon=False
    )
    return figure


def _draw_levels(axis: Any, shown: GroupEffects, column: int) -> None:
    at = shown.position[column]
    mean = shown.estimates.mean
    by_level = [mean[at == level] for level in range(len(shown.levels[column]))]
    axis.boxplot(
        by_level, positions=range(len(by_level)), orientation="horizontal", widths=0.5,
        whis=(0, 100), showfliers=False, manage_ticks=False, patch_artist=True,
        boxprops={"facecolor": "none", "edgecolor": "0.3", "lw": 0.8},
        medianprops={"color": "0.1", "lw": 1.4},
        whiskerprops={"color": "0.3", "lw": 0.8}, capprops={"color": "0.3", "lw": 0.8},
    )  # fmt: skip
    for level, inside in enumerate(by_level):
        axis.plot(
            inside, level + spread_out(len(inside)), "o", color="C0", ms=3.5, alpha=0.6, mew=0,
            label="groups" if level == 0 else None,
        )  # fmt: skip


def spread_out(n: int) -> FloatArray:
    """Places between -0.22 and 0.22, all different and evenly spread; alone, in the middle."""
    if n == 1:
        return np.zeros(1)
    return np.asarray((np.arange(1, n + 1) * _GOLDEN % 1 - 0.5) * 0.44)
