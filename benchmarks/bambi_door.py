"""The running example as a Bambi model with Bambi's priors: vmrp.fit against bambi_model.fit()."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.data import PREDICTORS, Survey, cces, simulated_5k
from benchmarks.isolate import Row


def states(
    shared: Path, draws: int = 4000, tune: int = 1000, chains: int = 2, cores: int = 2
) -> pd.DataFrame:
    """5,000 answers: each state's estimate by ``bambi_model.predict`` on either DataTree.

    One row for each treatment of the hyperparameters: the shift of the means in sds of NUTS, and
    the ratio of sds.
    """
    survey = simulated_5k(shared)
    model = bambi_model(survey, "y")
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nuts = vmrp.fit(
            model, method="nuts", draws=draws, random_seed=1, tune=tune, chains=chains, cores=cores,
            inference_method="nutpie", nuts={"target_accept": 0.95}, progressbar=False,
        )  # fmt: skip
    nuts_seconds = time.perf_counter() - started
    reference = state_draws(model, nuts, survey.cells)
    rows = []
    for hyperparameters in ("auto", "mean_field"):
        vmrp.fit(model, draws=10, hyperparameters=hyperparameters)  # compiles the loops
        started = time.perf_counter()
        idata = vmrp.fit(model, draws=draws, random_seed=1, hyperparameters=hyperparameters)
        seconds = time.perf_counter() - started
        found = state_draws(model, idata, survey.cells)
        rows.append(
            {
                "hyperparameters": hyperparameters,
                **agreement(found, reference),
                "seconds": seconds,
                "nuts_seconds": nuts_seconds,
                "nuts_min_ess": min_ess(reference, chains),
                "divergences": int(nuts["sample_stats"]["diverging"].sum()),
            }
        )
    return pd.DataFrame(rows)


def reading(shared: Path, repeats: int = 5) -> pd.DataFrame:
    """59,810 answers: seconds and memory of reading Bambi's model, beside Bambi's own."""
    import bambi as bmb

    from pymc_vmrp.frontends.bambi.read import read_bambi

    bmb.Prior("Normal")  # imported before the clock runs
    survey = cces(shared)
    started = time.perf_counter()
    model = bambi_model(survey, "abortion")
    specified = time.perf_counter() - started
    read_bambi(model)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        spec = read_bambi(model)
        seconds.append(time.perf_counter() - started)
    tracemalloc.start()
    read_bambi(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    started = time.perf_counter()
    model.build()
    built = time.perf_counter() - started
    vmrp.fit(model, draws=1000, random_seed=1)
    started = time.perf_counter()
    vmrp.fit(model, draws=1000, random_seed=1)
    row: Row = {
        "rows": len(survey.survey),
        "cells": spec.glmm.n_cells,
        "bambi_model_s": specified,
        "read_s": float(np.median(seconds)),
        "read_peak_mb": peak / 2**20,
        "bambi_build_s": built,
        "fit_s": time.perf_counter() - started,
    }
    return pd.DataFrame([row])


def poststratified(shared: Path, draws: int = 4000) -> pd.DataFrame:
    """59,810 answers: ``vmrp.poststratify`` of the Bambi model and of ours under its priors.

    One row with all states, and one with two of them left out of the survey. Of draws from q, as
    many of each: the Monte Carlo error of a mean is 1/√draws sds.
    """
    survey = cces(shared)
    rows = []
    for left_out in ((), ("AK", "WY")):
        kept = survey.survey[~survey.survey["state"].isin(left_out)]
        some = Survey(kept.reset_index(drop=True), survey.cells, survey.truth)
        theirs = bambi_model(some, "abortion")
        ours = vmrp.Model(f"abortion ~ {PREDICTORS}", some.survey, priors=_priors_of(theirs))
        found = [
            _estimates(model, vmrp.fit(model, draws=draws, random_seed=1), survey.cells)
            for model in (theirs, ours)
        ]
        for name, states in (
            ("seen", [s for s in found[0] if s not in left_out]), ("not seen", list(left_out)),
        ):  # fmt: skip
            if states:
                own = agreement(found[0][states], found[1][states])
                rows.append({"left_out": " ".join(left_out), "states": name, **own})
    return pd.DataFrame(rows)


def _priors_of(model: Any) -> dict[str, Any]:
    """Bambi's own priors, term by term."""
    component = model.conditional_parameters["p"]
    terms = [component.intercept_term, *component.common_terms.values()]
    of_groups = {
        term.name: term.prior.args["sigma"] for term in component.group_specific_terms.values()
    }
    return {term.name: term.prior for term in terms} | of_groups


def _estimates(model: Any, idata: Any, cells: pd.DataFrame) -> pd.DataFrame:
    estimates = vmrp.poststratify(
        model, idata, cells, by="state", sample_new_groups=True, random_seed=1
    )["posterior"]["estimate"]
    values = estimates.transpose("chain", "draw", "state").to_numpy()
    return pd.DataFrame(values.reshape(-1, values.shape[-1]), columns=estimates["state"].to_numpy())


def bambi_model(survey: Survey, response: str) -> Any:
    """The running example as a user of Bambi writes it."""
    import bambi as bmb

    return bmb.Model(f"{response} ~ {PREDICTORS}", survey.survey, family="bernoulli")


def state_draws(model: Any, idata: Any, cells: pd.DataFrame) -> pd.DataFrame:
    """Draws of each state's estimate: the average of its cells by their counts."""
    out = {}
    for state, own in cells.groupby("state", sort=True):
        own = own.reset_index(drop=True)
        # state by state: draws × 12,000 cells would not fit
        predicted = model.predict(idata, data=own, inplace=False)["posterior"]["p"]
        weights = own["n"].to_numpy() / own["n"].sum()
        out[state] = predicted.to_numpy().reshape(-1, len(own)) @ weights
    return pd.DataFrame(out)


def agreement(found: pd.DataFrame, reference: pd.DataFrame) -> Row:
    """Shift of means in sds of the reference, and ratios of sds."""
    shift = ((found.mean() - reference.mean()) / reference.std()).abs()
    ratio = found.std() / reference.std()
    return {
        "mean_abs_shift": float(shift.mean()),
        "max_abs_shift": float(shift.max()),
        "mean_sd_ratio": float(ratio.mean()),
        "min_sd_ratio": float(ratio.min()),
        "max_sd_ratio": float(ratio.max()),
    }


def min_ess(draws: pd.DataFrame, chains: int) -> float:
    """Smallest effective number of draws of any state."""
    import arviz as az

    by_chain = draws.to_numpy().reshape(chains, -1, draws.shape[1])
    return min(float(az.ess(by_chain[..., k])) for k in range(draws.shape[1]))
