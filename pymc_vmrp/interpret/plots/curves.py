"""Estimates along a grid of predictors, as `comparisons` and `slopes` return them, for pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import pandas as pd

from pymc_vmrp.interpret.plots.estimates import Estimates, choose_contrast
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from pymc_vmrp.interpret.interpretation import Interpretation

_HEAD = ("term", "estimate_type", "value", "estimate")


def is_interpretation(value: object) -> TypeGuard[Interpretation]:
    """Whether a value is what predictions(), comparisons() or slopes() returned."""
    return isinstance(getattr(value, "summary", None), pd.DataFrame) and hasattr(value, "draws")


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
    low = next(name for name in table.columns if str(name).startswith("lower_"))
    high = table.columns[table.columns.get_loc(low) + 1]
    ends = [name for name in table.columns if str(name).startswith(("lower_", "upper_"))]
    predictors = table.drop(columns=[*ends, *(name for name in _HEAD if name in table.columns)])
    varying = predictors.loc[:, predictors.nunique(dropna=False).to_numpy() > 1]
    percent = _percent(str(high)) - _percent(str(low))
    estimates = Estimates(
        groups=varying,
        mean=table["estimate"].to_numpy(dtype=float),
        low=table[low].to_numpy(dtype=float),
        high=table[high].to_numpy(dtype=float),
        interval=f"{percent:.4g}% interval",
        method=None,
    )
    return estimates, title


def _percent(name: str) -> float:
    return float(name.split("_")[1].rstrip("%"))
