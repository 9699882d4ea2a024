"""What is no hierarchical GLM, with the variable that the error must name."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

from benchmarks.pymc_models.common import grid, groups


def normal_mixture() -> pm.Model:
    rng = np.random.default_rng(1)
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        mu = pm.Normal("mu", 0, 3, shape=2)
        pm.NormalMixture("y", w=w, mu=mu, sigma=1.0, observed=rng.normal(size=50))
    return model


def product_of_latents() -> pm.Model:
    """The two-parameter model of item responses, with Gaussian discriminations."""
    rng, person, item = grid(2, 20, 10)
    with pm.Model() as model:
        theta = pm.Normal("theta", 0, 1, shape=20)
        b = pm.Normal("b", 1, 0.3, shape=10)
        pm.Bernoulli("y", logit_p=theta[person] * b[item], observed=rng.integers(0, 2, 200))
    return model


def irt_2pl() -> pm.Model:
    """The same with positive discriminations: several scales of one variable."""
    rng, person, item = grid(2, 20, 10)
    with pm.Model() as model:
        theta = pm.Normal("theta", 0, 1, shape=20)
        slope = pm.LogNormal("slope", 0, 0.3, shape=10)
        pm.Bernoulli("y", logit_p=slope[item] * theta[person], observed=rng.integers(0, 2, 200))
    return model


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


def nonlinear_growth() -> pm.Model:
    """Rates of growth that vary between plants."""
    rng, plant = groups(4, n=80, levels=8)
    t = rng.uniform(0, 5, 80)
    with pm.Model() as model:
        top = pm.Normal("top", 5, pm.HalfNormal("sd", 1), shape=8)
        rate = pm.Normal("rate", 1, 0.3, shape=8)
        mu = top[plant] * (1 - pt.exp(-rate[plant] * t))
        pm.Normal("y", mu, 0.3, observed=rng.normal(3, 1, 80))
    return model


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


def two_outcomes() -> pm.Model:
    rng = np.random.default_rng(6)
    with pm.Model() as model:
        u = pm.Normal("u", 0, 1, shape=5)
        pm.Normal("y1", u, 1, observed=rng.normal(size=5))
        pm.Poisson("y2", pt.exp(u), observed=rng.poisson(1, 5))
    return model


def truncated_effects() -> pm.Model:
    rng, g = groups(7, n=60, levels=6)
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1)
        u = pm.TruncatedNormal("u", 0, sd, lower=0, shape=6)
        pm.Normal("y", pm.Normal("a") + u[g], 1, observed=rng.normal(size=60))
    return model


def student_effects() -> pm.Model:
    rng, g = groups(8, n=60, levels=6)
    with pm.Model() as model:
        sd = pm.HalfNormal("sd", 1)
        u = pm.StudentT("u", nu=4, mu=0, sigma=sd, shape=6)
        pm.Normal("y", u[g], 1, observed=rng.normal(size=60))
    return model


def discrete_changepoint() -> pm.Model:
    rng = np.random.default_rng(9)
    with pm.Model() as model:
        k = pm.DiscreteUniform("k", 0, 39)
        level = pm.Normal("level", 0, 1, shape=2)
        mu = pt.switch(np.arange(40) < k, level[0], level[1])
        pm.Poisson("y", pt.exp(mu), observed=rng.poisson(2, 40))
    return model


def potential() -> pm.Model:
    rng = np.random.default_rng(10)
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1)
        pm.Potential("positive", pt.switch(a > 0, 0.0, -np.inf))
        pm.Normal("y", a, 1, observed=rng.normal(size=10))
    return model


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


def autoregressive_observations() -> pm.Model:
    rng = np.random.default_rng(12)
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 0.5, shape=1)
        pm.AR("y", rho=rho, sigma=1.0, observed=rng.normal(size=30))
    return model


def conjugate_shares() -> pm.Model:
    rng = np.random.default_rng(13)
    with pm.Model() as model:
        p = pm.Beta("p", 1, 1, shape=5)
        pm.Binomial("y", n=20, p=p, observed=rng.integers(0, 20, 5))
    return model


def softmax_choices() -> pm.Model:
    rng = np.random.default_rng(14)
    x = rng.normal(size=(60, 2))
    with pm.Model() as model:
        b = pm.Normal("b", 0, 1, shape=(2, 3))
        pm.Categorical("y", logit_p=x @ b, observed=rng.integers(0, 3, 60))
    return model


def hierarchical_sds() -> pm.Model:
    """The prior of a standard deviation has a scale that is not known."""
    rng, g = groups(15, n=60, levels=6)
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 1)
        sd = pm.HalfNormal("sd", scale)
        u = pm.Normal("u", 0, sd, shape=6)
        pm.Normal("y", u[g], 1, observed=rng.normal(size=60))
    return model


def horseshoe() -> pm.Model:
    rng = np.random.default_rng(16)
    x = rng.normal(size=(60, 5))
    with pm.Model() as model:
        tau = pm.HalfCauchy("tau", 1)
        lam = pm.HalfCauchy("lam", 1, shape=5)
        z = pm.Normal("z", 0, 1, shape=5)
        pm.Normal("y", x @ (z * lam * tau), 1, observed=rng.normal(size=60))
    return model


def median_regression() -> pm.Model:
    """The likelihood has kinks, and so no second derivative."""
    rng, g = groups(17, n=60, levels=6)
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("sd", 1), shape=6)
        pm.Laplace("y", mu=u[g], b=pm.HalfNormal("b", 1), observed=rng.normal(size=60))
    return model


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


MODELS = (
    (normal_mixture, "w"),
    (product_of_latents, "b"),
    (irt_2pl, "slope"),
    (gaussian_process, "f"),
    (nonlinear_growth, "rate"),
    (scan_recursion, "decay"),
    (two_outcomes, "y1"),
    (truncated_effects, "u"),
    (student_effects, "u"),
    (discrete_changepoint, "k"),
    (potential, "positive"),
    (ordered_cutpoints, "cut"),
    (autoregressive_observations, "y"),
    (conjugate_shares, "p"),
    (softmax_choices, "y"),
    (hierarchical_sds, "sd"),
    (horseshoe, "z"),
    (median_regression, "y"),
    (differential_equation, "y"),
)
