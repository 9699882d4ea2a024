"""Recovery of smooth functions: the four functions of Gu and Wahba, beside pygam.

The example is mgcv's ``gamSim(eg = 1)``. RMSE is that of a function at the data, both centred.

References
----------
Gu, C. and Wahba, G. (1991). Minimizing GCV/GML scores with multiple smoothing parameters via the
Newton method. SIAM Journal on Scientific and Statistical Computing 12(2).
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import pymc_vmrp as vmrp
from pymc_vmrp.prediction.curves import smooth_design

FloatArray = NDArray[np.float64]

NAMES = ("f0", "f1", "f2", "f3")
_N = 400
_BINARY_SCALE, _NOISE = 0.33, 2.0  # as in mgcv's examples
_REFERENCE = Path(__file__).parent / "references" / "pygam_smooths.csv"


def functions(x: FloatArray) -> FloatArray:
    """The four functions at the columns of x, shape (n, 4)."""
    a, b, c, _ = x.T
    f2 = 0.2 * c**11 * (10 * (1 - c)) ** 6 + 10 * (10 * c) ** 3 * (1 - c) ** 10
    return np.column_stack([2 * np.sin(np.pi * a), np.exp(2 * b), f2, np.zeros(len(x))])


def draw(seed: int, family: str) -> tuple[pd.DataFrame, FloatArray]:
    """One replication, and each function's part of the linear predictor, shape (n, 4)."""
    rng = np.random.default_rng(seed)
    x = rng.random((_N, 4))
    truth = functions(x)
    total = truth.sum(axis=1)
    data = pd.DataFrame(x, columns=["x0", "x1", "x2", "x3"])
    if family == "bernoulli":
        p = 1 / (1 + np.exp(-_BINARY_SCALE * (total - 5)))
        data["y"] = (rng.random(_N) < p).astype(int)
        return data, _BINARY_SCALE * truth
    data["y"] = total + rng.normal(0, _NOISE, _N)
    return data, truth


def rmse(seed: int, family: str, basis: str = "tp", k: int = 10) -> dict[str, float]:
    """RMSE of the posterior mean of each function, and seconds of the fit."""
    data, truth = draw(seed, family)
    terms = [f"s(x{i})" for i in range(4)]
    started = time.perf_counter()
    formula = " + ".join(f"s(x{i}, k={k}, bs={basis!r})" for i in range(4))
    model = vmrp.Model(f"y ~ {formula}", data, family=family)
    mean = model.approximate(progressbar=False, hyperparameters="mean_field").mean()
    seconds = time.perf_counter() - started
    errors = [
        float(np.std(smooth_design(model.read_model, term, data) @ mean - truth[:, i]))
        for i, term in enumerate(terms)
    ]
    return {**dict(zip(NAMES, errors, strict=True)), "seconds": seconds}


def reference(family: str, replications: int, python: Path | None = None) -> pd.DataFrame:
    """RMSE of pygam by replication: as stored, or measured anew by the given interpreter."""
    if python is None:
        stored = pd.read_csv(_REFERENCE)
        return stored[(stored["family"] == family) & (stored["seed"] < replications)]
    drawn = [draw(seed, family) for seed in range(replications)]
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.npz", Path(folder) / "out.csv"
        np.savez(
            data,
            family=family,
            x=np.array([frame.iloc[:, :4] for frame, _ in drawn]),
            y=np.array([frame["y"] for frame, _ in drawn]),
            truth=np.array([truth for _, truth in drawn]),
        )
        script = Path(__file__).with_name("pygam_reference.py")
        subprocess.run([str(python), str(script), str(data), str(out)], check=True)
        return pd.read_csv(out)


def compare(family: str, replications: int, python: Path | None = None) -> pd.DataFrame:
    """Average RMSE of each function by basis, beside pygam's, and the ratio."""
    theirs = reference(family, replications, python)[list(NAMES)].mean()
    rows = [{"family": family, "method": "pygam, gridsearch", **theirs}]
    for basis in ("tp", "cr", "bs"):
        runs = pd.DataFrame([rmse(seed, family, basis) for seed in range(replications)])
        rows.append({"family": family, "method": f"s(x, bs={basis!r})", **runs.mean()})
        ratio = runs[list(NAMES)].mean() / theirs
        rows.append({"family": family, "method": f"  ratio, {basis}", **ratio})
    return pd.DataFrame(rows)
