"""The group log_prior, against PyMC on the same model, and ArviZ's power-scaling on it."""

from __future__ import annotations

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.mcmc.free_values import free_values
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.results.log_prior import log_prior_variables

PRIORS = {
    "Intercept": vmrp.Normal(0.3, 2),
    "x": vmrp.StudentT(4, 0.1, 0.7),
    "educ": vmrp.Laplace(0, 0.5),
    "age": "flat",
    "1|state": vmrp.HalfNormal(0.8),
    "x|state": vmrp.Gamma(2, 3),
    "sigma": vmrp.Exponential(2),
}


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model(
        "z ~ x + educ + age + (1 + x||state)",
        survey.assign(z=survey["x"] + survey["y"]),
        family="gaussian",
        priors=PRIORS,
    )


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(
        200, random_seed=1, hyperparameters="mean_field", log_prior=True, log_likelihood=True
    )


def test_densities_are_those_of_pymc(model, idata):
    """Each variable at each of some draws, by pm.compute_log_prior on ``to_pymc()``."""
    draws = read_draws(model.glmm, idata).flat()
    points = [free_values(model.glmm, draws, s) for s in range(5)]
    pymc_model = model.to_pymc()
    names = [v.name for v in pymc_model.free_RVs]
    stacked = {name: np.stack([point[name] for point in points])[None] for name in names}
    dims = {name: pymc_model.named_vars_to_dims.get(name, ()) for name in names}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {name: (("chain", "draw", *dims[name]), value) for name, value in stacked.items()}
            )
        }
    )
    theirs = pm.stats.compute_log_prior(tree, model=pymc_model, progressbar=False)["log_prior"]
    ours = idata["log_prior"]
    shared = [name for name in names if not name.endswith("_offset")]
    assert set(shared) == set(ours.data_vars)
    for name in shared:
        expected = theirs[name].to_numpy()
        found = ours[name].isel(draw=slice(5)).to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_power_scaling_runs_and_tells_a_strong_prior_from_a_weak_one(survey):
    found = {}
    for name, sd in (("weak", 5.0), ("strong", 0.02)):
        model = vmrp.Model("y ~ x + (1|state)", survey, priors={"x": vmrp.Normal(0, sd)})
        idata = model.fit(1000, random_seed=1, log_prior=True, log_likelihood=True)
        found[name] = az.psense_summary(idata, var_names=["x"], prior_var_names=["x"])
    assert found["strong"].loc["x", "prior"] > 3 * found["weak"].loc["x", "prior"]


def test_without_asking_there_is_none(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey)
    assert "log_prior" not in model.fit(5, hyperparameters="mean_field").children


def test_of_correlated_effects_it_is_the_density_of_sds_and_correlation(survey):
    """Integrated over the correlation it is that of the sds: the priors given, times each other."""
    prior = vmrp.LKJ(2, vmrp.HalfNormal(1))
    model = vmrp.Model(
        "y ~ x + (x|state)", survey, priors={"1+x|state": prior}, center_predictors=False
    )
    glmm = model.glmm
    rho = np.tanh(np.linspace(-9, 9, 4001))
    sigma = np.array([0.7, 1.3])
    correlation = np.array([[[1.0, r], [r, 1.0]] for r in rho])
    covariances = correlation * np.outer(sigma, sigma)
    n = len(rho)
    draws = Draws(np.zeros((1, n, glmm.n_coefficients)), (covariances[None],), np.zeros((1, n, 0)))
    density = np.exp(log_prior_variables(glmm, draws)["1+x|state_corr"][1][0])
    expected = np.prod(stats.halfnorm.pdf(sigma))
    assert np.trapezoid(density, rho) == pytest.approx(expected, rel=1e-3)


def test_a_horseshoe_has_one_joint_density(survey):
    model = vmrp.Model("y ~ x + male + (1|state)", survey, priors={"common": vmrp.Horseshoe()})
    idata = model.fit(5, random_seed=1, log_prior=True)
    assert {"common_horseshoe", "1|state_sigma", "Intercept"} <= set(idata["log_prior"].data_vars)
    assert (idata["log_prior"]["x"] == 0).all()


def test_bambi_fits_have_it_under_bambis_names(survey):
    bmb = pytest.importorskip("bambi")
    model = bmb.Model("y ~ x + (1|state)", survey, family="bernoulli")
    idata = vmrp.fit(
        model, draws=50, random_seed=1, hyperparameters="mean_field",
        idata_kwargs={"log_prior": True, "log_likelihood": True},
    )  # fmt: skip
    density = idata["log_prior"]
    assert set(density.data_vars) == {"Intercept", "x", "1|state_sigma"}
    term = model.parameters["p"].group_specific_terms["1|state"]
    sd = float(term.prior.args["sigma"].args["sigma"])
    sigma = idata["posterior"]["1|state_sigma"].to_numpy()
    np.testing.assert_allclose(density["1|state_sigma"], stats.halfnorm(scale=sd).logpdf(sigma))


def test_a_pymc_model_has_what_pymc_computes(survey):
    codes = survey["state"].map(dict(zip("ABCDEF", range(6), strict=True))).to_numpy()
    with pm.Model() as model:
        sigma = pm.HalfNormal("sigma", 1)
        u = pm.Normal("u", 0, sigma, shape=6)
        pm.Bernoulli("y", logit_p=u[codes], observed=survey["y"].to_numpy())
    idata = vmrp.fit(
        model, draws=20, random_seed=1, log_prior=True, progressbar=False,
        hyperparameters="mean_field",
    )  # fmt: skip
    np.testing.assert_allclose(
        idata["log_prior"]["sigma"], stats.halfnorm.logpdf(idata["posterior"]["sigma"]), rtol=1e-6
    )


def test_unknown_idata_kwargs(survey):
    bmb = pytest.importorskip("bambi")
    model = bmb.Model("y ~ x + (1|state)", survey, family="bernoulli")
    with pytest.raises(vmrp.VmrpError, match="idata_kwargs has 'include_transformed'"):
        vmrp.fit(model, idata_kwargs={"include_transformed": True})
