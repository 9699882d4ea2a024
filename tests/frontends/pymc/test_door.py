"""Draws of a pm.Model as ``pm.sample`` would return them."""

from __future__ import annotations

import json
import logging

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import pymc_vmrp as vmrp
from benchmarks.pymc_models import SUPPORTED
from pymc_vmrp.errors import VmrpError


@pytest.fixture(scope="module")
def radon():
    model = SUPPORTED["radon_centred"]()
    return model, vmrp.fit(model, draws=500, random_seed=3, progressbar=False)


def test_every_variable_has_its_name_dims_and_coords(radon):
    _, tree = radon
    posterior = tree["posterior"]
    assert set(posterior.data_vars) == {"mu_a", "sigma_a", "a", "b", "sigma"}
    assert posterior["a"].dims == ("chain", "draw", "county")
    assert posterior["county"].values.tolist() == list(range(20))
    assert posterior.sizes["draw"] == 500
    assert (posterior["sigma"] > 0).all()
    assert set(tree.children) >= {"sample_stats", "observed_data", "constant_data", "fit"}
    assert tree.attrs["modeling_interface"] == "pymc"


def test_a_seed_repeats_the_draws(radon):
    model, tree = radon
    again = vmrp.fit(model, draws=500, random_seed=3, progressbar=False)
    np.testing.assert_array_equal(again["posterior"]["a"], tree["posterior"]["a"])


def test_log_joint_is_that_of_pymc(radon):
    """lp − log p(x, θ, y) is the Jacobian between both models' variables: −log 2σ_a here."""
    model, tree = radon
    logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    posterior = tree["posterior"]
    for i in (0, 7):
        point = {name: posterior[name][0, i].to_numpy() for name in posterior.data_vars}
        values = {
            "mu_a": point["mu_a"], "a": point["a"], "b": point["b"],
            "sigma_a_log__": np.log(point["sigma_a"]), "sigma_log__": np.log(point["sigma"]),
        }  # fmt: skip
        s = float(point["sigma_a"])
        # the effects of the GLMM are a − mu_a: no Jacobian; its density is of the variance
        expected = logp(values) - np.log(2 * s)
        assert float(tree["sample_stats"]["lp"][0, i]) == pytest.approx(expected, rel=1e-8)


def test_pymc_goes_on_from_there(radon, caplog):
    model, tree = radon
    few = tree.isel(draw=slice(0, 20))
    with model, caplog.at_level(logging.INFO, logger="pymc"):
        kwargs = {"progressbar": False, "compile_kwargs": {"mode": "FAST_COMPILE"}}
        predicted = pm.sample_posterior_predictive(few, random_seed=1, **kwargs)
        likelihood = pm.compute_log_likelihood(few, extend_inferencedata=False, progressbar=False)
    sampled = [r.message for r in caplog.records if r.message.startswith("Sampling")]
    assert sampled == ["Sampling: [y]"]
    assert predicted["posterior_predictive"]["y"].shape == (1, 20, 300)
    posterior = few["posterior"]
    floor, county = (few["constant_data"][k].to_numpy() for k in ("floor", "county_idx"))
    mean = posterior["a"].to_numpy()[0, 4][county] + float(posterior["b"][0, 4]) * floor
    observed = few["observed_data"]["y"].to_numpy()
    expected = stats.norm(mean, float(posterior["sigma"][0, 4])).logpdf(observed)
    np.testing.assert_allclose(likelihood["y"][0, 4], expected, rtol=1e-6)


def test_new_data(radon):
    model, tree = radon
    few = tree.isel(draw=slice(0, 10))
    with SUPPORTED["radon_centred"]() as fresh:
        new = {"floor": np.array([0.0, 1.0]), "county_idx": np.array([3, 3])}
        pm.set_data(new, coords={"obs": [0, 1]})
        predicted = pm.sample_posterior_predictive(
            few, predictions=True, random_seed=1, progressbar=False,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )  # fmt: skip
    assert fresh is not model
    assert predicted["predictions"]["y"].shape == (1, 10, 2)


def test_deterministics_agree_with_their_parents():
    model = SUPPORTED["slopes_lkj_non_centred"]()
    tree = vmrp.fit(model, draws=40, random_seed=1, progressbar=False)
    posterior = tree["posterior"]
    assert posterior["u"].dims == ("chain", "draw", "cafe", "effect")
    packed, z = posterior["chol"].to_numpy()[0], posterior["z"].to_numpy()[0]
    chol = np.zeros((40, 2, 2))
    chol[:, [0, 1, 1], [0, 0, 1]] = packed
    expected = np.swapaxes(chol @ z, 1, 2)
    np.testing.assert_allclose(posterior["u"][0], expected, rtol=1e-6, atol=1e-8)
    corr = posterior["chol_corr"].to_numpy()[0]
    np.testing.assert_allclose(corr[:, 0, 0], 1, rtol=1e-9)
    assert tree["fit"].attrs["hyperparameters"] == "integrated"


def test_levels_without_rows_come_from_the_prior_given_the_rest():
    rng = np.random.default_rng(2)
    with pm.Model() as model:
        u = pm.Normal("u", 5.0, pm.HalfNormal("s", 1), shape=6)
        pm.Normal("y", u[rng.integers(0, 5, 200)], 0.7, observed=rng.normal(5, 1, 200))
    posterior = vmrp.fit(model, draws=4000, random_seed=1, progressbar=False)["posterior"]
    z = ((posterior["u"][..., 5] - 5.0) / posterior["s"]).to_numpy().ravel()
    assert stats.kstest(z, "norm").pvalue > 0.01


def test_a_conjugate_model_has_its_exact_posterior():
    y = np.array([1.2, 0.4, 2.2, 1.9])
    with pm.Model() as model:
        mu = pm.Normal("mu", 1.0, 2.0)
        pm.Normal("y", mu, 0.5, observed=y)
    draws = vmrp.fit(model, draws=20_000, random_seed=1, progressbar=False)["posterior"]["mu"]
    precision = 1 / 4 + 4 / 0.25
    mean = (1 / 4 + y.sum() / 0.25) / precision
    assert float(draws.mean()) == pytest.approx(mean, abs=0.01)
    assert float(draws.std()) == pytest.approx(precision**-0.5, rel=0.02)


def test_options_are_those_of_approximate(radon):
    model, _ = radon
    with pytest.raises(VmrpError, match="tune="):
        vmrp.fit(model, tune=1000)
    with pytest.raises(VmrpError, match=r"LKJ.*'cavi' or 'nuts'"):
        vmrp.fit(SUPPORTED["slopes_lkj_centred"](), method="gibbs")


@pytest.mark.slow
@pytest.mark.parametrize("centred", [True, False])
def test_radon_minnesota_meets_its_reference(shared, centred):
    import pandas as pd

    folder = shared / "radon_minnesota"
    data = pd.read_csv(folder / "radon_MN.csv")
    file = folder / "radon_contextual_effects_minnesota_halfnormal.json"
    reference = json.loads(file.read_text())
    model = radon_minnesota(data, centred)
    posterior = vmrp.fit(model, draws=20_000, random_seed=1, progressbar=False)["posterior"]
    mean = np.array(reference["IDENTITY_COUNTY_EFFECT_MEAN"])
    sd = np.array(reference["IDENTITY_COUNTY_EFFECT_STANDARD_DEVIATION"])
    found = posterior["county_effect"].to_numpy()[0]
    assert np.abs((found.mean(0) - mean) / sd).max() < 0.05
    assert np.abs(found.std(0) / sd - 1).max() < 0.03


def radon_minnesota(data, centred):
    """The model of the reference: county intercepts, and three common effects."""
    counties = data["county_idx0"].nunique()
    county = data["county_idx0"].to_numpy()
    with pm.Model() as model:
        mu = pm.Normal("county_effect_mean", 0, 1)
        sd = pm.HalfNormal("county_effect_scale", 1)
        weight = pm.Normal("weight", 0, 1, shape=3)
        sigma = pm.HalfNormal("log_radon_scale", 1)
        if centred:
            u = pm.Normal("county_effect", mu, sd, shape=counties)
        else:
            z = pm.Normal("z", 0, 1, shape=counties)
            u = pm.Deterministic("county_effect", mu + sd * z)
        x = data[["log_uranium", "floor", "floor_by_county"]].to_numpy(float)
        pm.Normal("log_radon", u[county] + x @ weight, sigma, observed=data["log_radon"])
    return model


def test_gibbs_draws_have_the_names_of_the_model(radon):
    model, cavi = radon
    tree = vmrp.fit(
        model, method="gibbs", draws=400, tune=100, chains=2, random_seed=1, progressbar=False
    )
    assert tree["posterior"].sizes["chain"] == 2
    assert set(tree["posterior"].data_vars) == set(cavi["posterior"].data_vars)
    assert "lp" in tree["sample_stats"]
    assert "max_rhat" in tree.attrs
    a, b = (t["posterior"]["a"].mean(("chain", "draw")).to_numpy() for t in (tree, cavi))
    sd = cavi["posterior"]["a"].std(("chain", "draw")).to_numpy()
    assert np.abs((a - b) / sd).max() < 0.4


def test_log_likelihood_feeds_loo(radon):
    import arviz as az

    model, _ = radon
    tree = vmrp.fit(model, draws=200, random_seed=1, log_likelihood=True, progressbar=False)
    assert tree["log_likelihood"]["y"].shape == (1, 200, 300)
    corrected = vmrp.resample(tree)
    assert corrected.attrs["pareto_k"] == pytest.approx(tree["fit"].attrs["pareto_k"])
    assert set(corrected["posterior"].data_vars) == set(tree["posterior"].data_vars)
    stats = tree["sample_stats"]
    loo = az.loo_approximate_posterior(
        tree, log_p=stats["lp"].to_numpy(), log_q=stats["log_q"].to_numpy()
    )
    assert np.isfinite(loo.elpd)


def test_more_draws_than_memory_holds_are_refused_before_the_fit(radon):
    model, _ = radon
    with pytest.raises(VmrpError, match="GB of memory"):
        vmrp.fit(model, draws=10**10)
    with model.copy() as copied:
        pm.Deterministic("rows", model["a"][np.arange(20).repeat(1000)])
    with pytest.raises(VmrpError, match="deterministics need"):
        vmrp.fit(copied, draws=10**6)


def test_nuts_is_told_of_a_fit_of_another_model(radon):
    _, tree = radon
    with pytest.raises(vmrp.DataError, match="no variable 'z'"):
        vmrp.fit(SUPPORTED["radon_non_centred"](), method="nuts", warm_start=tree)
    with pm.Model() as model:
        pm.Normal("mu_a", shape=2)
    with pytest.raises(vmrp.DataError, match="'mu_a' has shape"):
        vmrp.fit(model, method="nuts", warm_start=tree)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["pymc", "nutpie"])
def test_nuts_starts_at_a_fit(radon, sampler):
    model, tree = radon
    with model:
        nuts = vmrp.fit(
            method="nuts", warm_start=tree, draws=300, chains=2, cores=1, random_seed=1,
            nuts_sampler=sampler, progressbar=False,
        )  # fmt: skip
    assert nuts["posterior"].sizes == {"chain": 2, "draw": 300, "county": 20}
    a, b = (t["posterior"]["a"].mean(("chain", "draw")).to_numpy() for t in (nuts, tree))
    assert np.abs((a - b) / tree["posterior"]["a"].std(("chain", "draw")).to_numpy()).max() < 0.4


def _ceiling():
    x = np.linspace(0, 2, 100)
    a, b = pm.Normal("a", 0, 5), pm.Normal("b", 0, 10)
    y = np.minimum(5 + 30 * x, 40) + np.random.default_rng(1).normal(size=100)
    pm.Normal("y", pm.math.minimum(a + b * x, 40.0), pm.HalfNormal("sigma", 2), observed=y)


def _cap_of_all_rows_but_one():
    """The first row alone tells σ from min(σ, 4)."""
    cap = np.full(100, 4.0)
    cap[0] = 1e9
    y = 2 + 6 * np.random.default_rng(1).normal(size=100)
    sigma = pm.math.minimum(pm.HalfNormal("sigma", 10), cap)
    pm.Normal("y", pm.Normal("a", 0, 10), sigma, observed=y)


@pytest.mark.parametrize("make", [_ceiling, _cap_of_all_rows_but_one])
@pytest.mark.parametrize("method", ["cavi", "gibbs"])
def test_what_is_another_model_where_the_posterior_is(make, method):
    """The reader looks at ordinary values; the draws of the fit tell that they were not enough."""
    with pm.Model() as model:
        make()
    with pytest.raises(vmrp.ModelError, match="another one where its posterior is"):
        vmrp.fit(model, method=method, draws=50, random_seed=1, progressbar=False)
