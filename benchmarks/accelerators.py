"""Sweeps, seconds and ELBO by accelerator and parameter expansion."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd

from benchmarks import engine, isolate
from benchmarks.cases import CASES, Case
from benchmarks.isolate import Row

ACCELERATORS = ("anderson", "squarem", "none")
EXPANSIONS = ("none", "mean", "translation")
MAX_ITER = 3000


def one(case: str, shared: str, limit: float, options: Row) -> Iterator[Row]:
    """In the child: one fit after a tiny one."""
    chosen = CASES[case]
    made = chosen.make(Path(shared))
    engine.tiny_fit()
    isolate.start_clock(limit)
    model, posterior, row = engine.timed_fit(chosen, made.frame, options)
    isolate.stop_clock()
    yield row | engine.describe(model, posterior, made.truth)


def compare(case: Case, plan: engine.Plan, show: engine.Show) -> Iterator[Row]:
    """One row per accelerator and expansion."""
    for accelerate, expansion in product(ACCELERATORS, EXPANSIONS):
        show(f"{case.name}: {accelerate}, expansion {expansion}")
        options = {"accelerate": accelerate, "expansion": expansion, "max_iter": MAX_ITER}
        arguments = {"case": case.name, "shared": str(plan.shared), "options": options}
        outcome = isolate.run("benchmarks.accelerators:one", arguments, plan.limit)
        merged = outcome.merged
        kept = ("sweeps_pg", "sweeps_quad", "fit_s", "s_per_sweep", "elbo", "converged", "quiet")
        yield {
            "case": case.name,
            "accelerate": accelerate,
            "expansion": expansion,
            **{name: merged.get(name) for name in kept},
            "problem": outcome.problem,
        }


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The table with each ELBO's distance to the best of its case."""
    elbo = table["elbo"].astype(float)
    return table.assign(elbo_gap=elbo.groupby(table["case"]).transform("max") - elbo)
