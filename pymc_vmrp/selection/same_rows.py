"""Whether models are of the same rows and responses, so that their fits can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.errors import DataError

if TYPE_CHECKING:
    from pymc_vmrp.glmm.spec import Observations
    from pymc_vmrp.read_model import ReadModel


def check_same_rows(models: Mapping[str, ReadModel]) -> None:
    """Raise DataError, naming two models and what differs, unless all have the same responses."""
    (first_name, first), *others = models.items()
    for name, model in others:
        difference = _difference(first, model)
        if difference:
            raise DataError(
                f"The models {first_name!r} and {name!r} cannot be compared: {difference}. All "
                "must be of the same rows with the same response: build them from one data frame "
                "without missing values in any model's columns, and do not transform the response "
                "in one of them alone."
            )


def _difference(one: ReadModel, other: ReadModel) -> str | None:
    a, b = one.observations, other.observations
    if len(a.cell) != len(b.cell):
        return f"they have {len(a.cell):,} and {len(b.cell):,} rows"
    if not np.array_equal(a.index, b.index):
        return "their rows have different labels in the data frames' index"
    for what, x, y in (
        ("responses", a.rows.y, b.rows.y),
        ("trials", _trials(a), _trials(b)),
        ("weights", a.rows.ones, b.rows.ones),
    ):
        differs = np.flatnonzero(x != y)
        if len(differs):
            i = differs[0]
            return (
                f"their {what} differ in {len(differs):,} rows, first {x[i]:.6g} and {y[i]:.6g} in "
                f"row {str(a.index[i])!r}"
            )
    return None


def _trials(observations: Observations) -> np.ndarray[Any, Any]:
    trials = observations.rows.trials
    return np.broadcast_to(1.0, len(observations.cell)) if trials is None else trials
