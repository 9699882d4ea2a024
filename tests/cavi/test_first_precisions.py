from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.first_precisions import first_precisions


def survey(zero: float) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 40)
    x = rng.integers(0, 20, len(g)) - 9.5
    slope = 0.05 + rng.normal(0, 0.1, 30)[g]
    mean = 1 + rng.normal(0, 0.5, 30)[g] + x * slope
    y = mean + rng.normal(size=len(g))
    return pd.DataFrame({"y": y, "x": x + zero, "g": g.astype(str), "mean": mean})


def error(formula: str, zero: float, **options) -> float:
    data = survey(zero)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        model = vmrp.Model(formula, data, family="gaussian", **options)
    q = model.approximate(hyperparameters="mean_field")
    eta = q.fit.state.mean[model.observations.cell]
    return float(np.sqrt(np.mean((eta - data["mean"]) ** 2)))


@pytest.mark.parametrize("zero", [0, 100, 2010])
def test_a_model_left_as_written_finds_the_slopes_of_a_far_predictor(zero):
    assert error("y ~ x + (x|g)", zero, center_predictors=False) < 0.25


def test_independent_effects_are_fitted_from_both_sides_and_the_better_optimum_wins():
    assert error("y ~ x + (x||g)", 100) < 0.25
    data = survey(2010)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        model = vmrp.Model("y ~ x + (x||g)", data, family="gaussian")
    assert len(first_precisions(model.glmm, 1.0)) == 2


def test_a_linear_change_of_the_effects_changes_the_start_as_it_should():
    here = vmrp.Model("y ~ x + (x|g)", survey(0), family="gaussian", center_predictors=False)
    there = vmrp.Model("y ~ x + (x|g)", survey(7), family="gaussian", center_predictors=False)
    one, other = first_precisions(here.glmm, 1.0)[0][0], first_precisions(there.glmm, 1.0)[0][0]
    back = np.array([[1.0, -7.0], [0.0, 1.0]])  # effects at the far zero from those at the near
    moved = np.linalg.inv(back).T @ one @ np.linalg.inv(back)
    np.testing.assert_allclose(other, moved, rtol=1e-6)


def test_intercepts_alone_start_as_ever():
    model = vmrp.Model("y ~ x + (1|g)", survey(0), family="gaussian")
    np.testing.assert_allclose(first_precisions(model.glmm, 0.5)[0][0], [[4.0]])
