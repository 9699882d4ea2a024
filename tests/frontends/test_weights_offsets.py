"""Weights, offsets, and the responses of each family: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

DATA = pd.DataFrame(
    {
        "y": [0, 3, 1, 2, 5, 1, 0, 2],
        "z": [0.1, 1.5, 2.0, 0.7, 3.0, 1.1, 0.2, 0.9],
        "x": [0.0, 1.0, 0.0, 1.0, 2.0, 2.0, 0.0, 1.0],
        "o": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        "g": list("aabbccab"),
        "w": [1.0, 2.0, 0.5, 0.0, 1.0, 1.0, 3.0, 1.0],
        "sd": [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5],
        "word": list("uvuvuvuv"),
    }
)

FLAT = {"common": "flat", "Intercept": "flat"}

REFUSED = {
    "unknown weights": ("y ~ x", {"family": "poisson", "weights": "v"}, "no column 'v'"),
    "weights that are data": ("y ~ x", {"family": "poisson", "weights": [1.0]}, "the name of a"),
    "text weights": ("y ~ x", {"family": "poisson", "weights": "word"}, "'word'.*numeric"),
    "negative weights": ("y ~ x", {"family": "poisson", "weights": "minus"}, "negative"),
    "missing weights": ("y ~ x", {"family": "poisson", "weights": "gaps"}, "'gaps'"),
    "missing offset": ("y ~ x + offset(gaps)", {"family": "poisson"}, "missing values in 'gaps'"),
    "infinite offset": ("y ~ x + offset(np.log(x))", {"family": "poisson"}, "infinite"),
    "exposure as an offset": ("y ~ x + offset(100000 * o)", {"family": "poisson"}, "np.log"),
    "the same for a logit": ("b ~ x + offset(-100000 * o)", {}, r"reaches -8e\+04.*logit"),
    "offset of all rows": ("y ~ x + offset(z - np.mean(z))", {"family": "poisson"}, "all rows"),
    "counts with fractions": ("z ~ x", {"family": "poisson"}, "'z' must hold counts.*0.1"),
    "negative counts": ("minus ~ x", {"family": "negativebinomial"}, "'minus' must hold counts"),
    "no count": ("zero ~ x", {"family": "poisson"}, "'zero' is 0 in every row"),
    "text response": ("word ~ x", {"family": "gaussian"}, "'word' must be numbers"),
    "not positive": ("y ~ x", {"family": "gamma"}, "'y' must be positive, but is not in 2 rows"),
    "constant": ("one ~ x", {"family": "gaussian"}, "'one' is the same in every row"),
    "a level of a number": ("word['u'] ~ x", {"family": "gaussian"}, "family='bernoulli'"),
    "trials for counts": ("p(y, w) ~ x", {"family": "poisson"}, "family='binomial'"),
    "no trials": ("y ~ x", {"family": "beta_binomial"}, r"p\(successes, trials\)"),
    "sd of zero": ("se(z, x) ~ 1", {"family": "gaussian"}, "must be positive, but are not in 3"),
    "sd of counts": ("se(y, sd) ~ 1", {"family": "poisson"}, "family='gaussian'"),
    "one argument": ("se(z) ~ 1", {"family": "gaussian"}, "two arguments: y, sd"),
    "prior of a known sd": (
        "se(z, sd) ~ 1",
        {"family": "gaussian", "priors": {"sigma": vmrp.HalfNormal(1)}},
        "give it no prior",
    ),
    "prior of no parameter": (
        "y ~ x", {"family": "poisson", "priors": {"sigma": vmrp.HalfNormal(1)}}, "no such term"
    ),
    "prior of the wrong kind": (
        "z ~ x", {"family": "gaussian", "priors": {"sigma": vmrp.Normal(0, 1)}}, "HalfNormal"
    ),
    "fixed below zero": ("z ~ x", {"family": "gaussian", "priors": {"sigma": -1}}, "positive"),
    "separated counts": (
        "few ~ g", {"family": "poisson", "priors": FLAT}, "perfectly separated"
    ),
    "unknown family": ("y ~ x", {"family": "normal"}, "choose one of"),
    "unknown link": ("b ~ x", {"link": "cauchit"}, "logit, probit, cloglog"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    formula, kwargs, message = REFUSED[case]
    data = DATA.assign(
        minus=-DATA["y"], gaps=DATA["w"].where(DATA["w"] != 0.5), zero=0, one=1.5, b=DATA["y"] > 1,
        few=np.where(DATA["g"] == "c", 0, DATA["y"] + 1),
    )  # fmt: skip
    with pytest.raises(vmrp.VmrpError, match=message), np.errstate(divide="ignore"):
        vmrp.Model(formula, data, **kwargs)


def test_offsets_go_into_poisson_cells():
    model = vmrp.Model("y ~ x + offset(o)", DATA, "poisson")
    assert model.glmm.n_cells == 3  # the values of x
    y, exposure = model.glmm.response.statistics
    by_x = DATA.assign(e=np.exp(DATA["o"])).groupby("x")[["y", "e"]].sum()
    np.testing.assert_allclose(y, by_x["y"])
    np.testing.assert_allclose(exposure, by_x["e"])


def test_offsets_of_other_families_split_cells():
    data = DATA.assign(b=DATA["y"] > 1, o=DATA["o"].round(0))
    model = vmrp.Model("b ~ x + offset(o)", data)
    assert model.glmm.n_cells == len(data[["x", "o"]].drop_duplicates())
    assert set(model.glmm.response.offset) == {0.0, 1.0}


def test_several_offsets_add_up_and_numbers_are_allowed():
    data = DATA.assign(b=DATA["y"] > 1)
    model = vmrp.Model("b ~ x + offset(o) + offset(np.log(z)) + offset(0.5)", data)
    expected = DATA["o"] + np.log(DATA["z"]) + 0.5
    np.testing.assert_allclose(model.observations.offset, expected)
    frame = model.encoder.prepare(data, "data")
    np.testing.assert_allclose(model.encoder.offset(frame, "data"), expected)


def test_default_priors_grow_with_the_response_and_weigh_rows():
    model = vmrp.Model("z ~ x + (1|g)", DATA, "gaussian", weights="w")
    share = DATA["w"] / DATA["w"].sum()
    mean = share @ DATA["z"]
    sd = np.sqrt(share @ (DATA["z"] - mean) ** 2)
    common = model.glmm.common
    assert common.prior_mean[0] == pytest.approx(mean)
    assert common.prior_sd[0] == pytest.approx(2.5 * sd)
    x_sd = np.sqrt(share @ (DATA["x"] - share @ DATA["x"]) ** 2)
    assert common.prior_sd[1] == pytest.approx(2.5 * sd / x_sd)
    assert model.glmm.groups[0].prior == vmrp.HuangWand(2, 5 * sd)
    assert model.glmm.parameters[0].prior == vmrp.HalfStudentT(4, sd)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial", "gamma"])
def test_default_intercept_lies_at_the_log_mean_per_exposure(family):
    data = DATA.assign(v=DATA["y"] + 1, n=np.exp(9 + 3 * DATA["o"]))
    model = vmrp.Model("v ~ x + offset(np.log(n))", data, family, weights="w")
    expected = np.log(data["w"] @ data["v"] / (data["w"] @ data["n"]))
    assert model.glmm.common.prior_mean[0] == pytest.approx(expected)


@pytest.mark.parametrize("family", ["gaussian", "t"])
def test_default_priors_are_of_the_response_less_its_offset(family):
    moved = DATA.assign(n=1000 + 50 * DATA["o"], y=DATA["z"] + 1000 + 50 * DATA["o"])
    kwargs = {"family": family, "weights": "w"}
    plain = vmrp.Model("z ~ x + (1|g)", DATA, **kwargs).glmm
    model = vmrp.Model("y ~ x + (1|g) + offset(n)", moved, **kwargs).glmm
    np.testing.assert_allclose(model.common.prior_mean, plain.common.prior_mean, atol=1e-9)
    np.testing.assert_allclose(model.common.prior_sd, plain.common.prior_sd)
    assert pytest.approx(plain.groups[0].prior.A) == model.groups[0].prior.A
    assert model.parameters[0].prior.sigma == pytest.approx(plain.parameters[0].prior.sigma)


def test_known_standard_deviations_are_precisions():
    model = vmrp.Model("se(z, sd) ~ 1 + (1|g)", DATA, "gaussian")
    _, n, _ = model.glmm.response.statistics
    assert n.sum() == pytest.approx((DATA["sd"] ** -2.0).sum())
    assert model.glmm.free_parameters == ()
    tree = model.fit(50, random_seed=1, log_likelihood=True)
    assert "sigma" not in tree["posterior"]
    np.testing.assert_array_equal(tree["constant_data"]["sd"], DATA["sd"])


def test_log_likelihood_of_rows_with_weights():
    model = vmrp.Model("y ~ x + (1|g) + offset(o)", DATA, "poisson", weights="w")
    tree = model.fit(20, random_seed=1, log_likelihood=True)
    from scipy import stats

    rows = DATA[DATA["w"] > 0]  # a weight of zero says that there is no such row
    p = tree["posterior"]
    eta = (
        p["Intercept"].values[..., None]
        + p["x"].values[..., None] * rows["x"].to_numpy()
        + p["1|g"].sel({"g__factor_dim": rows["g"].to_list()}).values
        + rows["o"].to_numpy()
    )
    expected = rows["w"].to_numpy() * stats.poisson.logpmf(rows["y"], np.exp(eta))
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values, expected, rtol=1e-8)


def test_parameters_are_variables_of_the_posterior():
    model = vmrp.Model("z ~ x + (1|g)", DATA, "t")
    tree = model.fit(50, random_seed=1)
    assert {"sigma", "nu"} <= set(tree["posterior"])
    assert {"sigma", "nu"} <= set(tree["fit/mean"])
    with pytest.raises(vmrp.FormulaError, match="'nu'"):
        vmrp.Model("z ~ nu", DATA.rename(columns={"x": "nu"}), "t")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1e300] * 8, "weights sum to"),
        ([1e308] * 8, "weights sum to"),
        ([1e15] + [1.0] * 7, "weights sum to"),
        ([0.0] * 8, "zero in every row"),
        ([1j] * 8, "complex"),
        ([True] * 8, "numeric"),
        ([np.inf] + [1.0] * 7, "infinite"),
    ],
)
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_weights_that_are_refused(weights, message, family):
    with pytest.raises(vmrp.DataError, match=message):
        vmrp.Model("y ~ x + (1|g)", DATA.assign(w=weights), family, weights="w")


def test_counts_that_cannot_be_counted():
    for formula, family in (("y ~ x", "poisson"), ("p(y, n) ~ x", "binomial")):
        data = DATA.assign(y=np.floor(DATA["y"] * 1e15), n=1e16)
        with pytest.raises(vmrp.DataError, match="more than can be counted"):
            vmrp.Model(formula, data, family)


@pytest.mark.parametrize("amount", [1e-9, 1.0, 1e6, 1e12])
def test_large_and_small_amounts_of_data_are_fitted(amount):
    model = vmrp.Model("z ~ x + (1|g)", DATA.assign(w=amount), "gaussian", weights="w")
    posterior = model.fit(10, random_seed=1, hyperparameters="mean_field")["posterior"]
    assert all(np.isfinite(values).all() for values in posterior.data_vars.values())


def test_missing_values_of_rows_without_weight_do_not_matter():
    rows = DATA.assign(x=DATA["x"].where(DATA["w"] > 0))
    one, other = (vmrp.Model("z ~ x", data, "gaussian", weights="w") for data in (rows, DATA))
    np.testing.assert_array_equal(one.glmm.common.columns, other.glmm.common.columns)
