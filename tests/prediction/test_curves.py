"""Draws of smooths: they add up to the linear predictor, and walks are what results report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.prediction.curves import smooth_design
from pymc_vmrp.results.idata import read_draws


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(2)
    n = 300
    data = pd.DataFrame(
        {
            "x": rng.random(n),
            "z": rng.normal(size=n),
            "g": rng.choice(list("ab"), n),
            "wave": rng.integers(1, 5, n),
        }
    )
    data["y"] = (rng.random(n) < 1 / (1 + np.exp(-np.sin(6 * data["x"])))).astype(int)
    formula = "y ~ g + s(np.sqrt(x)) + s(z, by=g, k=6) + s(x, by=z, bs='bs') + rw(wave)"
    model = vmrp.Model(formula, data)
    return model, model.fit(100, random_seed=1), data


TERMS = ["s(np.sqrt(x))", "s(z, by=g)", "s(x, by=z)", "rw(wave)"]


def test_smooths_add_up_to_the_linear_predictor(fitted):
    model, idata, data = fitted
    theta = read_draws(model.glmm, idata).coefficients[0]
    rows = model.glmm.rows.dense(model.glmm.n_coefficients)[model.observations.cell]
    posterior = idata["posterior"]
    total = posterior["Intercept"].values[0][:, None]
    total = total + posterior["g"].values[0] * (data["g"] == "b").to_numpy()
    for term in TERMS:
        total = total + vmrp.smooth_effects(model, idata, term, data)["posterior"][term].values[0]
    np.testing.assert_allclose(total, theta @ rows.T, atol=1e-8)


def test_only_the_terms_own_columns_are_needed(fitted):
    model, idata, _ = fitted
    grid = pd.DataFrame({"x": np.linspace(0, 2, 5)}, index=list("abcde"))
    tree = vmrp.smooth_effects(model, idata, "s(np.sqrt(x))", grid)
    assert tree["posterior"]["s(np.sqrt(x))"].dims == ("chain", "draw", "__obs__")
    assert list(tree["posterior"]["__obs__"].values) == list("abcde")
    with pytest.raises(vmrp.DataError, match="no column 'z'"):
        vmrp.smooth_effects(model, idata, "s(x, by=z)", grid)
    with pytest.raises(vmrp.DataError, match=r"no smooth 's\(w\)'; it has 's\(np.sqrt\(x\)\)'"):
        vmrp.smooth_effects(model, idata, "s(w)", grid)


def test_a_walk_is_what_results_report(fitted):
    model, idata, _ = fitted
    waves = pd.DataFrame({"wave": [1, 2, 3, 4]})
    effects = vmrp.smooth_effects(model, idata, "rw(wave)", waves)["posterior"]["rw(wave)"]
    np.testing.assert_allclose(effects, idata["posterior"]["rw(wave)"], atol=1e-12)


def test_the_design_holds_the_terms_coefficients_alone(fitted):
    model, _, data = fitted
    used = np.array(
        [np.abs(smooth_design(model.read_model, term, data)).sum(0) > 0 for term in TERMS]
    )
    assert (used.sum(0) <= 1).all()
    assert used.sum() == model.glmm.n_coefficients - 2
