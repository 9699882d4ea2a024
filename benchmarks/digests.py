"""Fingerprints of results for fixed seeds: whether a change of the code left every bit as is."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks.bambi_door import bambi_model
from benchmarks.data import PREDICTORS, ghitza_gelman, ghitza_gelman_model, simulated_5k

_DRAWS = 200


def digests(shared: Path) -> pd.DataFrame:
    """One row per result: the case, its group of the DataTree, and the digest of its numbers.

    Digests of one machine and one set of libraries can be compared, others cannot.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [
            {"case": case, "group": group, "digest": _digest(tree[group].to_dataset())}
            for case, tree in _fits(shared)
            for group in ("posterior", "sample_stats")
            if group in tree.children
        ]
    return pd.DataFrame(rows)


def _fits(shared: Path) -> Iterator[tuple[str, Any]]:
    survey = simulated_5k(shared)
    model = vmrp.Model(f"y ~ {PREDICTORS}", survey.survey)
    for hyperparameters in ("mean_field", "integrated"):
        fit = model.fit(_DRAWS, random_seed=1, hyperparameters=hyperparameters)
        yield f"formula, {hyperparameters}", fit
        estimates = vmrp.poststratify(model, fit, survey.cells, by="state")
        yield f"poststratified, {hyperparameters}", estimates
    yield "formula, gibbs", model.fit(50, random_seed=1, inference_method="gibbs", chains=2)
    new = model.predict(fit, data=survey.cells.head(100), kind="response", inplace=False,
                        random_seed=2)  # fmt: skip
    yield "predicted", new
    own = bambi_model(survey, "y")
    yield "Bambi", vmrp.fit(own, draws=_DRAWS, random_seed=1, log_likelihood=True)
    yield "Bambi, gibbs", vmrp.fit(own, method="gibbs", draws=50, random_seed=1, chains=2)
    plain = vmrp.Model(f"y ~ {PREDICTORS}", survey.survey).to_pymc()
    yield "pm.Model", vmrp.fit(plain, draws=_DRAWS, random_seed=1, hyperparameters="mean_field")
    yield "pm.Model, gibbs", vmrp.fit(plain, method="gibbs", draws=50, random_seed=1, chains=2)
    turnout = ghitza_gelman_model(4, ghitza_gelman(shared)[0])
    yield "slopes", turnout.fit(_DRAWS, random_seed=1, hyperparameters="mean_field")


def _digest(dataset: Any) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(map(str, dataset.data_vars)):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(dataset[name].to_numpy()).tobytes())
    return digest.hexdigest()
