"""Smooths and random walks as terms of a model: design, new data, weights, and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.written import written_columns, written_values
from pymc_vmrp.results.idata import read_draws


@pytest.fixture(scope="module")
def waves():
    rng = np.random.default_rng(11)
    n = 500
    frame = pd.DataFrame(
        {
            "x": rng.uniform(-2, 5, n).round(2),
            "z": rng.normal(size=n),
            "g": rng.choice(["lo", "mid", "hi"], n),
            "age": pd.Categorical(rng.choice(["young", "middle", "old"], n)),
            "state": rng.choice(list("ABCDE"), n),
        }
    )
    frame["age"] = frame["age"].cat.set_categories(["young", "middle", "old"], ordered=True)
    eta = np.sin(2 * frame["x"]) + frame["age"].cat.codes - 1
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    return frame


def encode(model, frame):
    encoder = model.encoder
    prepared = encoder.prepare(frame, "new")
    return encoder.encode(prepared, encoder.unseen_levels(prepared), "new")


FORMULAS = [
    "y ~ s(x)",
    "y ~ z + s(x, bs='cr') + (1|state)",
    "y ~ s(np.abs(x), k=6, bs='bs') + rw(age)",
    "y ~ g + s(x, by=g) + (1 + z|state)",
    "y ~ s(x, by=z) + rw(state2)",
    "y ~ poly(x, 3) + bs(z, df=4) + scale(z) + center(x) + C(g) + np.exp(z)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_new_data_have_the_training_design(waves, formula):
    waves = waves.assign(state2=pd.factorize(waves["state"], sort=True)[0])
    model = vmrp.Model(formula, waves)
    cell = model.observations.cell
    for rows in (np.arange(len(waves)), np.array([7]), np.arange(0, len(waves), 3)):
        encoded = encode(model, waves.iloc[rows])
        common = written_columns(model.glmm, model.glmm.common.columns)
        np.testing.assert_allclose(encoded.common, common[cell[rows]], atol=1e-12)
        for group, codes, values in zip(
            model.glmm.groups, encoded.codes, encoded.values, strict=True
        ):
            np.testing.assert_array_equal(codes, group.codes[cell[rows]])
            written = written_values(group, group.values)
            np.testing.assert_allclose(values, written[cell[rows]], atol=1e-12)


@pytest.mark.parametrize("formula", ["y ~ s(x)", "y ~ g + s(x, by=g)", "y ~ s(x, by=z)"])
def test_counts_and_rows_are_one_model(waves, formula):
    """Centring and scaling weigh trials, so that aggregated data give the same posterior."""
    data = waves.assign(x=waves["x"].round(0), z=waves["z"].round(0) + 1, n=1)
    if "s(x)" in formula:
        data = data.assign(z=0.0)
    formula = formula.replace("s(x", "s(x, k=6")
    counted = data.groupby(["x", "z", "g"], as_index=False)[["y", "n"]].sum()
    one = vmrp.Model(formula, data).approximate(tol=1e-8, hyperparameters="mean_field")
    other = vmrp.Model(formula.replace("y ~", "p(y, n) ~"), counted, family="binomial")
    np.testing.assert_allclose(
        one.mean(), other.approximate(tol=1e-8, hyperparameters="mean_field").mean(), atol=1e-6
    )


def test_names_and_dims(waves):
    idata = vmrp.Model("y ~ g + s(x, k=6) + s(z, by=g, k=5) + rw(age)", waves).fit(50)
    posterior = idata["posterior"]
    dims = {name: value.dims[2:] for name, value in posterior.data_vars.items()}
    assert dims["s(x)"] == ("s(x)__factor_dim",)
    assert dims["s(x)_sigma"] == dims["s(x)_linear"] == ()
    assert dims["s(z, by=g)_linear"] == ("s(z, by=g)_linear_dim",)
    assert list(posterior["s(z, by=g)_linear_dim"].values) == ["hi", "lo", "mid"]
    assert {f"s(z, by=g)[{g}]_sigma" for g in ("hi", "lo", "mid")} <= set(dims)
    assert dims["rw(age)"] == ("rw(age)__factor_dim",)
    assert list(posterior["rw(age)__factor_dim"].values) == ["young", "middle", "old"]
    assert posterior.sizes["s(x)__factor_dim"] == 4
    np.testing.assert_allclose(posterior["rw(age)"].sum("rw(age)__factor_dim"), 0, atol=1e-10)


def test_the_intercept_is_at_the_smooths_average(waves):
    """Over the data a smooth averages zero, for any coefficients."""
    model = vmrp.Model("y ~ s(x)", waves)
    encoded = encode(model, waves)
    columns = np.column_stack([encoded.common, encoded.values[0][:, :, 0]])
    np.testing.assert_allclose(columns.mean(0), 0, atol=1e-10)
    by = vmrp.Model("y ~ g + s(x, by=g)", waves)
    encoded = encode(by, waves)
    for value in encoded.values:
        np.testing.assert_allclose(value.sum(0), 0, atol=1e-9)


def test_a_numeric_by_multiplies_the_whole_smooth(waves):
    model = vmrp.Model("y ~ s(x, by=z)", waves)
    encoded = encode(model, waves)
    x, z = waves["x"].to_numpy(), waves["z"].to_numpy()
    np.testing.assert_allclose(encoded.common[:, -2:], np.column_stack([z, x * z]), atol=1e-9)
    np.testing.assert_allclose(encode(model, waves.assign(z=0.0)).values[0], 0)
    assert (encoded.values[0][:, :, 0] ** 2).sum(1).mean() == pytest.approx(1.0)


def test_prior_of_a_smooth(waves):
    priors = {"s(x)": vmrp.HalfNormal(0.5), "s(x)_linear": vmrp.Normal(0, 3)}
    model = vmrp.Model("y ~ s(x) + rw(age)", waves, priors=priors)
    assert model.glmm.groups[0].prior == vmrp.HalfNormal(0.5)
    assert model.glmm.groups[1].prior == vmrp.HuangWand(2, 1)
    assert model.glmm.common.prior_sd[-1] == 3
    everywhere = {"smooths": vmrp.HalfNormal(3), "group_specific": vmrp.HalfNormal(4)}
    groups = vmrp.Model("y ~ s(x) + rw(age) + (1|state)", waves, priors=everywhere).glmm.groups
    assert [group.prior.sigma for group in groups] == [4, 3, 3]
    by = {"s(x, by=g)": vmrp.HalfNormal(2), "s(x, by=g)[lo]": vmrp.HalfNormal(1)}
    groups = vmrp.Model("y ~ g + s(x, by=g)", waves, priors=by).glmm.groups
    assert [group.prior.sigma for group in groups] == [2, 1, 2]
    with pytest.raises(vmrp.PriorError, match=r"s\(w\)"):
        vmrp.Model("y ~ s(x)", waves, priors={"s(w)": vmrp.HalfNormal(1)})


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ s(few)", "at least 10 distinct values.*'few' has 3: lower k to at most 3"),
        ("y ~ s(two)", "'two' has 2"),
        ("y ~ s(state)", "smooths over numbers"),
        ("y ~ s(age)", "smooths over numbers"),
        ("y ~ s(x, by=nope)", "no column 'nope'"),
        ("y ~ s(nope)", "no column 'nope'"),
        ("y ~ rw(state)", "ordered"),
        ("y ~ g + s(lumpy, by=g)", "where g is 'lo'"),
        ("y ~ s(x - np.mean(x))", "column, or a call"),
        ("y ~ s(I(x - np.mean(x)))", "depends on all rows"),
        ("y ~ s(I(x / 2))", "'/'"),
    ],
)
def test_data_that_do_not_go_with_the_term(waves, formula, message):
    data = waves.assign(few=np.arange(500) % 3, two=np.arange(500) % 2)
    data["lumpy"] = data["x"].where(data["g"] != "lo", 1.0)
    with pytest.raises((vmrp.DataError, vmrp.FormulaError), match=message):
        vmrp.Model(formula, data)


def test_new_levels_of_a_walk_or_of_by_are_errors(waves):
    model = vmrp.Model("y ~ g + s(x, by=g) + rw(age)", waves)
    with pytest.raises(vmrp.DataError, match=r"'age' of new has levels that rw\(age\) never saw"):
        encode(model, waves.head(3).assign(age="ancient"))
    with pytest.raises(vmrp.DataError, match="never saw"):
        encode(model, waves.head(3).assign(g="new"))


def test_smooths_are_poststratified(waves):
    """With the rows themselves as cells, by hand."""
    model = vmrp.Model("y ~ g + s(x) + rw(age) + (1|mm(state, g))", waves.assign(g=waves["state"]))
    data = waves.assign(g=waves["state"], n=2.0)
    idata = model.fit(20, random_seed=1)
    tree = vmrp.poststratify(model, idata, data, by="age")
    rows = model.glmm.rows.dense(model.glmm.n_coefficients)[model.observations.cell]
    eta = read_draws(model.glmm, idata).coefficients[0] @ rows.T
    p = 1 / (1 + np.exp(-eta))
    for level in ("young", "middle", "old"):
        expected = p[:, (data["age"] == level).to_numpy()].mean(1)
        found = tree["posterior"]["estimate"].sel(age=level).values[0]
        np.testing.assert_allclose(logit(found), logit(expected), atol=1e-8)


def test_the_order_of_rows_does_not_matter(waves):
    formula = "y ~ g + s(x, by=g) + rw(age) + s(z)"
    one = vmrp.Model(formula, waves)
    other = vmrp.Model(formula, waves.sample(frac=1, random_state=1))
    np.testing.assert_allclose(one.glmm.rows.values, other.glmm.rows.values, atol=1e-9)


def test_solvers_agree_with_smooths(waves):
    model = vmrp.Model("y ~ s(x) + rw(age) + (1 + z|state) + (1|mm(state, g))", waves)
    fits = [
        model.approximate(tol=1e-9, solver=s, hyperparameters="mean_field")
        for s in ("dense", "partitioned")
    ]
    assert fits[0].elbo == pytest.approx(fits[1].elbo, rel=1e-9)
    np.testing.assert_allclose(fits[0].mean(), fits[1].mean(), atol=1e-7)
    np.testing.assert_allclose(fits[0].sd(), fits[1].sd(), atol=1e-7)


def test_moments_of_a_walk_are_those_of_its_draws(waves):
    idata = vmrp.Model("y ~ rw(age) + (1|state)", waves).fit(20_000, random_seed=1)
    draws = idata["posterior"]["rw(age)"].values[0]
    np.testing.assert_allclose(idata["fit/mean"]["rw(age)"], draws.mean(0), atol=0.02)
    np.testing.assert_allclose(idata["fit/sd"]["rw(age)"], draws.std(0), rtol=0.05)


def test_values_without_weight_do_not_count():
    data = pd.DataFrame({"x": np.arange(12.0), "h": list("uv") * 6, "y": np.arange(12) % 5})
    data["w"] = np.where((data["h"] == "u") | (data["x"] < 4), 1.0, 0.0)
    with pytest.raises(vmrp.DataError, match=r"where h is 'v', and 'x' has 2"):
        vmrp.Model("y ~ s(x, by=h, k=4)", data, "poisson", weights="w")
    with pytest.raises(vmrp.DataError, match=r"'x' has 8: lower k to at most 8"):
        vmrp.Model("y ~ s(x)", data, "poisson", weights="w")
