"""The rows that effects are averaged over: the model's own, or others, each distinct row once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_text
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, ModelError
from pymc_vmrp.frontends.checks import abbreviate, check_columns, check_frame, check_weights
from pymc_vmrp.frontends.tidy import tidy_column
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.read_model import ReadModel


@dataclass(frozen=True)
class Sample:
    """Distinct rows, and how often each counts.

    Attributes
    ----------
    frame : DataFrame
    weights : ndarray, shape (distinct rows,)
    what : str
        What messages call the data.
    """

    frame: pd.DataFrame
    weights: FloatArray
    what: str

    @property
    def size(self) -> int:
        """Number of distinct rows."""
        return len(self.frame)


def own_sample(
    model: ReadModel, columns: Sequence[str] = (), argument: str = "by=", distinct: bool = True
) -> Sample:
    """The rows that a model was built from, by their weights and trials.

    Parameters
    ----------
    model : ReadModel
    columns : sequence of str
        Further columns that are needed.
    argument : str
        That asks for them.
    distinct : bool
        Whether rows that agree are taken together; otherwise they are those of the data.

    Raises
    ------
    DataError
        Where the model does not read one of these columns.
    """
    if model.make_predictors is None:
        raise ModelError(f"The data of {model.kind} are not known here: pass data=.")
    own = model.make_predictors()
    missing = [name for name in columns if name not in own.frame.columns]
    if missing:
        known = abbreviate(list(own.frame.columns), 10)
        raise DataError(
            f"{argument} asks for {missing[0]!r}, which the model does not read (it reads {known}):"
            " pass data= with that column, such as the survey."
        )
    rows = model.observations.rows
    counts = rows.ones if rows.trials is None else rows.weighted(rows.trials)
    counted = np.broadcast_to(np.asarray(counts, dtype=float), len(own.row))
    if not distinct:
        whole = own.frame.iloc[own.row].reset_index(drop=True)
        return Sample(whole, np.array(counted), "the model's data")
    return Sample(own.frame, np.bincount(own.row, weights=counted), "the model's data")


def seen_sample(model: ReadModel) -> Sample | None:
    """The rows that a model was built from, where they are known."""
    return None if model.make_predictors is None else own_sample(model)


def given_sample(
    model: ReadModel,
    data: object,
    weights: str | None,
    columns: Sequence[str] = (),
    argument: str = "by=",
    what: str = "data",
    without: Sequence[str] = (),
    distinct: bool = True,
) -> Sample:
    """Rows of a data frame, those that agree in all that is needed taken together.

    Parameters
    ----------
    model : ReadModel
    data : DataFrame
    weights : str, optional
        A column: how many each row stands for; ones without.
    columns, argument, distinct
        As in :func:`own_sample`.
    what : str
        What messages call the data.
    without : sequence of str
        Columns that will be set, and may be missing.
    """
    frame = check_frame(data, what)
    needed = [name for name in model.encoder.needed if name not in without]
    used = list(dict.fromkeys([*needed, *columns]))
    check_columns(frame, used, what, dict.fromkeys(columns, argument) | _reasons(model, needed))
    if weights is None:
        counts = np.ones(len(frame))
    else:
        check_text("weights=", weights, "the name of a column")
        check_columns(frame, [weights], what, {weights: "weights="})
        counts = check_weights(frame[weights], what)
    for name in used:
        missing = int(frame[name].isna().sum())
        if missing:
            raise DataError(
                f"{what} has missing values in {name!r} ({missing} rows): fill them in or leave "
                "those rows out."
            )
    if not distinct:
        return Sample(frame[used].reset_index(drop=True), np.array(counts, dtype=float), what)
    cells = collapse([tidy_column(frame[name], what) for name in used], len(frame))
    rows = pd.DataFrame({name: frame[name].iloc[cells.first] for name in used})
    summed = cells.sum(np.asarray(counts, dtype=float))
    keep = summed > 0  # a weight of zero means no row
    return Sample(rows[keep].reset_index(drop=True), summed[keep], what)


def _reasons(model: ReadModel, needed: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(needed, f"a term of {model.kind}")
