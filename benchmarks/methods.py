"""One model, one survey, many methods: seconds, k̂, and distance from truth and from long NUTS.

``measure`` runs in the child (see :mod:`benchmarks.isolate`); ``row`` starts it.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import accuracy, agreement, data, isolate
from benchmarks.contention import Clock, quiet
from benchmarks.fitted import Fitted, Settings, Unavailable
from benchmarks.isolate import Row
from pymc_vmrp.inference.methods import METHODS as INFERENCE_METHODS
from pymc_vmrp.results.importance import log_ratios, smoothed_weights

_WARM_RUNS = 3


@dataclass(frozen=True)
class Method:
    """A name for the table, and the function of a model and settings that fits by it."""

    label: str
    function: str
    options: Row = field(default_factory=dict)


METHODS = {
    "advi": Method("ADVI, mean-field", "benchmarks.approximations:advi"),
    "advi_psis": Method(
        "ADVI, mean-field, resampled", "benchmarks.approximations:advi", {"resampled": True}
    ),
    "fullrank": Method("ADVI, full-rank", "benchmarks.approximations:advi", {"full_rank": True}),
    "pathfinder": Method("Pathfinder", "benchmarks.approximations:pathfinder"),
    "flow": Method("normalizing flow (IAF)", "benchmarks.flow:iaf"),
    "cavi_pg": Method(
        "CAVI, Pólya-Gamma bound",
        "benchmarks.methods:cavi",
        {"bound": "polya-gamma", "hyperparameters": "mean_field"},
    ),
    "cavi": Method("CAVI, tight", "benchmarks.methods:cavi", {"hyperparameters": "mean_field"}),
    "integrated": Method(
        "CAVI, integrated", "benchmarks.methods:cavi", {"hyperparameters": "integrated"}
    ),
    "gibbs": Method("Gibbs", "benchmarks.methods:chains", {"inference_method": "gibbs"}),
    "nuts": Method("NUTS", "benchmarks.methods:chains", {"inference_method": "nuts"}),
    "nuts_warm": Method(
        "NUTS, warm start", "benchmarks.methods:chains", {"inference_method": "nuts", "warm": True}
    ),
}

CASES = {5000: "CCES 5,000", 59_810: "CCES 59,810"}


# ---- in the child


def measure(method: str, answers: int, shared: str, settings: Row, limit: float) -> Iterator[Row]:
    """Fit by one method, and compare."""
    case = next(c for c in accuracy.nuts_cases(Path(shared)) if c.name == CASES[answers])
    model, plan = case.model(), Settings(**settings)
    name, _, attribute = METHODS[method].function.partition(":")
    isolate.start_clock(limit)
    start = Clock.now()
    try:
        fit: Callable[..., Fitted] = getattr(importlib.import_module(name), attribute)
        fitted = fit(model, plan, **METHODS[method].options)
    except Unavailable as missing:
        yield {"problem": f"skipped: {missing}"}
        return
    end = Clock.now()
    isolate.stop_clock()
    yield {
        "seconds": fitted.seconds,
        "compile_s": fitted.compile_s,
        "quiet": quiet(start, end),
        **of_ratios(fitted.log_ratio),
        **fitted.extra,
    }
    if fitted.log_ratio is None:
        yield of_chains(fitted)
    yield of_states(model, fitted.tree, case, plan.seed)
    yield of_coefficients(fitted.tree, pd.read_csv(case.terms))


def cavi(model: vmrp.Model, settings: Settings, **options: Any) -> Fitted:
    """Ours: the median of three warm runs; compilation is what the first run took longer."""
    seconds = []
    for _ in range(1 + _WARM_RUNS):
        start = time.perf_counter()
        tree = model.fit(settings.draws, random_seed=settings.seed, progressbar=False, **options)
        seconds.append(time.perf_counter() - start)
    warm = median(seconds[1:])
    extra = {} if tree["fit"].attrs["converged"] else {"problem": "did not converge"}
    return Fitted(tree, warm, max(0.0, seconds[0] - warm), log_ratios(tree), extra)


def chains(
    model: vmrp.Model, settings: Settings, inference_method: str, warm: bool = False
) -> Fitted:
    """MCMC: one run in a fresh process. The warm start's own fit counts, but not its compilation.

    Compilation is what the fit did not take for sampling, where it says how long that was.
    """
    if inference_method not in INFERENCE_METHODS:
        raise Unavailable(f"this version has no inference_method={inference_method!r}")
    options, fit_s = {}, 0.0
    if warm:
        first = cavi(model, settings, hyperparameters="mean_field")
        options, fit_s = {"warm_start": first.tree}, first.seconds
    start = time.perf_counter()
    tree = model.fit(
        settings.chain_draws,
        inference_method=inference_method,
        chains=settings.chains,
        random_seed=settings.seed,
        progressbar=False,
        **options,
    )
    total = time.perf_counter() - start
    sampling = float(tree.attrs.get("sampling_seconds", float("nan")))
    if np.isnan(sampling):
        note = "compilation included" if inference_method == "nuts" else ""
        return Fitted(tree, fit_s + total, extra={"note": note})
    return Fitted(tree, fit_s + sampling, total - sampling)


def of_ratios(log_ratio: agreement.FloatArray | None) -> Row:
    """k̂ of the Pareto-smoothed weights, and the ELBO: the mean of log p − log q."""
    if log_ratio is None:
        return {}
    finite = log_ratio[np.isfinite(log_ratio)]
    k_hat = smoothed_weights(finite)[1]
    # nan where all weights of the tail but one underflow
    out: Row = {
        "elbo": float(finite.mean()),
        "k_hat": k_hat if np.isfinite(k_hat) else float("inf"),
    }
    lost = len(log_ratio) - len(finite)
    return out | ({"non_finite": lost} if lost else {})


def of_chains(fitted: Fitted) -> Row:
    """Largest R̂ and smallest bulk ESS of all variables, ESS by second, and divergences."""
    import arviz as az

    posterior = fitted.tree["posterior"].to_dataset()
    rhat, ess = (
        np.concatenate([v.to_numpy().ravel() for v in table.data_vars.values()])
        for table in (az.rhat(posterior), az.ess(posterior))
    )
    out: Row = {"rhat": float(np.nanmax(rhat)), "min_ess": float(np.nanmin(ess))}
    if "sample_stats" in fitted.tree.children and "diverging" in fitted.tree["sample_stats"]:
        out["divergences"] = int(fitted.tree["sample_stats"]["diverging"].sum())
    return out | {"ess_per_s": out["min_ess"] / fitted.seconds}


def of_states(model: vmrp.Model, tree: Any, case: accuracy.NutsCase, seed: int) -> Row:
    """Poststratified states against the survey's own means, and against NUTS."""
    cells = data.for_nuts_reference(case.cells)
    out = vmrp.poststratify(model, tree, cells, by="state", random_seed=seed)
    estimate = out["posterior"]["estimate"].stack(sample=("chain", "draw"))
    reference = data.nuts_states(case.states).loc[estimate["state"].to_numpy()]
    found = agreement.summarise(estimate.transpose("sample", "state").to_numpy())
    truth = case.truth.loc[reference.index].to_numpy()
    far = agreement.distances(found, reference)
    return {
        "mae_pp": 100 * float((found["mean"] - truth).abs().mean()),
        "states_shift": far["shift"].mean(),
        "states_shift_max": far["shift"].max(),
        "states_sd": far["sd_ratio"].mean(),
        "states_sd_min": far["sd_ratio"].min(),
        "states_sd_max": far["sd_ratio"].max(),
        "states_covered": far["covered"].mean(),
    }


def of_coefficients(tree: Any, reference: pd.DataFrame) -> Row:
    """Coefficients and sds of group-specific terms against NUTS."""
    posterior = tree["posterior"].to_dataset()
    columns = [accuracy.element(posterior, row) for _, row in reference.iterrows()]
    draws = np.stack([column.transpose("chain", "draw").to_numpy().ravel() for column in columns])
    far = agreement.distances(agreement.summarise(draws.T), reference)
    sigma = reference["term"].str.endswith("_sigma").to_numpy()
    out: Row = {}
    for name, part in (("coef", far[~sigma]), ("sigma", far[sigma])):
        out |= {
            f"{name}_shift": part["shift"].mean(),
            f"{name}_shift_max": part["shift"].max(),
            f"{name}_sd": part["sd_ratio"].mean(),
            f"{name}_sd_min": part["sd_ratio"].min(),
            f"{name}_sd_max": part["sd_ratio"].max(),
            f"{name}_covered": part["covered"].mean(),
        }
    return out


# ---- in the parent


def row(method: str, answers: int, shared: Path, settings: Settings, limit: float) -> Row:
    """One row of the table, from a process of its own."""
    arguments = {
        "method": method,
        "answers": answers,
        "shared": str(shared),
        "settings": asdict(settings),
    }
    outcome = isolate.run("benchmarks.methods:measure", arguments, limit)
    found = outcome.merged
    return {
        "answers": answers,
        "method": method,
        "label": METHODS[method].label,
        **found,
        "problem": found.get("problem", "") or outcome.problem,
    }


def ordered(table: pd.DataFrame, answers: int) -> pd.DataFrame:
    """Rows of one size, in the order of METHODS."""
    mine = table[table["answers"] == answers].set_index("method")
    return mine.reindex([name for name in METHODS if name in mine.index]).reset_index()
