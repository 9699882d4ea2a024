"""Poststratification against a computation by hand."""

from __future__ import annotations

import json
import re
import warnings

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


def damaged(idata, name, value):
    """A copy of a fit in which one draw of a variable is something else."""
    copy = idata.copy(deep=True)
    copy["posterior"][name][(0, 3)] = value
    return copy


@pytest.mark.parametrize("name", ["Intercept", "x", "1|state", "x|state_sigma", "1+x|state_corr"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_draws_that_are_not_finite_are_named(model, idata, cells, name, value):
    bad = damaged(idata, name, value)
    for call in (
        lambda: vmrp.poststratify(model, bad, cells),
        lambda: model.predict(bad),
        lambda: model.summary(bad),
        lambda: vmrp.ranef(model, bad),
        lambda: vmrp.varcorr(model, bad),
        lambda: vmrp.icc(model, bad),
        lambda: vmrp.diagnose(model, bad),
        lambda: model.fit(5, inference_method="gibbs", warm_start=bad),
        lambda: vmrp.compare(bad, idata),
    ):
        with pytest.raises(vmrp.DataError, match=rf"{re.escape(name)}.*not finite"):
            call()


def test_a_variable_that_is_all_nan_is_not_left_out_of_comparisons(idata):
    bad = idata.copy(deep=True)
    bad["posterior"]["x"][:] = np.nan
    with pytest.raises(vmrp.DataError, match="'x' are not finite"):
        vmrp.compare(bad, idata)


@pytest.mark.parametrize("column", ["x", "exposure"])
def test_rates_beyond_the_largest_number_name_the_cell_and_its_column(survey, column):
    data = survey.assign(exposure=1.0, k=survey["y"] + 1)
    model = vmrp.Model("k ~ x + offset(np.log(exposure)) + (1|state)", data, family="poisson")
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field", progressbar=False)
    cells = pd.DataFrame({"state": list("ABC"), "x": 0.0, "exposure": 1.0, "n": 1})
    cells[column] = cells[column].where(cells.index != 1, 1e5 if column == "x" else 1e308)
    cells.loc[1, "x"] += 5  # exp of which the exposure cannot be multiplied by
    message = rf"row 1 of cells.*log link.*{column}"
    with pytest.raises(vmrp.DataError, match=f"(?i){message}"):
        vmrp.poststratify(model, idata, cells, by="state")
    with pytest.warns(UserWarning, match=message.replace("cells", "data")) as told:
        model.predict(idata, data=cells)
    assert len(told) == 1
    vmrp.poststratify(model, idata, cells.drop(index=1), by="state")
    counts_for_nothing = cells.assign(state="A", n=[1, 0, 1])
    assert np.isfinite(
        vmrp.poststratify(model, idata, counts_for_nothing)["posterior"]["estimate"]
    ).all()


@pytest.mark.parametrize("by", [None, "state"])
def test_sums_of_huge_predictors_are_not_nan_in_silence(survey, by):
    """1e308 − 1e308 on the logit scale."""
    model = vmrp.Model("y ~ x + z + (1|state)", survey.assign(z=survey["x"].to_numpy()[::-1]))
    idata = model.fit(50, random_seed=1, hyperparameters="mean_field", progressbar=False)
    cells = pd.DataFrame({"state": ["A", "B"], "x": [1e308, 0.0], "z": [-1e308, 0.0], "n": 1})
    idata["posterior"]["x"][:], idata["posterior"]["z"][:] = 5.0, 5.0
    with pytest.raises(vmrp.DataError, match="row 0 of cells"):
        vmrp.poststratify(model, idata, cells, by=by)


def test_no_level_in_common_is_an_error(model, idata, cells):
    lower = cells.assign(state=cells["state"].str.lower())
    with pytest.raises(
        vmrp.DataError,
        match=r"no level in common in 'state'.*'a', 'b'.*'A', 'B'.*sample_new_groups",
    ):
        vmrp.poststratify(model, idata, lower, by="age")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vmrp.poststratify(model, idata, lower, by="age", sample_new_groups=True)


def test_no_level_in_common_of_a_part_of_an_interaction_or_membership(survey):
    data = survey.assign(other=survey["state"].to_numpy()[::-1])
    cells = pd.DataFrame({"state": ["a", "b"], "other": "c", "age": "55+", "n": 1})
    for formula, part in (
        ("y ~ (1|state:age)", "'state'"), ("y ~ (1|mm(state, other))", r"'mm\(state, other\)'"),
    ):  # fmt: skip
        model = vmrp.Model(formula, data)
        idata = model.fit(5, random_seed=1, hyperparameters="mean_field", progressbar=False)
        with pytest.raises(vmrp.DataError, match=f"no level in common in {part}"):
            vmrp.poststratify(model, idata, cells)


def test_partial_overlap_is_one_warning(model, idata, cells):
    new = cells.replace({"state": {"A": "a"}, "age": {"55+": "old"}})
    with pytest.warns(UserWarning, match="'state'") as told:
        vmrp.poststratify(model, idata, new, by="state")
    assert len(told) == 1
    assert "5 of the 6 levels of 'state'" in str(told[0].message)
    assert "2 of the 3 levels of 'age'" in str(told[0].message)
    assert told[0].filename == __file__
    with pytest.raises(vmrp.DataError, match=r"never saw.*'a'"):
        vmrp.poststratify(model, idata, new, by="state", sample_new_groups=False)


def test_the_order_and_the_chunks_of_cells_do_not_decide_about_overlap(model, idata, cells):
    new = cells.assign(state=np.where(cells.index == len(cells) - 1, "A", "z"))
    with pytest.warns(UserWarning, match="1 of the 2 levels of 'state'"):
        vmrp.poststratify(model, idata, new, chunk_size=1)


def test_complex_weights_are_refused(model, idata, cells):
    with pytest.raises(vmrp.DataError, match=r"'n' of cells must be numeric.*complex"):
        vmrp.poststratify(model, idata, cells.assign(n=1 + 0j))
