"""Simulation-based calibration of the running example, by treatment of the hyperparameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import chdtrc
from scipy.stats import kstest

import pymc_vmrp as vmrp
from benchmarks import data
from pymc_vmrp.calibration.calibrate import calibrate
from pymc_vmrp.calibration.result import Calibration
from pymc_vmrp.calibration.uniformity import ks_symmetric

PRIORS = {
    "Intercept": vmrp.Normal(0, 1),
    "common": vmrp.Normal(0, 1),
    "group_specific": vmrp.HalfNormal(1),
}
WAYS = ("integrated", "mean_field")


def model(shared: Path, rows: int) -> vmrp.Model:
    """The running example on the first rows of the simulated survey, with priors to draw from."""
    survey = data.simulated_5k(shared).survey.head(rows)
    return vmrp.Model(f"y ~ {data.PREDICTORS}", survey, priors=PRIORS)


def run(
    shared: Path, way: str, simulations: int, rows: int, cores: int, theta_ess: float, seed: int
) -> Calibration:
    """SBC of one treatment of the hyperparameters."""
    options = {"hyperparameters": way, "theta_ess": theta_ess}
    return calibrate(
        model(shared, rows), simulations, fit_options=options, random_seed=seed, cores=cores,
        progressbar=True,
    )  # fmt: skip


def summary(result: Calibration) -> dict[str, object]:
    """How the p-values of the elements are distributed, and which is the smallest."""
    table = result.table()
    of_lp = table[table["variable"] == "lp"].iloc[0]
    table = table[table["variable"] != "lp"]
    sigmas = table[table["variable"].str.endswith("_sigma")]
    symmetric = [ks_symmetric(values)[1] for values in _columns(result)]
    worst = table.iloc[0]
    return {
        "simulations": len(result.simulations),
        "failed": len(result.failed),
        "not_converged": len(result.not_converged),
        "elements": len(table),
        "below_1pct": int((table["p"] < 0.01).sum()),
        "expected_below": 0.01 * len(table),
        "smallest_holm": float(table["p_holm"].min()),
        "worst": f"{worst['variable']} {worst['element']}".strip(),
        "mean_p": float(table["p"].mean()),
        "p_values_ks": float(kstest(table["p"], "uniform").pvalue),
        "p_values_rotated": rotation_test(np.column_stack(_columns(result))),
        "sigmas_smallest_p": float(sigmas["p"].min()),
        "implied": ", ".join(f"{n} {name}" for name, n in _implied(table).items()),
        "lp_p": float(of_lp["p"]),
        "vsbc_below_1pct": int((np.array(symmetric) < 0.01).sum()),
        "seconds_per_fit": float(result.simulations["seconds"].median()),
    }


def _columns(result: Calibration) -> list[np.ndarray]:
    arrays = [v.to_numpy() for name, v in result.pit.data_vars.items() if name != "lp"]
    return list(np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1).T)


def rotation_test(pit: np.ndarray, bins: int = 20, repeats: int = 1000) -> float:
    """P-value of uniform p-values that allows for the dependence of elements.

    Effects of one factor are high together, so that their p-values are not independent, as
    Kolmogorov's test takes them. The same amount added to all values of a simulation, modulo 1,
    makes every element uniform and keeps that dependence: the distance of p-values from uniform
    ones is compared with those of such rotations.
    """
    rng = np.random.default_rng(1)
    observed = kstest(_p_values(pit, bins), "uniform").statistic
    rotated = [
        kstest(_p_values((pit + rng.random((len(pit), 1))) % 1, bins), "uniform").statistic
        for _ in range(repeats)
    ]
    return float((1 + np.sum(np.array(rotated) >= observed)) / (1 + repeats))


def _p_values(pit: np.ndarray, bins: int) -> np.ndarray:
    which = np.minimum((pit * bins).astype(int), bins - 1)
    counts = np.stack([(which == j).sum(0) for j in range(bins)])
    expected = len(pit) / bins
    return chdtrc(bins - 1, ((counts - expected) ** 2).sum(0) / expected)


def _implied(table: pd.DataFrame) -> dict[str, int]:
    return table.loc[table["implies"] != "", "implies"].value_counts().to_dict()


def pit_table(result: Calibration) -> pd.DataFrame:
    """Rank of the truth, as a share of the draws, of each element (column) and simulation (row)."""
    names = []
    for name, values in result.pit.data_vars.items():
        labels = values.dims[1:]
        elements = [""] if not labels else [f"[{x}]" for x in values[labels[0]].to_numpy()]
        names += [f"{name}{element}" for element in elements]
    arrays = [v.to_numpy() for v in result.pit.data_vars.values()]
    columns = np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1)
    return pd.DataFrame(columns, columns=names).round(4)
