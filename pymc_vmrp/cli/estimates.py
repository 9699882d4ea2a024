"""Poststratification as a step of a command: estimates, their table and their picture."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pymc_vmrp.cli.console import print_table, say
from pymc_vmrp.cli.inputs import Tables
from pymc_vmrp.cli.outputs import Results
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns
from pymc_vmrp.frontends.tidy import kind_of, tidy_column
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.model import Model

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Target:
    """What is to be estimated of the population, and how.

    Attributes
    ----------
    by : tuple of str
        Columns of the cells, each once.
    weights : str
    seed : int
    new_groups : bool
        Whether levels that the survey never saw are drawn anew without a word, even where it saw
        none of the cells' levels.
    truth : Series, optional
        Of simulated data.
    """

    by: tuple[str, ...]
    weights: str = "n"
    seed: int = 1
    new_groups: bool = False
    truth: pd.Series | None = None

    def estimates(self, model: Model, tree: xr.DataTree, cells: pd.DataFrame) -> xr.DataTree:
        """See :func:`pymc_vmrp.poststratify`."""
        from pymc_vmrp.mrp.poststratify import poststratify

        return poststratify(
            model, tree, cells, weights=self.weights, by=list(self.by),
            sample_new_groups=self.new_groups or None, random_seed=self.seed,
        )  # fmt: skip


def check_cells(model: Model, cells: pd.DataFrame, target: Target) -> None:
    """Raise what poststratification would, before the fit, which may take long."""
    from pymc_vmrp.results.sampled import Sampled

    check_columns(cells, [*target.by, target.weights], "cells")
    glmm = model.glmm
    no_effects = Draws(
        np.zeros((1, 1, glmm.n_coefficients)),
        tuple(np.eye(group.d)[None, None] for group in glmm.groups),
        np.ones((1, 1, len(glmm.free_parameters))),
    )
    with warnings.catch_warnings():  # they come with the estimates
        warnings.simplefilter("ignore")
        nothing = Sampled(no_effects, {}, np.random.default_rng(0))
        target.estimates(model, model.read_model.reports.datatree(nothing), cells)


def estimate(
    model: Model, tree: xr.DataTree, tables: Tables, target: Target, results: Results
) -> pd.DataFrame:
    """Estimate, print, and add the results."""
    from pymc_vmrp.plots import plot_estimates

    cells = tables.cells
    assert cells is not None
    estimates = target.estimates(model, tree, cells)
    table = estimates_table(estimates, target, raw_means(model, tables.survey, cells, target.by))
    print_table(table, "Poststratified estimates (mean, sd, 90% interval)")
    unseen = json.loads(estimates.attrs["unseen_levels"])
    if unseen:
        named = (f"{name}: {', '.join(map(repr, levels))}" for name, levels in unseen.items())
        say(f"Levels the survey never saw were drawn anew: {'; '.join(named)}")
    results.tree(estimates, "estimates.nc")
    results.table(table, "estimates.csv")
    if len(target.by) == 1:
        results.figure(plot_estimates(estimates, target.truth), "estimates.png")
    return table


def raw_means(
    model: Model, survey: pd.DataFrame, cells: pd.DataFrame, by: tuple[str, ...]
) -> pd.DataFrame | None:
    """Respondents (or trials) and raw mean of each group, where the survey has the columns.

    None where it has not, or where its values and those of the cells are of different kinds.
    """
    if not by or not set(by) <= set(survey.columns):
        return None
    if any(_kind(survey[name]) != _kind(cells[name]) for name in by):
        return None
    used = survey.loc[model.observations.index, list(by)]  # without the rows of --dropna
    observed = model.observations.rows
    trials = observed.ones if observed.trials is None else observed.weighted(observed.trials)
    frame = keys(used, by).assign(answers=trials, raw=observed.weighted(observed.y))
    sums = frame.groupby(list(by), observed=True, as_index=False)[["answers", "raw"]].sum()
    answers = sums["answers"].where(sums["answers"] > 0)
    return sums.assign(raw=sums["raw"] / answers)


def keys(frame: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Columns in which groups of two tables can be matched, whatever their types."""
    return pd.DataFrame(
        {name: frame[name].astype(float if _kind(frame[name]) == "numbers" else str) for name in by}
    )


def _kind(column: pd.Series) -> str | None:
    column = column.dropna()
    if len(column) == 0:
        return None
    try:
        return kind_of(tidy_column(column, "the data"))
    except DataError:  # such as dates
        return "text"


def estimates_table(
    estimates: xr.DataTree, target: Target, raw: pd.DataFrame | None
) -> pd.DataFrame:
    """Mean, sd, 90% interval and population of each group, with what is known of it."""
    from pymc_vmrp.mrp.groups import by_group

    draws = estimates["posterior"]["estimate"]
    sample = ("chain", "draw")
    parts = {
        "mean": draws.mean(sample, skipna=False),
        "sd": draws.std(sample, ddof=1, skipna=False),
        "q05": draws.quantile(0.05, sample, skipna=False).drop_vars("quantile"),
        "q95": draws.quantile(0.95, sample, skipna=False).drop_vars("quantile"),
        "population": estimates["constant_data"]["population"],
    }
    if not target.by:
        return pd.DataFrame([{name: float(part) for name, part in parts.items()}])
    by = target.by
    wide = pd.DataFrame({name: by_group(part) for name, part in parts.items()}).reset_index()
    frame = wide[[*by, *parts]].dropna(subset="mean").reset_index(drop=True)
    if raw is not None:
        matched = keys(frame, by).merge(raw, on=list(by), how="left")
        answers = matched["answers"].fillna(0).to_numpy()
        whole = bool((answers == np.floor(answers)).all())
        frame["answers"] = answers.astype(np.int64) if whole else answers
        frame["raw"] = matched["raw"].to_numpy()
    if target.truth is not None:
        frame["truth"] = frame[by[0]].map(target.truth)
    return frame
