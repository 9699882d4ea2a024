"""The rows of a model as plain regressions take them: response, treatment, groups, covariates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.interpret.arms import is_factor
from pymc_vmrp.interpret.contrasts import Contrast, arm_codes, arms_of
from pymc_vmrp.interpret.regression import RegressionData
from pymc_vmrp.interpret.sample import own_sample
from pymc_vmrp.mrp.groups import Groups, group_cells
from pymc_vmrp.read_model import ReadModel


@dataclass(frozen=True)
class TreatmentCoding:
    """The columns of a treatment in a design.

    Attributes
    ----------
    name : str
    arms : list, or None
        Each arm but the first has a column; None of a number, which is its own column.
    """

    name: str
    arms: list[Any] | None

    def values(self, column: pd.Series) -> FloatArray:
        """The number, or the position of the arm, of each row."""
        if self.arms is None:
            return column.to_numpy(dtype=float)
        return arm_codes(column, self.arms).astype(float)

    def value(self, arm: Any) -> float:
        """Of one arm."""
        return float(arm if self.arms is None else self.arms.index(arm))

    def columns(self, values: FloatArray) -> FloatArray:
        """Design columns, shape (rows, columns)."""
        if self.arms is None:
            return values[:, None]
        return np.asarray(values[:, None] == np.arange(1, len(self.arms)), dtype=float)

    @property
    def n_columns(self) -> int:
        """How many columns it has."""
        return 1 if self.arms is None else len(self.arms) - 1

    def why_unknown(self, values: FloatArray, contrast: Contrast) -> str:
        """What rows with these values lack for a contrast; empty if nothing is seen."""
        if self.arms is None:
            alike = len(np.unique(values)) < 2
            return f"{self.name} is {values[0]:g} in all rows" if alike else ""
        lacking = [a for a in (contrast.low, contrast.high) if not (values == self.value(a)).any()]
        return f"no rows of {' or '.join(map(str, lacking))}" if lacking else ""


@dataclass(frozen=True)
class PlainRows:
    """Distinct rows of a model's data.

    Attributes
    ----------
    data : RegressionData
    group : ndarray of integers, shape (n,)
    groups : Groups
    treated : ndarray, shape (n,)
        The number, or the position of the arm.
    coding : TreatmentCoding
    covariates : ndarray, shape (n, p)
    """

    data: RegressionData
    group: IntArray
    groups: Groups
    treated: FloatArray
    coding: TreatmentCoding
    covariates: FloatArray

    @property
    def size(self) -> int:
        """Number of distinct rows."""
        return len(self.group)

    def take(self, rows: IntArray) -> PlainRows:
        """Some of the rows; groups keep their numbers."""
        return PlainRows(
            self.data.take(rows), self.group[rows], self.groups, self.treated[rows], self.coding,
            self.covariates[rows],
        )  # fmt: skip

    def main_effects(self) -> FloatArray:
        """An intercept, and a column for each level of a ``by`` column but the first."""
        columns = [np.ones((self.size, 1))]
        for levels, at in zip(self.groups.levels, self.groups.position, strict=True):
            columns.append(at[self.group][:, None] == np.arange(1, len(levels)))
        return np.concatenate(columns, axis=1, dtype=float)


def plain_rows(model: ReadModel, treatment: str, by: Sequence[str]) -> PlainRows:
    """Read the rows of a model.

    Covariates are the design columns of common terms that read neither the treatment nor a column
    of ``by``. Successes among trials become rows of success and of failure.
    """
    sample = own_sample(model, by)
    assert model.make_predictors is not None
    row = model.make_predictors().row
    groups = group_cells(sample.frame, by)
    column = sample.frame[treatment]
    arms = arms_of(column) if is_factor(model, column) else None
    coding = TreatmentCoding(treatment, arms)
    data, which = _responses(model)
    covariates = _covariates(model, {treatment, *by})[which]
    group = groups.codes[row][which]
    treated = coding.values(column)[row][which]
    keys = [group, treated, data.y, data.precision, data.offset, *covariates.T]
    cells = collapse([pd.Series(key) for key in keys], len(group))
    first = cells.first
    counted = RegressionData(
        data.y[first], cells.sum(data.counts), data.precision[first], data.offset[first]
    )
    rows = PlainRows(counted, group[first], groups, treated[first], coding, covariates[first])
    return rows.take(np.flatnonzero(counted.counts > 0))


def _responses(model: ReadModel) -> tuple[RegressionData, IntArray]:
    """Responses with counts, and the row of the data that each belongs to."""
    observations = model.observations
    rows = observations.rows
    n = len(rows.y)
    y = np.asarray(rows.y, dtype=float)
    offset = observations.offset if rows.offset is None else rows.offset
    data = RegressionData(
        y,
        np.array(np.broadcast_to(rows.ones, n), dtype=float),
        np.ones(n) if rows.sd is None else np.asarray(rows.sd, dtype=float) ** -2.0,
        np.zeros(n) if offset is None else np.asarray(offset, dtype=float),
    )
    every = np.arange(n)
    if model.glmm.family.response not in ("binary", "proportion"):
        return data, every
    trials = np.broadcast_to(1.0 if rows.trials is None else rows.trials, n)
    which = np.concatenate([every, every])
    twice = data.take(which)
    counts = np.concatenate([data.counts * y, data.counts * (trials - y)])
    return RegressionData(np.repeat([1.0, 0.0], n), counts, twice.precision, twice.offset), which


def _covariates(model: ReadModel, without: set[str]) -> FloatArray:
    """Design columns of common terms that read none of these columns, shape (rows, p)."""
    common = model.glmm.common
    written = common.columns
    if common.basis is not None:
        written = written @ np.linalg.inv(common.basis)
    kept = [
        written[:, term.start : term.stop]
        for term in common.terms
        if not without & set(model.encoder.columns_of(term.name))
    ]
    n = len(written)
    return np.concatenate([np.empty((n, 0)), *kept], axis=1)[model.observations.cell]
