"""`plot_effect_distribution`: all groups' effects, with the smallest, median and largest named."""

from __future__ import annotations

import textwrap
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.arguments import check_count, check_flag
from pymc_vmrp.figures import ShownFigure, plain_text
from pymc_vmrp.interpret.plots.estimates import CI_PROB, GroupEffects, read_effects
from pymc_vmrp.interpret.plots.labels import LevelNames, decimals_for, interval_text, number
from pymc_vmrp.interpret.plots.layout import FONT, average_line, name_rows, text_width, zero_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymc_vmrp.interpret.result import Effects

FloatArray = NDArray[np.float64]

_WRAP = 44  # characters in a line of a label
_MOST_BINS = 50
_DRAWN = 200_000  # draws that a histogram of them is made of, at most


@plain_text()
def plot_effect_distribution(
    effects: Effects,
    *,
    draws: bool = False,
    bins: int | None = None,
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    level_names: LevelNames | None = None,
) -> Figure:
    """Plot how effects are distributed over the groups, and name the extreme ones.

    Parameters
    ----------
    effects : Effects
        What :func:`effects` returned.
    draws : bool
        Whether to draw the distribution of all draws of all groups behind that of their posterior
        means: it is wider, by what is not known of each effect.
    bins : int, optional
        How many bars the histogram of posterior means has; by default as many as groups warrant.
    contrast : str, optional
        Which one to show, where there are several.
    ci_prob : float
        Of the intervals, equal-tailed.
    level_names : mapping of column to mapping of level to name, optional
        What to call levels, such as ``{"dem": {0: "autocracy", 1: "democracy"}}``.

    Returns
    -------
    Figure
        A histogram of the groups' posterior means (each group counts once); below it the groups
        with the smallest, the median and the largest mean, and their intervals.

    References
    ----------
    Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Figure 2.
    """
    shown = read_effects(effects, contrast, ci_prob, level_names)
    check_flag("draws", draws)
    if bins is not None:
        check_count("bins", bins, most=1000)
    named = _named_groups(shown.estimates.mean)
    labels = _row_labels(shown, named)
    row = 0.14 * max(label.count("\n") + 1 for label in labels) + 0.2
    figure = ShownFigure(
        figsize=(5 + text_width(labels), 2.9 + row * len(labels)), layout="constrained"
    )
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.3, 0.2 + row * len(labels)])
    _draw_histogram(top, shown, bins, _all_draws(effects, shown) if draws else None)
    _draw_named(below, shown, named, labels)
    for group in named.values():
        top.axvline(shown.estimates.mean[group], color="C3", lw=0.8, ls=":")
    handles, names = top.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=FONT, frameon=False)
    below.set_xlabel(shown.title, fontsize=FONT + 1)
    return figure


def _named_groups(mean: FloatArray) -> dict[str, int]:
    """The groups to name; of fewer than three, one may be more than one of them."""
    order = np.argsort(mean, kind="stable")
    places = {"smallest": 0, "median": (len(order) - 1) // 2, "largest": len(order) - 1}
    called: dict[int, list[str]] = {}
    for what, at in places.items():
        called.setdefault(int(order[at]), []).append(what)
    return {", ".join(whats): group for group, whats in called.items()}


def _row_labels(shown: GroupEffects, named: dict[str, int]) -> list[str]:
    estimates, texts = shown.estimates, shown.labels()
    decimals = decimals_for(estimates.low, estimates.high)
    return [
        "\n".join(
            [
                f"{what}:",
                *_wrap(texts[group]),
                f"{number(estimates.mean[group], decimals)} "
                f"{interval_text(estimates.low[group], estimates.high[group], decimals)}",
            ]
        )
        for what, group in named.items()
    ]


def _wrap(label: str) -> list[str]:
    """Lines of a label, broken between levels where they are short enough."""
    unbroken = label.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return textwrap.wrap(unbroken, _WRAP, break_on_hyphens=False)


def _all_draws(effects: Effects, shown: GroupEffects) -> FloatArray:
    values = effects.values[effects.contrasts.index(shown.contrast)].ravel()
    return values[:: max(1, len(values) // _DRAWN)]


def _draw_histogram(
    axis: Any, shown: GroupEffects, bins: int | None, draws: FloatArray | None
) -> None:
    mean = shown.estimates.mean
    zero_line(axis)
    average_line(axis, shown.average, label="average", lw=1.5, zorder=2)  # bars are at 1
    edges = _edges(shown, bins)
    density = draws is not None
    if draws is not None:
        inside = np.quantile(draws, [0.001, 0.999])
        axis.hist(
            draws,
            bins=_rice(len(draws)),
            range=tuple(inside),
            density=True,
            color="0.8",
            label="all draws",
        )
    axis.hist(
        mean, bins=edges, density=density, color="C0", alpha=0.75, edgecolor="white", lw=0.5,
        label="posterior means",
    )  # fmt: skip
    axis.plot(  # the groups themselves, at the foot
        mean, np.full(len(mean), 0.02), "|", color="k", ms=7, mew=0.6,
        transform=axis.get_xaxis_transform(),
    )  # fmt: skip
    axis.set_ylabel("density" if density else "groups", fontsize=FONT + 1)
    axis.tick_params(labelsize=FONT)
    if not density:
        axis.yaxis.get_major_locator().set_params(integer=True)


def _edges(shown: GroupEffects, bins: int | None) -> FloatArray:
    """Of the bars: by Rice's rule, but not so few that groups cannot be told apart."""
    estimates, mean = shown.estimates, shown.estimates.mean
    low, high = mean.min(), mean.max()
    if high - low <= 1e-9 * np.abs(mean).max():  # a narrow one
        half = float((estimates.high - estimates.low).max()) / 20 or 0.5
        return np.array([low - half, high + half])
    if bins is None:
        bins = max(_rice(len(mean)), min(10, 2 * len(mean)))
    return np.linspace(low, high, bins + 1)


def _rice(n: int) -> int:
    return min(_MOST_BINS, ceil(2 * n ** (1 / 3)))


def _draw_named(axis: Any, shown: GroupEffects, named: dict[str, int], labels: list[str]) -> None:
    estimates = shown.estimates
    groups, y = np.array(list(named.values())), np.arange(len(named))
    zero_line(axis)
    axis.hlines(y, estimates.low[groups], estimates.high[groups], color="C3", lw=1.5)
    axis.plot(estimates.mean[groups], y, "o", color="C3", ms=5)
    for group, row in zip(groups, y, strict=True):  # up to the histogram
        axis.plot([estimates.mean[group]] * 2, [-0.6, row], color="C3", lw=0.8, ls=":")
    name_rows(axis, labels, FONT)
    axis.set_title(f"means and {estimates.interval}s", fontsize=FONT, loc="right")
