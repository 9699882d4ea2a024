"""Alliances and support for war (Tomz & Weeks 2021), as reanalysed by Alley (2024).

1,200 respondents read of a country under attack, an ally of theirs or not; ``strike2`` is whether
they would send troops. Its other features were randomised too: 32 conditions. Respondents differ in
race, gender, hawkishness and internationalism: 100 demographic groups at most.

References
----------
Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Tomz, M. and Weeks,
J. (2021). Military alliances and public support for war. International Studies Quarterly 65(3).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.crossed_ols import crossed_ols
from benchmarks.heterogeneous_effects import with_limits
from benchmarks.isolate import Row
from pymc_vmrp.errors import PriorWarning
from pymc_vmrp.interpret.estimate import effects
from pymc_vmrp.interpret.result import Effects

if TYPE_CHECKING:
    import xarray as xr

CONDITIONS = ("region", "stakes", "cost", "regime")
DEMOGRAPHIC = ("white", "male", "hawk", "intl")
CI_PROB = 0.9

_CODED = {
    "stakes": ("ints", {0: "low", 1: "high"}),
    "cost": ("cost_low", {0: "high", 1: "low"}),
    "regime": ("dem", {0: "autocracy", 1: "democracy"}),
}


@dataclass(frozen=True)
class Study:
    """A model of the experiment, and the groups whose effects are asked for."""

    formula: str
    by: tuple[str, ...]
    priors: dict[str, Any] | None = None
    mcmc: str = "gibbs"  # the exact method to compare with: Gibbs takes no LKJ priors


# brms' defaults and the priors of the published code: LKJ(1), sds ~ |N(0, 1)|, slopes ~ N(0, .5)
_PUBLISHED = {
    "common": vmrp.Normal(0, 0.5),
    "group_specific": vmrp.LKJ(1, vmrp.HalfNormal(1)),
}
STUDIES = {
    "conditions": Study(
        "strike2 ~ 1 + ally + (1 + ally | region*stakes*cost*regime)", CONDITIONS
    ),
    "demographic, crossed": Study(
        "strike2 ~ 1 + ally + (1 + ally | white*male*hawk*intl)", DEMOGRAPHIC
    ),
    "demographic, as published": Study(
        "strike2 ~ 1 + regime + stakes + cost + region + ally*(white + male + intl + hawk)"
        " + (1 + ally | white:male:hawk:intl)",
        DEMOGRAPHIC,
        _PUBLISHED,
        "nuts",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """A fit of a study, and the effects by its groups."""

    study: Study
    data: pd.DataFrame
    model: vmrp.Model
    idata: xr.DataTree
    effects: Effects
    cpu_seconds: float


def load(shared: Path) -> pd.DataFrame:
    """The experiment; conditions have their names for levels."""
    data = pd.read_csv(shared / "tomz_weeks" / "survey.csv")
    named = {name: data[code].map(levels) for name, (code, levels) in _CODED.items()}
    return data.assign(**named)


def answer(study: Study, data: pd.DataFrame, draws: int = 4000, **options: Any) -> Answer:
    """Fit a study's model, by the default method unless options say otherwise."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PriorWarning)  # factors of two levels: that is the design
        model = vmrp.Model(study.formula, data, family="gaussian", priors=study.priors)
    idata = model.fit(draws, random_seed=1, progressbar=False, **options)
    found = effects(model, idata, "ally", by=list(study.by))
    return Answer(study, data, model, idata, found, time.process_time() - began)


def by_group(given: Answer) -> pd.DataFrame:
    """Effects by group, beside those of OLS with crossed interactions (classical and HC2)."""
    table = given.effects.table(CI_PROB)
    ours = with_limits(table)
    columns = ["mean", "low", "high"]
    by = list(given.study.by)
    ols = crossed_ols(given.data, "strike2", "ally", by, CI_PROB)[columns].add_prefix("ols_")
    robust = crossed_ols(given.data, "strike2", "ally", by, CI_PROB, robust=True)
    both = ours.join(ols)
    both["width"] = both["high"] - both["low"]
    both["ols_width"] = both["ols_high"] - both["ols_low"]
    both["hc2_width"] = robust["high"] - robust["low"]
    sizes = pd.DataFrame(table)[[name for name in table.columns if str(name).startswith("n[")]]
    return both.join(sizes).reset_index()


def summary(name: str, given: Answer) -> Row:
    """What papers report of a study, in one row."""
    table, found = by_group(given), given.effects
    average, extremes, spread = found.average(), found.extremes(), found.spread()
    of_groups = average.loc["finite population"]
    row: Row = {
        "study": name,
        "hyperparameters": given.idata["fit"].attrs["hyperparameters"]
        if "fit" in given.idata
        else "draws",
        "groups": found.groups.size,
        "average": of_groups["mean"],
        "average_sd": of_groups["sd"],
    }
    if "superpopulation" in average.index:
        row |= {
            "superpopulation": average.loc["superpopulation", "mean"],
            "superpopulation_sd": average.loc["superpopulation", "sd"],
        }
    for which in ("smallest", "median", "largest"):
        row[which] = float(extremes.loc[which, "mean"])
    both = table["ols_width"].notna()
    row |= {
        "sd_of_means": float(table["mean"].std()),
        "ols_sd_of_means": float(table["ols_mean"].std()),
        "sd_by_draw": spread.loc["finite population", "mean"],
        "sd_all_draws": spread.loc["all draws", "mean"],
        "sd_all_draws_equal": float(found.values[0].std()),
        "no_ols_estimate": int((~both).sum()),
        "narrower_than_ols": int((table["width"] < table["ols_width"])[both].sum()),
        "narrower_than_hc2": int((table["width"] < table["hc2_width"]).sum()),
        "of_hc2": int(table["hc2_width"].notna().sum()),
        "mean_width": float(table["width"].mean()),
        "mean_ols_width": float(table["ols_width"].mean()),
        "cpu_seconds": given.cpu_seconds,
    }
    return row


def against_mcmc(
    name: str, given: Answer, draws: int, chains: int = 2,
    show: Callable[[str], None] = print,
) -> tuple[Row, pd.DataFrame]:  # fmt: skip
    """A long run of Gibbs or NUTS of the same model: shifts in its sds, ratios of sds, by group."""
    import arviz as az

    show(f"{name}: {given.study.mcmc}, {chains} chains of {draws:,} draws")
    exact = answer(
        given.study, given.data, draws, inference_method=given.study.mcmc, chains=chains, cores=1,
        tune=max(100, draws // 10),
    )  # fmt: skip
    ours, theirs = given.effects.values[0], exact.effects.values[0]
    sd = theirs.std(axis=1)
    chained = theirs.reshape(len(theirs), chains, -1)
    ess = np.array([float(az.ess(x)) for x in chained])
    table = given.effects.labels().assign(
        mean=ours.mean(axis=1), mcmc_mean=theirs.mean(axis=1), sd=ours.std(axis=1), mcmc_sd=sd,
        shift=(ours.mean(axis=1) - theirs.mean(axis=1)) / sd, sd_ratio=ours.std(axis=1) / sd,
        mcmc_ess=ess,
    )  # fmt: skip
    row = {
        "study": name,
        "mcmc": given.study.mcmc,
        "hyperparameters": given.idata["fit"].attrs["hyperparameters"],
        "groups": len(table),
        "mean_shift": float(table["shift"].abs().mean()),
        "largest_shift": float(table["shift"].abs().max()),
        "within_0.15": int((table["shift"].abs() <= 0.15).sum()),
        "mean_sd_ratio": float(table["sd_ratio"].mean()),
        "smallest_sd_ratio": float(table["sd_ratio"].min()),
        "largest_sd_ratio": float(table["sd_ratio"].max()),
        "ratio_0.93_1.07": int(table["sd_ratio"].between(0.93, 1.07).sum()),
        "mcmc_smallest_ess": float(ess.min()),
        "mcmc_rhat": float(exact.idata.attrs["max_rhat"]),
        "average": float(given.effects.average().loc["finite population", "mean"]),
        "mcmc_average": float(exact.effects.average().loc["finite population", "mean"]),
        "mcmc_sd_all_draws": float(exact.effects.spread().loc["all draws", "mean"]),
        "mcmc_cpu_seconds": exact.cpu_seconds,
    }
    return row, table


def save_figures(name: str, given: Answer, folder: Path) -> None:
    """Save the four figures of the study: by group beside OLS, all, by moderator, and a grid."""
    folder.mkdir(parents=True, exist_ok=True)
    effects, by = given.effects, given.study.by
    crossed = effects.compare("ols", CI_PROB).xs("crossed", level="method")
    figures = {
        "by_group": vmrp.plot_effects(
            effects, crossed, facet=by[0], labels=("hierarchical", "OLS, crossed")
        ),
        "distribution": vmrp.plot_effect_distribution(effects),
        "moderators": vmrp.plot_effect_moderators(effects),
        "grid": vmrp.plot_effect_grid(effects, rows=by[::2], columns=by[1::2]),
    }
    for kind, figure in figures.items():
        file = f"{name.replace(',', '').replace(' ', '_')}_{kind}.png"
        figure.savefig(folder / file, bbox_inches="tight")
