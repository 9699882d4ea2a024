"""One experiment for all tests of this folder: a treatment, two factors, a covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

FORMULA = "y ~ x + treat + (1 + treat|region) + (1 + treat|party) + (1 + treat|region:party)"


def experiment(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Responses of each kind, with effects that differ by region and party."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n).round(2),
            "treat": rng.integers(0, 2, n),
            "region": rng.choice(["N", "S", "W", "E"], n),
            "party": rng.choice(["left", "right", "none"], n),
        }
    )
    slope = 0.5 + 0.4 * (frame["region"] == "S") - 0.3 * (frame["party"] == "right")
    eta = 0.2 + 0.5 * frame["x"] + slope * frame["treat"]
    frame["normal"] = eta + rng.normal(size=n)
    frame["binary"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    frame["count"] = rng.poisson(np.exp(0.5 * eta))
    return frame


RESPONSES = {"normal": "gaussian", "binary": "bernoulli", "count": "poisson"}


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return experiment()


@pytest.fixture(scope="session", params=RESPONSES)
def fitted(request, frame):
    """The model and a fit of it, of each family."""
    formula = FORMULA.replace("y", request.param, 1)
    model = vmrp.Model(formula, frame, family=RESPONSES[request.param])
    return model, model.fit(150, random_seed=1, hyperparameters="mean_field")


@pytest.fixture(scope="session")
def linear(frame):
    model = vmrp.Model(FORMULA.replace("y", "normal", 1), frame, family="gaussian")
    return model, model.fit(150, random_seed=1, hyperparameters="mean_field")


@pytest.fixture(scope="session")
def binary(frame):
    model = vmrp.Model(FORMULA.replace("y", "binary", 1), frame)
    return model, model.fit(150, random_seed=1, hyperparameters="mean_field")
