"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

RUNNING_EXAMPLE = (
    "male + repvote + region + (1|state) + (1|eth) + (1|educ) + (1|age)"
    " + (1|male:eth) + (1|educ:age) + (1|educ:eth)"
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real surveys and reference posteriors, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not there")
    return SHARED


@pytest.fixture(scope="session")
def survey() -> pd.DataFrame:
    """600 respondents in 6 states, with a numeric, a categorical and two grouping columns."""
    rng = np.random.default_rng(20181106)
    n = 600
    frame = pd.DataFrame(
        {
            "state": rng.choice(list("ABCDEF"), n),
            "age": rng.choice(["18-34", "35-54", "55+"], n),
            "educ": rng.choice(["HS", "College"], n),
            "male": rng.choice([-0.5, 0.5], n),
            "x": rng.normal(size=n).round(1),
        }
    )
    effect = dict(zip("ABCDEF", rng.normal(0, 0.6, 6), strict=True))
    slope = dict(zip("ABCDEF", rng.normal(0, 0.5, 6), strict=True))
    eta = (
        -0.2
        + 0.4 * frame["male"]
        + 0.5 * frame["x"]
        + frame["state"].map(effect)
        + frame["x"] * frame["state"].map(slope)
    )
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    return frame


@pytest.fixture(scope="session")
def intercepts_model(survey: pd.DataFrame) -> vmrp.Model:
    """A model with scalar group-specific terms only."""
    return vmrp.Model("y ~ male + educ + (1|state) + (1|age) + (1|state:age)", survey)


@pytest.fixture(scope="session")
def slopes_model(survey: pd.DataFrame) -> vmrp.Model:
    """A model with a correlated intercept and slope."""
    return vmrp.Model("y ~ x + male + (1 + x|state) + (1|age)", survey)
