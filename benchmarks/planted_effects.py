"""Effects with a planted truth: which part each term has in their variation, and other families.

Shares: treatment effects of known variance by modifier, so that the shares are known exactly.
Families: a binary and a count outcome whose effects by group are known on the response scale.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import pymc_vmrp as vmrp
from benchmarks.isolate import Row
from pymc_vmrp.errors import PriorWarning
from pymc_vmrp.interpret.estimate import effects

FloatArray = NDArray[np.float64]

CI_PROB = 0.9
SHARE_ROWS = (20, 50)  # of an arm in a group
SHARE_SD, SHARE_NOISE = 0.5, 1.0  # of effects over groups, of outcomes
GROUPS, GROUP_ROWS = 30, 60


@dataclass(frozen=True)
class Plant:
    """A design: levels of its modifiers, the share of each term, and the model.

    Attributes
    ----------
    levels : dict of str to int
    shares : dict of str to float
        By the names that the terms have in ``Effects.shares()``.
    formula : str
    """

    levels: dict[str, int]
    shares: dict[str, float]
    formula: str


PLANTS = {
    "four modifiers": Plant(
        {"a": 4, "b": 4, "c": 3, "d": 3},
        {"treat|a": 0.4, "treat|b": 0.3, "treat|c": 0.2, "treat|d": 0.1},
        "y ~ treat + (1 + treat|a) + (1 + treat|b) + (1 + treat|c) + (1 + treat|d)",
    ),
    "two and their interaction": Plant(
        {"a": 8, "b": 8},
        {"treat|a": 0.5, "treat|b": 0.3, "treat|a:b": 0.2},
        "y ~ treat + (1 + treat|a*b)",
    ),
    "a common moderator": Plant(
        {"g": 40},
        {"treat:x": 0.6, "treat|g": 0.4},
        "y ~ treat * x + (1 + treat|g)",
    ),
}

FAMILIES = ("bernoulli", "poisson")
NAMES = (*FAMILIES, *PLANTS)


def planted_parts(
    design: Plant, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, FloatArray]]:
    """The groups, and what each term adds to their effects: uncorrelated, of the shares asked."""
    names = list(design.levels)
    groups = pd.DataFrame(list(product(*map(range, design.levels.values()))), columns=names)
    if "treat:x" in design.shares:
        groups["x"] = rng.normal(size=len(groups))
    parts: dict[str, FloatArray] = {}
    for term, share in design.shares.items():
        part = _part(term, groups, rng)
        part = part - part.mean()
        for other in parts.values():  # in a balanced design only x and g's are not orthogonal
            part = part - other * (part @ other) / (other @ other)
        parts[term] = SHARE_SD * np.sqrt(share) * part / part.std()
    return groups, parts


def plant(design: Plant, rows: int, seed: int) -> pd.DataFrame:
    """Balanced data with these effects, around one half; so many rows of an arm in a group."""
    rng = np.random.default_rng(seed)
    groups, parts = planted_parts(design, rng)
    effect = 0.5 + np.sum(list(parts.values()), axis=0)
    base = rng.normal(0, 0.5, len(groups))
    arms = [groups.assign(treat=arm, y=base + arm * effect) for arm in (0, 1)]
    data = pd.concat(arms * rows, ignore_index=True)
    return data.assign(y=data["y"] + rng.normal(0, SHARE_NOISE, len(data)))


def _part(term: str, groups: pd.DataFrame, rng: np.random.Generator) -> FloatArray:
    if term == "treat:x":
        x = groups["x"].to_numpy()
        return np.asarray(x - x.mean())
    columns = term.removeprefix("treat|").split(":")
    codes = groups.groupby(columns).ngroup().to_numpy()
    part = rng.normal(size=codes.max() + 1)[codes]
    if len(columns) > 1:  # doubly centred: no main effect
        for name in columns:
            part = part - pd.Series(part).groupby(groups[name].to_numpy()).transform("mean")
    return np.asarray(part, dtype=float)


def shares(
    name: str, rows: int, replications: int, show: Callable[[str], None] = print
) -> Iterator[Row]:
    """Posterior means of the shares against the planted ones: rows so far, after every one."""
    design = PLANTS[name]
    by = list(design.levels)
    found: list[pd.DataFrame] = []
    for seed in range(replications):
        show(f"shares, {name}, {rows} rows: {seed + 1} of {replications}")
        data = plant(design, rows, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PriorWarning)
            model = vmrp.Model(design.formula, data, family="gaussian")
        idata = model.fit(2000, random_seed=seed, progressbar=False)
        table = pd.DataFrame(effects(model, idata, "treat", by=by).shares(ci_prob=CI_PROB))
        found.append(table.reindex(list(design.shares)))
        for term, planted in design.shares.items():
            means = np.array([one.loc[term, "mean"] for one in found])
            limits = [c for c in table.columns if str(c).startswith("eti")]
            inside = [
                one.loc[term, limits[0]] <= planted <= one.loc[term, limits[1]] for one in found
            ]
            yield {
                "design": name,
                "rows": rows,
                "term": term,
                "hyperparameters": idata["fit"].attrs["hyperparameters"],
                "replications": len(means),
                "planted": planted,
                "mean": means.mean(),
                "bias": means.mean() - planted,
                "mean_error": np.abs(means - planted).mean(),
                "coverage_90": float(np.mean(inside)),
            }


def responses(family: str, replications: int, show: Callable[[str], None] = print) -> Iterator[Row]:
    """Coverage of effects by group on the response scale: a row so far, after each replication."""
    inside, errors, sds, seconds = [], [], [], []
    for seed in range(replications):
        show(f"{family}: {seed + 1} of {replications}")
        data, truth = draw_responses(family, seed)
        began = time.process_time()
        model = vmrp.Model("y ~ treat * x + (1 + treat|g)", data, family=family)
        idata = model.fit(2000, random_seed=seed, progressbar=False)
        found = effects(model, idata, "treat", by="g", progressbar=False)
        table = pd.DataFrame(found.table(CI_PROB))
        seconds.append(time.process_time() - began)
        table = table.reindex(truth.index)
        low, high = (table[c] for c in table.columns if str(c).startswith("eti"))
        inside.append(((low <= truth) & (truth <= high)).mean())
        errors.append(((table["mean"] - truth) / table["sd"]).to_numpy())
        sds.append(table["sd"].mean())
        yield {
            "family": family,
            "hyperparameters": idata["fit"].attrs["hyperparameters"],
            "replications": len(inside),
            "groups": GROUPS,
            "coverage_90": float(np.mean(inside)),
            "standard_error": float(np.std(inside) / np.sqrt(len(inside))),
            "rms_z": float(np.sqrt(np.mean(np.square(errors)))),
            "mean_z": float(np.mean(errors)),
            "mean_sd": float(np.mean(sds)),
            "cpu_seconds": float(np.median(seconds)),
        }


def draw_responses(family: str, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Data, and each group's effect: the mean over its rows of the difference in mean response."""
    rng = np.random.default_rng(seed)
    intercept, slope = rng.normal(0, 0.5, GROUPS), rng.normal(0.5, 0.5, GROUPS)
    g = np.repeat(np.arange(GROUPS), rng.integers(GROUP_ROWS // 3, 2 * GROUP_ROWS, GROUPS))
    x, treat = (rng.random(len(g)) < 0.4).astype(int), (rng.random(len(g)) < 0.5).astype(int)
    inverse = {"bernoulli": lambda eta: 1 / (1 + np.exp(-eta)), "poisson": np.exp}[family]

    def mean(arm: NDArray[np.int64]) -> FloatArray:
        eta = -0.3 + intercept[g] + 0.6 * x + (slope[g] - 0.3 * x) * arm
        return np.asarray(inverse(eta))

    drawn = mean(treat)
    y = rng.poisson(drawn) if family == "poisson" else (rng.random(len(g)) < drawn).astype(int)
    effect = pd.Series(mean(np.ones_like(treat)) - mean(np.zeros_like(treat)))
    data = pd.DataFrame({"y": y, "treat": treat, "x": x, "g": g})
    return data, effect.groupby(g).mean().rename_axis("g")
