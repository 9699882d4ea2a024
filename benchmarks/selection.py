"""Criteria of model selection: against LOO of NUTS draws, and on a real survey."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import data
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.selection.loo import Loo, loo
from pymc_vmrp.selection.pointwise import distinct_rows
from pymc_vmrp.selection.select import select

MAIN = "male + repvote + region + (1|state) + (1|eth) + (1|educ) + (1|age)"
FORMULAS = {
    "no states": "male + (1|eth) + (1|educ) + (1|age)",
    "no traits of states": "male + (1|state) + (1|eth) + (1|educ) + (1|age)",
    "main effects": MAIN,
    "two-way": data.PREDICTORS,
    "two-way, states": f"{data.PREDICTORS} + (1|state:eth) + (1|state:educ) + (1|state:age)",
}
_SEED = 20181106
Show = Callable[[str], None]


def against_nuts(shared: Path, name: str, show: Show, draws: int = 1000) -> pd.DataFrame:
    """LOO of a model of the simulated survey: from draws of q, plain and corrected, and K-fold.

    Compared with PSIS-LOO of 4,000 draws by NUTS, whose k̂ are all small.
    """
    model = vmrp.Model(f"y ~ {FORMULAS[name]}", data.simulated_5k(shared).survey)
    rows = distinct_rows(model.observations)
    show(f"{name}: NUTS")
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nuts = model.fit(
            1000, 1000, inference_method="nuts", nuts_sampler="nutpie", chains=4, cores=1,
            random_seed=_SEED, target_accept=0.95, progressbar=False,
        )  # fmt: skip
    exact = loo(model.glmm, rows, read_draws(model.glmm, nuts).flat())
    out = [_row(name, "NUTS", exact, exact, rows.index, time.perf_counter() - began)]
    for way in ("mean_field", "integrated"):
        show(f"{name}: {way}")
        began = time.perf_counter()
        tree = model.fit(draws, random_seed=_SEED, hyperparameters=way)
        sample = read_draws(model.glmm, tree).flat()
        stats = tree["sample_stats"]
        log_ratio = (stats["lp"] - stats["log_q"]).to_numpy().ravel()
        fitted = time.perf_counter() - began
        for how, ratio in (("plain", None), ("corrected", log_ratio)):
            began = time.perf_counter()
            one = loo(model.glmm, rows, sample, ratio)
            seconds = fitted + time.perf_counter() - began
            out.append(_row(name, f"{way}, {how}", one, exact, rows.index, seconds))
        show(f"{name}: {way}, folds")
        began = time.perf_counter()
        options = {"hyperparameters": way}
        folds = select(
            {name: model}, "kfold", draws=draws, fit_options=options, random_seed=_SEED,
            progressbar=False,
        )  # fmt: skip
        difference = folds.pointwise[name].to_numpy() - exact.elpd[rows.index]
        out.append(
            {
                "model": name,
                "method": f"{way}, 10 folds",
                "elpd": float(folds.table["elpd"].iloc[0]),
                "less_nuts": float(difference.sum()),
                "rms_of_rows": float(np.sqrt((difference**2).mean())),
                "seconds": time.perf_counter() - began,
            }
        )
    return pd.DataFrame(out)


def _row(
    model: str, method: str, one: Loo, exact: Loo, index: np.ndarray, seconds: float
) -> dict[str, object]:
    difference = (one.elpd - exact.elpd)[index]
    return {
        "model": model,
        "method": method,
        "elpd": float(one.elpd[index].sum()),
        "less_nuts": float(difference.sum()),
        "rms_of_rows": float(np.sqrt((difference**2).mean())),
        "p_loo": float((one.lpd - one.elpd)[index].sum()),
        "median_k": float(np.median(one.k[index])),
        "share_bad_k": float((one.k > one.threshold)[index].mean()),
        "seconds": seconds,
    }


def survey(
    shared: Path, criterion: str, rows: int | None, group: str | None = None
) -> pd.DataFrame:
    """Rank the models of the CCES on abortion coverage; by whole states with ``group="state"``."""
    frame = data.cces(shared).survey
    if rows is not None:
        frame = frame.sample(rows, random_state=2018)
    models = {name: vmrp.Model(f"abortion ~ {f}", frame) for name, f in FORMULAS.items()}
    chosen = select(models, criterion, group=group, random_seed=_SEED)
    return chosen.table.drop(columns="warning").reset_index()
