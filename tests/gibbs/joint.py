"""Geweke's test that a sampler gets the joint distribution right.

Draws of (θ, y) made one after the other, y given θ and θ by one iteration given y, must have the
same distribution as θ from the prior and y given θ. Geweke, J. (2004). Getting it right: joint
distribution tests of posterior simulators. JASA 99(467).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import stats

from pymc_vmrp.gibbs.iteration import Setup, iterate, set_up
from pymc_vmrp.glmm.priors.covariance import HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.mixtures import Laplace


def z_scores(glmm, draw_scale, respond, iterations, seed):
    """Differences of means of test functions in standard errors, by name.

    Parameters
    ----------
    draw_scale : callable
        (rng, prior) → draws of a σ or φ, for priors of one number.
    respond : callable
        (rng, η, φ) → statistics of the cells.
    """
    rng = np.random.default_rng(seed)
    independent = []
    for _ in range(2 * iterations):
        coefficients, covariances, phi = prior_draw(glmm, draw_scale, rng)
        independent.append(functions(glmm, coefficients, covariances, phi))
    independent = np.array(independent)

    setup = set_up(glmm)
    state = setup.state(*prior_draw(glmm, draw_scale, rng))
    successive = []
    for _ in range(iterations):
        eta = glmm.response.with_offset(state.eta)
        statistics = respond(rng, eta, glmm.family_arguments(state.parameters))
        data = replace(glmm, response=replace(glmm.response, statistics=statistics))
        state = iterate(Setup(data, setup.solver), state, rng)
        successive.append(functions(glmm, state.coefficients, state.covariances, state.parameters))
    successive = np.array(successive)

    scale = independent.std(0)
    a, b = independent / scale, successive / scale
    a, b = (np.hstack([x, (x - a.mean(0)) ** 2]) for x in (a, b))
    error = np.sqrt(a.var(0) / len(a) + batch_variance(b))
    return (b.mean(0) - a.mean(0)) / error


def prior_draw(glmm, draw_scale, rng):
    common = glmm.common
    beta = rng.normal(common.prior_mean, np.nan_to_num(common.prior_sd))
    for mixture in common.mixtures:
        index, prior = list(mixture.index), mixture.prior
        if isinstance(prior, Laplace):
            beta[index] = rng.laplace(prior.location, prior.scale)
        else:
            beta[index] = prior.location + prior.scale * rng.standard_t(getattr(prior, "nu", 1))
    covariances, effects = [], []
    for group in glmm.groups:
        covariance = covariance_draw(group.prior, group.d, draw_scale, rng)
        covariances.append(covariance)
        root = np.linalg.cholesky(covariance)
        effects.append((rng.standard_normal((len(group.levels), group.d)) @ root.T).ravel())
    phi = np.array([draw_scale(rng, parameter.prior) for parameter in glmm.free_parameters])
    return np.concatenate([beta, *effects]), covariances, phi


def covariance_draw(prior, d, draw_scale, rng):
    """By scipy's inverse Wishart, or as an inverse gamma."""
    if isinstance(prior, HuangWand):
        a = prior.scales(d) ** -2 / rng.gamma(0.5, size=d)
        df, scale = prior.nu + d - 1, np.diag(2 * prior.nu / a)
    elif isinstance(prior, InverseWishart):
        df, scale = prior.parameters(d)
    else:
        return np.array([[draw_scale(rng, prior) ** 2]])
    if d == 1:
        return np.atleast_2d(0.5 * scale / rng.gamma(0.5 * df))
    return stats.invwishart.rvs(df, scale, random_state=rng)


def functions(glmm, coefficients, covariances, phi):
    """Test functions of θ, all with moments."""
    out = [np.tanh(coefficients[: glmm.common.size])]
    for j, covariance in enumerate(covariances):
        u = coefficients[glmm.group_slice(j)].reshape(-1, len(covariance))
        sd = np.sqrt(np.diag(covariance))
        out += [np.log(sd), np.log(np.abs(u[0])), np.tanh(u[:2]).ravel(), np.log((u**2).sum(0))]
        for a, b in zip(*np.tril_indices(len(sd), -1), strict=True):
            rho = covariance[a, b] / (sd[a] * sd[b])
            out.append(np.array([rho, np.tanh(u[0, a] * u[0, b]), rho * np.log(sd[a] / sd[b])]))
    return np.concatenate([*out, np.log(phi)])


def batch_variance(x, batches=40):
    """Variance of the mean of a correlated sequence."""
    size = len(x) // batches
    means = x[: size * batches].reshape(batches, size, -1).mean(1)
    return means.var(0, ddof=1) / batches
