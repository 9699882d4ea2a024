"""Likelihoods that only the graph knows."""

from __future__ import annotations

import numpy as np
import pymc as pm

from benchmarks.pymc_models.common import effects, groups


def zero_inflated_counts() -> pm.Model:
    rng, g = groups(28, n=250, levels=12)
    mu = np.exp(1.1 + rng.normal(0, 0.4, 12))[g]
    y = rng.poisson(mu) * (rng.random(250) < 0.7)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        u = effects(12)
        psi = pm.Beta("psi", 2, 2)
        pm.ZeroInflatedPoisson("y", psi=psi, mu=pm.math.exp(a + u[g]), observed=y)
    return model


def censored_responses() -> pm.Model:
    """Responses above a limit are known to be above it."""
    rng, g = groups(29, n=250, levels=12)
    y = 1 + rng.normal(0, 0.6, 12)[g] + rng.normal(0, 0.8, 250)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 3)
        u = effects(12)
        latent = pm.Normal.dist(a + u[g], pm.HalfNormal("sigma", 1))
        pm.Censored("y", latent, lower=None, upper=1.8, observed=np.minimum(y, 1.8))
    return model


def weibull_survival() -> pm.Model:
    rng, clinic = groups(30, n=250, levels=12)
    treated = rng.integers(0, 2, 250)
    scale = np.exp(0.5 + 0.4 * treated + rng.normal(0, 0.3, 12)[clinic])
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 2), pm.Normal("b", 0, 1)
        sd = pm.HalfNormal("sd", 1)
        z = pm.Normal("z", 0, 1, shape=12)
        shape = pm.Exponential("shape", 1)
        eta = a + b * treated + sd * z[clinic]
        pm.Weibull("y", alpha=shape, beta=pm.math.exp(eta), observed=scale * rng.weibull(1.5, 250))
    return model


def lognormal_with_log_sds() -> pm.Model:
    """Standard deviations as exponentials of Gaussian variables."""
    rng, g = groups(31, n=250, levels=15)
    y = np.exp(1 + rng.normal(0, 0.5, 15)[g] + rng.normal(0, 0.7, 250))
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        log_sd = pm.Normal("log_sd", -1, 1)
        log_sigma = pm.Normal("log_sigma", 0, 1)
        u = pm.Normal("u", mu, pm.math.exp(log_sd), shape=15)
        pm.LogNormal("y", u[g], pm.math.exp(log_sigma), observed=y)
    return model


MODELS = (
    zero_inflated_counts,
    censored_responses,
    weibull_survival,
    lognormal_with_log_sds,
)
