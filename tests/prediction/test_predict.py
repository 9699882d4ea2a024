"""Predictions against computations by hand, from the named posterior alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import expit

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.prediction import predict as module

FORMULA = "y ~ x + educ + (1 + x|state) + (1|age) + (1|state:age)"


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model(FORMULA, survey)


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(150, random_seed=1)


def contributions_by_hand(posterior, frame):
    """What each term adds to η, shape (chain, draw, rows), one row at a time."""
    rows = []
    for _, row in frame.iterrows():
        state, age = row["state"], row["age"]
        educ = posterior["educ"].sel(educ_dim=row["educ"]) if row["educ"] != "College" else 0.0
        rows.append(
            {
                "Intercept": posterior["Intercept"],
                "x": posterior["x"] * row["x"],
                "educ": educ + 0 * posterior["x"],
                "1|state": posterior["1|state"].sel(state__factor_dim=state),
                "x|state": posterior["x|state"].sel(state__factor_dim=state) * row["x"],
                "1|age": posterior["1|age"].sel(age__factor_dim=age),
                "1|state:age": posterior["1|state:age"].sel(
                    {"state:age__factor_dim": f"{state}:{age}"}
                ),
            }
        )
    return {name: np.stack([np.asarray(row[name]) for row in rows], axis=-1) for name in rows[0]}


def predicted(model, idata, **arguments):
    return model.predict(idata, inplace=False, **{"random_seed": 1, **arguments})


def test_is_the_linear_predictor_by_hand_and_terms_add_up(model, idata, survey):
    new = survey.iloc[:25]
    tree = predicted(model, idata, data=new, terms=True)
    hand = contributions_by_hand(idata["posterior"].to_dataset(), new)
    assert set(tree["terms"].data_vars) == {*hand, "linear_predictor"}
    for name, value in hand.items():
        np.testing.assert_allclose(tree["terms"][name], value, atol=1e-12)
    eta = sum(hand.values())
    np.testing.assert_allclose(tree["terms"]["linear_predictor"], eta, atol=1e-12)
    np.testing.assert_allclose(tree["posterior"]["p"], expit(eta), rtol=1e-10)
    assert tree["posterior"]["p"].dims == ("chain", "draw", "__obs__")
    plain = predicted(model, idata, data=new)
    assert "terms" not in plain.children
    np.testing.assert_allclose(plain["posterior"]["p"], tree["posterior"]["p"], rtol=1e-10)


def test_the_data_again_are_the_models_own_rows(model, idata, survey):
    own = predicted(model, idata, terms=True)
    again = predicted(model, idata, data=survey, terms=True)
    for group in ("posterior", "terms"):
        xr.testing.assert_allclose(own[group].to_dataset(), again[group].to_dataset())


def test_order_of_rows_and_single_rows(model, idata, survey):
    new = survey.iloc[:30]
    p = predicted(model, idata, data=new)["posterior"]["p"]
    shuffled = new.sample(frac=1, random_state=3)
    other = predicted(model, idata, data=shuffled)["posterior"]["p"]
    np.testing.assert_array_equal(other["__obs__"], shuffled.index)
    np.testing.assert_allclose(other.sel(__obs__=p["__obs__"]), p, rtol=1e-12)
    one = predicted(model, idata, data=new.iloc[[7]])["posterior"]["p"]
    np.testing.assert_allclose(one[..., 0], p[..., 7], rtol=1e-12)


def test_chunks_do_not_matter(model, idata, survey, monkeypatch):
    trees = []
    for block in (2**22, 150 * 7):
        monkeypatch.setattr(module, "_BLOCK", block)
        for data in (None, survey.iloc[:50]):
            trees.append(predicted(model, idata, data=data, terms=True))
    for a, b in ((0, 2), (1, 3)):
        for group in ("posterior", "terms"):
            xr.testing.assert_allclose(trees[a][group].to_dataset(), trees[b][group].to_dataset())


@pytest.mark.parametrize(
    ("exclude", "left_out"),
    [
        ("x", ["x"]),
        ("Intercept", ["Intercept"]),
        (["educ", "1|age"], ["educ", "1|age"]),
        ("x|state", ["x|state"]),
        ("1 + x | state", ["1|state", "x|state"]),
        (["1+x|state", "1|age", "1|state:age"], ["1|state", "x|state", "1|age", "1|state:age"]),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_excluded_terms_are_left_out(model, idata, survey, exclude, left_out, own):
    full = predicted(model, idata, terms=True)["terms"].to_dataset()
    data = None if own else survey
    tree = predicted(model, idata, data=data, exclude=exclude, terms=True)
    expected = full["linear_predictor"] - sum(full[name] for name in left_out)
    np.testing.assert_allclose(tree["terms"]["linear_predictor"], expected, atol=1e-12)
    np.testing.assert_allclose(tree["posterior"]["p"], expit(expected), rtol=1e-10)
    assert set(full) - set(tree["terms"].data_vars) == set(left_out)


def test_columns_of_excluded_terms_may_be_missing(model, idata, survey):
    new = survey[["x", "educ"]].iloc[:5]
    without = predicted(model, idata, data=new, include_group_specific=False)
    full = predicted(model, idata, include_group_specific=False)
    np.testing.assert_allclose(without["posterior"]["p"], full["posterior"]["p"][..., :5])
    with pytest.raises(vmrp.DataError, match=r"'x'.*needed"):
        model.predict(idata, data=survey[["educ"]], include_group_specific=False)


def test_effects_in_separate_bars_are_excluded_one_by_one(survey):
    model = vmrp.Model("y ~ x + (1 + x||state)", survey)
    idata = model.fit(20, random_seed=1)
    new = survey.iloc[:10]
    full = predicted(model, idata, data=new, terms=True)["terms"].to_dataset()
    part = predicted(model, idata, data=new, terms=True, exclude="1|state")["terms"]
    np.testing.assert_allclose(
        part["linear_predictor"], full["linear_predictor"] - full["1|state"], atol=1e-12
    )
    assert "1|state" not in part


def test_everything_excluded_leaves_zero(model, idata):
    names = ["Intercept", "x", "educ"]
    tree = predicted(model, idata, exclude=names, include_group_specific=False)
    np.testing.assert_array_equal(tree["posterior"]["p"], 0.5)


def test_new_levels_are_drawn_from_their_distribution(survey):
    model = vmrp.Model("y ~ x + (1 + x|state)", survey)
    idata = model.fit(8000, random_seed=0)
    new = pd.DataFrame({"state": ["Q", "Q", "R"], "x": [0.0, 1.0, 0.0]})
    with pytest.raises(vmrp.DataError, match=r"never saw, of 'state': 'Q', 'R'.*sample_new_groups"):
        model.predict(idata, data=new)
    left_out = predicted(model, idata, data=new, exclude="1+x|state", terms=True)["terms"]
    assert float(left_out["linear_predictor"][..., 0].std()) == pytest.approx(
        float(idata["posterior"]["Intercept"].std())
    )
    terms = predicted(model, idata, data=new, sample_new_groups=True, terms=True)["terms"]
    posterior = idata["posterior"].to_dataset()
    u0, u1 = terms["1|state"], terms["x|state"]
    np.testing.assert_array_equal(u0[..., 0], u0[..., 1])  # one draw for the level
    assert abs(float(xr.corr(u0[..., 0], u0[..., 2]))) < 0.05
    z0 = u0[..., 0] / posterior["1|state_sigma"]
    slope = u1[..., 1] / posterior["x|state_sigma"]
    rho = posterior["1+x|state_corr"][..., 0]
    z1 = (slope - rho * z0) / np.sqrt(1 - rho**2)
    for z in (z0, z1):
        assert float(z.mean()) == pytest.approx(0, abs=0.05)
        assert float(z.std()) == pytest.approx(1, abs=0.05)


def test_a_new_level_of_a_common_factor_is_an_error(model, idata, survey):
    with pytest.raises(vmrp.DataError, match=r"educ.*never saw.*'PhD'"):
        model.predict(idata, data=survey.assign(educ="PhD"), sample_new_groups=True)
    assert "p" not in idata["posterior"]  # a refused prediction leaves no trace


def test_inplace_adds_and_overwrites(model, survey):
    idata = model.fit(20, random_seed=1)
    before = idata.copy()
    assert predicted(model, idata, kind="response", terms=True) is not None
    xr.testing.assert_identical(idata, before)
    assert model.predict(idata, "response", terms=True, random_seed=2) is None
    assert idata["posterior"]["p"].sizes["__obs__"] == 600
    assert model.predict(idata, data=survey.iloc[:3]) is None
    assert idata["posterior"]["p"].sizes["__obs__"] == 3
    assert "terms" not in idata.children  # they were those of other rows
    vmrp.compare(idata, before)


@pytest.mark.parametrize(("family", "link"), CASES)
def test_responses_have_the_right_mean_and_variance(family, link):
    simulated = simulate(family, link, 300, seed=1)
    data = simulated.data
    model = vmrp.Model(simulated.formula, data, family=family, link=link)
    idata = model.fit(2000, random_seed=1)
    kind = get_family(family, link)
    tree = predicted(model, idata, kind="response", data=data.iloc[:40], terms=True)
    parent = "p" if family in ("bernoulli", "binomial") else "mu"
    mean = tree["posterior"][parent].to_numpy()[0]
    np.testing.assert_allclose(
        mean, kind.inverse_link(tree["terms"]["linear_predictor"].to_numpy()[0]), rtol=1e-10
    )
    name = model.observations.name
    responses = tree["posterior_predictive"][name].to_numpy()[0]
    trials = data["t"].to_numpy()[:40] if "t" in data else 1
    expected = trials * mean
    variance = conditional_variance(family, mean, trials, idata["posterior"].to_dataset())
    z = (responses - expected).mean(0) / np.sqrt(variance.mean(0) / len(mean))
    assert abs(z).max() < 4.5
    ratio = ((responses - expected) ** 2).mean() / variance.mean()
    assert ratio == pytest.approx(1, abs=0.15 if family in ("t", "negativebinomial") else 0.05)
    own = predicted(model, idata, kind="response")["posterior_predictive"][name]
    assert own.shape == (1, 2000, 300)
    assert float(own.mean()) == pytest.approx(float(model.observations.rows.y.mean()), rel=0.15)


def conditional_variance(family, mean, trials, posterior):
    phi = {
        name: posterior[name].to_numpy()[0][:, None]
        for name in ("sigma", "alpha", "nu", "kappa")
        if name in posterior
    }
    match family:
        case "bernoulli" | "binomial":
            return trials * mean * (1 - mean)
        case "gaussian":
            return phi["sigma"] ** 2 + 0 * mean
        case "poisson":
            return mean
        case "negativebinomial":
            return mean + mean**2 / phi["alpha"]
        case "gamma":
            return mean**2 / phi["alpha"]
        case "t":
            return phi["sigma"] ** 2 * phi["nu"] / (phi["nu"] - 2) + 0 * mean
        case "beta_binomial":
            share = (trials + phi["kappa"]) / (1 + phi["kappa"])
            return trials * mean * (1 - mean) * share
    raise AssertionError(family)


def test_trials_of_new_data(survey):
    data = survey.assign(k=1, n=2)
    model = vmrp.Model("p(k, n) ~ x + (1|state)", data, family="binomial")
    idata = model.fit(50, random_seed=1)
    new = data.drop(columns=["k", "n"]).iloc[:4]
    assert predicted(model, idata, data=new)["posterior"]["p"].shape == (1, 50, 4)
    with pytest.raises(vmrp.DataError, match=r"'n' \(needed by the trials of 'p\(k, n\)'"):
        model.predict(idata, "response", new)
    many = predicted(model, idata, kind="response", data=new.assign(n=[0, 1, 10, 1000]))
    y = many["posterior_predictive"]["p(k, n)"]
    assert (y <= np.array([0, 1, 10, 1000])).all()
    assert float(y[..., 3].mean()) > 300
    for bad in (-1, 0.5, np.nan):
        with pytest.raises(vmrp.DataError, match="trials"):
            model.predict(idata, "response", new.assign(n=bad))


@pytest.mark.parametrize("trials", ["n * 2", "10", "np.maximum(n, 3)"])
def test_trials_that_are_computed(survey, trials):
    model = vmrp.Model(f"p(y, {trials}) ~ 1 + (1|state)", survey.assign(n=2), family="binomial")
    idata = model.fit(300, random_seed=1)
    new = survey[["state"]].iloc[:4].assign(n=20)
    y = predicted(model, idata, kind="response", data=new)["posterior_predictive"]
    most = {"n * 2": 40, "10": 10, "np.maximum(n, 3)": 20}[trials]
    assert 0.25 * most < int(y.to_dataset().to_array().max()) <= most


def test_known_sds_of_new_data():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=80), "g": rng.choice(list("abcd"), 80), "s": 0.5})
    model = vmrp.Model("se(y, s) ~ 1 + (1|g)", data, family="gaussian")
    idata = model.fit(4000, random_seed=1)
    new = pd.DataFrame({"g": ["a", "a"], "s": [0.1, 10.0]})
    tree = predicted(model, idata, kind="response", data=new, random_seed=3)
    spread = (tree["posterior_predictive"]["se(y, s)"] - tree["posterior"]["mu"]).std(
        ("chain", "draw")
    )
    np.testing.assert_allclose(spread, [0.1, 10.0], rtol=0.06)
    own = predicted(model, idata, kind="response")
    noise = own["posterior_predictive"]["se(y, s)"] - own["posterior"]["mu"]
    assert float(noise.std()) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(vmrp.DataError, match="'s'"):
        model.predict(idata, "response", new[["g"]])


@pytest.mark.parametrize("family", ["poisson", "negativebinomial", "gaussian"])
def test_offsets_are_included(family):
    simulated = simulate(family, {"gaussian": "identity"}.get(family, "log"), 200, seed=2)
    data = simulated.data.assign(time=np.linspace(1, 3, 200))
    model = vmrp.Model(simulated.formula + " + offset(np.log(time))", data, family=family)
    idata = model.fit(30, random_seed=1)
    own = predicted(model, idata, terms=True)
    np.testing.assert_allclose(
        own["terms"]["offset"], np.broadcast_to(np.log(data["time"]), (1, 30, 200))
    )
    again = predicted(model, idata, data=data, terms=True)
    xr.testing.assert_allclose(own["terms"].to_dataset(), again["terms"].to_dataset())
    parts = own["terms"].to_dataset()
    total = sum(parts[name] for name in parts if name != "linear_predictor")
    np.testing.assert_allclose(total, parts["linear_predictor"], atol=1e-12)
    without = predicted(model, idata, exclude="offset", terms=True)["terms"]
    np.testing.assert_allclose(
        without["linear_predictor"], parts["linear_predictor"] - parts["offset"], atol=1e-12
    )
    free = predicted(model, idata, data=data.drop(columns="time"), exclude="offset")
    assert free["posterior"]["mu"].shape == (1, 30, 200)


def test_weights_do_not_matter(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey.assign(w=2.5), weights="w")
    idata = model.fit(20, random_seed=1)
    own = predicted(model, idata)["posterior"]["p"]
    np.testing.assert_allclose(own, predicted(model, idata, data=survey)["posterior"]["p"])


def test_poststratification_is_the_weighted_mean(model, idata, survey):
    cells = survey.assign(n=np.arange(600) % 7)
    p = predicted(model, idata, data=cells)["posterior"]["p"]
    estimate = vmrp.poststratify(model, idata, cells, by="educ")["posterior"]["estimate"]
    for level, part in cells.groupby("educ"):
        expected = (p.sel(__obs__=part.index) * part["n"].to_numpy()).sum("__obs__")
        np.testing.assert_allclose(estimate.sel(educ=level), expected / part["n"].sum())


def test_after_saving_and_reading(model, idata, survey, tmp_path):
    expected = predicted(model, idata, kind="response", data=survey.iloc[:9], terms=True)
    expected.to_netcdf(tmp_path / "fit.nc")
    read = xr.open_datatree(tmp_path / "fit.nc")
    for group in ("posterior_predictive", "terms"):
        xr.testing.assert_equal(read[group].to_dataset(), expected[group].to_dataset())
    again = predicted(model, read, kind="response", data=survey.iloc[:9], terms=True)
    xr.testing.assert_allclose(again["terms"].to_dataset(), expected["terms"].to_dataset())
    model.predict(read, data=survey.iloc[:2])
    assert read["posterior"]["p"].sizes["__obs__"] == 2


def test_several_chains(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey)
    idata = model.fit(60, inference_method="advi", n=200, random_seed=1, progressbar=False)
    split = idata.copy()
    chains = xr.concat(
        [idata["posterior"].to_dataset().isel(draw=part) for part in (slice(30), slice(30, 60))],
        "chain",
        join="override",
    ).assign_coords(chain=[0, 1])
    split["posterior"] = xr.DataTree(chains)
    for name in list(split.children):
        if name != "posterior":
            del split[name]
    one = predicted(model, idata)["posterior"]["p"].to_numpy()[0]
    two = predicted(model, split)["posterior"]["p"].to_numpy()
    np.testing.assert_array_equal(two.reshape(60, -1), one)


def test_seeds(model, idata):
    draws = [
        predicted(model, idata, kind="response", random_seed=s)["posterior_predictive"]["y"]
        for s in (1, 1, 2)
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mean"}, "'mean'"),
        ({"kind": pd.DataFrame({"x": [1]})}, "data="),
        ({"data": [1, 2]}, "pandas DataFrame"),
        ({"exclude": "z"}, r"'z'.*'Intercept', 'x', 'educ', '1\|state'"),
        ({"exclude": [5]}, "5"),
    ],
)
def test_bad_arguments(model, idata, arguments, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        model.predict(idata, **arguments)


def test_missing_columns_and_values(model, idata, survey):
    with pytest.raises(vmrp.DataError, match="'age'"):
        model.predict(idata, data=survey.drop(columns="age"))
    with pytest.raises(vmrp.DataError, match="missing values in 'x'"):
        model.predict(idata, data=survey.assign(x=np.nan))


def test_too_much_for_the_memory_is_refused(model, idata, monkeypatch):
    from pymc_vmrp.solvers import choose

    monkeypatch.setattr(choose, "physical_memory", lambda: 8e6)
    with pytest.raises(vmrp.DataError, match=r"600 rows with 150 draws.*fewer draws.*terms=True"):
        model.predict(idata, terms=True)
    model.predict(idata.copy(), exclude="x")
    fewer = idata.isel(draw=slice(None, None, 10))
    assert predicted(model, fewer, terms=True)["posterior"].sizes["draw"] == 15


def test_names_that_clash_are_refused(survey):
    data = survey.rename(columns={"male": "linear_predictor"})
    model = vmrp.Model("y ~ linear_predictor + (1|state)", data)
    idata = model.fit(5, random_seed=1)
    with pytest.raises(vmrp.DataError, match=r"'linear_predictor'.*rename"):
        model.predict(idata, terms=True)
    model.predict(idata)
    with pytest.raises(vmrp.FormulaError, match=r"mean response 'p'.*rename"):
        vmrp.Model("y ~ p + (1|state)", survey.rename(columns={"x": "p"}))


def test_means_too_large_to_draw_from():
    simulated = simulate("poisson", "log", 200, seed=3)
    model = vmrp.Model(simulated.formula, simulated.data, family="poisson")
    idata = model.fit(10, random_seed=1)
    far = simulated.data.iloc[:2].assign(x=1e4)
    with pytest.raises(vmrp.DataError, match=r"cannot be drawn.*row 0.*log link.*'x' = 10000"):
        model.predict(idata, "response", far)
    with pytest.warns(UserWarning, match=r"row 0 of data.*'x' = 10000") as told:
        assert np.isinf(predicted(model, idata, data=far)["posterior"]["mu"]).all()
    assert len(told) == 1
