"""CPU seconds of effects by group: a large experiment, and many groups and draws."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.isolate import Row
from pymc_vmrp.errors import PriorWarning
from pymc_vmrp.interpret.estimate import effects

ROWS, ARMS, GROUPS = 344_000, 5, 180
CROSSED = {"a": 8, "b": 4, "c": 4}  # 128 groups
DRAWS = 4000
FAMILIES = ("gaussian", "bernoulli")


def large(family: str, rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    """An experiment with five arms, whose effects vary by 180 groups."""
    rng = np.random.default_rng(seed)
    g, arm = rng.integers(GROUPS, size=rows), rng.integers(ARMS, size=rows)
    base, slopes = rng.normal(0, 0.3, GROUPS), rng.normal(0.2, 0.2, (GROUPS, ARMS))
    slopes[:, 0] = 0
    return _with_outcome(pd.DataFrame({"g": g, "arm": arm}), base[g] + slopes[g, arm], family, rng)


def crossed(family: str, rows: int = 20_000, seed: int = 1) -> pd.DataFrame:
    """A binary treatment in 8 x 4 x 4 groups."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.integers(k, size=rows) for name, k in CROSSED.items()})
    frame["arm"] = rng.integers(2, size=rows)
    slopes = [rng.normal(0, 0.2, k)[frame[name]] for name, k in CROSSED.items()]
    return _with_outcome(frame, (0.2 + sum(slopes)) * frame["arm"].to_numpy(), family, rng)


def _with_outcome(
    frame: pd.DataFrame, eta: np.ndarray, family: str, rng: np.random.Generator
) -> pd.DataFrame:
    if family == "gaussian":
        return frame.assign(y=eta + rng.normal(size=len(frame)), arm=frame["arm"].map(str))
    p = 1 / (1 + np.exp(-eta))
    return frame.assign(y=(rng.random(len(frame)) < p).astype(int), arm=frame["arm"].map(str))


def measure(
    rows: int = ROWS, repeats: int = 3, show: Callable[[str], None] = print
) -> Iterator[Row]:
    """Cold, and the median of warm repeats."""
    big = ("y ~ arm + (1 + arm | g)", ("g",), "five arms by 180 groups")
    many = ("y ~ arm + (1 + arm | a) + (1 + arm | b) + (1 + arm | c) + (1 + arm | a:b:c)",
            tuple(CROSSED), "128 groups")  # fmt: skip
    for family in FAMILIES:
        for (formula, by, name), data in ((big, large(family, rows)), (many, crossed(family))):
            runs = []
            for k in range(1 + repeats):
                show(f"{name}, {family}: run {k + 1} of {1 + repeats}")
                runs.append(_seconds(formula, data, family, by))
            warm = pd.DataFrame(runs[1:])
            yield {
                "case": name,
                "family": family,
                "rows": len(data),
                "groups": runs[0]["groups"],
                "draws": DRAWS,
                "cold": runs[0]["model"] + runs[0]["fit"] + runs[0]["effects"],
                "warm": float((warm["model"] + warm["fit"] + warm["effects"]).median()),
                **{part: float(warm[part].median()) for part in ("model", "fit", "effects")},
                "table": float(warm["table"].median()),
            }


def _seconds(formula: str, data: pd.DataFrame, family: str, by: tuple[str, ...]) -> Row:
    clock = [time.process_time()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PriorWarning)
        model = vmrp.Model(formula, data, family=family)
    clock.append(time.process_time())
    idata = model.fit(DRAWS, random_seed=1, hyperparameters="mean_field", progressbar=False)
    clock.append(time.process_time())
    found = effects(model, idata, "arm", by=list(by), progressbar=False)
    clock.append(time.process_time())
    found.table()
    clock.append(time.process_time())
    parts = dict(zip(("model", "fit", "effects", "table"), np.diff(clock).tolist(), strict=True))
    return parts | {"groups": found.groups.size}
