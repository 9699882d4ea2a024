"""The real surveys and reference posteriors in ../shared/data, as the benchmarks use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import pymc_vmrp as vmrp

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

PREDICTORS = (
    "male + repvote + region + (1|state) + (1|eth) + (1|educ) + (1|age)"
    " + (1|male:eth) + (1|educ:age) + (1|educ:eth)"
)

# Priors of the NUTS references: β ~ N(0, 10²), σ ~ half-t(2, 5), repvote centred at 0.5 and
# Northeast the base region, predictors not centred further.
REFERENCE_PRIORS = {"Intercept": vmrp.Normal(0, 10), "common": vmrp.Normal(0, 10)}
_REGIONS = ["Northeast", "North Central", "South", "West"]

_FIXED = "z_inc + z_incstt + z_trnprv + z_inc:z_incstt + z_inc:z_trnprv"
_MODEL_1 = "(1|age) + (1|eth) + (1|state) + (1|inc)"
_MODEL_4 = (
    "(1|inc) + (1+z_inc|eth) + (1+z_inc|state) + (1+z_inc|age) + (1|eth:inc) + (1|eth:age)"
    " + (1|inc:age) + (1|state:eth) + (1|state:inc) + (1|state:age)"
)
_MODEL_7 = (
    _MODEL_4 + " + (1+z_inc|region) + (1|region:eth) + (1|region:inc) + (1|region:age)"
    " + (1|eth:inc:age) + (1|state:eth:inc)"
)
_MODEL_9 = _MODEL_7 + " + (1|state:eth:age) + (1|state:inc:age)"
GHITZA_GELMAN = {1: _MODEL_1, 4: _MODEL_4, 7: _MODEL_7, 9: _MODEL_9}
GHITZA_GELMAN_PRIORS = {
    "Intercept": "flat",
    "common": "flat",
    "group_specific": vmrp.InverseWishart(),
}


@dataclass(frozen=True)
class Survey:
    """A survey, its population cells, and what is known about the answer."""

    survey: pd.DataFrame
    cells: pd.DataFrame
    truth: pd.Series


def cces(shared: Path = SHARED) -> Survey:
    """CCES 2018: 59,810 answers on abortion coverage, 12,000 cells, disaggregated state means."""
    folder = shared / "cces2018"
    states = pd.read_csv(folder / "states.csv")
    return Survey(
        pd.read_csv(folder / "survey.csv.gz").merge(states, on="state"),
        pd.read_csv(folder / "cells.csv.gz").merge(states, on="state"),
        pd.read_csv(folder / "truth.csv").set_index("state")["truth"],
    )


def for_nuts_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """``repvote`` centred at 0.5 and Northeast as the base region, as in the NUTS references."""
    region = pd.Categorical(frame["region"], _REGIONS, ordered=True)
    return frame.assign(repvote=frame["repvote"] - 0.5, region=region)


def simulated_5k(shared: Path = SHARED) -> Survey:
    """5,000 simulated respondents on the CCES cells."""
    folder = shared / "simulated_5k"
    states = pd.read_csv(shared / "cces2018" / "states.csv")
    return Survey(
        pd.read_csv(folder / "survey.csv.gz"),
        pd.read_csv(shared / "cces2018" / "cells.csv.gz").merge(states, on="state"),
        pd.read_csv(folder / "nuts_state_estimates.csv").set_index("state")["truth"],
    )


def nuts_states(path: Path) -> pd.DataFrame:
    """Posterior mean and sd of each state's estimate by NUTS, in ``mean`` and ``sd``."""
    frame = pd.read_csv(path).set_index("state")
    return frame.rename(columns=lambda name: name.removeprefix("nuts_"))


def bh_item11(shared: Path = SHARED) -> pd.DataFrame:
    """CCES 2008: 36,832 answers on troops for oil, with traits of the states."""
    return pd.read_csv(shared / "bh_item11" / "survey.csv.gz")


def ghitza_gelman(shared: Path = SHARED) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Turnout cells (successes and failures rounded, as in the reference), population, HMC."""
    folder = shared / "ghitza_gelman"
    survey = pd.read_csv(folder / "survey_cells.csv.gz")
    survey["y"] = survey["success"].round().astype(int)
    survey["n"] = survey["y"] + survey["failure"].round().astype(int)
    cells = pd.read_csv(folder / "poststrat_cells.csv.gz")
    for keys, values in (("inc", ["z_inc"]), ("state", ["region", "z_incstt", "z_trnprv"])):
        cells = cells.merge(survey[[keys, *values]].drop_duplicates(), on=keys)
    return survey, cells, pd.read_csv(folder / "hmc_state_variance.csv")


def ghitza_gelman_formula(number: int) -> str:
    """Formula of model 1, 4, 7 or 9."""
    return f"p(y, n) ~ {_FIXED} + {GHITZA_GELMAN[number]}"


def ghitza_gelman_model(number: int, survey: pd.DataFrame) -> vmrp.Model:
    """Model 1, 4, 7 or 9, with every Σ ~ InverseWishart(d + 1, I) as written, and flat β."""
    return vmrp.Model(
        ghitza_gelman_formula(number),
        survey,
        family="binomial",
        priors=GHITZA_GELMAN_PRIORS,
        center_predictors=False,
    )
