"""`plot_effect_slope`: effects against a moderator that is a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_probability
from pymc_vmrp.errors import DataError
from pymc_vmrp.figures import ShownFigure, plain_text
from pymc_vmrp.interpret.plots.curves import is_interpretation, read_interpretation
from pymc_vmrp.interpret.plots.estimates import (
    CI_PROB,
    Estimates,
    is_effects,
    read_effects,
    read_table,
)
from pymc_vmrp.interpret.plots.labels import LevelNames, joined, level_labels
from pymc_vmrp.interpret.plots.layout import FONT
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pymc_vmrp.interpret.interpretation import Interpretation
    from pymc_vmrp.interpret.result import Effects

_MOST_LINES = 8
_MARKED = 40  # values of the moderator, up to which each has a point


@plain_text()
def plot_effect_slope(
    effects: Effects | Interpretation | pd.DataFrame,
    x: str | None = None,
    *,
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    level_names: LevelNames | None = None,
) -> Figure:
    """Plot effects against a moderator that is a number: a line and a band.

    Parameters
    ----------
    effects : Effects, Interpretation or DataFrame
        What :func:`effects` returned with the moderator among the columns of ``by``; what
        :func:`comparisons` or :func:`slopes` returned with it in ``conditional``; or a table
        with the moderator in its index and columns ``estimate`` or ``mean``, and ``lower`` and
        ``upper`` (or ``eti90_lb`` and ``eti90_ub``).
    x : str, optional
        The moderator; by default the one column of numbers, or of more than two numbers. Each
        combination of the other columns is a line, of up to eight, in the order of the levels.
    contrast : str, optional
        Which one to show, where there are several.
    ci_prob : float
        Of the bands, equal-tailed; those of an Interpretation or a table are its own.
    level_names : mapping of column to mapping of level to name, optional
        What to call levels of the other columns.

    Returns
    -------
    Figure

    Raises
    ------
    DataError
        Where ``x`` is no column of the groups or does not hold numbers, or there are more lines.
    """
    check_probability("ci_prob", ci_prob)
    if is_effects(effects):
        shown = read_effects(effects, contrast, ci_prob, level_names)
        estimates, title = shown.estimates, shown.title
        levels = dict(zip(shown.names, shown.levels, strict=True))
    else:
        if is_interpretation(effects):
            estimates, title = read_interpretation(effects, contrast)
        else:
            estimates, title = read_table(effects, "effects", contrast), "effect"
        levels = {name: _sorted_levels(column) for name, column in estimates.groups.items()}
    moderator = _moderator(estimates.groups, x)
    lines = _lines(estimates, moderator, levels, level_names)
    figure = ShownFigure(figsize=(6.5, 4), layout="constrained")
    axis = figure.subplots()
    axis.axhline(0, color="0.4", lw=0.8, zorder=0)
    handles = [
        _draw_line(axis, line, moderator, f"C{k}", label) for k, (label, line) in enumerate(lines)
    ]
    axis.set_xlabel(printable(moderator), fontsize=FONT + 1)
    axis.set_ylabel(printable(title), fontsize=FONT + 1)
    axis.tick_params(labelsize=FONT)
    axis.set_title(f"mean and {estimates.interval}", fontsize=FONT, loc="right")
    if len(lines) > 1:
        figure.legend(
            handles, [label for label, _ in lines], loc="outside right upper", fontsize=FONT,
            frameon=False,
        )  # fmt: skip
    return figure


def _moderator(groups: pd.DataFrame, x: str | None) -> str:
    names = list(groups.columns)
    numeric = [name for name in names if _is_number(groups[name])]
    by = ", ".join(map(str, names)) or "nothing"
    if x is None:
        many = [name for name in numeric if groups[name].nunique() > 2] or numeric
        if len(many) != 1:
            which = " and ".join(map(repr, many)) or "none"
            raise DataError(
                f"x= must name the moderator, a column of numbers: of those that the effects are "
                f"by ({by}), it may be {which}."
            )
        return str(many[0])
    if x not in names:
        raise DataError(f"x= names {x!r}, which is no column that the effects are by: {by}.")
    if x not in numeric:
        raise DataError(
            f"x= names {x!r}, whose levels are not numbers: plot_effects() and "
            "plot_effect_moderators() show effects by levels."
        )
    return x


def _is_number(column: pd.Series) -> bool:
    return all(isinstance(v, Real) and not isinstance(v, bool | np.bool_) for v in column)


def _sorted_levels(column: pd.Series) -> list[Any]:
    return list(pd.factorize(column, sort=True)[1])


def _lines(
    estimates: Estimates,
    moderator: str,
    levels: Mapping[str, Sequence[Any]],
    level_names: LevelNames | None,
) -> list[tuple[str, Estimates]]:
    """The label and the estimates of each line, by the levels' order, sorted by the moderator."""
    groups = estimates.groups
    if groups.duplicated().any():
        raise DataError("effects has a group twice: index the table by all that it differs in.")
    others = [name for name in groups.columns if name != moderator]
    order = np.argsort(groups[moderator].to_numpy(dtype=float), kind="stable")
    estimates = estimates.at(order)
    texts = level_labels(others, [levels[name] for name in others], level_names)
    if not others:
        return [("", estimates)]
    codes = [estimates.groups[name].map(list(levels[name]).index).to_numpy() for name in others]
    keys, of_row = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    if len(keys) > _MOST_LINES:
        raise DataError(
            f"A picture has at most {_MOST_LINES} lines, not {len(keys):,}, one for each "
            f"combination of {', '.join(map(repr, others))}: leave some of them out of by=."
        )
    return [
        (
            joined([texts[k][at] for k, at in enumerate(key)]),
            estimates.at(np.flatnonzero(of_row.reshape(-1) == line)),
        )
        for line, key in enumerate(keys)
    ]


def _draw_line(axis: Any, line: Estimates, moderator: str, colour: str, label: str) -> Any:
    x = line.groups[moderator].to_numpy(dtype=float)
    if len(x) == 1:
        below, above = line.mean - line.low, line.high - line.mean
        axis.errorbar(x, line.mean, yerr=[below, above], fmt="none", color=colour, lw=1)
    else:
        axis.fill_between(x, line.low, line.high, color=colour, alpha=0.2, lw=0)
    marker = "o" if len(x) <= _MARKED else ""
    return axis.plot(x, line.mean, marker=marker, ms=3.5, color=colour, lw=1.5, label=label)[0]
