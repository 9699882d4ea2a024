"""Improper posteriors under flat priors."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.identify import _check_separation, _overlaps


def test_collinear_columns_under_flat_priors(survey):
    data = survey.assign(twice=2 * survey["x"] + 1)
    with pytest.raises(vmrp.DataError, match=r"collinear.*(twice|x)"):
        vmrp.Model(
            "y ~ x + twice + (1|state)", data, priors={"common": "flat", "Intercept": "flat"}
        )
    assert (
        vmrp.Model("y ~ x + twice + (1|state)", data)
        .approximate(hyperparameters="mean_field")
        .converged
    )


def test_separation_under_flat_priors(survey):
    data = survey.assign(leak=(survey["y"] == 1) & (survey["x"] > 0))
    with pytest.raises(vmrp.DataError, match=r"separated.*leak"):
        vmrp.Model("y ~ leak + (1|state)", data, priors={"common": "flat", "Intercept": "flat"})
    assert (
        vmrp.Model("y ~ leak + (1|state)", data).approximate(hyperparameters="mean_field").converged
    )
    with pytest.raises(vmrp.DataError, match="Intercept"):
        vmrp.Model("y ~ (1|state)", survey.assign(y=1), priors={"Intercept": "flat"})


def test_no_separation_no_error(survey):
    vmrp.Model("y ~ x + educ*age + (1|state)", survey, priors={"common": "flat"})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12))
def test_separation_is_found_exactly_where_a_line_separates(seed, n):
    """One predictor and an intercept: separated where the x of zeros and ones do not overlap."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, n).astype(float)
    y = rng.integers(0, 2, n)
    if len(set(y)) < 2 or len(set(x)) < 2:
        return
    ones, zeros = x[y == 1], x[y == 0]
    separated = min(ones) >= max(zeros) or max(ones) <= min(zeros)
    frame = pd.DataFrame({"x": x, "y": y})
    flat = {"common": "flat", "Intercept": "flat"}
    if separated:
        with pytest.raises(vmrp.DataError, match="separated"):
            vmrp.Model("y ~ x", frame, priors=flat)
    else:
        vmrp.Model("y ~ x", frame, priors=flat)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.integers(4, 40), st.integers(1, 4))
def test_the_quick_proof_never_contradicts_the_linear_programme(seed, n, k):
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.integers(-2, 3, (n, k))])
    if np.linalg.matrix_rank(design) <= k:
        return
    trials = rng.integers(1, 3, n).astype(float)
    eta = rng.choice([0.5, 3.0, 30.0]) * design @ rng.normal(size=k + 1)
    successes = rng.binomial(trials.astype(int), 1 / (1 + np.exp(-eta))).astype(float)
    if _overlaps(design, successes, trials):
        _check_separation(design, successes, trials, np.arange(k + 1).astype(str))


def test_the_quick_proof_is_found_on_ordinary_data(survey):
    design = np.column_stack([np.ones(len(survey)), survey["x"], survey["male"]])
    assert _overlaps(design, survey["y"].to_numpy(float), np.ones(len(survey)))


def test_single_answers_by_level_are_warned_of():
    """One 0/1 answer per level says nothing of the sd of its intercept."""
    frame = pd.DataFrame({"row": range(40), "g": list("ab") * 20, "y": [0, 1, 1, 0] * 10})
    with pytest.warns(UserWarning, match=r"level of .row. has a single answer.*Leave it out"):
        vmrp.Model("y ~ 1 + (1|row)", frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", vmrp.PriorWarning)  # of two levels
        vmrp.Model("y ~ 1 + (1|g)", frame)
        counted = frame.assign(n=3)
        vmrp.Model("p(y, n) ~ 1 + (1|row)", counted, family="binomial")
