"""What else could fit the same cases: other settings of the engine, statsmodels, PyMC's ADVI.

Each method runs in a fresh process under a time limit. ``statsmodels_vb`` and ``advi`` run in the
child and get the model built from the data frame; that takes no part of their seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

import pymc_vmrp as vmrp
from benchmarks import engine, isolate
from benchmarks.cases import CASES, Case, Data
from benchmarks.contention import Clock, quiet
from benchmarks.isolate import Outcome, Row

_BFGS_MOST = 4000  # parameters; an iteration of scipy's BFGS costs their cube
_ADVI_DRAWS = 200


@dataclass(frozen=True)
class Method:
    """A baseline.

    Attributes
    ----------
    name : str
    function : str
        ``module:function`` of the measurement.
    arguments : dict
        What it takes besides the case.
    """

    name: str
    function: str
    arguments: Row


def _ours(name: str, **options: object) -> Method:
    # few repeats: a ratio to a baseline need not be exact
    arguments = {"repeats": 3, "seconds": 5.0, "options": {"max_iter": 3000, **options}}
    return Method(name, "benchmarks.engine:warm", arguments)


METHODS = (
    _ours("dense", solver="dense"),
    _ours("plain sweeps", accelerate="none", expansion="none"),
    Method("statsmodels VB", "benchmarks.baselines:statsmodels_vb", {}),
    Method("PyMC ADVI", "benchmarks.baselines:advi", {}),
)


# ---- in the child


def statsmodels_vb(case: str, shared: str, limit: float) -> Iterator[Row]:
    """BinomialBayesMixedGLM.fit_vb on the design of the model.

    It knows Bernoulli rows only, so each cell is repeated once per trial; q is fully factorised,
    and the effects of a level are independent.
    """
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    made, model = _prepare(case, shared)
    glmm = model.glmm
    k = glmm.common.size
    successes = glmm.response.statistics[0].astype(int)
    failures = glmm.response.statistics[1].astype(int) - successes
    isolate.start_clock(limit)
    start = Clock.now()
    cell = np.repeat(np.tile(np.arange(glmm.n_cells), 2), np.concatenate([successes, failures]))
    y = np.repeat([1.0, 0.0], [successes.sum(), failures.sum()])
    bayes = BinomialBayesMixedGLM(
        y, glmm.rows.values[cell, :k], _group_design(model)[cell], _variance_index(model)
    )
    n = 2 * (glmm.n_coefficients + bayes.k_vcp)
    method = "BFGS" if n <= _BFGS_MOST else "L-BFGS-B"
    yield {"note": f"{method} on {len(y):,} Bernoulli rows"}
    result = bayes.fit_vb(fit_method=method, rng=0)
    end = Clock.now()
    isolate.stop_clock()
    mean = np.concatenate([result.fe_mean, result.vc_mean])
    sd = np.concatenate([result.fe_sd, result.vc_sd])
    converged = bool(result.optim_retvals.success)
    yield {
        "total_s": end.wall - start.wall,
        "quiet": quiet(start, end),
        "converged": converged,
        **engine.recovery(model, mean, sd, made.truth),
    }


def advi(case: str, shared: str, limit: float) -> Iterator[Row]:
    """Mean-field ADVI of the same model on the same cells: 30,000 steps, compilation included."""
    from pymc_vmrp.results.idata import read_draws

    made, model = _prepare(case, shared)
    isolate.start_clock(limit)
    yield {"note": "30,000 steps, compilation included"}
    start = Clock.now()
    tree = model.fit(_ADVI_DRAWS, inference_method="advi", random_seed=1, progressbar=False)
    end = Clock.now()
    isolate.stop_clock()
    draws = read_draws(model.glmm, tree).coefficients.reshape(_ADVI_DRAWS, -1)
    yield {
        "total_s": end.wall - start.wall,
        "quiet": quiet(start, end),
        **engine.recovery(model, draws.mean(0), draws.std(0, ddof=1), made.truth),
    }


def _prepare(case: str, shared: str) -> tuple[Data, vmrp.Model]:
    made = CASES[case].make(Path(shared))
    return made, CASES[case].model(made.frame)


def _group_design(model: vmrp.Model) -> sparse.csr_array:
    glmm = model.glmm
    k = glmm.common.size
    columns, values = glmm.rows.columns[:, k:] - k, glmm.rows.values[:, k:]
    width = columns.shape[1]
    starts = np.arange(0, columns.size + 1, width)
    shape = (glmm.n_cells, glmm.n_coefficients - k)
    return sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=shape)


def _variance_index(model: vmrp.Model) -> NDArray[np.int64]:
    """Which variance each group-specific coefficient has: one per effect of a block."""
    index, first = [], 0
    for group in model.glmm.groups:
        index.append(np.tile(first + np.arange(group.d), len(group.levels)))
        first += group.d
    return np.concatenate(index)


# ---- in the parent


def compare(case: Case, ours: Row, plan: engine.Plan, show: engine.Show) -> Iterator[Row]:
    """One row per method: its seconds, and their ratio to ours."""
    for method in METHODS:
        show(f"{case.name}: {method.name}")
        if method.name == "dense" and ours.get("solver") == "dense":
            outcome = Outcome((), "is the solver that was used")
        else:
            arguments = {"case": case.name, "shared": str(plan.shared), **method.arguments}
            outcome = isolate.run(method.function, arguments, plan.limit)
        yield _row(case, method, outcome, ours, plan.limit)


def _row(case: Case, method: Method, outcome: Outcome, ours: Row, limit: float) -> Row:
    merged = outcome.merged | engine.summary(outcome)
    seconds, _ = _seconds(merged)
    ours_s, ours_quiet = _seconds(ours)
    timed_out = outcome.problem.startswith("timed out") and np.isnan(seconds)
    ratio = (limit if timed_out else seconds) / ours_s
    problem = outcome.problem
    if not merged.get("converged", True):
        problem = problem or "did not converge"
    return {
        "case": case.name,
        "method": method.name,
        "seconds": seconds,
        "ratio": ratio,
        "at_least": bool(timed_out),
        "ours_s": ours_s,
        "quiet": ours_quiet and merged.get("quiet_repeats", 0) > 0,
        "elbo_minus_ours": merged.get("elbo", float("nan")) - ours.get("elbo", float("nan")),
        "truth_r": merged.get("truth_r", float("nan")),
        "truth_rms_z": merged.get("truth_rms_z", float("nan")),
        "problem": problem,
        "note": merged.get("note", ""),
    }


def _seconds(row: Row) -> tuple[float, bool]:
    """Median seconds while the machine was quiet, or of all fits and False."""
    calm = row.get("quiet_repeats", 0) > 0
    return row.get("quiet_s" if calm else "total_s", float("nan")), calm


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Cases by methods: how many times our seconds, or why there is no such number."""
    shown = table.assign(entry=[_entry(row) for _, row in table.iterrows()])
    wide = shown.set_index(["case", "method"])["entry"].unstack("method")  # noqa: PD010
    wide = wide.reindex(index=table["case"].unique(), columns=[m.name for m in METHODS])
    return wide.fillna("").reset_index()


def _entry(row: pd.Series) -> str:
    if np.isnan(row["ratio"]):
        return str(row["problem"] or "ours was not fitted")
    number = f"{'> ' if row['at_least'] else ''}{row['ratio']:.3g}x"
    # a fit that was cut off has not told how busy the machine was
    load = "load unknown" if row["at_least"] else "machine busy"
    doubts = [row["problem"], "" if row["quiet"] else load]
    shown = ", ".join(doubt for doubt in doubts if doubt)
    return f"{number} ({shown})" if shown else number
