"""Gaussian references: radon in Minnesota, and eight schools."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp

_DRAWS = 20_000
_RADON = {
    "uniform": ("radon_contextual_effects_minnesota", vmrp.Uniform(100)),
    "half-normal": ("radon_contextual_effects_minnesota_halfnormal", vmrp.HalfNormal(1)),
}


def radon(shared: Path, **options: object) -> pd.DataFrame:
    """County effects (intercept + u) against the reference, under both priors; by county."""
    survey = pd.read_csv(shared / "radon_minnesota" / "radon_MN.csv")
    tables = []
    for name, (file, prior) in _RADON.items():
        reference = json.loads((shared / "radon_minnesota" / f"{file}.json").read_text())
        model = vmrp.Model(
            "log_radon ~ log_uranium + floor + floor_by_county + (1|county_idx0)",
            survey,
            "gaussian",
            priors={
                "Intercept": vmrp.Normal(0, 1),
                "common": vmrp.Normal(0, 1),
                "1|county_idx0": prior,
                "sigma": prior,
            },
            center_predictors=False,
        )
        posterior = model.fit(_DRAWS, random_seed=1, **options)["posterior"]
        effect = posterior["Intercept"] + posterior["1|county_idx0"]
        county = effect["county_idx0__factor_dim"].to_numpy().astype(int)
        table = _compared(effect, reference, "IDENTITY_COUNTY_EFFECT", county)
        tables.append(table.assign(prior=name, county=county))
    return pd.concat(tables, ignore_index=True)


def eight_schools(shared: Path, **options: object) -> pd.DataFrame:
    """School effects against the reference; its prior of the sd between schools is lognormal."""
    reference = json.loads((shared / "eight_schools" / "eight_schools.json").read_text())
    data = pd.DataFrame(
        {
            "school": list("ABCDEFGH"),
            "y": [28.0, 8, -3, 7, -1, 1, 18, 12],
            "sd": [15.0, 10, 16, 11, 9, 11, 10, 18],
        }
    )
    priors = {"Intercept": vmrp.Normal(0, 10), "1|school": vmrp.LogNormal(5, 1)}
    model = vmrp.Model("se(y, sd) ~ 1 + (1|school)", data, "gaussian", priors)
    posterior = model.fit(_DRAWS, random_seed=1, **options)["posterior"]
    effect = posterior["Intercept"] + posterior["1|school"]
    table = _compared(effect, reference, "IDENTITY_SCHOOL_EFFECTS", np.arange(8))
    return table.assign(school=list("ABCDEFGH"))


def _compared(
    draws: object, reference: dict[str, list[float]], name: str, index: np.ndarray
) -> pd.DataFrame:
    """Shift in the reference's sds, and ratio of sds."""
    mean, sd = (
        np.array(reference[f"{name}_{which}"])[index] for which in ("MEAN", "STANDARD_DEVIATION")
    )
    over = ("chain", "draw")
    return pd.DataFrame(
        {
            "shift": (draws.mean(over).to_numpy() - mean) / sd,
            "sd_ratio": draws.std(over).to_numpy() / sd,
        }
    )
