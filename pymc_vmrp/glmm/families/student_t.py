"""Student t family with identity link: location η, scale σ, ν degrees of freedom.

ℓ is not concave in η: the site of an outlier may have a negative precision. The optimal Gaussian
has such sites as any others (Opper & Archambeau 2009); the engine checks that q stays proper and
that the ELBO climbs. Cells hold (y, weight).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.families.family import (
    Family,
    Parameter,
    Parameters,
    Statistics,
    TwoArrays,
    one_by_one,
)
from pymc_vmrp.glmm.families.gaussian import mean_response, response_start
from pymc_vmrp.glmm.priors.scales import Gamma, HalfStudentT


def _log_likelihood(eta: FloatArray, statistics: Statistics, phi: Parameters) -> FloatArray:
    y, weight = statistics
    sigma, nu = phi
    normaliser = (
        gammaln(0.5 * (nu + 1)) - gammaln(0.5 * nu) - 0.5 * np.log(np.pi * nu) - np.log(sigma)
    )
    tail = np.log1p((y - eta) ** 2 / (nu * sigma**2))
    return np.asarray(weight * (normaliser - 0.5 * (nu + 1) * tail))


def _derivatives(eta: FloatArray, statistics: Statistics, phi: Parameters) -> TwoArrays:
    y, weight = statistics
    sigma, nu = phi
    residual = y - eta
    scale = nu * sigma**2
    whole = scale + residual**2
    factor = weight * (nu + 1) / whole
    return factor * residual, factor * (residual**2 - scale) / whole


def _augment(
    rng: np.random.Generator, eta: FloatArray, statistics: Statistics, phi: Parameters
) -> TwoArrays:
    """A normal of random precision λ/σ², also to the power of a weight.

    (1 + r²/νσ²)^−c is the mean of exp(−½λr²/σ²) over λ ~ Gamma(c, rate ν/2), here with
    c = w(ν + 1)/2; given r, λ is Gamma(c, rate (ν + r²/σ²)/2).
    """
    y, weight = statistics
    sigma, nu = phi
    rate = 0.5 * (nu * sigma**2 + (y - eta) ** 2)
    precision = rng.standard_gamma(0.5 * weight * (nu + 1)) / rate
    return precision, precision * y


def _likelihood(
    name: str, eta: Any, statistics: Statistics, parameters: dict[str, Any], dims: str
) -> None:
    import pymc as pm

    from pymc_vmrp.glmm.pymc_likelihoods import weighted

    y, weight = statistics
    sigma, nu = parameters["sigma"], parameters["nu"]
    weighted(name, pm.StudentT, weight, y, dims, nu=nu, mu=eta, sigma=sigma)


def _draw(rng: np.random.Generator, eta: FloatArray, _: Any, phi: Parameters) -> Any:
    sigma, nu = phi
    return eta + sigma * rng.standard_t(np.broadcast_to(nu, eta.shape))


FAMILIES = (
    Family(
        name="t",
        link="identity",
        response="real",
        inverse_link=lambda eta: eta,
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        pool=one_by_one,
        start=lambda statistics: response_start(*statistics),
        likelihood=_likelihood,
        draw=_draw,
        centre=mean_response,
        parameters=(
            Parameter("sigma", lambda sd: HalfStudentT(4, sd), (-3.0, 1.0), relative=True),
            Parameter("nu", lambda _: Gamma(2, 0.1), (0.0, 4.5)),
        ),
        log_concave=False,
        scaled=True,
        augment=_augment,
    ),
)
