"""Accuracy: against the truth, against the published algorithm, and against long MCMC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import data


def cces_samples(shared: Path, samples: int = 20, n: int = 5000) -> pd.DataFrame:
    """Mean absolute error of the states by MRP and by raw means, for random samples of the CCES."""
    cces = data.cces(shared)
    rows = []
    for seed in range(samples):
        survey = cces.survey.sample(n, random_state=seed)
        model = vmrp.Model(f"abortion ~ {data.PREDICTORS}", survey)
        idata = model.fit(1000, random_seed=seed, hyperparameters="mean_field")
        estimates = vmrp.poststratify(model, idata, cces.cells, by="state", random_seed=seed)
        draws = estimates["posterior"]["estimate"]
        mean = draws.mean(("chain", "draw")).to_series()
        low, high = (draws.quantile(q, ("chain", "draw")).to_series() for q in (0.05, 0.95))
        # a state without any respondent has no raw mean: it counts as the survey's overall mean
        raw = survey.groupby("state")["abortion"].mean().reindex(cces.truth.index)
        raw = raw.fillna(survey["abortion"].mean())
        rows.append(
            {
                "sample": seed,
                "mrp": (mean - cces.truth).abs().mean(),
                "raw": (raw - cces.truth).abs().mean(),
                "covered_90": ((low <= cces.truth) & (cces.truth <= high)).mean(),
            }
        )
    table = pd.DataFrame(rows)
    table["ratio"] = table["mrp"] / table["raw"]
    return table


VGLMER_NAMES = {"joint": "weak", "partial": "partial", "strong": "strong"}


def published_algorithm(shared: Path, factorization: str = "joint") -> pd.DataFrame:
    """The Pólya–Gamma bound under flat β against vglmer's fit, by coefficient.

    Predictors are not centred, as in vglmer: where q(β) is independent of q(u) that matters.
    """
    survey = data.simulated_5k(shared).survey
    model = vmrp.Model(
        f"y ~ {data.PREDICTORS}",
        survey,
        priors={"Intercept": "flat", "common": "flat"},
        center_predictors=False,
    )
    options = {"bound": "polya-gamma", "factorization": factorization, "tol": 1e-6}
    idata = model.fit(2, random_seed=0, **options)
    mean, sd = (idata[f"fit/{which}"].to_dataset() for which in ("mean", "sd"))
    rows = []
    path = shared / "simulated_5k" / f"vglmer_{VGLMER_NAMES[factorization]}.csv"
    reference = pd.read_csv(path).set_index("name")
    for name, expected in reference.iterrows():
        variable, level = _from_vglmer(str(name))
        element = {} if level is None else {mean[variable].dims[-1]: level}
        m, s = (float(x[variable].sel(element)) for x in (mean, sd))
        rows.append(
            {
                "name": name,
                "shift": (m - expected["mean"]) / expected["sd"],
                "sd_ratio": s / expected["sd"],
            }
        )
    return pd.DataFrame(rows)


def _from_vglmer(name: str) -> tuple[str, str | None]:
    """Our variable and level for vglmer's name of a coefficient."""
    if name.startswith("factor(region)"):
        return "region", name.removeprefix("factor(region)")
    if " @ " not in name:
        return ("Intercept" if name == "(Intercept)" else name), None
    factor, _, level = name.split(" @ ")
    return f"1|{factor.replace('_', ':')}", level.replace("_", ":")


@dataclass(frozen=True)
class NutsCase:
    """A survey that was fitted by long NUTS runs, and where their results are."""

    name: str
    response: str
    survey: pd.DataFrame
    cells: pd.DataFrame
    truth: pd.Series
    states: Path
    terms: Path

    def model(self) -> vmrp.Model:
        """The model of the NUTS runs."""
        return vmrp.Model(
            f"{self.response} ~ {data.PREDICTORS}",
            data.for_nuts_reference(self.survey),
            priors=data.REFERENCE_PRIORS,
            center_predictors=False,
        )


def nuts_cases(shared: Path) -> list[NutsCase]:
    """The simulated survey, a sample of the CCES, and all of it."""
    cces, simulated = data.cces(shared), data.simulated_5k(shared)
    part = cces.survey.sample(5000, random_state=2018)
    folder, other = shared / "cces2018", shared / "simulated_5k"
    return [
        NutsCase(
            "simulated 5,000", "y", simulated.survey, simulated.cells, simulated.truth,
            other / "nuts_state_estimates.csv", other / "nuts_reference.csv",
        ),
        NutsCase(
            "CCES 5,000", "abortion", part, cces.cells, cces.truth,
            folder / "nuts_state_estimates_5000.csv", folder / "nuts_reference_5000.csv",
        ),
        NutsCase(
            "CCES 59,810", "abortion", cces.survey, cces.cells, cces.truth,
            folder / "nuts_state_estimates_full.csv", folder / "nuts_reference_full.csv",
        ),
    ]  # fmt: skip


def nuts_states(shared: Path, draws: int = 4000) -> pd.DataFrame:
    """State estimates against NUTS, under both bounds."""
    rows = []
    for case in nuts_cases(shared):
        model, reference = case.model(), data.nuts_states(case.states)
        cells = data.for_nuts_reference(case.cells)
        for bound in ("polya-gamma", "quadrature"):
            idata = model.fit(draws, bound=bound, random_seed=1, hyperparameters="mean_field")
            rows.append(
                {"data": case.name, "bound": bound, **states(model, idata, cells, reference)}
            )
    return pd.DataFrame(rows)


def states(
    model: vmrp.Model, idata: Any, cells: pd.DataFrame, reference: pd.DataFrame
) -> dict[str, float]:
    """Poststratified state estimates against the means and sds of a reference."""
    estimates = vmrp.poststratify(model, idata, cells, by="state", random_seed=1)
    estimate = estimates["posterior"]["estimate"]
    mean = estimate.mean(("chain", "draw")).to_series()
    sd = estimate.std(("chain", "draw"), ddof=1).to_series()
    shift = (mean - reference["mean"]) / reference["sd"]
    ratio = sd / reference["sd"]
    return {
        "mean_abs_shift": shift.abs().mean(),
        "max_abs_shift": shift.abs().max(),
        "mean_sd_ratio": ratio.mean(),
        "min_sd_ratio": ratio.min(),
        "max_sd_ratio": ratio.max(),
    }


def nuts_terms(shared: Path) -> pd.DataFrame:
    """Moments of q against NUTS, by term: mean |shift| in sds, and mean sd ratio."""
    tables = []
    for case in nuts_cases(shared):
        idata = case.model().fit(2, random_seed=0, hyperparameters="mean_field")
        mean, sd = (idata[f"fit/{which}"].to_dataset() for which in ("mean", "sd"))
        table = elements(mean, sd, case.terms).groupby("term", sort=False).mean()
        table.columns = [f"{case.name}: |shift|", f"{case.name}: sd ratio"]
        tables.append(table)
    return pd.concat(tables, axis=1).reset_index()


def elements(mean: Any, sd: Any, path: Path) -> pd.DataFrame:
    """|Shift| and sd ratio of every parameter against NUTS, from Datasets of means and sds."""
    rows = []
    for _, row in pd.read_csv(path).iterrows():
        term, _ = element_of(mean, row)
        m, s = (float(element(x, row)) for x in (mean, sd))
        shift = abs(m - row["mean"]) / row["sd"]
        rows.append({"term": term, "shift": shift, "sd_ratio": s / row["sd"]})
    return pd.DataFrame(rows)


def element(posterior: Any, row: pd.Series) -> Any:
    """The element of a Dataset that a row of the NUTS references is about."""
    term, level = element_of(posterior, row)
    dims = [dim for dim in posterior[term].dims if dim not in ("chain", "draw")]
    return posterior[term].sel({dims[-1]: level} if dims else {})


def element_of(posterior: Any, row: pd.Series) -> tuple[str, Any]:
    """Variable and level of a row of the NUTS references."""
    # region's levels are written region[South] in some files, South or NC in others
    term, _, level = row["term"].removesuffix("]").partition("[")
    if term not in posterior:
        term, level = "region", {"NC": "North Central"}.get(term, term)
    return term, level or row["level"]


def ghitza_gelman(
    shared: Path, models: tuple[int, ...] = (1, 4), draws: int = 4000
) -> pd.DataFrame:
    """State sds relative to HMC's, under both bounds."""
    survey, cells, hmc = data.ghitza_gelman(shared)
    rows = []
    for number in models:
        model = data.ghitza_gelman_model(number, survey)
        reference = hmc_sds(hmc, number)
        for bound in ("polya-gamma", "quadrature"):
            idata = model.fit(draws, bound=bound, random_seed=1, hyperparameters="mean_field")
            ratio = state_sds(model, idata, cells) / reference
            rows.append(
                {
                    "model": number,
                    "coefficients": model.glmm.n_coefficients,
                    "bound": bound,
                    "sweeps": idata["fit"].attrs["iterations"],
                    "median_sd_ratio": ratio.median(),
                    "min_sd_ratio": ratio.min(),
                    "max_sd_ratio": ratio.max(),
                }
            )
    return pd.DataFrame(rows)


def hmc_sd_ratio(shared: Path, model: vmrp.Model, number: int, draws: int = 4000) -> float:
    """Median over the states of the sd by quadrature relative to HMC's."""
    _, cells, hmc = data.ghitza_gelman(shared)
    idata = model.fit(draws, random_seed=1, hyperparameters="mean_field")
    return float((state_sds(model, idata, cells) / hmc_sds(hmc, number)).median())


def hmc_sds(hmc: pd.DataFrame, number: int) -> pd.Series:
    return np.sqrt(hmc[hmc["model"] == number].set_index("state")["hmc_var"])


def state_sds(model: vmrp.Model, idata: Any, cells: pd.DataFrame) -> pd.Series:
    estimates = vmrp.poststratify(model, idata, cells, by="state", random_seed=1)
    return estimates["posterior"]["estimate"].std(("chain", "draw"), ddof=1).to_series()
