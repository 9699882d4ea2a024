"""The engine: seconds, sweeps, memory and recovery of the truth, each in a fresh process.

``warm``, ``memory`` and ``cold`` run in the child (see :mod:`benchmarks.isolate`); ``measure``
starts them and makes one row of a case's results.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import pymc_vmrp as vmrp
from benchmarks import accuracy, isolate
from benchmarks.cases import CASES, Case
from benchmarks.contention import Clock, others, quiet
from benchmarks.isolate import Outcome, Row
from benchmarks.memory import forget_peak, peak_mb, resident_mb

FloatArray = NDArray[np.float64]
Show = Callable[[str], None]

_LEAST_REPEATS = 3
_SLOW = 5.0  # seconds: the first fit of a slower case counts as a warm one
_SOLVERS = ("dense", "partitioned")


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes
    ----------
    shared : Path
        Folder of the real surveys.
    limit : float
        Most seconds of one fit.
    repeats : int
        Most warm repeats; slow cases get at least three.
    seconds : float
        After so many seconds of warm repeats there are no more than three.
    """

    shared: Path
    limit: float = 900.0
    repeats: int = 15
    seconds: float = 45.0


# ---- in the child


def warm(
    case: str, shared: str, limit: float, repeats: int, seconds: float, options: Row
) -> Iterator[Row]:
    """Repeated fits after a tiny one; then, where HMC's results are on file, the state sds."""
    chosen = CASES[case]
    made = chosen.make(Path(shared))
    tiny_fit()
    done, spent = 0, 0.0
    first = True
    while done < min(_LEAST_REPEATS, repeats) or (done < repeats and spent < seconds):
        isolate.start_clock(limit)
        model, posterior, row = timed_fit(chosen, made.frame, options)
        isolate.stop_clock()
        if first:
            yield describe(model, posterior, made.truth) | {"rows": len(made.frame)}
        if not first or row["total_s"] > _SLOW:
            yield row
            done, spent = done + 1, spent + row["total_s"]
        first = False
        del posterior
        gc.collect()
    if chosen.hmc_model is not None and not options:
        ratio = accuracy.hmc_sd_ratio(Path(shared), model, chosen.hmc_model)
        yield {"hmc_sd_ratio": ratio}


def cold(case: str, shared: str, limit: float) -> Iterator[Row]:
    """The first fit of a process."""
    chosen = CASES[case]
    frame = chosen.make(Path(shared)).frame
    isolate.start_clock(limit)
    row = timed_fit(chosen, frame, {})[2]
    yield {"cold_s": row["total_s"], "cold_quiet": row["quiet"]}


def memory(case: str, shared: str, limit: float) -> Iterator[Row]:
    """Peak memory of a process that makes one fit."""
    chosen = CASES[case]
    tiny_fit()
    gc.collect()
    before = resident_mb()
    frame = chosen.make(Path(shared)).frame
    gc.collect()
    forget_peak()  # that of making the data is not the engine's
    frame_mb = float(frame.memory_usage(deep=True).sum()) / 1e6
    yield {"before_mb": before, "frame_mb": frame_mb}
    isolate.start_clock(limit)
    result = timed_fit(chosen, frame, {})
    isolate.stop_clock()
    peak = peak_mb()
    del result
    yield {"peak_mb": peak, "extra_mb": peak - before, "extra_by_frame": (peak - before) / frame_mb}


def tiny_fit() -> None:
    """Import what a fit imports and load its compiled kernels, for both solvers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.arange(200) % 10, "h": np.arange(200) % 7})
    frame["x"] = rng.normal(size=200)
    frame["y"] = rng.integers(2, size=200)
    model = vmrp.Model("y ~ x + (1|g) + (1|h)", frame)
    for solver in _SOLVERS:
        model.approximate(solver=solver, progressbar=False, hyperparameters="mean_field")


def timed_fit(case: Case, frame: pd.DataFrame, options: Row) -> tuple[vmrp.Model, Any, Row]:
    """Data frame to q: the model, the posterior, and the seconds of both steps."""
    start = Clock.now()
    model = case.model(frame)
    middle = time.perf_counter()
    posterior = model.approximate(progressbar=False, hyperparameters="mean_field", **options)
    end = Clock.now()
    row = {
        "build_s": middle - start.wall,
        "fit_s": end.wall - middle,
        "total_s": end.wall - start.wall,
        "cpu_s": end.own - start.own,
        "others": others(start, end),
        "quiet": quiet(start, end),
    }
    return model, posterior, row


def describe(model: vmrp.Model, posterior: Any, truth: Mapping[str, pd.DataFrame]) -> Row:
    """Size, sweeps by bound, ELBO, and how well the truth is recovered."""
    fit = posterior.fit
    return {
        "p": model.glmm.n_coefficients,
        "cells": model.glmm.n_cells,
        "solver": fit.solver,
        "converged": bool(posterior.converged),
        "sweeps_pg": fit.warmup,
        "sweeps_quad": fit.iterations - fit.warmup,
        "s_per_sweep": fit.seconds / fit.iterations,
        "elbo": float(posterior.elbo),
        **recovery(model, posterior.mean(), posterior.sd(), truth),
    }


def recovery(
    model: vmrp.Model, mean: FloatArray, sd: FloatArray, truth: Mapping[str, pd.DataFrame]
) -> Row:
    """How the effects of the largest factor compare with the truth.

    The correlation (the smallest, where several effects vary), and the root mean square of the
    error in posterior sds, which is near 1 where mean and sd are both right.
    """
    if not truth:
        return {"truth_r": float("nan"), "truth_rms_z": float("nan")}
    glmm = model.glmm
    j = max(range(len(glmm.groups)), key=lambda i: glmm.groups[i].size)
    group, block = glmm.groups[j], glmm.group_slice(j)
    wanted = truth[group.factor].loc[list(group.levels)].to_numpy()
    effects, sds = mean[block].reshape(-1, group.d), sd[block].reshape(-1, group.d)
    r = min(float(np.corrcoef(a, b)[0, 1]) for a, b in zip(effects.T, wanted.T, strict=True))
    return {
        "truth_r": r,
        "truth_rms_z": float(np.sqrt(np.mean(((effects - wanted) / sds) ** 2))),
    }


# ---- in the parent


def measure(case: Case, plan: Plan, show: Show) -> Row:
    """All measurements of one case as one row."""
    common = {"case": case.name, "shared": str(plan.shared)}
    repeats = {"repeats": plan.repeats, "seconds": plan.seconds, "options": {}}
    outcomes = {}
    # warm comes first: should a kernel not be compiled yet, the cold fit finds it in the cache
    for kind, more in (("warm", repeats), ("memory", {}), ("cold", {})):
        show(f"{case.name}: {kind}")

        def on_row(row: Row, kind: str = kind) -> None:
            seconds = f" {row['total_s']:.3f} s" if "total_s" in row else ""
            show(f"{case.name}: {kind}{seconds}")

        outcomes[kind] = isolate.run(f"benchmarks.engine:{kind}", common | more, plan.limit, on_row)
        if outcomes[kind].problem and not outcomes[kind].rows:
            break  # what cannot be fitted warm cannot be fitted at all
    return _row(case, outcomes)


def _row(case: Case, outcomes: Mapping[str, Outcome]) -> Row:
    row: Row = {"case": case.name}
    for outcome in outcomes.values():
        row |= outcome.merged
    row |= summary(outcomes["warm"])
    problems = {kind: o.problem for kind, o in outcomes.items() if o.problem}
    if "fit_s" in row:
        row["s_per_sweep"] = row["fit_s"] / (row["sweeps_pg"] + row["sweeps_quad"])
    row["problem"] = "; ".join(f"{kind}: {problem}" for kind, problem in problems.items())
    return row


def summary(outcome: Outcome) -> Row:
    """Medians and the worst of the repeats; and of those during which the machine was quiet."""
    fits = [row for row in outcome.rows if "total_s" in row]
    if not fits:
        return {"repeats": 0}
    total, calm = _of("total_s", fits), _of("total_s", [row for row in fits if row["quiet"]])
    return {
        "repeats": len(fits),
        **{name: median(_of(name, fits)) for name in ("build_s", "fit_s", "cpu_s")},
        "total_s": median(total),
        "best_s": min(total),
        "worst_s": max(total),
        "quiet_repeats": len(calm),
        "quiet_s": median(calm) if calm else float("nan"),
    }


def _of(name: str, rows: list[Row]) -> list[float]:
    return [row.get(name, float("nan")) for row in rows]
