"""Intercepts that vary."""

from __future__ import annotations

import numpy as np
import pymc as pm

from benchmarks.pymc_models.common import expit, groups


def _radon() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, county = groups(1, levels=20)
    floor = rng.integers(0, 2, len(county)).astype(float)
    y = 1.4 + rng.normal(0, 0.4, 20)[county] - 0.7 * floor + rng.normal(0, 0.8, len(county))
    return county, floor, y


def radon_centred() -> pm.Model:
    county, floor, y = _radon()
    with pm.Model(coords={"county": np.arange(20), "obs": np.arange(len(y))}) as model:
        idx = pm.Data("county_idx", county, dims="obs")
        on_floor = pm.Data("floor", floor, dims="obs")
        mu_a = pm.Normal("mu_a", 0, 10)
        sigma_a = pm.HalfNormal("sigma_a", 1)
        a = pm.Normal("a", mu_a, sigma_a, dims="county")
        b = pm.Normal("b", 0, 10)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Normal("y", a[idx] + b * on_floor, sigma, observed=y, dims="obs")
    return model


def radon_non_centred() -> pm.Model:
    county, floor, y = _radon()
    with pm.Model(coords={"county": np.arange(20)}) as model:
        mu_a = pm.Normal("mu_a", 0, 10)
        sigma_a = pm.HalfNormal("sigma_a", 1)
        z = pm.Normal("z", 0, 1, dims="county")
        a = pm.Deterministic("a", mu_a + z * sigma_a, dims="county")
        b = pm.Normal("b", 0, 10)
        sigma = pm.HalfNormal("sigma", 1)
        mu = pm.Deterministic("mu", a[county] + b * floor)
        pm.Normal("y", mu=mu, sigma=sigma, observed=y)
    return model


def group_predictor() -> pm.Model:
    """The mean of the intercepts is a regression of its own."""
    rng, county = groups(2, levels=25)
    uranium = rng.normal(size=25)
    y = (1 + 0.7 * uranium + rng.normal(0, 0.3, 25))[county] + rng.normal(0, 0.8, len(county))
    with pm.Model() as model:
        g = pm.Normal("g", 0, 5, shape=2)
        sigma_a = pm.Exponential("sigma_a", 1)
        a = pm.Normal("a", g[0] + g[1] * uranium, sigma_a, shape=25)
        pm.Normal("y", a[county], pm.Exponential("sigma", 1), observed=y)
    return model


def eight_schools() -> pm.Model:
    effect = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    se = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        theta_t = pm.Normal("theta_t", 0, 1, dims="school")
        theta = pm.Deterministic("theta", mu + tau * theta_t, dims="school")
        pm.Normal("obs", theta, sigma=se, observed=effect, dims="school")
    return model


def meta_analysis() -> pm.Model:
    rng = np.random.default_rng(3)
    se = rng.uniform(0.1, 0.4, 24)
    y = rng.normal(0.3, 0.2, 24) + se * rng.normal(size=24)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        tau = pm.HalfNormal("tau", 0.5)
        theta = pm.Normal("theta", mu, tau, shape=24)
        pm.Normal("y", theta, se, observed=y)
    return model


def meta_analysis_precision() -> pm.Model:
    """Precisions in the place of sds, with a gamma prior."""
    rng = np.random.default_rng(4)
    se = rng.uniform(0.1, 0.4, 40)
    y = rng.normal(0.3, 0.5, 40) + se * rng.normal(size=40)
    with pm.Model() as model:
        mu = pm.Flat("mu")
        precision = pm.Gamma("precision", 2, 0.5)
        theta = pm.Normal("theta", mu, tau=precision, shape=40)
        pm.Normal("y", theta, tau=1 / se**2, observed=y)
    return model


def tadpoles() -> pm.Model:
    """Binomial survival in tanks, with the probability as a deterministic."""
    rng = np.random.default_rng(5)
    n = rng.choice([10, 25, 35], 48)
    y = rng.binomial(n, expit(rng.normal(1.3, 1.2, 48)))
    with pm.Model() as model:
        a_bar = pm.Normal("a_bar", 0, 1.5)
        sigma = pm.Exponential("sigma", 1)
        a = pm.Normal("a", a_bar, sigma, shape=48)
        p = pm.Deterministic("p", pm.math.invlogit(a))
        pm.Binomial("survived", n=n, p=p, observed=y)
    return model


def admissions() -> pm.Model:
    """Probabilities of departments, indexed by row after the link."""
    rng, dept = groups(6, n=60, levels=8)
    n = rng.integers(20, 90, 60)
    y = rng.binomial(n, expit(rng.normal(-0.5, 0.8, 8))[dept])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1.5)
        sigma = pm.HalfNormal("sigma", 1)
        alpha = pm.Normal("alpha", mu, sigma, shape=8)
        p = pm.math.invlogit(alpha)
        pm.Binomial("admit", n=n, p=p[dept], observed=y)
    return model


MODELS = (
    radon_centred,
    radon_non_centred,
    group_predictor,
    eight_schools,
    meta_analysis,
    meta_analysis_precision,
    tadpoles,
    admissions,
)
