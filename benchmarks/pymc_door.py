"""The door for plain pm.Models: teaching models by vmrp.fit and by NUTS, refusals, and overhead."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.pymc_models import REFUSED, SUPPORTED

DRAWS = 5000


def models(names: list[str] | None = None, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Each model fitted both ways: shifts in sds of NUTS, ratios of sds, and seconds."""
    for name, make in SUPPORTED.items():
        if not names or name in names:
            yield {"model": name, **compare(make(), seed)}


def compare(model: Any, seed: int) -> dict[str, Any]:
    import pymc as pm

    began = time.perf_counter()
    ours = vmrp.fit(model, draws=4000, random_seed=seed, progressbar=False)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    with model, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nuts = pm.sample(
            DRAWS, tune=1000, chains=2, cores=2, nuts_sampler="nutpie", random_seed=seed,
            target_accept=0.95, progressbar=False,
        )  # fmt: skip
    of_nuts = time.perf_counter() - began
    shifts, ratios = differences(ours, nuts, [rv.name for rv in model.free_RVs])
    return {
        "family": ours["fit"].attrs["family"],
        "hyperparameters": ours["fit"].attrs["hyperparameters"],
        "variables": len(shifts),
        "mean_shift": shifts.mean(),
        "max_shift": shifts.max(),
        "mean_ratio": ratios.mean(),
        "min_ratio": ratios.min(),
        "max_ratio": ratios.max(),
        "seconds": seconds,
        "nuts_seconds": of_nuts,
        "times_faster": of_nuts / seconds,
        "divergences": int(nuts["sample_stats"]["diverging"].sum()),
    }


def differences(ours: Any, nuts: Any, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Of every element of the free variables: shift in sds of NUTS, and ratio of sds."""
    shifts, ratios = [], []
    for name in names:
        a, b = (tree["posterior"][name].to_numpy() for tree in (ours, nuts))
        a, b = (x.reshape(-1, *x.shape[2:]) for x in (a, b))
        sd = b.std(0)
        shifts.append((np.abs(a.mean(0) - b.mean(0)) / sd).ravel())
        ratios.append((a.std(0) / sd).ravel())
    return np.concatenate(shifts), np.concatenate(ratios)


def refusals() -> pd.DataFrame:
    """What is said of models that are no hierarchical GLMs."""
    from pymc_vmrp.errors import ModelError
    from pymc_vmrp.frontends.pymc.recognise import recognise_model

    rows = []
    for name, (make, variable) in REFUSED.items():
        try:
            recognise_model(make())
            message = ""
        except ModelError as error:
            message = str(error)
        rows.append({"model": name, "names": variable in message, "message": message})
    return pd.DataFrame(rows)


def overhead(shared: Path) -> pd.DataFrame:
    """Recognition alone of the running example, and of every answer ten times."""
    return pd.DataFrame([_overhead(shared, times) for times in (1, 10)])


def _overhead(shared: Path, times: int, repeats: int = 5) -> dict[str, Any]:
    """Seconds and memory."""
    from pymc_vmrp.frontends.pymc.recognise import recognise_model

    model = running_example(shared, times)
    (observed,) = model.observed_RVs
    data = [v.get_value(borrow=True) for v in model.data_vars]
    size = sum(v.nbytes for v in data) + model.rvs_to_values[observed].data.nbytes
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        glmm = recognise_model(model).glmm
        seconds.append(time.perf_counter() - began)
    tracemalloc.start()
    recognise_model(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "rows": data[0].shape[0],
        "cells": glmm.n_cells,
        "coefficients": glmm.n_coefficients,
        "first_s": seconds[0],
        "again_s": float(np.median(seconds[1:])),
        "peak_mb": peak / 2**20,
        "data_mb": size / 2**20,
        "peak_by_data": peak / size,
    }


def running_example(shared: Path, times: int = 1) -> Any:
    """The CCES survey as a plain pm.Model, with each answer so many times."""
    import pymc as pm

    folder = shared / "cces2018"
    survey = pd.read_csv(folder / "survey.csv.gz").merge(pd.read_csv(folder / "states.csv"))
    survey = pd.concat([survey] * times, ignore_index=True)
    factors = {
        "state": ["state"], "eth": ["eth"], "educ": ["educ"], "age": ["age"],
        "male_eth": ["male", "eth"], "educ_age": ["educ", "age"], "educ_eth": ["educ", "eth"],
    }  # fmt: skip
    regions = sorted(survey["region"].unique())
    columns = [
        survey["male"],
        survey["repvote"] - 0.5,
        *(survey["region"] == r for r in regions[1:]),
    ]
    x = np.column_stack(columns).astype(float)
    with pm.Model() as model:
        intercept, beta = (
            pm.Normal("Intercept", 0, 10.0),
            pm.Normal("beta", 0, 10.0, shape=x.shape[1]),
        )
        eta = intercept + pm.math.dot(pm.Data("x", x), beta)
        for name, by in factors.items():
            codes = survey.groupby(by).ngroup().to_numpy()
            sd = pm.HalfStudentT(f"{name}_sd", nu=2, sigma=5.0)
            u = pm.Normal(name, 0, sd, shape=int(codes.max()) + 1)
            eta = eta + u[pm.Data(f"{name}_idx", codes)]
        pm.Bernoulli("y", logit_p=eta, observed=survey["abortion"].to_numpy())
    return model
