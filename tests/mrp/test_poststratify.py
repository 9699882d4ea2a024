"""Poststratification against a computation by hand."""

from __future__ import annotations

import json

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import pymc_vmrp as vmrp


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model("y ~ x + male + (1 + x|state) + (1|age) + (1|state:age)", survey)


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(200, random_seed=1)


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(4)
    index = pd.MultiIndex.from_product(
        [list("ABCDEF"), ["18-34", "35-54", "55+"], [-0.5, 0.5]], names=["state", "age", "male"]
    )
    frame = index.to_frame(index=False)
    frame["x"] = frame["state"].map(dict(zip("ABCDEF", rng.normal(size=6), strict=True)))
    frame["n"] = rng.integers(0, 1000, len(frame))
    frame["region"] = frame["state"].map(lambda s: "east" if s < "C" else "west")
    return frame


def by_hand(posterior, cell):
    """Probability of one cell for every draw, from the named posterior alone."""
    state, age = cell["state"], cell["age"]
    eta = (
        posterior["Intercept"]
        + posterior["x"] * cell["x"]
        + posterior["male"] * cell["male"]
        + posterior["1|state"].sel(state__factor_dim=state)
        + posterior["x|state"].sel(state__factor_dim=state) * cell["x"]
        + posterior["1|age"].sel(age__factor_dim=age)
        + posterior["1|state:age"].sel({"state:age__factor_dim": f"{state}:{age}"})
    )
    return expit(eta.to_numpy())


@pytest.mark.parametrize("by", [None, "state", "region", ["state", "age"], ["male", "region"]])
def test_is_the_weighted_mean_of_cell_probabilities(model, idata, cells, by):
    posterior = idata["posterior"].to_dataset()
    p = np.stack([by_hand(posterior, cell) for _, cell in cells.iterrows()])
    result = vmrp.poststratify(model, idata, cells, by=by)
    estimate = result["posterior"]["estimate"]
    columns = [by] if isinstance(by, str) else (by or [])
    assert estimate.dims == ("chain", "draw", *columns)
    groups = cells.groupby(columns) if columns else [((), cells)]
    for key, part in groups:
        labels = dict(zip(columns, key if isinstance(key, tuple) else (key,), strict=True))
        weights = part["n"].to_numpy()
        expected = np.einsum("c,csd->sd", weights, p[part.index]) / weights.sum()
        np.testing.assert_allclose(estimate.sel(labels), expected, rtol=1e-10)
        assert float(result["constant_data"]["population"].sel(labels)) == weights.sum()


def test_chunks_and_order_of_cells_do_not_matter(model, idata, cells):
    new = pd.concat([cells, cells.query("state == 'A'").assign(state="Z")], ignore_index=True)
    shuffled = new.sample(frac=1, random_state=1)
    with pytest.warns(UserWarning, match="6 of the 7 levels of 'state'.*'Z'"):
        a = vmrp.poststratify(model, idata, new, by="state", random_seed=3)
    with pytest.warns(UserWarning, match="'Z'"):
        b = vmrp.poststratify(model, idata, shuffled, by="state", random_seed=3, chunk_size=5)
    xr.testing.assert_allclose(a["posterior"].to_dataset(), b["posterior"].to_dataset())


def test_splitting_a_cell_does_not_matter(model, idata, cells):
    half = cells.assign(n=cells["n"] / 2)
    a = vmrp.poststratify(model, idata, cells, by="state")
    b = vmrp.poststratify(model, idata, pd.concat([half, half]), by="state")
    xr.testing.assert_allclose(a["posterior"].to_dataset(), b["posterior"].to_dataset())


def test_unseen_levels_get_one_draw_each_shared_by_their_cells(survey):
    model = vmrp.Model("y ~ (1|state)", survey)
    idata = model.fit(4000, random_seed=0)
    cells = pd.DataFrame({"state": ["Q", "Q", "R", "A"], "n": 1, "row": range(4)})
    with pytest.warns(UserWarning, match="1 of the 3 levels"):
        result = vmrp.poststratify(model, idata, cells, by="row", random_seed=1)
    draws = result["posterior"]["estimate"].to_numpy().reshape(-1, 4)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 1])  # the same level
    assert (
        abs(np.corrcoef(draws[:, 0], draws[:, 2])[0, 1]) < 0.3
    )  # another level: the intercept's share
    assert json.loads(result.attrs["unseen_levels"]) == {"state": ["Q", "R"]}
    # the new state's effect is N(0, σ²): its variance is that of the intercept plus E σ²
    posterior = idata["posterior"]
    eta = np.log(draws[:, 0] / (1 - draws[:, 0]))
    expected = posterior["Intercept"].var() + (posterior["1|state_sigma"] ** 2).mean()
    assert eta.var() == pytest.approx(float(expected), rel=0.15)
    assert draws[:, 0].std() > 1.5 * draws[:, 3].std()


def test_unseen_levels_of_correlated_terms_keep_their_correlation(survey):
    model = vmrp.Model("y ~ x + (1 + x|state)", survey)
    idata = model.fit(6000, random_seed=0)
    posterior = idata["posterior"].to_dataset()
    rng_cells = pd.DataFrame({"state": ["Q", "Q"], "x": [0.0, 1.0], "n": 1, "row": [0, 1]})
    result = vmrp.poststratify(
        model, idata, rng_cells, by="row", random_seed=2, sample_new_groups=True
    )
    p = result["posterior"]["estimate"].to_numpy().reshape(-1, 2)
    eta = np.log(p / (1 - p))
    b0, b1 = (posterior[name].to_numpy().ravel() for name in ("Intercept", "x"))
    u0, u1 = eta[:, 0] - b0, eta[:, 1] - eta[:, 0] - b1
    s0, s1 = (posterior[f"{name}|state_sigma"].to_numpy().ravel() for name in ("1", "x"))
    rho = posterior["1+x|state_corr"].to_numpy().ravel()
    # standardised by their own draw of Σ, the effects are standard normal with correlation ρ
    z0 = u0 / s0
    z1 = (u1 / s1 - rho * z0) / np.sqrt(1 - rho**2)
    for z in (z0, z1):
        assert abs(z.mean()) < 0.06
        assert z.std() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(z0, z1)[0, 1]) < 0.06


def test_missing_combinations_are_nan_and_arviz_takes_the_result(model, idata, cells):
    part = cells.query("not (state == 'A' and age == '55+')")
    result = vmrp.poststratify(model, idata, part, by=["state", "age"])
    estimate = result["posterior"]["estimate"]
    assert np.isnan(estimate.sel(state="A", age="55+")).all()
    assert np.isfinite(estimate.sel(state="B")).all()
    full = vmrp.poststratify(model, idata, cells, by=["state", "age"])
    table = az.summary(full, kind="stats")
    assert len(table) == 18
    assert "estimate[A, 18-34]" in table.index
    az.plot_forest(full)


def test_two_trees_compare(model, cells):
    a, b = (
        vmrp.poststratify(model, model.fit(500, random_seed=s), cells, by="state") for s in (1, 2)
    )
    table = vmrp.compare(a, b)
    assert list(table.index) == [f"estimate[{s}]" for s in "ABCDEF"]
    assert (table["overlap"] > 0.85).all()


BAD = {
    "no weights": ({"drop": "n"}, {}, "'n'.*weights="),
    "no by": ({}, {"by": "stat"}, "'stat'.*by=.*mean 'state'"),
    "lacks a predictor": ({"drop": "x"}, {}, "'x'.*the term 'x'"),
    "lacks a group": ({"drop": "age"}, {}, r"'age'.*1\|age"),
    "negative": ({"n": -1}, {}, "'n'.*negative"),
    "all zero": ({"n": 0}, {}, "'n'.*zero in every row"),
    "infinite": ({"n": np.inf}, {}, "'n'.*infinite"),
    "missing weight": ({"n": np.nan}, {}, "'n'.*missing"),
    "text weights": ({"n": "many"}, {}, "'n'.*numeric"),
    "missing predictor": ({"x": np.nan}, {}, "missing values in 'x'"),
    "text for numbers": ({"x": "1"}, {}, "'x' held numbers.*text"),
    "by a number": ({}, {"by": 5}, "by= must be.*5"),
    "by numbers": ({}, {"by": [1]}, "by= must be"),
    "weights not a name": ({}, {"weights": None}, "weights= must be"),
    "chunk of a half": ({}, {"chunk_size": 1.5}, "chunk_size"),
    "reserved": ({"draw": 1}, {"by": "draw"}, "'draw'.*rename"),
    "chunk": ({}, {"chunk_size": 0}, "chunk_size"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_cells(model, idata, cells, case):
    change, arguments, message = BAD[case]
    bad = cells.drop(columns=change["drop"]) if "drop" in change else cells.assign(**change)
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.poststratify(model, idata, bad, **{"by": "state", **arguments})


def test_unseen_levels_whose_names_read_alike_are_apart(survey):
    data = survey.assign(a=survey["state"] + ":1", b=survey["age"])
    model = vmrp.Model("y ~ (1|a:b)", data)
    cells = pd.DataFrame({"a": ["u:1", "u"], "b": ["2", "1:2"], "n": 1, "row": [0, 1]})
    result = vmrp.poststratify(
        model, model.fit(5, random_seed=1), cells, by="row", sample_new_groups=True
    )
    draws = result["posterior"]["estimate"]
    assert (draws.sel(row=0) != draws.sel(row=1)).all()
    assert json.loads(result.attrs["unseen_levels"]) == {"a:b": ["u:1:2", "u:1:2"]}


@pytest.mark.parametrize(
    ("survey_values", "cell_values"),
    [
        ([True, False], [1, 0]),
        ([0, 1], [True, False]),
        (pd.Categorical([1, 2]), ["1", "2"]),
        (["1", "2"], pd.Categorical([1.0, 2.0])),
        ([1, 2], ["1", "2"]),
    ],
)
def test_levels_of_another_type_are_an_error(survey_values, cell_values):
    data = pd.DataFrame({"g": pd.Series(survey_values).repeat(5), "y": [0, 1, 0, 1, 1] * 2})
    model = vmrp.Model("y ~ (1|g)", data)
    cells = pd.DataFrame({"g": cell_values, "n": 1})
    with pytest.raises(vmrp.DataError, match="'g' held"):
        vmrp.poststratify(model, model.fit(5), cells, by="g")


def test_codes_are_not_truncated():
    data = pd.DataFrame({"g": pd.Categorical([0, 1]).repeat(5), "y": [0, 1, 0, 1, 1] * 2})
    model = vmrp.Model("y ~ (1|g)", data)
    cells = pd.DataFrame({"g": pd.Categorical([0.0, 1.5]), "n": 1})
    with pytest.warns(UserWarning, match="1 of the 2 levels of 'g' in cells; new: '1.5'"):
        vmrp.poststratify(model, model.fit(5), cells, by="g")


def test_a_transformation_that_is_not_finite_in_the_cells(survey):
    model = vmrp.Model("y ~ np.log(z) + (1|state)", survey.assign(z=survey["x"].abs() + 1))
    cells = pd.DataFrame({"state": "A", "z": [1.0, 0.0], "n": 1})
    with np.errstate(all="ignore"), pytest.raises(vmrp.DataError, match=r"np.log\(z\).*cells"):
        vmrp.poststratify(model, model.fit(5), cells)


def test_zero_weights_in_one_group_are_named(model, idata, cells):
    bad = cells.assign(n=cells["n"].where(cells["state"] != "C", 0))
    with pytest.raises(vmrp.DataError, match="state=C"):
        vmrp.poststratify(model, idata, bad, by="state")
    vmrp.poststratify(model, idata, bad, by="region")


def test_a_level_that_a_common_term_never_saw(survey):
    model = vmrp.Model("y ~ educ + (1|state)", survey)
    cells = pd.DataFrame({"state": ["A", "A"], "educ": ["HS", "PhD"], "n": [1, 2]})
    with pytest.raises(vmrp.DataError, match=r"'educ'.*never saw: 'PhD'.*\(1\|educ\)"):
        vmrp.poststratify(model, model.fit(5), cells)


def test_frames_are_checked(model, idata, cells):
    with pytest.raises(vmrp.DataError, match="no rows"):
        vmrp.poststratify(model, idata, cells.iloc[:0])
    with pytest.raises(vmrp.DataError, match="DataFrame"):
        vmrp.poststratify(model, idata, "cells.csv")
