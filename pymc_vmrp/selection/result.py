"""Selection: models in the order of how well they predict, with uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray

if TYPE_CHECKING:
    import xarray as xr


MODEL = "model"
_TOO_CLOSE = 4.0  # below which the standard error is too small (Sivula et al. 2020)


@dataclass(frozen=True)
class Scored:
    """What one model's criterion came to.

    Attributes
    ----------
    value : float
        The larger, the better.
    pointwise : ndarray, shape (units,), or None
        What the value is a sum of: rows, or groups of rows that were left out together.
    extra : mapping
        Further columns of the table.
    warnings : tuple of str
    """

    value: float
    pointwise: FloatArray | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Models in the order of a criterion.

    Attributes
    ----------
    criterion : {"loo", "kfold", "elbo"}
    table : DataFrame
        One row per model (index ``model``), the best first: ``elpd`` (expected log predictive
        density of the left-out rows, summed) or ``elbo``; ``se``, its standard error;
        ``difference`` to the best, 0 or less, and its ``se_difference``; for "loo" ``p_loo``, the
        effective number of parameters, and ``bad_k``, the share of rows whose importance weights
        are not to be trusted; ``converged``; ``seconds`` of all fits and the criterion;
        ``warning``. Standard errors are missing for "elbo".
    pointwise : DataFrame or None
        What ``elpd`` is a sum of: one row per row of the data, or per group left out; a column per
        model.
    fits : dict of str to DataTree
        The fit of each model to all rows.
    refit : DataTree or None
        The best model by NUTS, if that was asked for.
    """

    criterion: str
    table: pd.DataFrame
    pointwise: pd.DataFrame | None
    fits: dict[str, xr.DataTree]
    refit: xr.DataTree | None = None

    @property
    def best(self) -> str:
        """Name of the model with the largest criterion."""
        return str(self.table.index[0])

    def __repr__(self) -> str:
        shown = self.table.drop(columns="warning").round(2)
        return f"Selection by {self.criterion}, best {self.best!r}\n{shown.to_string()}"


def rank(
    criterion: str, scored: Mapping[str, Scored], timings: Sequence[Mapping[str, Any]]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The table, and the pointwise values.

    The standard error of a sum of n pointwise values is that of a sample's sum, √(n V), where V is
    their variance; that of a difference uses the variance of the pointwise differences, since
    models share the rows (Vehtari, Gelman & Gabry 2017, equations 23 and 24).
    """
    best = max(scored, key=lambda name: scored[name].value)
    rows = []
    for (name, one), timing in zip(scored.items(), timings, strict=True):
        difference = one.value - scored[best].value
        se_difference = standard_error(_difference(one, scored[best]))
        notes = list(one.warnings)
        if criterion != "elbo" and name != best and abs(difference) < _TOO_CLOSE:
            notes.append("too close to the best for its standard error to be trusted")
        rows.append(
            {
                MODEL: name,
                "elbo" if criterion == "elbo" else "elpd": one.value,
                "se": standard_error(one.pointwise),
                "difference": difference,
                "se_difference": 0.0 if name == best and criterion != "elbo" else se_difference,
                **one.extra,
                **timing,
                "warning": "; ".join(notes),
            }
        )
    table = pd.DataFrame(rows).set_index(MODEL).sort_values("difference", ascending=False)
    arrays = {name: one.pointwise for name, one in scored.items() if one.pointwise is not None}
    return table, pd.DataFrame(arrays) if arrays else None


def _difference(one: Scored, other: Scored) -> FloatArray | None:
    if one.pointwise is None or other.pointwise is None:
        return None
    return one.pointwise - other.pointwise


def standard_error(values: FloatArray | None) -> float:
    """Of the sum of pointwise values; nan without them, or with a single one."""
    if values is None or len(values) < 2:
        return float("nan")
    return float(np.sqrt(len(values) * values.var(ddof=1)))
