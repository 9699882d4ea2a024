"""Integrated hyperparameters beside mean-field ones: against long MCMC, and what they cost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import accuracy, data

_WAYS = ("mean_field", "integrated")
_SCHOOLS = pd.DataFrame(
    {
        "y": [28.0, 8, -3, 7, -1, 1, 18, 12],
        "sd": [15.0, 10, 16, 11, 9, 11, 10, 18],
        "school": list("ABCDEFGH"),
    }
)


def surveys(shared: Path, draws: int = 4000, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Moments of coefficients, and medians and widths of log σ's, against NUTS."""
    rows = []
    for case in accuracy.nuts_cases(shared):
        if names and case.name not in names:
            continue
        model, reference = case.model(), pd.read_csv(case.terms)
        for way in _WAYS:
            model.approximate(hyperparameters=way)  # compiles what is not compiled yet
            began = time.perf_counter()
            idata = model.fit(draws, random_seed=1, hyperparameters=way)
            seconds = time.perf_counter() - began
            coefficients, sigmas = _against(idata, reference)
            rows.append(
                {
                    "data": case.name,
                    "hyperparameters": way,
                    **_summary(coefficients),
                    "log_sigma_shift": sigmas["shift"].abs().max(),
                    "log_sigma_width": sigmas["ratio"].mean(),
                    "seconds": seconds,
                    **_cost(idata),
                }
            )
    return pd.DataFrame(rows)


def _against(idata: Any, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shift and sd ratio of each coefficient; of each log σ, of its median and its 90% interval."""
    mean, sd = (idata[f"fit/{which}"].to_dataset() for which in ("mean", "sd"))
    coefficients, sigmas = [], []
    for _, row in reference.iterrows():
        term, _, level = row["term"].removesuffix("]").partition("[")
        if term not in mean:
            term, level = "region", {"NC": "North Central"}.get(term, term)
        dims = mean[term].dims
        element = {dims[-1]: level or row["level"]} if dims else {}
        if term.endswith("_sigma"):
            log_sigma = np.log(idata["posterior"][term].to_numpy().ravel())
            low, middle, high = np.quantile(log_sigma, [0.05, 0.5, 0.95])
            width = np.log(row["q95"] / row["q05"])
            shift = (middle - np.log(row["q50"])) / (width / 3.29)
            sigmas.append({"term": term, "shift": shift, "ratio": (high - low) / width})
            continue
        m, s = (float(x[term].sel(element)) for x in (mean, sd))
        shift = (m - row["mean"]) / row["sd"]
        coefficients.append({"term": term, "shift": shift, "ratio": s / row["sd"]})
    return pd.DataFrame(coefficients), pd.DataFrame(sigmas)


def _summary(table: pd.DataFrame) -> dict[str, float]:
    return {
        "mean_abs_shift": table["shift"].abs().mean(),
        "max_abs_shift": table["shift"].abs().max(),
        "mean_sd_ratio": table["ratio"].mean(),
        "min_sd_ratio": table["ratio"].min(),
        "max_sd_ratio": table["ratio"].max(),
    }


def _cost(idata: Any) -> dict[str, float]:
    attrs = idata["fit"].attrs
    kept = ("iterations", "theta_points", "theta_ess", "theta_error")
    return {name: attrs[name] for name in kept if name in attrs}


def radon_model(shared: Path, prior: Any) -> vmrp.Model:
    """Radon in Minnesota: 85 counties, two predictors by house or county and their mean."""
    frame = pd.read_csv(shared / "radon_minnesota" / "radon_MN.csv")
    common = vmrp.Normal(0, 1)
    return vmrp.Model(
        "log_radon ~ log_uranium + floor + floor_by_county + (1|county_idx0)",
        frame,
        family="gaussian",
        center_predictors=False,
        priors={"Intercept": common, "common": common, "1|county_idx0": prior, "sigma": prior},
    )


def small(shared: Path, draws: int = 20_000) -> pd.DataFrame:
    """Effects of the counties and of the eight schools, intercept included, against MCMC."""
    radon, schools = shared / "radon_minnesota", shared / "eight_schools"
    stem = "radon_contextual_effects_minnesota"
    cases = [
        (
            "radon, uniform",
            radon_model(shared, vmrp.Uniform(100)),
            radon / f"{stem}.json",
            "COUNTY",
        ),
        (
            "radon, half-normal",
            radon_model(shared, vmrp.HalfNormal(1)),
            radon / f"{stem}_halfnormal.json",
            "COUNTY",
        ),
        ("eight schools", eight_schools_model(), schools / "eight_schools.json", "SCHOOL"),
    ]
    rows = []
    for name, model, path, what in cases:
        reference = json.loads(path.read_text())
        mean, sd = (
            np.array(reference[f"IDENTITY_{what}_EFFECT{key}"])
            for key in (
                ("_MEAN", "_STANDARD_DEVIATION")
                if what == "COUNTY"
                else ("S_MEAN", "S_STANDARD_DEVIATION")
            )
        )
        order = [int(level) for level in model.glmm.groups[0].levels] if what == "COUNTY" else ...
        for way in _WAYS:
            posterior = model.approximate(hyperparameters=way)
            coefficients = posterior.sample(draws, 1).coefficients
            effects = coefficients[:, :1] + coefficients[:, model.glmm.group_slice(0)]
            table = pd.DataFrame(
                {
                    "shift": (effects.mean(0) - mean[order]) / sd[order],
                    "ratio": effects.std(0) / sd[order],
                }
            )
            rows.append({"data": name, "hyperparameters": way, **_summary(table)})
    return pd.DataFrame(rows)


def eight_schools_model() -> vmrp.Model:
    """The classic, with a lognormal prior on the sd between schools."""
    priors = {"Intercept": vmrp.Normal(0, 10), "1|school": vmrp.LogNormal(5, 1)}
    return vmrp.Model("se(y, sd) ~ 1 + (1|school)", _SCHOOLS, family="gaussian", priors=priors)


def ghitza_gelman(shared: Path, models: tuple[int, ...] = (1, 4)) -> pd.DataFrame:
    """State sds relative to HMC's."""
    survey, cells, hmc = data.ghitza_gelman(shared)
    rows = []
    for number in models:
        model = data.ghitza_gelman_model(number, survey)
        for way in _WAYS:
            began = time.perf_counter()
            idata = model.fit(4000, random_seed=1, hyperparameters=way)
            seconds = time.perf_counter() - began
            ratio = accuracy.state_sds(model, idata, cells) / accuracy.hmc_sds(hmc, number)
            weights = idata["sample_stats"]["lp"] - idata["sample_stats"]["log_q"]
            rows.append(
                {
                    "model": number,
                    "hyperparameters": way,
                    "median_sd_ratio": ratio.median(),
                    "min_sd_ratio": ratio.min(),
                    "max_sd_ratio": ratio.max(),
                    "sd_log_weight": float(weights.std()),
                    "seconds": seconds,
                    **_cost(idata),
                }
            )
    return pd.DataFrame(rows)
