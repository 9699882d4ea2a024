"""Draws of everything unknown from the prior of a GLMM."""

from __future__ import annotations

import math

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors import scales
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ, correlation_root
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, ScaleMixture, StudentT
from pymc_vmrp.glmm.spec import GLMM


def improper_terms(glmm: GLMM) -> list[str]:
    """Names of the terms whose prior cannot be drawn from: flat ones, and vglmer's improper."""
    common = glmm.common
    first = int(common.intercept)
    flat = np.isinf(common.prior_sd)
    names = ["Intercept"] if common.intercept and flat[0] else []
    names += [t.name for t in common.terms if flat[first + t.start : first + t.stop].any()]
    return names + [g.name for g in glmm.groups if isinstance(g.prior, ImproperInverseWishart)]


def check_proper(glmm: GLMM, what: str) -> None:
    """Raise PriorError, naming the terms, unless every prior is proper; ``what`` needs it."""
    names = improper_terms(glmm)
    if names:
        raise PriorError(
            f"{what} draws from the prior, but that of {', '.join(map(repr, names))} is improper: "
            "give proper ones, such as priors={'Intercept': Normal(0, 1), 'common': Normal(0, 1), "
            "'group_specific': HalfNormal(1)}."
        )


def draw_prior(
    glmm: GLMM, rng: np.random.Generator
) -> tuple[FloatArray, tuple[FloatArray, ...], FloatArray]:
    """One draw of (β, u), every Σ_j and φ from their prior; all must be proper.

    Parameters
    ----------
    glmm : GLMM
    rng : Generator

    Returns
    -------
    coefficients : ndarray, shape (p,)
        ``[β, u]`` as laid out in the GLMM; the intercept is the centred one.
    covariances : tuple of ndarray, each of shape (d, d)
    parameters : ndarray, shape (k,)
        The likelihood's free parameters.
    """
    phi = np.array([draw_scale(prior, rng) for prior in glmm.parameter_priors])
    covariances = tuple(draw_covariance(g.prior, g.d, rng) for g in glmm.groups)
    effects = [
        (rng.standard_normal((len(group.levels), group.d)) @ np.linalg.cholesky(covariance).T)
        for group, covariance in zip(glmm.groups, covariances, strict=True)
    ]
    beta = _draw_common(glmm, rng)
    return np.concatenate([beta, *(u.ravel() for u in effects)]), covariances, phi


def _draw_common(glmm: GLMM, rng: np.random.Generator) -> FloatArray:
    common = glmm.common
    beta = common.prior_mean + common.prior_sd * rng.standard_normal(common.size)
    for mixture in common.mixtures:
        index = list(mixture.index)
        beta[index] = common.prior_mean[index] + draw_deviations(mixture.prior, len(index), rng)
    return beta


def draw_deviations(prior: ScaleMixture, k: int, rng: np.random.Generator) -> FloatArray:
    """Some k coefficients less their location, from a prior that is a normal of random variance."""
    if isinstance(prior, StudentT):
        return prior.scale * rng.standard_t(prior.nu, k)
    if isinstance(prior, Cauchy):
        return prior.scale * rng.standard_cauchy(k)
    if isinstance(prior, Laplace):
        return prior.scale * rng.laplace(size=k)
    assert isinstance(prior, Horseshoe)
    tau = abs(rng.standard_cauchy()) if prior.tau is None else prior.tau
    return np.asarray(tau * np.abs(rng.standard_cauchy(k)) * rng.standard_normal(k))


def draw_covariance(prior: CovariancePrior, d: int, rng: np.random.Generator) -> FloatArray:
    """Σ, shape (d, d)."""
    from scipy.stats import invwishart

    if isinstance(prior, ImproperInverseWishart):
        raise PriorError(f"{prior!r} is improper: it cannot be drawn from.")
    if isinstance(prior, scales.ScalePrior):
        return np.full((1, 1), draw_scale(prior, rng) ** 2)
    if isinstance(prior, LKJ):
        sigma = np.array([draw_scale(one, rng) for one in prior.scales(d)])
        shapes = prior.partial_shapes(d)
        root = sigma[:, None] * correlation_root(2 * rng.beta(shapes, shapes) - 1, d)
        return root @ root.T
    if isinstance(prior, HuangWand):
        # a_k ~ InverseGamma(½, 1/A_k²), then Σ | a (Huang & Wand 2013, equation 2)
        a = prior.scales(d) ** -2.0 / rng.gamma(0.5, size=d)
        df, scale = prior.nu + d - 1, np.diag(2 * prior.nu / a)
    else:
        df, scale = prior.parameters(d)
    return np.asarray(invwishart.rvs(df, scale, random_state=rng)).reshape(d, d)


def draw_scale(prior: scales.ScalePrior, rng: np.random.Generator) -> float:
    """One standard deviation (or other positive parameter)."""
    match prior:
        case scales.HalfStudentT(nu=nu, sigma=scale):
            return float(scale * abs(rng.standard_t(nu)))
        case scales.HalfCauchy(beta=scale):
            return float(scale * abs(rng.standard_cauchy()))
        case scales.HalfNormal(sigma=scale):
            return float(scale * abs(rng.standard_normal()))
        case scales.Exponential(lam=rate):
            return float(rng.exponential(1 / rate))
        case scales.LogNormal(mu=mu, sigma=scale):
            return float(rng.lognormal(mu, scale))
        case scales.Uniform(upper=upper, on=on):
            value = rng.uniform(0, upper)
        case scales.Gamma(alpha=shape, beta=rate, on=on):
            value = rng.gamma(shape) / rate
        case scales.InverseGamma(alpha=shape, beta=rate, on=on):
            value = rate / rng.gamma(shape)
        case scales.ScaleDensity(name=name):
            raise PriorError(f"The prior {name!r} is known by its density alone: no draws of it.")
    return float(value if on == "sd" else math.sqrt(value))
