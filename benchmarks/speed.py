"""Speed: data frame to converged q, and importing the package. Warm and cold apart."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import data

_COLD = """
import time
import pandas as pd
import pymc_vmrp as vmrp
from benchmarks import data
from pathlib import Path
survey = data.cces(Path({shared!r})).survey
start = time.perf_counter()
vmrp.Model("abortion ~ " + data.PREDICTORS, survey).approximate(hyperparameters="mean_field")
print(time.perf_counter() - start)
"""


def cces_fit(shared: Path, repeats: int = 15) -> pd.DataFrame:
    """Seconds from the data frame of 59,810 answers to a converged q, under both bounds."""
    survey = data.cces(shared).survey
    formula = f"abortion ~ {data.PREDICTORS}"
    cold = float(_python(_COLD.format(shared=str(shared.resolve()))))
    rows = []
    for bound in ("polya-gamma", "quadrature"):
        build, fit, sweeps = [], [], 0
        for _ in range(repeats + 1):
            start = time.perf_counter()
            model = vmrp.Model(formula, survey)
            middle = time.perf_counter()
            posterior = model.approximate(bound, hyperparameters="mean_field")
            fit.append(time.perf_counter() - middle)
            build.append(middle - start)
            sweeps = posterior.fit.iterations
        total = [a + b for a, b in zip(build[1:], fit[1:], strict=True)]
        rows.append(
            {
                "bound": bound,
                "sweeps": sweeps,
                "build_s": median(build[1:]),
                "fit_s": median(fit[1:]),
                "total_s": median(total),
                "worst_total_s": max(total),
                "cold_total_s": cold if bound == "quadrature" else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def cces_job(shared: Path, repeats: int = 9) -> pd.DataFrame:
    """Seconds for the rest of the main job: 1,000 draws as a DataTree, and 50 state estimates."""
    cces = data.cces(shared)
    model = vmrp.Model(f"abortion ~ {data.PREDICTORS}", cces.survey)
    fit, estimate = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        idata = model.fit(1000, random_seed=1, hyperparameters="mean_field")
        middle = time.perf_counter()
        vmrp.poststratify(model, idata, cces.cells, by="state")
        estimate.append(time.perf_counter() - middle)
        fit.append(middle - start)
    return pd.DataFrame(
        [
            {
                "fit_1000_draws_s": median(fit[1:]),
                "poststratify_s": median(estimate[1:]),
                "first_fit_in_process_s": fit[0],
            }
        ]
    )


def imports(repeats: int = 9) -> pd.DataFrame:
    """Seconds to import the package, and what it needs anyway, in turn in fresh processes."""
    lines = {"pymc_vmrp": "import pymc_vmrp", "base": "import pandas, scipy.sparse, numba"}
    seconds: dict[str, list[float]] = {name: [] for name in lines}
    for _ in range(repeats + 1):
        for name, line in lines.items():
            code = f"import time; t = time.perf_counter(); {line}; print(time.perf_counter() - t)"
            seconds[name].append(float(_python(code)))
    ours, base = (seconds[name][1:] for name in ("pymc_vmrp", "base"))
    ratios = [a / b for a, b in zip(ours, base, strict=True)]
    return pd.DataFrame(
        [
            {
                "pymc_vmrp_s": median(ours),
                "pandas_scipy_numba_s": median(base),
                "median_ratio": median(ratios),
                "worst_ratio": max(ratios),
            }
        ]
    )


def _python(code: str) -> str:
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    ).stdout.strip()
