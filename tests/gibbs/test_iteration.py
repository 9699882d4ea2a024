"""One iteration leaves the joint distribution of parameters and data as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.scale_priors import HalfNormal, LogNormal
from tests.gibbs.joint import z_scores

LARGEST = 4.5  # of some thirty correlated z-scores
NORMAL = {"Intercept": vmrp.Normal(0.3, 0.7), "common": vmrp.Normal(-0.2, 0.5)}


def frame(copies=1):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": list("aabbccdd") * copies, "h": list("xyxyyxxx") * copies})
    data["x"] = rng.normal(size=len(data)).round(2)
    data["y"], data["n"] = rng.integers(0, 2, len(data)), rng.integers(1, 6, len(data))
    return data


def draw_scale(rng, prior):
    if isinstance(prior, HalfNormal):
        return abs(rng.normal(0, prior.sigma))
    assert isinstance(prior, LogNormal)
    return rng.lognormal(prior.mu, prior.sigma)


def binomial(glmm):
    trials = glmm.response.statistics[1]

    def respond(rng, eta, _):
        return rng.binomial(trials.astype(int), expit(eta)).astype(float), trials

    return respond


def gaussian(glmm):
    n = glmm.response.statistics[1]

    def respond(rng, eta, phi):
        squares = phi[0] ** 2 * np.where(n > 1, rng.chisquare(np.maximum(n - 1, 1)), 0.0)
        return rng.normal(eta, phi[0] / np.sqrt(n)), n, squares

    return respond


def negative_binomial(glmm):
    weight = glmm.response.statistics[1]
    assert (weight == 1).all()

    def respond(rng, eta, phi):
        rate = np.exp(eta) * rng.gamma(np.full(len(eta), phi[0])) / phi[0]
        return rng.poisson(rate).astype(float), weight

    return respond


def student_t(glmm):
    weight = glmm.response.statistics[1]

    def respond(rng, eta, phi):
        return eta + phi[0] * rng.standard_t(phi[1], len(eta)), weight

    return respond


def build(name):
    """A model with enough cells to hold on to the parameters, and how its responses are drawn."""
    data = frame()
    if name == "binomial":
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.8), "1|h": vmrp.HalfNormal(0.7)}
        model = vmrp.Model("p(y, n) ~ x + (1|g) + (1|h)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "correlated":
        priors = NORMAL | {"1+x|g": vmrp.HuangWand(3, (0.6, 1.2))}
        model = vmrp.Model("p(y, n) ~ x + (1 + x|g)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "inverse wishart":
        scale = ((0.8, 0.3), (0.3, 0.5))
        priors = NORMAL | {"1+x|g": vmrp.InverseWishart(6, scale)}
        model = vmrp.Model("p(y, n) ~ 1 + (1 + x|g)", data, "binomial", priors=priors)
        return model.glmm, binomial(model.glmm)
    if name == "gaussian":
        data["x"] = data["x"].round(0)
        data = pd.concat([data] * 2)
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.8), "sigma": vmrp.LogNormal(-0.3, 0.5)}
        model = vmrp.Model("y ~ x + (1|g)", data, "gaussian", priors=priors)
        return model.glmm, gaussian(model.glmm)
    data["y"] = np.arange(len(data))  # responses that differ: a cell for each row
    if name == "negative binomial":
        priors = NORMAL | {"1|g": vmrp.HuangWand(3, 0.5), "alpha": vmrp.LogNormal(0.5, 0.5)}
        model = vmrp.Model("y ~ x + offset(n) + (1|g)", data, "negativebinomial", priors=priors)
        return model.glmm, negative_binomial(model.glmm)
    priors = NORMAL | {
        "1|g": vmrp.HuangWand(3, 0.8),
        "sigma": vmrp.LogNormal(-0.3, 0.5),
        "nu": vmrp.LogNormal(1, 0.4),
    }
    model = vmrp.Model("y ~ x + (1|g)", data, "t", priors=priors)
    return model.glmm, student_t(model.glmm)


NAMES = ["binomial", "correlated", "inverse wishart", "gaussian", "negative binomial", "t"]


@pytest.mark.parametrize("name", NAMES)
def test_joint_distribution(name):
    glmm, respond = build(name)
    assert np.abs(z_scores(glmm, draw_scale, respond, 1500, seed=1)).max() < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_joint_distribution_to_three_digits(name):
    glmm, respond = build(name)
    assert np.abs(z_scores(glmm, draw_scale, respond, 100_000, seed=2)).max() < LARGEST
