"""Summaries against the draws themselves, and against variances that are simulated."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from benchmarks.simulated_families import simulate
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.written import centred_covariance
from pymc_vmrp.summaries.variance import between_variances, expected_counts, residual_variance


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model("y ~ x + educ + (1 + x|state) + (1|age)", survey)


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(400, random_seed=1)


def by_arviz(idata, names, ci_prob=0.9):
    return az.summary(idata, var_names=names, kind="stats", ci_prob=ci_prob, round_to="none")


def same_numbers(table, expected):
    assert list(table.columns) == list(expected.columns)
    np.testing.assert_allclose(table["sd"], expected["sd"].astype(float), rtol=2e-3)  # ddof
    others = [c for c in table.columns if c != "sd"]
    np.testing.assert_allclose(table[others], expected[others].astype(float), rtol=1e-8)


def test_fixed_effects(model, idata):
    table = vmrp.fixef(model, idata)
    expected = by_arviz(idata, ["Intercept", "x", "educ"])
    assert list(table.index) == ["Intercept", "x", "educ[HS]"] == list(expected.index)
    same_numbers(table, expected)
    assert list(vmrp.fixef(model, idata, ci_prob=0.5).columns[2:]) == ["eti50_lb", "eti50_ub"]


def test_group_effects(model, idata):
    table = vmrp.ranef(model, idata)
    assert table.index.names == ["factor", "level", "effect"]
    assert len(table) == 6 * 2 + 3
    for name, key in (("1|state", "1"), ("x|state", "x")):
        part = table.loc["state"].xs(key, level="effect")
        assert list(part.index) == list("ABCDEF")
        same_numbers(part, by_arviz(idata, [name]))
    same_numbers(table.loc["age"], by_arviz(idata, ["1|age"]))
    wide = table.loc["state"]["mean"].unstack("effect")
    assert wide.shape == (6, 2)


def test_variance_components(model, idata):
    table = vmrp.varcorr(model, idata)
    assert table.index.names == ["factor", "parameter"]
    assert list(table.loc["state"].index) == ["sd(1)", "sd(x)", "corr(1,x)"]
    names = ["1|state_sigma", "x|state_sigma", "1+x|state_corr", "1|age_sigma"]
    same_numbers(table, by_arviz(idata, names))


def test_summary_holds_all_but_the_levels(model, idata):
    table = model.summary(idata, ci_prob=0.8)
    names = ["1|state_sigma", "x|state_sigma", "1+x|state_corr", "1|age_sigma"]
    assert list(table.loc["group_specific"].index) == [*names[:2], "1+x|state_corr[1,x]", names[3]]
    same_numbers(table.loc["group_specific"], by_arviz(idata, names, 0.8))
    assert "likelihood" not in table.index.levels[0]
    pd.testing.assert_frame_equal(
        table.loc["common"], vmrp.fixef(model, idata, ci_prob=0.8), check_names=False
    )


def test_the_likelihoods_parameters():
    simulated = simulate("t", "identity", 200, seed=1)
    model = vmrp.Model(simulated.formula, simulated.data, family="t")
    idata = model.fit(200, random_seed=1)
    assert list(model.summary(idata).loc["likelihood"].index) == ["sigma", "nu"]
    same_numbers(model.summary(idata).loc["likelihood"], by_arviz(idata, ["sigma", "nu"]))
    assert ("residual", "sigma") in vmrp.varcorr(model, idata).index


def test_categories_that_vary_by_group_and_saved_fits(survey, tmp_path):
    model = vmrp.Model("y ~ 1 + (0 + age|state)", survey)
    idata = model.fit(100, random_seed=1)
    table = vmrp.varcorr(model, idata)
    assert "sd(age[35-54])" in table.loc["state"].index
    assert len(table) == 3 + 3
    part = vmrp.ranef(model, idata).loc["state"].xs("age[55+]", level="effect")["mean"]
    expected = idata["posterior"]["age|state"].sel(age__expr_dim="55+").mean(("chain", "draw"))
    np.testing.assert_allclose(part, expected)
    idata.to_netcdf(tmp_path / "fit.nc")
    read = xr.open_datatree(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(model.summary(read), model.summary(idata))


@pytest.mark.filterwarnings("error::pandas.errors.PerformanceWarning")
def test_independent_effects_of_one_factor(survey):
    model = vmrp.Model("y ~ x + (1|state) + (1|age) + (0 + x|state)", survey)
    idata = model.fit(50, random_seed=1)
    wide = vmrp.ranef(model, idata).loc["state"]["mean"].unstack("effect")
    expected = idata["posterior"]["x|state"].mean(("chain", "draw"))
    np.testing.assert_allclose(wide["x"], expected)
    assert list(vmrp.varcorr(model, idata).loc["state"].index) == ["sd(1)", "sd(x)"]
    assert list(vmrp.icc(model, idata).index) == ["1|state", "1|age", "x|state", "all"]


def test_models_without_groups(survey):
    model = vmrp.Model("y ~ x", survey)
    idata = model.fit(50, random_seed=1)
    assert list(model.summary(idata).index) == [("common", "Intercept"), ("common", "x")]
    for function in (vmrp.ranef, vmrp.varcorr, vmrp.icc):
        with pytest.raises(vmrp.DataError, match="no group-specific term"):
            function(model, idata)


def test_group_totals_are_the_lines_of_levels(slopes_model, survey):
    """The prediction of a row is the total of its level, whatever the zero of the predictor."""
    idata = slopes_model.fit(500, random_seed=1, hyperparameters="mean_field")
    totals = vmrp.coef(slopes_model, idata)
    assert list(totals.index.names) == ["factor", "level", "effect"]
    rows = pd.DataFrame({"x": [0.0, 1.0], "male": 0.0, "state": "B", "age": "55+"})
    new = slopes_model.predict(idata, data=rows, terms=True, inplace=False)["terms"]
    names = ("Intercept", "x", "1|state", "x|state")
    line = sum(new[name] for name in names).mean(("chain", "draw")).to_numpy()
    own = totals.loc["state", "B"]["mean"]
    np.testing.assert_allclose([own["1"], own["1"] + own["x"]], line, atol=1e-10)
    categories = vmrp.Model("y ~ educ + (educ|state)", survey)
    fit = categories.fit(50, random_seed=1, hyperparameters="mean_field")
    effect = "educ[HS]"
    own = vmrp.ranef(categories, fit).xs(effect, level="effect")["mean"]
    total = vmrp.coef(categories, fit).xs(effect, level="effect")["mean"]
    np.testing.assert_allclose(total - own, vmrp.fixef(categories, fit).loc[effect, "mean"])
    other = vmrp.Model("y ~ educ + (0 + educ|state)", survey)  # full dummies around a contrast
    fit = other.fit(50, random_seed=1, hyperparameters="mean_field")
    pd.testing.assert_frame_equal(vmrp.coef(other, fit), vmrp.ranef(other, fit))


@pytest.mark.parametrize("ci_prob", [0, 1, 90, "a", True])
def test_bad_probabilities(model, idata, ci_prob):
    with pytest.raises(vmrp.VmrpError, match="ci_prob"):
        model.summary(idata, ci_prob)
    with pytest.raises(vmrp.DataError, match=r"pm\.Model, not a xarray\.DataTree"):
        vmrp.fixef(idata, model)


# --- intraclass correlations -------------------------------------------------------------------

LATENT = {"logit": np.pi**2 / 3, "probit": 1.0, "cloglog": np.pi**2 / 6}


@pytest.mark.parametrize("link", LATENT)
def test_icc_of_binary_responses(link):
    simulated = simulate("bernoulli", link, 300, seed=1)
    model = vmrp.Model(simulated.formula, simulated.data, family="bernoulli", link=link)
    idata = model.fit(300, random_seed=1)
    table = vmrp.icc(model, idata)
    posterior = idata["posterior"]
    g, h = (posterior[f"1|{f}_sigma"].to_numpy()[0] ** 2 for f in "gh")
    share = g / (g + h + LATENT[link])
    assert list(table.index) == ["1|g", "1|h", "all"]
    assert table.loc["1|g", "mean"] == pytest.approx(share.mean())
    assert table.loc["1|g", "eti90_ub"] == pytest.approx(np.quantile(share, 0.95))
    assert table.loc["all", "mean"] == pytest.approx(((g + h) / (g + h + LATENT[link])).mean())


def test_icc_of_gaussian_responses_is_the_correlation_within_groups():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(400), 5)
    y = rng.normal(0, 1.0, 400)[g] + rng.normal(0, 2.0, len(g))
    model = vmrp.Model("y ~ 1 + (1|g)", pd.DataFrame({"y": y, "g": g}), family="gaussian")
    table = vmrp.icc(model, model.fit(500, random_seed=1))
    assert table.loc["1|g", "mean"] == pytest.approx(0.2, abs=0.05)
    pairs = y.reshape(400, 5)
    assert table.loc["1|g", "mean"] == pytest.approx(np.corrcoef(pairs.T)[0, 1:].mean(), abs=0.07)


def draws_at(model, covariances, parameters, beta):
    coefficients = np.zeros((1, model.glmm.n_coefficients))
    coefficients[0, : len(beta)] = beta
    return Draws(coefficients, tuple(c[None] for c in covariances), np.array([parameters]))


def test_variance_of_slopes_is_their_mean_over_the_rows(survey):
    rng = np.random.default_rng(2)
    model = vmrp.Model("y ~ x + (1 + x|state) + (1|age)", survey)
    covariance = np.array([[0.5, 0.2], [0.2, 0.8]])
    centred = centred_covariance(model.glmm.groups[0], covariance)
    draws = draws_at(model, [centred, np.array([[0.3]])], [], [0.1, 0.2])
    u = rng.multivariate_normal([0, 0], covariance, size=200_000)
    x = survey["x"].to_numpy()
    expected = (u[:, 0] + u[:, 1] * rng.choice(x, len(u))).var()
    np.testing.assert_allclose(between_variances(model, draws), [[expected, 0.3]], rtol=0.02)


@pytest.mark.parametrize("family", ["poisson", "negativebinomial", "gamma"])
def test_residual_variances_on_the_log_scale(family):
    """log of the response's variation within groups, were it lognormal (Nakagawa et al. 2017)."""
    simulated = simulate(family, "log", 300, seed=1)
    data = simulated.data.assign(time=np.linspace(1, 3, 300))
    formula = "y ~ x + offset(np.log(time)) + (1 + x|g) + (1|h)"
    model = vmrp.Model(formula, data, family=family)
    covariance = np.array([[0.3, 0.1], [0.1, 0.2]])
    alpha = 2.0
    parameters = [] if family == "poisson" else [alpha]
    draws = draws_at(model, [covariance, np.array([[0.4]])], parameters, [0.5, 0.3])
    rng = np.random.default_rng(1)
    chosen = data.sample(400_000, replace=True, random_state=1)
    x = chosen["x"].to_numpy()
    u = rng.multivariate_normal([0, 0], covariance, size=len(x))
    v = rng.normal(0, np.sqrt(0.4), len(x))
    eta = 0.5 + 0.3 * (x - data["x"].mean()) + u[:, 0] + u[:, 1] * x + v
    rate = (np.exp(eta) * chosen["time"].to_numpy()).mean()
    np.testing.assert_allclose(expected_counts(model, draws), rate, rtol=0.03)
    squared_cv = {
        "poisson": 1 / rate,
        "negativebinomial": 1 / rate + 1 / alpha,
        "gamma": 1 / alpha,
    }[family]
    np.testing.assert_allclose(residual_variance(model, draws), np.log1p(squared_cv), rtol=0.03)
    assert vmrp.icc(model, model.fit(20, random_seed=1)).loc["all", "mean"] < 1


def test_icc_that_is_not_defined():
    simulated = simulate("beta_binomial", "logit", 200, seed=1)
    model = vmrp.Model(simulated.formula, simulated.data, family="beta_binomial")
    with pytest.raises(vmrp.DataError, match=r"'beta_binomial' is not defined"):
        vmrp.icc(model, model.fit(5, random_seed=1))


# --- posterior predictive checks ---------------------------------------------------------------


@pytest.fixture(scope="module")
def replicated(model, idata):
    return model.predict(idata, kind="response", inplace=False, random_seed=1)


@pytest.mark.filterwarnings("ignore:Variables y in")
def test_arviz_draws_posterior_predictive_checks(replicated):
    az.plot_ppc_dist(replicated, num_samples=20)
    az.plot_ppc_tstat(replicated, t_stat="mean")
    az.plot_ppc_pava(replicated)


def test_arviz_draws_rootograms_of_counts():
    simulated = simulate("poisson", "log", 200, seed=1)
    model = vmrp.Model(simulated.formula, simulated.data, family="poisson")
    idata = model.fit(50, random_seed=1)
    model.predict(idata, "response", random_seed=1)
    az.plot_ppc_rootogram(idata)


def test_check_by_group(replicated, survey):
    table = vmrp.ppc_by_group(replicated, survey["state"])
    y = replicated["posterior_predictive"]["y"].to_numpy()[0].astype(float)
    for state, part in survey.groupby("state"):
        row = table.loc[state]
        means = y[:, part.index].mean(1)
        assert row["rows"] == len(part)
        assert row["observed"] == pytest.approx(part["y"].mean())
        assert row["mean"] == pytest.approx(means.mean())
        assert row["eti90_lb"] == pytest.approx(np.quantile(means, 0.05))
        ties = np.isclose(means, part["y"].mean())
        above = ((means > part["y"].mean()) & ~ties).mean() + ties.mean() / 2
        assert row["above"] == pytest.approx(above)
    assert table.index.name == "state"
    shuffled = survey["state"].sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(vmrp.ppc_by_group(replicated, shuffled), table)
    by_position = vmrp.ppc_by_group(replicated, survey["state"].tolist())
    pd.testing.assert_frame_equal(by_position, table, check_names=False)


def test_a_group_the_model_ignores_stands_out(survey):
    data = survey.assign(y=(survey["male"] > 0).astype(int) ^ (np.arange(600) % 5 == 0))
    model = vmrp.Model("y ~ 1 + (1|state)", data)
    idata = model.fit(200, random_seed=1)
    model.predict(idata, "response", random_seed=1)
    table = vmrp.ppc_by_group(idata, data["male"])
    assert table.loc[0.5, "above"] == 0
    assert table.loc[-0.5, "above"] == 1


def test_counts_are_divided_by_trials():
    simulated = simulate("binomial", "logit", 150, seed=1)
    data = simulated.data.assign(w=np.arange(150) % 3 + 1)
    model = vmrp.Model(simulated.formula, data, family="binomial", weights="w")
    idata = model.fit(100, random_seed=1)
    model.predict(idata, "response", random_seed=1)
    table = vmrp.ppc_by_group(idata, data["h"])
    for level, part in data.groupby("h"):
        expected = (part["w"] * part["y"]).sum() / (part["w"] * part["t"]).sum()
        assert table.loc[level, "observed"] == pytest.approx(expected)
    assert (table["mean"] < 1).all()


def test_checks_that_cannot_be_made(model, idata, replicated, survey):
    with pytest.raises(vmrp.DataError, match=r"posterior_predictive.*kind='response'"):
        vmrp.ppc_by_group(idata, survey["state"])
    other = model.predict(idata, "response", survey.iloc[:5], inplace=False)
    with pytest.raises(vmrp.DataError, match="other rows"):
        vmrp.ppc_by_group(other, survey["state"])
    for bad in (survey["state"].tolist()[:5], "state", survey["state"].iloc[:9]):
        with pytest.raises(vmrp.DataError, match="600 rows"):
            vmrp.ppc_by_group(replicated, bad)
    with pytest.raises(vmrp.DataError, match="missing values in 1 rows"):
        vmrp.ppc_by_group(replicated, survey["state"].where(survey.index > 0))


def test_checks_of_a_bambi_fit_are_those_of_the_same_model(survey):
    """Also where the tree is Bambi's own, which has no constant_data."""
    bmb = pytest.importorskip("bambi")
    model = bmb.Model("y ~ x + (1|state)", survey, family="bernoulli")
    idata = vmrp.fit(model, draws=100, random_seed=1, hyperparameters="mean_field")
    with pytest.raises(vmrp.DataError, match=r"no group 'posterior_predictive'.*Bambi"):
        vmrp.ppc_by_group(idata, survey["state"])
    model.predict(idata, kind="response", random_seed=1)
    table = vmrp.ppc_by_group(idata, survey["state"])
    np.testing.assert_allclose(table["observed"], survey.groupby("state")["y"].mean())
    assert (table["mean"] - table["observed"]).abs().max() < 0.1
    bare = idata.copy()
    del bare["constant_data"]
    pd.testing.assert_frame_equal(vmrp.ppc_by_group(bare, survey["state"]), table)
    del bare["observed_data"]
    with pytest.raises(vmrp.DataError, match="no group 'observed_data'"):
        vmrp.ppc_by_group(bare, survey["state"])


def test_checks_of_responses_under_another_dimension(replicated, survey):
    """As pm.sample_posterior_predictive lays them out."""
    groups = {
        name: replicated[name].to_dataset().rename(__obs__="y_dim_0")
        for name in ("posterior_predictive", "observed_data")
    }
    tree = xr.DataTree.from_dict(groups)
    expected = vmrp.ppc_by_group(replicated, survey["state"])
    pd.testing.assert_frame_equal(vmrp.ppc_by_group(tree, survey["state"]), expected)


def test_responses_that_are_not_finite_are_named(replicated, survey):
    bad = replicated.copy(deep=True)
    bad["posterior_predictive"]["y"] = bad["posterior_predictive"]["y"].astype(float)
    bad["posterior_predictive"]["y"][0, 3, 17] = np.nan
    with pytest.raises(vmrp.DataError, match=r"replicated responses of 1 rows.*row 17"):
        vmrp.ppc_by_group(bad, survey["state"])
