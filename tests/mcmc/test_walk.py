"""A random walk written by hand: the same density, and the same posterior."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_expit
from scipy.stats import halfnorm, norm

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.log_joint import log_joint

NOISE = 0.7  # the sd of Gaussian responses
SD = 0.8  # of the half-normal prior of σ


@pytest.fixture(scope="module")
def walk():
    rng = np.random.default_rng(4)
    wave = rng.integers(1, 6, 150)
    y = (rng.random(150) < expit(0.6 * (wave - 3))).astype(int)
    return pd.DataFrame({"wave": wave, "y": y})


def model_of(data, family="bernoulli", **more):
    priors = {"Intercept": vmrp.Normal(0, 1.5), "rw(wave)": vmrp.HalfNormal(SD), **more}
    return vmrp.Model("y ~ rw(wave)", data, family=family, priors=priors)


def bernoulli(y, eta):
    return y * log_expit(eta) + (1 - y) * log_expit(-eta)


def gaussian(y, eta):
    return norm.logpdf(y, eta, NOISE)


def by_hand(data, intercept, levels, sigma, log_likelihood=bernoulli):
    """Log p(y, β, f, σ) of the intrinsic random walk with Rue & Held's structure matrix R."""
    n = levels.shape[-1]
    codes = data["wave"].to_numpy() - 1
    eta = intercept[..., None] + levels[..., codes]
    y = data["y"].to_numpy()
    r = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    r[0, 0] = r[-1, -1] = 1
    quadratic = np.einsum("...k,kl,...l->...", levels, r, levels)
    log_walk = -0.5 * quadratic / sigma**2 - (n - 1) * np.log(sigma)
    log_prior = norm.logpdf(intercept, 0, 1.5) + halfnorm.logpdf(sigma, scale=SD)
    return log_likelihood(y, eta).sum(-1) + log_walk + log_prior


@pytest.mark.parametrize("log_likelihood", [bernoulli, gaussian])
def test_the_joint_density_is_the_hand_written_one(walk, log_likelihood):
    rng = np.random.default_rng(1)
    if log_likelihood is gaussian:
        walk = walk.assign(y=rng.normal(walk["wave"], NOISE))
        glmm = model_of(walk, "gaussian", sigma=NOISE).glmm
    else:
        glmm = model_of(walk).glmm
    levels = rng.normal(size=(40, 5))
    levels -= levels.mean(1, keepdims=True)
    intercept, sigma = rng.normal(size=40), np.exp(rng.normal(size=40))
    steps = np.diff(levels, axis=1)
    theta = np.column_stack([intercept, steps])
    ours = log_joint(glmm, theta, [(sigma**2)[:, None, None]])
    ours += np.log(2 * sigma)  # a density of σ², there
    difference = ours - by_hand(walk, intercept, levels, sigma, log_likelihood)
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_posterior_is_the_hand_written_one(walk):
    """Three waves: NUTS and CAVI against sums over a grid of (β, both steps / σ, σ)."""
    data = walk[walk["wave"] <= 3]
    z = np.linspace(-4.5, 4.5, 41)
    b, u, v, s = np.meshgrid(
        np.linspace(-2.5, 2, 31), z, z, np.linspace(0.02, 3.5, 60), indexing="ij"
    )
    u, v = u * s, v * s  # steps in units of σ: the grid is fine where the walk is
    levels = np.stack([-(2 * u + v) / 3, (u - v) / 3, (u + 2 * v) / 3], axis=-1)
    # rows collapse to three waves: successes and trials of each
    y = data.groupby("wave")["y"].agg(["sum", "count"]).to_numpy()
    log_p = by_hand(data.iloc[:0], b, levels, s) + 2 * np.log(s)  # the prior, and the Jacobian
    for i, (successes, trials) in enumerate(y):
        eta = b + levels[..., i]
        log_p += successes * log_expit(eta) + (trials - successes) * log_expit(-eta)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = np.array([(p * levels[..., i]).sum() for i in range(3)])
    sd = np.sqrt([(p * levels[..., i] ** 2).sum() for i in range(3)] - mean**2)
    model = model_of(data)
    nuts = model.fit(
        2000, inference_method="nuts", chains=2, cores=2, random_seed=1, target_accept=0.95
    )["posterior"]
    draws = nuts["rw(wave)"].to_numpy().reshape(-1, 3)
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.12 * sd.max())
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.08)
    sigma = (p * s).sum()
    assert float(nuts["rw(wave)_sigma"].mean()) == pytest.approx(sigma, rel=0.08)
    cavi = model.fit(4000, random_seed=1)["posterior"]["rw(wave)"].to_numpy()[0]
    assert np.abs((cavi.mean(0) - mean) / sd).max() < 0.3
