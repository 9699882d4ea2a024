"""Crossed and nested designs, smooths, walks, and other families."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from benchmarks.pymc_models.common import effects, expit, groups


def irt_1pl() -> pm.Model:
    rng = np.random.default_rng(10)
    ability, difficulty = rng.normal(0, 1, 40), rng.normal(0, 0.8, 12)
    person, item = np.divmod(np.arange(40 * 12), 12)
    y = (rng.random(480) < expit(ability[person] - difficulty[item])).astype(int)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        theta = pm.Normal("theta", 0, 1, shape=40)
        sd = pm.HalfNormal("sd", 1)
        b = pm.Normal("b", mu, sd, shape=12)
        pm.Bernoulli("y", logit_p=theta[person] - b[item], observed=y)
    return model


def crossed_effects() -> pm.Model:
    """Opinion by state, age and education, as in multilevel regression and poststratification."""
    rng, state = groups(11, n=500, levels=20)
    age, educ = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    female = rng.integers(0, 2, 500).astype(float)
    vote = rng.normal(size=20)
    eta = (0.5 * vote + rng.normal(0, 0.4, 20))[state] + rng.normal(0, 0.4, 4)[age] - 0.2 * female
    y = (rng.random(500) < expit(eta)).astype(int)
    with pm.Model(coords={"state": np.arange(20), "age": range(4), "educ": range(4)}) as model:
        b = pm.Normal("b", 0, 2.5, shape=3)
        s = {name: pm.HalfNormal(f"sd_{name}", 1) for name in ("state", "age", "educ")}
        u_state = pm.Normal("u_state", b[2] * vote, s["state"], dims="state")
        u_age = pm.Normal("u_age", 0, s["age"], dims="age")
        u_educ = pm.Normal("u_educ", 0, s["educ"], dims="educ")
        eta_ = b[0] + b[1] * female + u_state[state] + u_age[age] + u_educ[educ]
        pm.Bernoulli("y", p=pm.math.sigmoid(eta_), observed=y)
    return model


def poisson_overdispersed() -> pm.Model:
    """A normal effect of each observation."""
    rng, site = groups(12, n=150, levels=15)
    exposure = rng.uniform(1, 5, 150)
    eta = 0.5 + rng.normal(0, 0.5, 15)[site] + rng.normal(0, 0.4, 150)
    y = rng.poisson(exposure * np.exp(eta))
    with pm.Model() as model:
        alpha = pm.Normal("alpha", 0, 2)
        sd_site = pm.HalfNormal("sd_site", 1)
        sd_obs = pm.HalfNormal("sd_obs", 1)
        u = pm.Normal("u", 0, sd_site, shape=15)
        e = pm.Normal("e", 0, sd_obs, shape=150)
        log_rate = alpha + u[site] + e + np.log(exposure)
        pm.Poisson("y", mu=pm.math.exp(log_rate), observed=y)
    return model


def negative_binomial() -> pm.Model:
    rng, block = groups(13, n=250, levels=15)
    x = rng.normal(size=250)
    mu = np.exp(1 + 0.4 * x + rng.normal(0, 0.4, 15)[block])
    y = rng.poisson(mu * rng.gamma(2, 0.5, 250))
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        sd = pm.HalfNormal("sd", 1)
        z = pm.Normal("z", 0, 1, shape=15)
        rate = pt.exp(b[0] + b[1] * x + sd * z[block])
        pm.NegativeBinomial("y", mu=rate, alpha=pm.Exponential("alpha", 0.5), observed=y)
    return model


def bradley_terry() -> pm.Model:
    """Strengths of teams; a match touches two of them."""
    rng = np.random.default_rng(14)
    first = rng.integers(0, 14, 250)
    second = (first + rng.integers(1, 14, 250)) % 14
    strength = rng.normal(0, 0.8, 14)
    y = (rng.random(250) < expit(0.2 + strength[first] - strength[second])).astype(int)
    with pm.Model() as model:
        home = pm.Normal("home", 0, 1)
        sd = pm.HalfNormal("sd", 1)
        team = pm.Normal("team", 0, sd, shape=14)
        pm.Bernoulli("win", logit_p=home + team[first] - team[second], observed=y)
    return model


def zero_sum() -> pm.Model:
    rng, g = groups(15, n=200, levels=9)
    y = (rng.random(200) < expit(0.3 + rng.normal(0, 0.8, 9)[g])).astype(int)
    with pm.Model(coords={"g": np.arange(9)}) as model:
        alpha = pm.Normal("alpha", 0, 1.5)
        sd = pm.HalfNormal("sd", 1)
        u = pm.ZeroSumNormal("u", sigma=sd, dims="g")
        pm.Bernoulli("y", logit_p=alpha + u[g], observed=y)
    return model


def splines_by_hand() -> pm.Model:
    rng = np.random.default_rng(16)
    x = np.sort(rng.uniform(0, 1, 200))
    centres = np.linspace(0, 1, 15)
    basis = np.exp(-0.5 * ((x[:, None] - centres) / 0.08) ** 2)
    y = np.sin(6 * x) + rng.normal(0, 0.3, 200)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        tau = pm.HalfNormal("tau", 1)
        w = pm.Normal("w", 0, tau, shape=15)
        pm.Normal("y", a + pm.math.dot(basis, w), pm.HalfNormal("sigma", 1), observed=y)
    return model


def random_walk() -> pm.Model:
    """A trend over 30 periods, whose steps are normal."""
    rng = np.random.default_rng(17)
    period = rng.integers(0, 30, 300)
    trend = np.cumsum(rng.normal(0, 0.2, 30))
    y = rng.poisson(np.exp(1 + trend[period]))
    with pm.Model() as model:
        step = pm.HalfNormal("step", 0.5)
        first = pm.Normal.dist(1, 1)
        walk = pm.GaussianRandomWalk("walk", mu=0, sigma=step, init_dist=first, steps=29)
        pm.Poisson("y", mu=pm.math.exp(walk[period]), observed=y)
    return model


def hierarchical_probit() -> pm.Model:
    rng, g = groups(18, n=400, levels=16)
    x = rng.normal(size=400)
    y = (0.3 + 0.6 * x + rng.normal(0, 0.5, 16)[g] + rng.normal(size=400) > 0).astype(int)
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 1, shape=2)
        tau = pm.HalfStudentT("tau", nu=3, sigma=1)
        u = pm.Normal("u", 0, tau, shape=16)
        eta = pt.stack([np.ones(400), x], axis=1) @ beta + u[g]
        pm.Bernoulli("y", p=pm.math.invprobit(eta), observed=y)
    return model


def nested_hierarchy() -> pm.Model:
    """Classes in schools: the means of one level are the effects of the next."""
    rng = np.random.default_rng(19)
    school_of = np.repeat(np.arange(12), 4)
    cls = rng.integers(0, 48, 400)
    y = (rng.normal(0, 0.6, 12)[school_of] + rng.normal(0, 0.4, 48))[cls] + rng.normal(size=400)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        sd_school = pm.HalfNormal("sd_school", 1)
        sd_class = pm.HalfNormal("sd_class", 1)
        school = pm.Normal("school", mu, sd_school, shape=12)
        klass = pm.Normal("class", school[school_of], sd_class, shape=48)
        pm.Normal("y", klass[cls], pm.HalfNormal("sigma", 1), observed=y)
    return model


def shared_sd() -> pm.Model:
    """Two factors of one standard deviation."""
    rng, a = groups(20, n=250, levels=10)
    b = rng.integers(0, 8, 250)
    y = rng.normal(0, 0.7, 10)[a] + rng.normal(0, 0.7, 8)[b] + rng.normal(0, 1, 250)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=10)
        v = pm.Normal("v", 0, 1, shape=8)
        pm.Normal("y", mu + u[a] + sd * v[b], pm.HalfNormal("sigma", 1), observed=y)
    return model


def robust_regression() -> pm.Model:
    rng, g = groups(21, n=200, levels=10)
    x = rng.normal(size=200)
    y = 1 + 0.5 * x + rng.normal(0, 0.5, 10)[g] + 0.6 * rng.standard_t(3, 200)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        u = effects(10)
        sigma = pm.HalfNormal("sigma", 1)
        nu = pm.Gamma("nu", 2, 0.1)
        pm.StudentT("y", nu=nu, mu=b[0] + b[1] * x + u[g], sigma=sigma, observed=y)
    return model


def beta_binomial() -> pm.Model:
    rng, g = groups(22, n=120, levels=12)
    n = rng.integers(10, 40, 120)
    mu = expit(-0.4 + rng.normal(0, 0.5, 12)[g])
    y = rng.binomial(n, rng.beta(12 * mu, 12 * (1 - mu)))
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1.5)
        sd = pm.Exponential("sd", 1)
        u = pm.Normal("u", 0, sd, shape=12)
        p = pm.math.invlogit(a + u[g])
        theta = pm.Exponential("theta", 0.1)
        pm.BetaBinomial("y", n=n, alpha=p * theta, beta=(1 - p) * theta, observed=y)
    return model


def gamma_durations() -> pm.Model:
    rng, g = groups(23, n=200, levels=12)
    mu = np.exp(1 + rng.normal(0, 0.4, 12)[g])
    y = rng.gamma(3, mu / 3)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        u = effects(12)
        rate = pm.math.exp(a + u[g])
        shape = pm.Exponential("shape", 0.3)
        pm.Gamma("y", alpha=shape, beta=shape / rate, observed=y)
    return model


def beta_regression() -> pm.Model:
    """No family of the package: its derivatives are PyTensor's."""
    rng, g = groups(24, n=150, levels=10)
    x = rng.normal(size=150)
    mu = expit(0.2 + 0.5 * x + rng.normal(0, 0.4, 10)[g])
    y = np.clip(rng.beta(15 * mu, 15 * (1 - mu)), 1e-4, 1 - 1e-4)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        u = effects(10)
        mean = pm.math.invlogit(b[0] + b[1] * x + u[g])
        pm.Beta("y", mu=mean, nu=pm.Gamma("nu", 2, 0.1), observed=y)
    return model


def log_sd() -> pm.Model:
    """A standard deviation with a lower limit, and a lognormal one."""
    rng, g = groups(25, n=250, levels=14)
    y = 2 + rng.normal(0, 0.6, 14)[g] + rng.normal(0, 0.9, 250)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        sd = pm.Uniform("sd", 0, 10)
        u = pm.Normal("u", 0, sd, shape=14)
        sigma = pm.LogNormal("sigma", 0, 1)
        pm.Normal("y", mu + u[g], sigma, observed=y)
    return model


def lasso_like() -> pm.Model:
    """Laplace priors of regression coefficients, which stay common effects."""
    rng, g = groups(26, n=250, levels=10)
    x = rng.normal(size=(250, 6))
    y = x @ np.array([0.8, 0, 0, -0.5, 0, 0]) + rng.normal(0, 0.5, 10)[g] + rng.normal(size=250)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        b = pm.Laplace("b", 0, 0.5, shape=6)
        u = effects(10)
        pm.Normal("y", a + x @ b + u[g], pm.HalfNormal("sigma", 1), observed=y)
    return model


def dose_response_cloglog() -> pm.Model:
    rng, batch = groups(27, n=60, levels=10)
    dose, n = rng.uniform(-1, 1, 60), rng.integers(10, 30, 60)
    eta = -0.3 + 0.9 * dose + rng.normal(0, 0.4, 10)[batch]
    y = rng.binomial(n, 1 - np.exp(-np.exp(eta)))
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        sd = pm.HalfNormal("sd", 1)
        z = pm.Normal("z", 0, 1, shape=10)
        eta_ = b[0] + b[1] * dose + (z * sd)[batch]
        pm.Binomial("y", n=n, p=1 - pm.math.exp(-pm.math.exp(eta_)), observed=y)
    return model


MODELS = (
    irt_1pl,
    crossed_effects,
    poisson_overdispersed,
    negative_binomial,
    bradley_terry,
    zero_sum,
    splines_by_hand,
    random_walk,
    hierarchical_probit,
    nested_hierarchy,
    shared_sd,
    robust_regression,
    beta_binomial,
    gamma_durations,
    beta_regression,
    log_sd,
    lasso_like,
    dose_response_cloglog,
)
