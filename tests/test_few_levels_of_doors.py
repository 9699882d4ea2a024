"""Factors with two or three levels, where the model came from Bambi or PyMC."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import pymc_vmrp as vmrp

CAVI = {"hyperparameters": "mean_field"}
GIBBS = {"method": "gibbs", "tune": 5, "chains": 2}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 120
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "two": rng.choice(["f", "m"], n),
            "three": rng.choice(list("abc"), n),
            "six": rng.choice(list("abcdef"), n),
        }
    )
    frame["y"] = rng.integers(0, 2, n)
    frame["z"] = 100 * (frame["x"] + rng.normal(size=n))
    return frame


def told(model, options=CAVI):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vmrp.fit(model, draws=5, random_seed=1, progressbar=False, **options)
    found = [w for w in caught if issubclass(w.category, vmrp.PriorWarning)]
    assert all(w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


@pytest.fixture(scope="module")
def bmb():
    return pytest.importorskip("bambi")


@pytest.mark.parametrize("options", [CAVI, GIBBS])
def test_a_bambi_model_is_told_once(bmb, data, options):
    formula = "y ~ x + (x|two) + (1|three) + (1|six)"
    (message,) = told(bmb.Model(formula, data, family="bernoulli"), options)
    for part in ("'1|two' (2 levels)", "'x|two' (2 levels)", "'1|three' (3 levels)"):
        assert part in message
    assert "priors={'1|two': bmb.Prior(\"Normal\", mu=0, sigma=bmb.Prior(" in message
    assert "six" not in message


@pytest.mark.parametrize("built", [True, False])
def test_who_gave_bambi_a_prior_is_not(bmb, data, built):
    prior = bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=0.5))
    model = bmb.Model("y ~ x + (1|two)", data, family="bernoulli", priors={"1|two": prior})
    later = bmb.Model("y ~ x + (1|two)", data, family="bernoulli")
    later.set_priors(group_specific=prior)
    if built:
        model.build()
        later.build()
    assert not told(model)
    assert not told(later)


def pymc_model(data, sd, gaussian=False, slope=False):
    codes = pd.factorize(data["two"])[0]
    with pm.Model() as model:
        a = pm.Normal("a", 0, 100 if gaussian else 1)
        sigma_u = sd("sigma_u")
        u = pm.Normal("u", 0, sigma_u, shape=2)
        eta = a + u[codes] * (data["x"].to_numpy() / 1000 if slope else 1.0)
        if gaussian:
            pm.Normal("y", eta, pm.HalfNormal("s", 100), observed=data["z"].to_numpy())
        else:
            pm.Bernoulli("y", logit_p=eta, observed=data["y"].to_numpy())
    return model


WIDE = [
    (lambda name: pm.HalfCauchy(name, 2.5), {}),
    (lambda name: pm.Uniform(name, 0, 100), {}),
    (lambda name: pm.HalfNormal(name, 1000), {"gaussian": True}),
]
NARROW = [
    (lambda name: pm.HalfNormal(name, 1), {}),
    (lambda name: pm.Exponential(name, 1), {}),
    (lambda name: pm.HalfNormal(name, 50), {"gaussian": True}),
    (lambda name: pm.HalfNormal(name, 1000), {"slope": True}),  # of a predictor of sd 0.001
]


@pytest.mark.parametrize(("sd", "options"), WIDE)
def test_a_pymc_model_with_a_wide_prior_is_told_once(data, sd, options):
    (message,) = told(pymc_model(data, sd, **options))
    assert "'u' (2 levels)" in message
    assert "pm.HalfNormal" in message
    assert "'sigma_u'" in message


@pytest.mark.parametrize(("sd", "options"), NARROW)
def test_a_pymc_model_with_a_narrow_prior_is_not(data, sd, options):
    assert not told(pymc_model(data, sd, **options))


def test_many_levels_of_a_pymc_model_are_silent(data):
    codes = pd.factorize(data["six"])[0]
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfCauchy("sigma_u", 2.5), shape=6)
        pm.Bernoulli("y", logit_p=u[codes], observed=data["y"].to_numpy())
    assert not told(model)


def test_correlated_effects_of_a_pymc_model(data):
    codes = pd.factorize(data["three"])[0]
    with pm.Model() as model:
        sd = pm.HalfCauchy.dist(2.5, shape=2)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=sd)
        z = pm.Normal("z", 0, 1, shape=(3, 2))
        u = pm.Deterministic("u", z @ chol.T)
        eta = u[codes, 0] + u[codes, 1] * data["x"].to_numpy()
        pm.Bernoulli("y", logit_p=eta, observed=data["y"].to_numpy())
    (message,) = told(model)
    assert "'z' (3 levels)" in message
    assert "'chol'" in message
