"""Gamma family with log link: mean e^η, shape α.

Cells hold (y, weight); rows with the same predictors and response share one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln

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
from pymc_vmrp.glmm.families.poisson import LARGEST_EXPONENT, log_mean
from pymc_vmrp.glmm.priors.scales import HalfCauchy


def _normaliser(y: FloatArray, alpha: Any) -> FloatArray:
    return np.asarray(alpha * np.log(alpha) - gammaln(alpha) + (alpha - 1) * np.log(y))


def _log_likelihood(eta: FloatArray, statistics: Statistics, phi: Parameters) -> FloatArray:
    y, weight = statistics
    (alpha,) = phi
    return np.asarray(weight * (_normaliser(y, alpha) - alpha * (eta + y * np.exp(-eta))))


def _derivatives(eta: FloatArray, statistics: Statistics, phi: Parameters) -> TwoArrays:
    y, weight = statistics
    ratio = weight * phi[0] * y * np.exp(-eta)
    return ratio - weight * phi[0], -ratio


def _expectations(
    mean: FloatArray, variance: FloatArray, statistics: Statistics, phi: Parameters
) -> Expected:
    """E e^−η = e^(v/2 − μ)."""
    y, weight = statistics
    (alpha,) = phi
    ratio = y * np.exp(np.minimum(0.5 * variance - mean, LARGEST_EXPONENT))
    return Expected(
        weight * (_normaliser(y, alpha) - alpha * (mean + ratio)),
        weight * alpha * (ratio - 1),
        weight * alpha * ratio,
    )


def _start(statistics: Statistics) -> TwoArrays:
    """Halfway, on the log scale, between each response and their mean."""
    y, weight = statistics
    overall = np.log(weight @ y / weight.sum())
    return 0.5 * (np.log(y) + overall), np.full(len(y), 0.1)


def _likelihood(
    name: str, eta: Any, statistics: Statistics, parameters: dict[str, Any], dims: str
) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    from pymc_vmrp.glmm.pymc_likelihoods import weighted

    y, weight = statistics
    alpha = parameters["alpha"]
    weighted(name, pm.Gamma, weight, y, dims, alpha=alpha, beta=alpha * pt.exp(-eta))


def _draw(rng: np.random.Generator, eta: FloatArray, _: Any, phi: Parameters) -> Any:
    (alpha,) = phi
    return rng.gamma(np.broadcast_to(alpha, eta.shape)) * np.exp(eta) / alpha


FAMILIES = (
    Family(
        name="gamma",
        link="log",
        response="positive",
        inverse_link=np.exp,
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        expectations=_expectations,
        pool=one_by_one,
        start=_start,
        likelihood=_likelihood,
        draw=_draw,
        centre=log_mean,
        parameters=(Parameter("alpha", lambda _: HalfCauchy(1), (-3.0, 6.0)),),
    ),
)
