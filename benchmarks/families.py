"""Every family on simulated data with known truth: coverage, and agreement with NUTS."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, Simulated, simulate
from pymc_vmrp.glmm.families import get_family

SIZES = (200, 1000, 5000)
_LEVEL = 0.9
Show = Callable[[str], None]


def coverage(
    family: str, link: str, n: int, replications: int, show: Show, draws: int = 1000
) -> dict[str, object]:
    """How often 90% intervals cover the truth: coefficients, and poststratified estimates."""
    inside: dict[str, list[float]] = {"x": [], "1|g": [], "1|h": [], "poststratified": []}
    seconds = []
    for seed in range(replications):
        show(f"{family} {link} n={n}: {seed + 1}/{replications}")
        simulated = simulate(family, link, n, seed, continuous=False)
        model, idata = _fit(simulated, draws, seed)
        seconds.append(idata["fit"].attrs["seconds"])
        for name in ("x", "1|g", "1|h"):
            inside[name].append(_covered(idata["posterior"][name], _truth(simulated, model, name)))
        cells, truth = _population(simulated, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # levels the survey never saw
            estimate = vmrp.poststratify(model, idata, cells, by="g", random_seed=seed)
        inside["poststratified"].append(_covered(estimate["posterior"]["estimate"], truth))
    coefficients = 20 * np.array(inside["1|g"]) + 5 * np.array(inside["1|h"]) + inside["x"]
    return {
        "family": family,
        "link": link,
        "n": n,
        "coefficients": float(np.mean(coefficients) / 26),
        **{name: float(np.mean(values)) for name, values in inside.items()},
        "median_seconds": float(np.median(seconds)),
    }


def _fit(simulated: Simulated, draws: int, seed: int) -> tuple[vmrp.Model, object]:
    model = vmrp.Model(simulated.formula, simulated.data, simulated.family, link=simulated.link)
    return model, model.fit(draws, random_seed=seed, hyperparameters="mean_field")


def _truth(simulated: Simulated, model: vmrp.Model, name: str) -> np.ndarray:
    truth = simulated.truth[name]
    if "|" not in name:
        return truth
    group = next(g for g in model.glmm.groups if g.name == name)
    return truth[[int(level[1:]) for level in group.levels]]


def _covered(draws: object, truth: np.ndarray) -> float:
    tail = (1 - _LEVEL) / 2
    low, high = (draws.quantile(q, ("chain", "draw")).to_numpy() for q in (tail, 1 - tail))
    return float(((low <= truth) & (truth <= high)).mean())


def _population(simulated: Simulated, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Cells g × h × x with random counts, and the true mean response of each g."""
    rng = np.random.default_rng([seed, 1])
    u, v = simulated.truth["1|g"], simulated.truth["1|h"]
    grid = pd.MultiIndex.from_product([range(len(u)), range(len(v)), (-1.0, 0.0, 1.0)])
    cells = grid.to_frame(index=False, name=["g", "h", "x"])
    cells["n"] = rng.integers(1, 1000, len(cells))
    eta = 0.3 + 0.4 * cells["x"] + u[cells["g"]] + v[cells["h"]]
    cells["mean"] = get_family(simulated.family, simulated.link).inverse_link(eta.to_numpy())
    sums = cells.assign(mean=cells["mean"] * cells["n"]).groupby("g")[["mean", "n"]].sum()
    cells["g"], cells["h"] = cells["g"].map("g{:03d}".format), cells["h"].map("h{}".format)
    return cells, (sums["mean"] / sums["n"]).to_numpy()


def against_nuts(family: str, link: str, n: int = 1000, draws: int = 2000) -> dict[str, object]:
    """Shift in NUTS sds and sd ratio of coefficients and poststratified estimates, one data set.

    With hyperparameters by mean field, and integrated.
    """
    simulated = simulate(family, link, n, 0, continuous=False)
    model, mean_field = _fit(simulated, 4000, 0)
    integrated = model.fit(4000, random_seed=0, hyperparameters="integrated")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nuts = model.fit(
            draws, 2000, inference_method="nuts", nuts_sampler="nutpie", chains=4, cores=2,
            random_seed=0, target_accept=0.98, progressbar=False,
        )  # fmt: skip
    out: dict[str, object] = {"family": family, "link": link, "n": n}
    for name, idata in (("", mean_field), ("integrated_", integrated)):
        compared = _all_compared(simulated, model, idata, nuts)
        out |= {name + key: value for key, value in compared.items()}
    attrs = nuts.attrs
    return out | {name: attrs[name] for name in ("divergences", "max_rhat", "min_ess")}


def _all_compared(
    simulated: Simulated, model: vmrp.Model, idata: object, nuts: object
) -> dict[str, float]:
    cells, _ = _population(simulated, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ours, theirs = (
            vmrp.poststratify(model, tree, cells, by="g", random_seed=0)["posterior"]["estimate"]
            for tree in (idata, nuts)
        )
    parameters = [p.name for p in model.glmm.free_parameters]
    out: dict[str, float] = {}
    pairs = {name: (idata["posterior"][name], nuts["posterior"][name]) for name in idata.posterior}
    parts = {
        "coefficients": ["Intercept", "x", "1|g", "1|h"],
        "g": ["x", "1|g"],
        "h": ["Intercept", "1|h"],
        "sigmas": ["1|g_sigma", "1|h_sigma"],
        "parameters": parameters,
    }
    for part, names in parts.items():
        if names:
            out |= _compared(part, [pairs[name] for name in names])
    return out | _compared("poststratified", [(ours, theirs)])


def _compared(part: str, pairs: list[tuple[object, object]]) -> dict[str, float]:
    shift, ratio = [], []
    for ours, theirs in pairs:
        dims = ("chain", "draw")
        sd = theirs.std(dims)
        shift.append(np.ravel(np.abs(ours.mean(dims) - theirs.mean(dims)) / sd))
        ratio.append(np.ravel(ours.std(dims) / sd))
    return {
        f"{part}_shift": float(np.concatenate(shift).mean()),
        f"{part}_sd_ratio": float(np.concatenate(ratio).mean()),
    }


def cases(chosen: list[str] | None) -> Iterator[tuple[str, str]]:
    """Families and links, all or those whose family was chosen."""
    return ((family, link) for family, link in CASES if not chosen or family in chosen)
