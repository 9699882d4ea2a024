"""The DataTree contract."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import pymc_vmrp as vmrp
from pymc_vmrp.results.idata import read_draws


@pytest.fixture(scope="module")
def idata(slopes_model):
    return slopes_model.fit(400, random_seed=1, log_likelihood=True, hyperparameters="mean_field")


def test_names_dims_and_coords(idata):
    posterior = idata["posterior"]
    dims = {name: variable.dims[2:] for name, variable in posterior.data_vars.items()}
    assert dims == {
        "Intercept": (),
        "x": (),
        "male": (),
        "1|state": ("state__factor_dim",),
        "x|state": ("state__factor_dim",),
        "1|state_sigma": (),
        "x|state_sigma": (),
        "1+x|state_corr": ("1+x|state__corr_dim",),
        "1|age": ("age__factor_dim",),
        "1|age_sigma": (),
    }
    assert posterior.sizes["chain"] == 1
    assert posterior.sizes["draw"] == 400
    assert set(posterior.coords) == set(posterior.dims)  # no stray scalar coordinates
    assert list(posterior["state__factor_dim"].values) == list("ABCDEF")
    assert list(posterior["1+x|state__corr_dim"].values) == ["1,x"]


def test_groups_and_attributes(idata, slopes_model):
    assert set(idata.children) == {
        "posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data", "fit",
    }  # fmt: skip
    assert idata.attrs["inference_library"] == "pymc_vmrp"
    assert idata.attrs["formula"] == slopes_model.formula
    assert idata["posterior"].attrs["modeling_interface"] == "pymc_vmrp"
    fit = idata["fit"]
    assert fit.attrs["converged"] == 1
    assert fit.attrs["bound"] == "quadrature"
    assert (np.diff(fit["elbo"]) > -1e-6).all()


def test_draws_have_the_moments_of_q(idata):
    posterior = idata["posterior"].to_dataset()
    for name in ("Intercept", "x", "1|state", "x|state", "1|age"):
        mean, sd = idata[f"fit/mean/{name}"], idata[f"fit/sd/{name}"]
        draws = posterior[name]
        np.testing.assert_array_less(abs(draws.mean(("chain", "draw")) - mean) / sd, 4 / 20)
        np.testing.assert_allclose(draws.std(("chain", "draw")) / sd, 1, atol=0.15)


def test_intercept_is_reported_as_written(slopes_model, survey):
    """η computed from the named draws alone, on the raw data, is that of the coefficient vector."""
    posterior = slopes_model.fit(3, random_seed=2, hyperparameters="mean_field")["posterior"].isel(
        chain=0, draw=1
    )
    state = xr.DataArray(survey["state"].to_numpy(), dims="row")
    age = xr.DataArray(survey["age"].to_numpy(), dims="row")
    x, male = (xr.DataArray(survey[c].to_numpy(), dims="row") for c in ("x", "male"))
    eta = (
        posterior["Intercept"]
        + posterior["x"] * x
        + posterior["male"] * male
        + posterior["1|state"].sel(state__factor_dim=state)
        + posterior["x|state"].sel(state__factor_dim=state) * x
        + posterior["1|age"].sel(age__factor_dim=age)
    )
    draws = slopes_model.approximate(hyperparameters="mean_field").sample(3, 2)
    glmm = slopes_model.glmm
    expected = glmm.rows.dense(glmm.n_coefficients) @ draws.coefficients[1]
    np.testing.assert_allclose(eta, expected[slopes_model.observations.cell], atol=1e-10)


def test_log_likelihood_is_per_respondent(idata, slopes_model, survey):
    values = idata["log_likelihood"]["y"]
    assert values.shape == (1, 400, 600)
    lp = idata["sample_stats"]["lp"]
    sample = read_draws(slopes_model.glmm, idata)
    eta = (
        sample.coefficients[0, 7]
        @ slopes_model.glmm.rows.dense(21 - 3)[slopes_model.observations.cell].T
    )
    expected = np.where(survey["y"] == 1, np.log(expit(eta)), np.log(expit(-eta)))
    np.testing.assert_allclose(values[0, 7], expected, rtol=1e-9)
    assert np.isfinite(lp).all()


def test_sample_stats_make_importance_weights(idata):
    stats = idata["sample_stats"]
    ratio = (stats["lp"] - stats["log_q"]).values
    assert ratio.std() < 10
    assert ratio.mean() > idata["fit"]["elbo"].values[-1] - 5


def test_read_draws_undoes_the_names(slopes_model):
    q = slopes_model.approximate(hyperparameters="mean_field")
    tree = slopes_model.fit(50, random_seed=5, hyperparameters="mean_field")
    expected = q.sample(50, 5)
    actual = read_draws(slopes_model.glmm, tree)
    np.testing.assert_allclose(actual.coefficients[0], expected.coefficients, atol=1e-12)
    for a, b in zip(actual.covariances, expected.covariances, strict=True):
        np.testing.assert_allclose(a[0], b, atol=1e-12)


def test_read_draws_round_trips_categorical_slopes(survey):
    model = vmrp.Model("y ~ educ + age + (age|state) + (0 + age|educ)", survey)
    tree = model.fit(20, random_seed=3, hyperparameters="mean_field")
    expected = model.approximate(hyperparameters="mean_field").sample(20, 3)
    actual = read_draws(model.glmm, tree)
    np.testing.assert_allclose(actual.coefficients[0], expected.coefficients, atol=1e-12)
    # (age|state) codes contrasts, (0 + age|educ) all levels: their dimensions must differ
    assert tree["posterior"]["age|state"].shape[2:] == (2, 6)
    assert tree["posterior"]["age|educ"].shape[2:] == (3, 2)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["x", "educ", "age"]), st.integers(1, 4))
def test_any_model_survives_being_saved(survey, tmp_path_factory, seed, slope, draws):
    model = vmrp.Model(f"y ~ x + educ + ({slope}|state) + (1|age:educ)", survey)
    tree = model.fit(draws, random_seed=seed, hyperparameters="mean_field")
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    tree.to_netcdf(path, engine="h5netcdf")
    back = az.from_netcdf(path)
    xr.testing.assert_identical(tree["posterior"].to_dataset(), back["posterior"].to_dataset())
    before, after = (read_draws(model.glmm, t).coefficients for t in (tree, back))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_saved_and_read_back(idata, tmp_path, kind):
    if kind == "netcdf":
        idata.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
        back = az.from_netcdf(tmp_path / "fit.nc")
    else:
        idata.to_zarr(tmp_path / "fit.zarr", consolidated=False)
        back = az.from_zarr(tmp_path / "fit.zarr")
    xr.testing.assert_identical(idata["posterior"].to_dataset(), back["posterior"].to_dataset())
    assert back["fit"].attrs["converged"] == 1
    np.testing.assert_array_equal(back["fit/sd/1|state"], idata["fit/sd/1|state"])


def test_arviz_takes_it_as_it_is(idata):
    table = az.summary(idata, kind="stats")
    assert "1|state[A]" in table.index
    assert float(az.loo(idata, var_name="y").elpd) < 0


def test_another_models_draws_are_refused(idata, survey, intercepts_model):
    fewer = vmrp.Model("y ~ x + male + (1 + x|state) + (1|age)", survey.query("state != 'F'"))
    flipped = vmrp.Model("y ~ x + male + (1 + x|state) + (1|age)", survey.assign(y=1 - survey.y))
    for other in (intercepts_model, fewer, flipped):
        with pytest.raises(vmrp.DataError, match="another model or to other data"):
            read_draws(other.glmm, idata)
    bare = xr.DataTree.from_dict({"posterior": idata["posterior"].to_dataset()})  # no digest
    with pytest.raises(vmrp.DataError, match="no variable"):
        read_draws(intercepts_model.glmm, bare)
    with pytest.raises(vmrp.DataError, match="state__factor_dim"):
        read_draws(fewer.glmm, bare)
    for nothing in (
        xr.DataTree(),
        None,
        "fit.nc",
        intercepts_model.approximate(hyperparameters="mean_field"),
    ):
        with pytest.raises(vmrp.DataError, match="posterior"):
            read_draws(fewer.glmm, nothing)


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_product([range(6), range(100)]),
        pd.date_range("2020-01-01", periods=600, tz="UTC"),
        pd.Index(["a", 1] * 300, dtype=object),
    ],
)
def test_any_index_of_the_rows_can_be_saved(survey, tmp_path, index):
    tree = vmrp.Model("y ~ (1|state)", survey.set_index(index)).fit(2, hyperparameters="mean_field")
    tree.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")


def test_observed_data_keep_the_order_and_index_of_the_rows(survey):
    shuffled = survey.sample(frac=1, random_state=0)
    tree = vmrp.Model("y ~ (1|state)", shuffled).fit(2, hyperparameters="mean_field")
    np.testing.assert_array_equal(tree["observed_data"]["y"], shuffled["y"])
    np.testing.assert_array_equal(tree["observed_data"]["__obs__"], shuffled.index)


def test_binomial_rows(survey):
    counted = survey.groupby("state", as_index=False).agg(s=("y", "sum"), n=("y", "size"))
    tree = vmrp.Model("p(s, n) ~ (1|state)", counted, family="binomial").fit(
        4, log_likelihood=True, random_seed=0, hyperparameters="mean_field"
    )
    np.testing.assert_array_equal(tree["constant_data"]["trials"], counted["n"])
    assert isinstance(counted, pd.DataFrame)
    assert (tree["log_likelihood"]["p(s, n)"] < 0).all()


def test_same_seed_same_draws(slopes_model):
    a, b = (
        slopes_model.fit(5, random_seed=9, hyperparameters="mean_field")["posterior"].to_dataset()
        for _ in range(2)
    )
    xr.testing.assert_identical(a, b)
