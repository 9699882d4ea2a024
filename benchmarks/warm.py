"""Warm-started NUTS beside cold NUTS, on cells and on one row per respondent.

Effective draws are the smallest bulk ESS over all coefficients and standard deviations. Seconds are
those of sampling, tuning included; compilation is reported apart. CPU seconds are beside them,
since other work on the machine stretches wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import accuracy
from benchmarks.isolate import Row
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.glmm.variables import posterior_names
from pymc_vmrp.solvers.blas import one_blas_thread

Show = Callable[[str], None]
METHODS = ("cold rows", "cold cells", "warm", "warm, non-centred")


@dataclass(frozen=True)
class Plan:
    """How long to sample.

    Attributes
    ----------
    draws, cold_tune : int
        Per chain; warm runs take their own default of tuning steps.
    rows_draws, rows_tune : int
        Those of cold runs on rows, which take long.
    chains, cores : int
    """

    draws: int = 1000
    cold_tune: int = 1000
    rows_draws: int = 1000
    rows_tune: int = 1000
    chains: int = 4
    cores: int = 2


def compare(
    shared: Path, names: list[str], methods: list[str], plan: Plan, show: Show
) -> Iterator[Row]:
    """A row for each case and method."""
    for case in accuracy.nuts_cases(shared):
        if names and case.name not in names:
            continue
        model = case.model()
        fit = model.approximate(progressbar=False, hyperparameters="mean_field")
        for method in methods:
            show(f"{case.name}: {method}")
            yield {"case": case.name, "method": method, **_measure(model, fit, method, plan)}


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Effective draws per second by wall and by CPU time, and the latter relative to each cold."""
    table = table.assign(
        ess_per_s=table["min_ess"] / table["sample_s"],
        ess_per_cpu_s=table["min_ess"] / table["sample_cpu_s"],
    )
    for name in METHODS[:2]:
        cold = table[table["method"] == name].set_index("case")["ess_per_cpu_s"]
        table[f"by_{name.replace(' ', '_')}"] = table["ess_per_cpu_s"] / table["case"].map(cold)
    return table


def on_rows(glmm: GLMM, observations: Observations) -> GLMM:
    """The same model of Bernoulli responses with one cell per respondent."""
    cell = observations.cell
    y = observations.rows.y.astype(float)
    response = replace(glmm.response, statistics=(y, np.ones(len(y))))
    common = replace(glmm.common, columns=glmm.common.columns[cell])
    groups = tuple(
        replace(g, codes=g.codes[cell], values=np.broadcast_to(g.values, g.values.shape)[cell])
        for g in glmm.groups
    )
    return replace(glmm, response=response, common=common, groups=groups)


def _measure(model: Any, fit: Any, method: str, plan: Plan) -> Row:
    import nutpie

    from pymc_vmrp.mcmc.build import build_pymc
    from pymc_vmrp.mcmc.warm_start import warm_start

    glmm: GLMM = model.glmm
    began, cpu = time.perf_counter(), time.process_time()
    draws, tune, arguments = plan.draws, plan.cold_tune, {}
    if method == "cold rows":
        built = build_pymc(on_rows(glmm, model.observations))
        draws, tune = plan.rows_draws, plan.rows_tune
    elif method == "cold cells":
        built = build_pymc(glmm)
    else:
        start = warm_start(glmm, fit, method == "warm", 1)
        built, tune = start.model, start.tune
        arguments = {"initial_points": start.at_random(), "jitter_rvs": set()}
    with one_blas_thread():
        compiled = nutpie.compile_pymc_model(built, **arguments)
        compile_s, compile_cpu = time.perf_counter() - began, time.process_time() - cpu
        began, cpu = time.perf_counter(), time.process_time()
        tree = nutpie.sample(
            compiled, draws=draws, tune=tune, chains=plan.chains, cores=plan.cores, seed=1,
            progress_bar=False,
        )  # fmt: skip
        sample_s, sample_cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "draws": draws, "tune": tune, "compile_s": compile_s, "compile_cpu_s": compile_cpu,
        "sample_s": sample_s, "sample_cpu_s": sample_cpu, **_diagnostics(glmm, tree),
    }  # fmt: skip


def _diagnostics(glmm: GLMM, tree: Any) -> Row:
    import arviz as az

    posterior = tree["posterior"].to_dataset()[posterior_names(glmm)]
    stats = tree["sample_stats"]
    ess, rhat = az.ess(posterior), az.rhat(posterior)
    return {
        "divergences": int(stats["diverging"].sum()),
        "steps_per_draw": float(stats["n_steps"].mean()),
        "max_rhat": max(float(v.max()) for v in rhat.data_vars.values()),
        "min_ess": min(float(v.min()) for v in ess.data_vars.values()),
    }
