"""Models as teaching material writes them, in plain PyMC, on simulated data of its size.

``SUPPORTED`` are hierarchical GLMs in many spellings; ``REFUSED`` are not, with the variable that
the error must name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

SUPPORTED: dict[str, Callable[[], pm.Model]] = {}
REFUSED: dict[str, tuple[Callable[[], pm.Model], str]] = {}


def supported(make: Callable[[], pm.Model]) -> Callable[[], pm.Model]:
    SUPPORTED[make.__name__] = make
    return make


def refused(variable: str) -> Callable[[Callable[[], pm.Model]], Callable[[], pm.Model]]:
    def register(make: Callable[[], pm.Model]) -> Callable[[], pm.Model]:
        REFUSED[make.__name__] = make, variable
        return make

    return register


def _groups(seed: int, n: int = 300, levels: int = 12) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(0, levels, n)


def _expit(eta: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-eta))


# --- intercepts that vary ----------------------------------------------------------------------


@supported
def radon_centred() -> pm.Model:
    rng, county = _groups(1, levels=20)
    floor = rng.integers(0, 2, len(county)).astype(float)
    y = 1.4 + rng.normal(0, 0.4, 20)[county] - 0.7 * floor + rng.normal(0, 0.8, len(county))
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


@supported
def radon_non_centred() -> pm.Model:
    rng, county = _groups(1, levels=20)
    floor = rng.integers(0, 2, len(county)).astype(float)
    y = 1.4 + rng.normal(0, 0.4, 20)[county] - 0.7 * floor + rng.normal(0, 0.8, len(county))
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


@supported
def group_predictor() -> pm.Model:
    """The mean of the intercepts is a regression of its own."""
    rng, county = _groups(2, levels=25)
    uranium = rng.normal(size=25)
    y = (1 + 0.7 * uranium + rng.normal(0, 0.3, 25))[county] + rng.normal(0, 0.8, len(county))
    with pm.Model() as model:
        g = pm.Normal("g", 0, 5, shape=2)
        sigma_a = pm.Exponential("sigma_a", 1)
        a = pm.Normal("a", g[0] + g[1] * uranium, sigma_a, shape=25)
        pm.Normal("y", a[county], pm.Exponential("sigma", 1), observed=y)
    return model


@supported
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


@supported
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


@supported
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


@supported
def tadpoles() -> pm.Model:
    """Binomial survival in tanks, with the probability as a deterministic."""
    rng = np.random.default_rng(5)
    n = rng.choice([10, 25, 35], 48)
    y = rng.binomial(n, _expit(rng.normal(1.3, 1.2, 48)))
    with pm.Model() as model:
        a_bar = pm.Normal("a_bar", 0, 1.5)
        sigma = pm.Exponential("sigma", 1)
        a = pm.Normal("a", a_bar, sigma, shape=48)
        p = pm.Deterministic("p", pm.math.invlogit(a))
        pm.Binomial("survived", n=n, p=p, observed=y)
    return model


@supported
def admissions() -> pm.Model:
    """Probabilities of departments, indexed by row after the link."""
    rng, dept = _groups(6, n=60, levels=8)
    n = rng.integers(20, 90, 60)
    y = rng.binomial(n, _expit(rng.normal(-0.5, 0.8, 8))[dept])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1.5)
        sigma = pm.HalfNormal("sigma", 1)
        alpha = pm.Normal("alpha", mu, sigma, shape=8)
        p = pm.math.invlogit(alpha)
        pm.Binomial("admit", n=n, p=p[dept], observed=y)
    return model


# --- slopes that vary --------------------------------------------------------------------------


def _slopes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng, cafe = _groups(seed, n=300, levels=25)
    afternoon = rng.integers(0, 2, 300).astype(float)
    effects = rng.multivariate_normal([3.5, -1], [[0.8, -0.3], [-0.3, 0.3]], 25)
    y = effects[cafe, 0] + effects[cafe, 1] * afternoon + rng.normal(0, 0.6, 300)
    return cafe, afternoon, y


@supported
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


@supported
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


@supported
def slopes_independent() -> pm.Model:
    cafe, afternoon, y = _slopes(8)
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 3, shape=2)
        sd = pm.HalfNormal("sd", 1, shape=2)
        u = pm.Normal("u", mean, sd, shape=(25, 2))
        mu = u[cafe, 0] + u[cafe, 1] * afternoon
        pm.Normal("wait", mu, pm.HalfNormal("sigma", 1), observed=y)
    return model


@supported
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


# --- other designs -----------------------------------------------------------------------------


@supported
def irt_1pl() -> pm.Model:
    rng = np.random.default_rng(10)
    ability, difficulty = rng.normal(0, 1, 40), rng.normal(0, 0.8, 12)
    person, item = np.divmod(np.arange(40 * 12), 12)
    y = (rng.random(480) < _expit(ability[person] - difficulty[item])).astype(int)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        theta = pm.Normal("theta", 0, 1, shape=40)
        sd = pm.HalfNormal("sd", 1)
        b = pm.Normal("b", mu, sd, shape=12)
        pm.Bernoulli("y", logit_p=theta[person] - b[item], observed=y)
    return model


@supported
def crossed_effects() -> pm.Model:
    """Opinion by state, age and education, as in multilevel regression and poststratification."""
    rng, state = _groups(11, n=500, levels=20)
    age, educ = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    female = rng.integers(0, 2, 500).astype(float)
    vote = rng.normal(size=20)
    eta = (0.5 * vote + rng.normal(0, 0.4, 20))[state] + rng.normal(0, 0.4, 4)[age] - 0.2 * female
    y = (rng.random(500) < _expit(eta)).astype(int)
    with pm.Model(coords={"state": np.arange(20), "age": range(4), "educ": range(4)}) as model:
        b = pm.Normal("b", 0, 2.5, shape=3)
        s = {name: pm.HalfNormal(f"sd_{name}", 1) for name in ("state", "age", "educ")}
        u_state = pm.Normal("u_state", b[2] * vote, s["state"], dims="state")
        u_age = pm.Normal("u_age", 0, s["age"], dims="age")
        u_educ = pm.Normal("u_educ", 0, s["educ"], dims="educ")
        eta_ = b[0] + b[1] * female + u_state[state] + u_age[age] + u_educ[educ]
        pm.Bernoulli("y", p=pm.math.sigmoid(eta_), observed=y)
    return model


@supported
def poisson_overdispersed() -> pm.Model:
    """A normal effect of each observation."""
    rng, site = _groups(12, n=150, levels=15)
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


@supported
def negative_binomial() -> pm.Model:
    rng, block = _groups(13, n=250, levels=15)
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


@supported
def bradley_terry() -> pm.Model:
    """Strengths of teams; a match touches two of them."""
    rng = np.random.default_rng(14)
    first = rng.integers(0, 14, 250)
    second = (first + rng.integers(1, 14, 250)) % 14
    strength = rng.normal(0, 0.8, 14)
    y = (rng.random(250) < _expit(0.2 + strength[first] - strength[second])).astype(int)
    with pm.Model() as model:
        home = pm.Normal("home", 0, 1)
        sd = pm.HalfNormal("sd", 1)
        team = pm.Normal("team", 0, sd, shape=14)
        pm.Bernoulli("win", logit_p=home + team[first] - team[second], observed=y)
    return model


@supported
def zero_sum() -> pm.Model:
    rng, g = _groups(15, n=200, levels=9)
    y = (rng.random(200) < _expit(0.3 + rng.normal(0, 0.8, 9)[g])).astype(int)
    with pm.Model(coords={"g": np.arange(9)}) as model:
        alpha = pm.Normal("alpha", 0, 1.5)
        sd = pm.HalfNormal("sd", 1)
        u = pm.ZeroSumNormal("u", sigma=sd, dims="g")
        pm.Bernoulli("y", logit_p=alpha + u[g], observed=y)
    return model


@supported
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


@supported
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


@supported
def hierarchical_probit() -> pm.Model:
    rng, g = _groups(18, n=400, levels=16)
    x = rng.normal(size=400)
    y = (0.3 + 0.6 * x + rng.normal(0, 0.5, 16)[g] + rng.normal(size=400) > 0).astype(int)
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 1, shape=2)
        tau = pm.HalfStudentT("tau", nu=3, sigma=1)
        u = pm.Normal("u", 0, tau, shape=16)
        eta = pt.stack([np.ones(400), x], axis=1) @ beta + u[g]
        pm.Bernoulli("y", p=pm.math.invprobit(eta), observed=y)
    return model


@supported
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


@supported
def shared_sd() -> pm.Model:
    """Two factors of one standard deviation."""
    rng, a = _groups(20, n=250, levels=10)
    b = rng.integers(0, 8, 250)
    y = rng.normal(0, 0.7, 10)[a] + rng.normal(0, 0.7, 8)[b] + rng.normal(0, 1, 250)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=10)
        v = pm.Normal("v", 0, 1, shape=8)
        pm.Normal("y", mu + u[a] + sd * v[b], pm.HalfNormal("sigma", 1), observed=y)
    return model


@supported
def robust_regression() -> pm.Model:
    rng, g = _groups(21, n=200, levels=10)
    x = rng.normal(size=200)
    y = 1 + 0.5 * x + rng.normal(0, 0.5, 10)[g] + 0.6 * rng.standard_t(3, 200)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=10)
        sigma = pm.HalfNormal("sigma", 1)
        nu = pm.Gamma("nu", 2, 0.1)
        pm.StudentT("y", nu=nu, mu=b[0] + b[1] * x + u[g], sigma=sigma, observed=y)
    return model


@supported
def beta_binomial() -> pm.Model:
    rng, g = _groups(22, n=120, levels=12)
    n = rng.integers(10, 40, 120)
    mu = _expit(-0.4 + rng.normal(0, 0.5, 12)[g])
    y = rng.binomial(n, rng.beta(12 * mu, 12 * (1 - mu)))
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1.5)
        sd = pm.Exponential("sd", 1)
        u = pm.Normal("u", 0, sd, shape=12)
        p = pm.math.invlogit(a + u[g])
        theta = pm.Exponential("theta", 0.1)
        pm.BetaBinomial("y", n=n, alpha=p * theta, beta=(1 - p) * theta, observed=y)
    return model


@supported
def gamma_durations() -> pm.Model:
    rng, g = _groups(23, n=200, levels=12)
    mu = np.exp(1 + rng.normal(0, 0.4, 12)[g])
    y = rng.gamma(3, mu / 3)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=12)
        rate = pm.math.exp(a + u[g])
        shape = pm.Exponential("shape", 0.3)
        pm.Gamma("y", alpha=shape, beta=shape / rate, observed=y)
    return model


@supported
def beta_regression() -> pm.Model:
    """No family of the package: its derivatives are PyTensor's."""
    rng, g = _groups(24, n=150, levels=10)
    x = rng.normal(size=150)
    mu = _expit(0.2 + 0.5 * x + rng.normal(0, 0.4, 10)[g])
    y = np.clip(rng.beta(15 * mu, 15 * (1 - mu)), 1e-4, 1 - 1e-4)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 2, shape=2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=10)
        mean = pm.math.invlogit(b[0] + b[1] * x + u[g])
        pm.Beta("y", mu=mean, nu=pm.Gamma("nu", 2, 0.1), observed=y)
    return model


@supported
def log_sd() -> pm.Model:
    """A standard deviation with a lower limit, and a lognormal one."""
    rng, g = _groups(25, n=250, levels=14)
    y = 2 + rng.normal(0, 0.6, 14)[g] + rng.normal(0, 0.9, 250)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        sd = pm.Uniform("sd", 0, 10)
        u = pm.Normal("u", 0, sd, shape=14)
        sigma = pm.LogNormal("sigma", 0, 1)
        pm.Normal("y", mu + u[g], sigma, observed=y)
    return model


@supported
def lasso_like() -> pm.Model:
    """Laplace priors of regression coefficients, which stay common effects."""
    rng, g = _groups(26, n=250, levels=10)
    x = rng.normal(size=(250, 6))
    y = x @ np.array([0.8, 0, 0, -0.5, 0, 0]) + rng.normal(0, 0.5, 10)[g] + rng.normal(size=250)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        b = pm.Laplace("b", 0, 0.5, shape=6)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=10)
        pm.Normal("y", a + x @ b + u[g], pm.HalfNormal("sigma", 1), observed=y)
    return model


@supported
def dose_response_cloglog() -> pm.Model:
    rng, batch = _groups(27, n=60, levels=10)
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


# --- likelihoods that only the graph knows -----------------------------------------------------


@supported
def zero_inflated_counts() -> pm.Model:
    rng, g = _groups(28, n=250, levels=12)
    mu = np.exp(1.1 + rng.normal(0, 0.4, 12))[g]
    y = rng.poisson(mu) * (rng.random(250) < 0.7)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 2)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=12)
        psi = pm.Beta("psi", 2, 2)
        pm.ZeroInflatedPoisson("y", psi=psi, mu=pm.math.exp(a + u[g]), observed=y)
    return model


@supported
def censored_responses() -> pm.Model:
    """Responses above a limit are known to be above it."""
    rng, g = _groups(29, n=250, levels=12)
    y = 1 + rng.normal(0, 0.6, 12)[g] + rng.normal(0, 0.8, 250)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 3)
        sd = pm.HalfNormal("sd", 1)
        u = pm.Normal("u", 0, sd, shape=12)
        latent = pm.Normal.dist(a + u[g], pm.HalfNormal("sigma", 1))
        pm.Censored("y", latent, lower=None, upper=1.8, observed=np.minimum(y, 1.8))
    return model


@supported
def weibull_survival() -> pm.Model:
    rng, clinic = _groups(30, n=250, levels=12)
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


@supported
def lognormal_with_log_sds() -> pm.Model:
    """Standard deviations as exponentials of Gaussian variables."""
    rng, g = _groups(31, n=250, levels=15)
    y = np.exp(1 + rng.normal(0, 0.5, 15)[g] + rng.normal(0, 0.7, 250))
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        log_sd = pm.Normal("log_sd", -1, 1)
        log_sigma = pm.Normal("log_sigma", 0, 1)
        u = pm.Normal("u", mu, pm.math.exp(log_sd), shape=15)
        pm.LogNormal("y", u[g], pm.math.exp(log_sigma), observed=y)
    return model


# --- what is no hierarchical GLM ---------------------------------------------------------------


@refused("w")
def normal_mixture() -> pm.Model:
    rng = np.random.default_rng(1)
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        mu = pm.Normal("mu", 0, 3, shape=2)
        pm.NormalMixture("y", w=w, mu=mu, sigma=1.0, observed=rng.normal(size=50))
    return model


@refused("b")
def product_of_latents() -> pm.Model:
    """The two-parameter model of item responses, with Gaussian discriminations."""
    rng = np.random.default_rng(2)
    person, item = np.divmod(np.arange(200), 10)
    with pm.Model() as model:
        theta = pm.Normal("theta", 0, 1, shape=20)
        b = pm.Normal("b", 1, 0.3, shape=10)
        pm.Bernoulli("y", logit_p=theta[person] * b[item], observed=rng.integers(0, 2, 200))
    return model


@refused("slope")
def irt_2pl() -> pm.Model:
    """The same with positive discriminations: several scales of one variable."""
    rng = np.random.default_rng(2)
    person, item = np.divmod(np.arange(200), 10)
    with pm.Model() as model:
        theta = pm.Normal("theta", 0, 1, shape=20)
        slope = pm.LogNormal("slope", 0, 0.3, shape=10)
        pm.Bernoulli("y", logit_p=slope[item] * theta[person], observed=rng.integers(0, 2, 200))
    return model


@refused("f")
def gaussian_process() -> pm.Model:
    """A length scale that is not known."""
    rng = np.random.default_rng(3)
    x = np.linspace(0, 1, 25)
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 4)
        distance = (x[:, None] - x[None, :]) ** 2
        cov = pt.exp(-0.5 * distance / length**2) + 1e-6 * np.eye(25)
        f = pm.MvNormal("f", np.zeros(25), cov=cov)
        pm.Normal("y", f, pm.HalfNormal("sigma", 1), observed=rng.normal(size=25))
    return model


@refused("rate")
def nonlinear_growth() -> pm.Model:
    """Rates of growth that vary between plants."""
    rng, plant = _groups(4, n=80, levels=8)
    t = rng.uniform(0, 5, 80)
    with pm.Model() as model:
        top = pm.Normal("top", 5, pm.HalfNormal("sd", 1), shape=8)
        rate = pm.Normal("rate", 1, 0.3, shape=8)
        mu = top[plant] * (1 - pt.exp(-rate[plant] * t))
        pm.Normal("y", mu, 0.3, observed=rng.normal(3, 1, 80))
    return model


@refused("decay")
def scan_recursion() -> pm.Model:
    """An ordinary differential equation by Euler's method."""
    rng = np.random.default_rng(5)
    with pm.Model() as model:
        decay = pm.Normal("decay", 0.5, 0.1)
        states = pytensor.scan(
            lambda x, k: x - 0.1 * k * x,
            outputs_info=[pt.constant(np.array(1.0))],
            non_sequences=[decay],
            n_steps=20,
            return_updates=False,
        )
        pm.Normal("y", states, 0.1, observed=rng.normal(size=20))
    return model


@refused("y1")
def two_outcomes() -> pm.Model:
    rng = np.random.default_rng(6)
    with pm.Model() as model:
        u = pm.Normal("u", 0, 1, shape=5)
        pm.Normal("y1", u, 1, observed=rng.normal(size=5))
        pm.Poisson("y2", pt.exp(u), observed=rng.poisson(1, 5))
    return model


@refused("u")
def truncated_effects() -> pm.Model:
    rng, g = _groups(7, n=60, levels=6)
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1)
        u = pm.TruncatedNormal("u", 0, sd, lower=0, shape=6)
        pm.Normal("y", pm.Normal("a") + u[g], 1, observed=rng.normal(size=60))
    return model


@refused("u")
def student_effects() -> pm.Model:
    rng, g = _groups(8, n=60, levels=6)
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1)
        u = pm.StudentT("u", nu=4, mu=0, sigma=sd, shape=6)
        pm.Normal("y", u[g], 1, observed=rng.normal(size=60))
    return model


@refused("k")
def discrete_changepoint() -> pm.Model:
    rng = np.random.default_rng(9)
    with pm.Model() as model:
        k = pm.DiscreteUniform("k", 0, 39)
        level = pm.Normal("level", 0, 1, shape=2)
        mu = pt.switch(np.arange(40) < k, level[0], level[1])
        pm.Poisson("y", pt.exp(mu), observed=rng.poisson(2, 40))
    return model


@refused("positive")
def potential() -> pm.Model:
    rng = np.random.default_rng(10)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1)
        pm.Potential("positive", pt.switch(a > 0, 0.0, -np.inf))
        pm.Normal("y", a, 1, observed=rng.normal(size=10))
    return model


@refused("cut")
def ordered_cutpoints() -> pm.Model:
    rng = np.random.default_rng(11)
    with pm.Model() as model:
        cut = pm.Normal(
            "cut", np.array([-1.0, 0, 1]), 1, shape=3, transform=pm.distributions.transforms.ordered
        )
        b = pm.Normal("b", 0, 1)
        eta = b * rng.normal(size=50)
        pm.OrderedLogistic("y", eta=eta, cutpoints=cut, observed=rng.integers(0, 4, 50))
    return model


@refused("y")
def autoregressive_observations() -> pm.Model:
    rng = np.random.default_rng(12)
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 0.5, shape=1)
        pm.AR("y", rho=rho, sigma=1.0, observed=rng.normal(size=30))
    return model


@refused("p")
def conjugate_shares() -> pm.Model:
    rng = np.random.default_rng(13)
    with pm.Model() as model:
        p = pm.Beta("p", 1, 1, shape=5)
        pm.Binomial("y", n=20, p=p, observed=rng.integers(0, 20, 5))
    return model


@refused("y")
def softmax_choices() -> pm.Model:
    rng = np.random.default_rng(14)
    x = rng.normal(size=(60, 2))
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1, shape=(2, 3))
        pm.Categorical("y", logit_p=x @ b, observed=rng.integers(0, 3, 60))
    return model


@refused("sd")
def hierarchical_sds() -> pm.Model:
    """The prior of a standard deviation has a scale that is not known."""
    rng, g = _groups(15, n=60, levels=6)
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 1)
        sd = pm.HalfNormal("sd", scale)
        u = pm.Normal("u", 0, sd, shape=6)
        pm.Normal("y", u[g], 1, observed=rng.normal(size=60))
    return model


@refused("z")
def horseshoe() -> pm.Model:
    rng = np.random.default_rng(16)
    x = rng.normal(size=(60, 5))
    with pm.Model() as model:
        tau = pm.HalfCauchy("tau", 1)
        lam = pm.HalfCauchy("lam", 1, shape=5)
        z = pm.Normal("z", 0, 1, shape=5)
        pm.Normal("y", x @ (z * lam * tau), 1, observed=rng.normal(size=60))
    return model


@refused("y")
def median_regression() -> pm.Model:
    """The likelihood has kinks, and so no second derivative."""
    rng, g = _groups(17, n=60, levels=6)
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("sd", 1), shape=6)
        pm.Laplace("y", mu=u[g], b=pm.HalfNormal("b", 1), observed=rng.normal(size=60))
    return model


@refused("y")
def differential_equation() -> pm.Model:
    rng = np.random.default_rng(18)
    decay = pm.ode.DifferentialEquation(
        func=lambda y, t, p: [-p[0] * y[0]],
        times=np.linspace(0.2, 4, 20),
        n_states=1,
        n_theta=1,
    )
    with pm.Model() as model:
        rate = pm.Normal("rate", 0.5, 0.1)
        pm.Normal("y", decay(y0=[1.0], theta=[rate]), 0.1, observed=rng.normal(size=(20, 1)))
    return model
