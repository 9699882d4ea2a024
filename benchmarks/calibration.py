"""Simulation-based calibration of the running example, by treatment of the hyperparameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
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
    shared: Path, way: str, simulations: int, rows: int, cores: int, theta_ess: float = 200.0
) -> Calibration:
    """SBC of one treatment of the hyperparameters."""
    options = {"hyperparameters": way, "theta_ess": theta_ess}
    return calibrate(
        model(shared, rows), simulations, fit_options=options, random_seed=20180418, cores=cores,
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
        "p_values_ks": float(kstest(table["p"], "uniform").pvalue),
        "sigmas_smallest_p": float(sigmas["p"].min()),
        "implied": ", ".join(f"{n} {name}" for name, n in _implied(table).items()),
        "lp_p": float(of_lp["p"]),
        "vsbc_below_1pct": int((np.array(symmetric) < 0.01).sum()),
        "seconds_per_fit": float(result.simulations["seconds"].median()),
    }


def _columns(result: Calibration) -> list[np.ndarray]:
    arrays = [v.to_numpy() for name, v in result.pit.data_vars.items() if name != "lp"]
    return list(np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1).T)


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
