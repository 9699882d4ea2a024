from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    n, levels = 240, 12
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "c": rng.choice(["a", "b", "d"], n),
            "g": rng.integers(0, levels, n),
        }
    )
    slope = rng.normal(0, 0.5, levels)[frame["g"]]
    frame["y"] = 0.7 * frame["x"] * (1 + slope) + (frame["c"] == "b") + rng.normal(0, 0.5, n)
    frame["k"] = (frame["y"] > 0.3).astype(int)
    frame["g"] = "g" + frame["g"].astype(str).str.zfill(2)
    return frame


FORMULAS = [
    "y ~ x + (x|g)",
    "y ~ x*z + (x|g)",
    "y ~ x*c + (x + c|g)",
    "y ~ 0 + c + x + (0 + c + x|g)",
    "y ~ x + I(x**2) + (x|g)",
    "y ~ x + (x*z|g)",
    "y ~ x + (c + x:c|g)",
    "y ~ s(x) + (x|c/g)",
    "y ~ poly(x, 2) + (1|g)",
]


def fitted(formula, data, **options):
    """Means of η and their posterior sds, in the order of the rows."""
    family = options.pop("family", "gaussian")
    model = vmrp.Model(formula, data, family=family, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        q = model.approximate(hyperparameters="mean_field", tol=1e-7)
    mean, variance = q.fit.state.gaussian.row_moments()
    return mean[model.observations.cell], np.sqrt(variance)[model.observations.cell]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(("shift", "scale"), [(40.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (3e3, 1e6)])
def test_results_do_not_depend_on_where_zero_lies_nor_on_units(data, formula, shift, scale):
    mean, sd = fitted(formula, data)
    moved = fitted(formula, data.assign(x=(data["x"] + shift) * scale))
    assert np.max(np.abs(moved[0] - mean) / sd) < 0.02
    np.testing.assert_allclose(moved[1], sd, rtol=0.02)


@pytest.mark.parametrize("formula", ["y ~ x + (x|g)", "y ~ s(x) + (x|c/g)", "k ~ x*z + (x|g)"])
def test_a_shift_of_a_million_sds_changes_nothing(data, formula):
    family = "bernoulli" if formula.startswith("k") else "gaussian"
    mean, sd = fitted(formula, data, family=family)
    moved = fitted(formula, data.assign(x=data["x"] + 1e6), family=family)
    assert np.max(np.abs(moved[0] - mean) / sd) < 0.02
    np.testing.assert_allclose(moved[1], sd, rtol=0.02)
