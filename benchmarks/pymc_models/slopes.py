"""Slopes that vary."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from benchmarks.pymc_models.common import groups


def _slopes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, cafe = groups(seed, n=300, levels=25)
    afternoon = rng.integers(0, 2, 300).astype(float)
    effects = rng.multivariate_normal([3.5, -1], [[0.8, -0.3], [-0.3, 0.3]], 25)
    y = effects[cafe, 0] + effects[cafe, 1] * afternoon + rng.normal(0, 0.6, 300)
    return cafe, afternoon, y


def slopes_lkj_centred() -> pm.Model:
    cafe, afternoon, y = _slopes(7)
    with pm.Model() as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=pm.Exponential.dist(1.0))
        a = pm.Normal("a", 5, 2)
        b = pm.Normal("b", -1, 0.5)
        ab = pm.MvNormal("ab", mu=pt.stack([a, b]), chol=chol, shape=(25, 2))
        mu = ab[cafe, 0] + ab[cafe, 1] * afternoon
        pm.Normal("wait", mu, pm.Exponential("sigma", 1), observed=y)
    return model


def slopes_lkj_non_centred() -> pm.Model:
    cafe, afternoon, y = _slopes(7)
    with pm.Model(coords={"effect": ["a", "b"], "cafe": np.arange(25)}) as model:
        chol, _corr, _sds = pm.LKJCholeskyCov(
            "chol", n=2, eta=2, sd_dist=pm.HalfNormal.dist(1, shape=2), compute_corr=True
        )
        z = pm.Normal("z", 0, 1, dims=("effect", "cafe"))
        u = pm.Deterministic("u", pt.dot(chol, z).T, dims=("cafe", "effect"))
        beta = pm.Normal("beta", 0, 5, dims="effect")
        mu = beta[0] + u[cafe, 0] + (beta[1] + u[cafe, 1]) * afternoon
        pm.Normal("wait", mu, pm.Exponential("sigma", 1), observed=y)
    return model


def slopes_independent() -> pm.Model:
    cafe, afternoon, y = _slopes(8)
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 3, shape=2)
        sd = pm.HalfNormal("sd", 1, shape=2)
        u = pm.Normal("u", mean, sd, shape=(25, 2))
        mu = u[cafe, 0] + u[cafe, 1] * afternoon
        pm.Normal("wait", mu, pm.HalfNormal("sigma", 1), observed=y)
    return model


def repeated_measures() -> pm.Model:
    """Reaction times over days: slopes by person, as deviations."""
    rng = np.random.default_rng(9)
    person, day = np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18)
    y = 250 + rng.normal(0, 25, 18)[person] + (10 + rng.normal(0, 6, 18)[person]) * day
    y = y + rng.normal(0, 25, 180)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", 250, 50)
        slope = pm.Normal("slope", 0, 20)
        s0 = pm.HalfNormal("s0", 40)
        s1 = pm.HalfNormal("s1", 20)
        u0 = pm.Normal("u0", 0, s0, shape=18)
        u1 = pm.Normal("u1", 0, s1, shape=18)
        mu = intercept + u0[person] + (slope + u1[person]) * day
        pm.Normal("y", mu, pm.HalfStudentT("sigma", nu=4, sigma=50.0), observed=y)
    return model


MODELS = (
    slopes_lkj_centred,
    slopes_lkj_non_centred,
    slopes_independent,
    repeated_measures,
)
