"""Fits with likelihoods from the graph, against integration on a grid."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import expit

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.pymc.recognise import recognise_model

RNG = np.random.default_rng(2)


def moments(log_density, *grids):
    """Mean and sd of each coordinate, shape (2, k)."""
    mesh = np.meshgrid(*grids, indexing="ij")
    log_p = log_density(*mesh)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = np.array([(p * m).sum() for m in mesh])
    return mean, np.sqrt([(p * (m - mu) ** 2).sum() for m, mu in zip(mesh, mean, strict=True)])


def assert_posterior(model, names, mean, sd):
    posterior = vmrp.fit(model, draws=8000, random_seed=1, progressbar=False)["posterior"]
    for name, mu, s in zip(names, mean, sd, strict=True):
        assert float(posterior[name].mean()) == pytest.approx(mu, abs=0.06 * s)
        assert float(posterior[name].std()) == pytest.approx(s, rel=0.05)


@pytest.mark.slow
def test_zero_truncated_counts():
    y = stats.poisson(1.6).rvs(400, random_state=1)
    y = y[y > 0][:80]
    with pm.Model() as model:
        a = pm.Normal("a", 0, 1)
        pm.Truncated("y", pm.Poisson.dist(pm.math.exp(a)), lower=1, observed=y)

    def log_density(a):
        mu = np.exp(a)[..., None]
        log_p = stats.poisson(mu).logpmf(y) - np.log(-np.expm1(-mu))
        return log_p.sum(-1) - 0.5 * a**2

    assert_posterior(model, ["a"], *moments(log_density, np.linspace(-0.6, 1.4, 801)))


@pytest.mark.slow
def test_zero_inflated_counts():
    y = RNG.poisson(2.5, 70) * (RNG.random(70) < 0.7)
    with pm.Model() as model:
        a, psi = pm.Normal("a", 0, 1), pm.Beta("psi", 2, 2)
        pm.ZeroInflatedPoisson("y", psi=psi, mu=pm.math.exp(a), observed=y)

    def log_density(a, psi):
        mu, share = np.exp(a)[..., None], psi[..., None]
        zero = np.log(1 - share + share * np.exp(-mu))
        log_p = np.where(y == 0, zero, np.log(share) + stats.poisson(mu).logpmf(y))
        return log_p.sum(-1) - 0.5 * a**2 + stats.beta(2, 2).logpdf(psi)

    grids = np.linspace(0.3, 1.5, 240), np.linspace(0.3, 0.99, 240)
    assert_posterior(model, ["a", "psi"], *moments(log_density, *grids))


@pytest.mark.slow
def test_one_sided_truncation_without_automatic_derivatives():
    y = stats.truncnorm(-0.4, np.inf, loc=0.6, scale=1.5).rvs(60, random_state=3)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 2)
        pm.Truncated("y", pm.Normal.dist(mu, 1.5), lower=0, upper=None, observed=y)

    def log_density(mu):
        own = stats.norm(mu[..., None], 1.5).logpdf(y) - stats.norm.logcdf(mu[..., None] / 1.5)
        return own.sum(-1) - 0.5 * (mu / 2) ** 2

    assert_posterior(model, ["mu"], *moments(log_density, np.linspace(-4, 3, 1401)))


@pytest.mark.slow
def test_a_lapse_rate():
    """The share of random answers; of enough answers that the slope's posterior is normal."""
    x = RNG.normal(size=800)
    y = RNG.random(800) < 0.05 + 0.9 * expit(1.5 * x)
    with pm.Model() as model:
        b, lapse = pm.Normal("b", 0, 2), pm.Beta("lapse", 2, 20)
        p = lapse / 2 + (1 - lapse) * pm.math.sigmoid(b * x)
        pm.Bernoulli("y", p=p, observed=y)

    def log_density(b, lapse):
        p = lapse[..., None] / 2 + (1 - lapse[..., None]) * expit(b[..., None] * x)
        own = np.where(y, np.log(p), np.log1p(-p)).sum(-1)
        return own - 0.5 * (b / 2) ** 2 + stats.beta(2, 20).logpdf(lapse)

    grids = np.linspace(0.7, 3, 120), np.linspace(1e-4, 0.4, 120)
    assert_posterior(model, ["b", "lapse"], *moments(log_density, *grids))


def test_threads_do_not_share_a_graph(monkeypatch):
    """PyTensor's functions keep their arguments between the start of a call and its end."""
    from pymc_vmrp.glmm import threads

    g, x = RNG.integers(0, 6, 300), RNG.normal(size=300)
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("sd", 1), shape=6)
        y = np.exp(0.3 * x) * RNG.weibull(2, 300)
        pm.Weibull("y", 2.0, pm.math.exp(u[g] + pm.Normal("b") * x), observed=y)
    glmm = recognise_model(model).glmm
    eta = np.linspace(-1, 1, 300 * 40).reshape(300, 40)
    statistics = tuple(s[:, None] for s in glmm.response.statistics)
    whole = glmm.family.log_likelihood(eta, statistics, ())
    out = np.empty_like(eta)

    def task(first, last):
        part = slice(first, last)
        out[part] = glmm.family.log_likelihood(eta[part], tuple(s[part] for s in statistics), ())

    monkeypatch.setattr(threads, "_OPERATIONS", 0)
    for _ in range(5):
        threads.map_chunks(task, tuple((i, i + 20) for i in range(0, 300, 20)), 1e9)
        np.testing.assert_array_equal(out, whole)
