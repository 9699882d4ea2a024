"""Another checkout against this one, in turn: processor seconds of what users wait for, warm.

Each round runs both in fresh processes of this environment's Python, one after the other, so that
a noisy machine slows both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

HERE = Path(__file__).resolve().parents[1]


def measure(shared: str) -> dict[str, float]:
    """Processor seconds of each part of the work, by the package of the working folder."""
    import pymc_vmrp as vmrp
    from benchmarks import data

    warnings.simplefilter("ignore")
    cces = data.cces(Path(shared))
    survey, cells = cces.survey, cces.cells
    formula = f"abortion ~ {data.PREDICTORS}"
    model = vmrp.Model(formula, survey)
    quiet: dict[str, Any] = {"hyperparameters": "mean_field", "progressbar": False}
    idata = model.fit(1000, random_seed=1, **quiet)
    deep = data.ghitza_gelman_model(9, data.ghitza_gelman(Path(shared))[0])
    small = vmrp.Model(f"y ~ {data.PREDICTORS}", data.simulated_5k(Path(shared)).survey)
    return {
        "build, CCES": _seconds(lambda: vmrp.Model(formula, survey), 5),
        "mean field, CCES": _seconds(lambda: model.approximate(**quiet), 5),
        "fit with 1,000 draws, CCES": _seconds(lambda: model.fit(1000, random_seed=1, **quiet), 4),
        "poststratify, CCES": _seconds(
            lambda: vmrp.poststratify(model, idata, cells, by="state"), 3
        ),
        "mean field, Ghitza-Gelman 9": _seconds(lambda: deep.approximate(**quiet), 2),
        "integrated, simulated_5k": _seconds(
            lambda: small.approximate(hyperparameters="integrated", progressbar=False), 1
        ),
    }


def compare(other: Path, shared: Path, rounds: int) -> pd.DataFrame:
    """Medians over the rounds, and this checkout's over the other's."""
    then: list[dict[str, float]] = []
    now: list[dict[str, float]] = []
    pair = [(other.resolve(), then), (HERE, now)]
    for turn in range(rounds):
        for folder, rows_of in pair[:: 1 if turn % 2 == 0 else -1]:
            rows_of.append(_in(folder, shared))
    rows = []
    for part in now[0]:
        a, b = (median(row[part] for row in each) for each in (then, now))
        rows.append({"part": part, "other_s": a, "this_s": b, "ratio": b / a})
    return pd.DataFrame(rows)


def _in(folder: Path, shared: Path) -> dict[str, float]:
    """A round in a process that imports the package of ``folder``; this file measures both."""
    code = (
        "import json, runpy; "  # -c puts the working folder first in the path
        f"print(json.dumps(runpy.run_path({__file__!r})['measure']({str(shared.resolve())!r})))"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr.strip().splitlines()[-1])
    last: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return last


def _seconds(work: Callable[[], Any], times: int) -> float:
    work()  # warm
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times
