"""Negative binomial family with log link: mean e^η, variance e^η + e^2η/α.

Cells hold (y, weight); rows with the same predictors and count share one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.families.family import (
    Expected,
    Family,
    Parameter,
    Parameters,
    Statistics,
    TwoArrays,
    one_by_one,
)
from pymc_vmrp.glmm.families.poisson import log_mean, log_rate_start
from pymc_vmrp.glmm.priors.scales import HalfCauchy

_STIRLING = 200.0  # beyond which the series has all digits


def _normaliser(y: FloatArray, alpha: Any) -> FloatArray:
    return np.asarray(_log_rising(y, alpha) - gammaln(y + 1.0))


def _log_rising(y: FloatArray, alpha: Any) -> FloatArray:
    """Log Γ(y + α) − log Γ(α) − y log α, by Stirling's series where the terms are huge."""
    large = np.maximum(alpha, _STIRLING)
    rest = 1 / (12 * (y + large)) - 1 / (12 * large)
    rest -= (1 / (y + large) ** 3 - 1 / large**3) / 360
    stirling = (y + large - 0.5) * np.log1p(y / large) - y + rest
    small = np.minimum(alpha, _STIRLING)
    direct = gammaln(y + small) - gammaln(small) - y * np.log(small)
    return np.where(alpha > _STIRLING, stirling, direct)


def _log_likelihood(eta: FloatArray, statistics: Statistics, phi: Parameters) -> FloatArray:
    y, weight = statistics
    (alpha,) = phi
    softplus = np.logaddexp(0, eta - np.log(alpha))
    return np.asarray(weight * (_normaliser(y, alpha) + y * eta - (y + alpha) * softplus))


def _derivatives(eta: FloatArray, statistics: Statistics, phi: Parameters) -> TwoArrays:
    y, weight = statistics
    (alpha,) = phi
    p = expit(eta - np.log(alpha))
    return weight * (y - (y + alpha) * p), -weight * (y + alpha) * p * (1 - p)


def _expectations(
    mean: FloatArray, variance: FloatArray, statistics: Statistics, phi: Parameters
) -> Expected:
    """Those of a logistic likelihood with y + α trials, at η − log α."""
    from pymc_vmrp.glmm.logistic import logistic_expectations

    y, weight = statistics
    (alpha,) = phi
    x = mean - np.log(alpha)
    softplus, rarer, slope = (np.empty_like(mean) for _ in range(3))
    logistic_expectations(-np.abs(x), variance, softplus, rarer, slope)
    # neither of p and 1 − p as what is left of 1: they are multiplied by large numbers
    p, rest = np.where(x > 0, (1 - rarer, rarer), (rarer, 1 - rarer))
    trials = y + alpha
    return Expected(
        weight * (_normaliser(y, alpha) + y * mean - trials * (softplus + np.maximum(x, 0))),
        weight * (y * rest - alpha * p),
        weight * trials * slope,
    )


def _augment(
    rng: np.random.Generator, eta: FloatArray, statistics: Statistics, phi: Parameters
) -> TwoArrays:
    """Pólya–Gamma: y successes of y + α trials with log odds η − log α (Polson et al. 2013)."""
    from pymc_vmrp.glmm.polya_gamma import random_polya_gamma

    y, weight = statistics
    log_alpha = np.log(phi[0])
    precision = random_polya_gamma(rng, weight * (y + phi[0]), eta - log_alpha)
    return precision, 0.5 * weight * (y - phi[0]) + precision * log_alpha


def _start(statistics: Statistics) -> TwoArrays:
    """As for Poisson counts, whose statistics are sums over the rows of a cell."""
    y, weight = statistics
    return log_rate_start(weight * y, weight)


def _likelihood(
    name: str, eta: Any, statistics: Statistics, parameters: dict[str, Any], dims: str
) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    from pymc_vmrp.glmm.pymc_likelihoods import weighted

    y, weight = statistics
    mu, alpha = pt.exp(eta), parameters["alpha"]
    weighted(name, pm.NegativeBinomial, weight, y.astype(np.int64), dims, mu=mu, alpha=alpha)


def _draw(rng: np.random.Generator, eta: FloatArray, _: Any, phi: Parameters) -> Any:
    (alpha,) = phi
    return rng.poisson(np.exp(eta) * rng.gamma(np.broadcast_to(alpha, eta.shape)) / alpha)


FAMILIES = (
    Family(
        name="negativebinomial",
        link="log",
        response="count",
        inverse_link=np.exp,
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        expectations=_expectations,
        pool=one_by_one,
        start=_start,
        likelihood=_likelihood,
        draw=_draw,
        centre=log_mean,
        parameters=(Parameter("alpha", lambda _: HalfCauchy(1), (-3.0, 5.0)),),
        augment=_augment,
    ),
)
