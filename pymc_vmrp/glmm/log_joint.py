"""The exact log joint density of a GLMM, against which both engines are held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.glmm.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors import HuangWand, covariance_log_density
from pymc_vmrp.glmm.spec import GLMM

FloatArray = NDArray[np.float64]
Scales = tuple[FloatArray, FloatArray]


def log_joint(
    glmm: GLMM,
    coefficients: FloatArray,
    covariances: Sequence[FloatArray],
    aux: Sequence[FloatArray | None] | None = None,
    scales: Sequence[Scales | None] | None = None,
) -> FloatArray:
    """Log p(y, β, u, Σ) at given values of everything unknown.

    Parameters
    ----------
    glmm : GLMM
    coefficients : ndarray, shape (draws, p)
        ``[β, u]`` as laid out in the GLMM; the intercept is the centred one.
    covariances : sequence of ndarray, each of shape (draws, d, d)
        Σ_j of each block. Where d = 1 the density is that of the variance, not of the sd.
    aux : sequence of (ndarray of shape (draws, d) or None), optional
        Huang–Wand auxiliaries a of each block. Where given, p(Σ | a) p(a) takes the place of the
        marginal p(Σ).
    scales : sequence of (pair of ndarray, shapes (draws, k) and (draws,), or None), optional
        Local and global scales of each horseshoe prior, in the order of ``common.mixtures``. Where
        given, p(β | λ, τ) p(λ, τ) takes the place of the marginal p(β).

    Returns
    -------
    ndarray, shape (draws,)
        Normalised but for flat priors, which count as 1.
    """
    likelihood = log_likelihood(glmm, coefficients)
    return likelihood + log_prior(glmm, coefficients, covariances, aux, scales)


def log_likelihood(glmm: GLMM, coefficients: FloatArray) -> FloatArray:
    """Log p(y | β, u), shape (draws,), the constants of the original rows included."""
    from pymc_vmrp.glmm.kernels import log_likelihood_of_draws

    rows, response = glmm.rows, glmm.response
    total = log_likelihood_of_draws(
        rows.columns,
        rows.values,
        np.ascontiguousarray(coefficients),
        response.successes,
        response.trials,
    )
    return total + response.log_base


def log_prior(
    glmm: GLMM,
    coefficients: FloatArray,
    covariances: Sequence[FloatArray],
    aux: Sequence[FloatArray | None] | None = None,
    scales: Sequence[Scales | None] | None = None,
) -> FloatArray:
    """Log p(β, u, Σ), shape (draws,); see :func:`log_joint`."""
    common = glmm.common
    proper = np.isfinite(common.prior_sd)
    z = (coefficients[:, : common.size] - common.prior_mean)[:, proper] / common.prior_sd[proper]
    total = -0.5 * (z**2).sum(1) - np.log(common.prior_sd[proper] * np.sqrt(2 * np.pi)).sum()
    for i, mixture in enumerate(common.mixtures):
        index = list(mixture.index)
        deviation = coefficients[:, index] - common.prior_mean[index]
        given = None if scales is None else scales[i]
        if given is not None and isinstance(mixture.prior, Horseshoe):
            total += mixture.prior.log_density_augmented(deviation, *given)
        else:
            total += mixture.prior.log_density_of_squares(deviation**2)
    for j, group in enumerate(glmm.groups):
        sigma = covariances[j]
        u = coefficients[:, glmm.group_slice(j)].reshape(len(coefficients), -1, group.d)
        quadratic = ((u @ np.linalg.inv(sigma)) * u).sum((1, 2))
        log_det = np.linalg.slogdet(sigma)[1]
        total += -0.5 * (quadratic + len(group.levels) * (log_det + group.d * np.log(2 * np.pi)))
        a = None if aux is None else aux[j]
        if a is not None and isinstance(group.prior, HuangWand):
            total += group.prior.log_density_augmented(sigma, a)
        else:
            total += covariance_log_density(group.prior, sigma)
    return total
