"""Estimates along a grid of predictors, as `comparisons` and `slopes` return them, for pictures."""

from __future__ import annotations

from typing import TypeGuard

from pymc_vmrp.interpret.interpretation import ESTIMATE, Interpretation
from pymc_vmrp.interpret.plots.estimates import Estimates, choose_contrast
from pymc_vmrp.text import printable

_HEAD = ("term", "estimate_type", "value")


def is_interpretation(value: object) -> TypeGuard[Interpretation]:
    """Whether a value is what predictions(), comparisons() or slopes() returned."""
    return isinstance(value, Interpretation)


def read_interpretation(
    found: Interpretation, contrast: str | None = None
) -> tuple[Estimates, str]:
    """Estimates by the predictors that vary, with the widest interval, and what they are called."""
    table = found.summary
    title = "estimate"
    if "term" in table.columns:
        title = f"{table['estimate_type'].iloc[0]} of {printable(str(table['term'].iloc[0]))}"
    if "value" in table.columns:
        values = table["value"].astype(str)
        chosen = choose_contrast(list(dict.fromkeys(values)), contrast)
        table = table[(values == chosen).to_numpy()].reset_index(drop=True)
        title = f"{title} ({printable(chosen)})"
    at = table.columns.get_loc(ESTIMATE)  # cases stand before it, ends of intervals after it
    low, high = table.columns[at + 1 : at + 3]
    predictors = table.iloc[:, :at].drop(columns=list(_HEAD), errors="ignore")
    varying = predictors.loc[:, predictors.nunique(dropna=False).to_numpy() > 1]
    percent = _percent(str(high)) - _percent(str(low))
    estimates = Estimates(
        groups=varying,
        mean=table[ESTIMATE].to_numpy(dtype=float),
        low=table[low].to_numpy(dtype=float),
        high=table[high].to_numpy(dtype=float),
        interval=f"{percent:.4g}% interval",
        method=None,
    )
    return estimates, title


def _percent(name: str) -> float:
    return float(name.split("_")[1].rstrip("%"))
