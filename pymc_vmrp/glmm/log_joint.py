"""The exact log joint density of a GLMM, against which both engines are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors.covariance import HuangWand, covariance_log_density
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.spec import GLMM, DesignRows

Scales = tuple[FloatArray, FloatArray]

_BLOCK = 2**20  # linear predictors held at a time


def log_joint(
    glmm: GLMM,
    coefficients: FloatArray,
    covariances: Sequence[FloatArray],
    aux: Sequence[FloatArray | None] | None = None,
    parameters: FloatArray | None = None,
    scales: Sequence[Scales | None] | None = None,
) -> FloatArray:
    """Log p(y, β, u, Σ, φ) at given values of everything unknown.

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
    parameters : ndarray, shape (draws, k), optional
        The free parameters φ of the likelihood; None where there are none.
    scales : sequence of (pair of ndarray, shapes (draws, k) and (draws,), or None), optional
        Local and global scales of each horseshoe prior, in the order of ``common.mixtures``. Where
        given, p(β | λ, τ) p(λ, τ) takes the place of the marginal p(β).

    Returns
    -------
    ndarray, shape (draws,)
        Normalised but for flat priors, which count as 1.
    """
    if parameters is None:
        parameters = np.empty((len(coefficients), 0))
    total = log_likelihood(glmm, coefficients, parameters)
    for prior, values in zip(glmm.parameter_priors, parameters.T, strict=True):
        total = total + prior.log_density_sigma(values)
    return total + log_prior(glmm, coefficients, covariances, aux, scales)


def log_joint_of(glmm: GLMM, draws: Draws) -> FloatArray:
    """Log p(y, β, u, Σ, φ) of each draw, shape (draws,); see :func:`log_joint`."""
    return log_joint(glmm, draws.coefficients, draws.covariances, parameters=draws.parameters)


def log_likelihood(glmm: GLMM, coefficients: FloatArray, parameters: FloatArray) -> FloatArray:
    """Log p(y | β, u, φ), shape (draws,), the constants of the original rows included."""
    response, family = glmm.response, glmm.family
    if family.form == "logistic" and response.offset is None:
        from pymc_vmrp.glmm.kernels import log_likelihood_of_draws

        rows = glmm.rows
        total = log_likelihood_of_draws(
            rows.columns, rows.values, np.ascontiguousarray(coefficients), *response.statistics
        )
        return total + response.log_base
    total = np.zeros(len(coefficients))
    phi = glmm.family_arguments(parameters.T)
    for cells, eta in linear_predictors(glmm.rows, coefficients.T, response.offset):
        statistics = tuple(s[cells, None] for s in response.statistics)
        total += family.log_likelihood(eta, statistics, phi).sum(0)
    return total + response.log_base


def linear_predictors(
    rows: DesignRows, coefficients: FloatArray, offset: FloatArray | None
) -> Iterator[tuple[slice, FloatArray]]:
    """η for slices of the rows: (slice, array of shape (rows of the slice, draws)).

    Parameters
    ----------
    rows : DesignRows
    coefficients : ndarray, shape (p, draws)
    offset : ndarray, shape (N,), or None
    """
    draws = np.ascontiguousarray(coefficients)
    n = len(rows.columns)
    step = max(1, _BLOCK // max(1, draws.shape[1]))
    for low in range(0, n, step):
        part = slice(low, min(low + step, n))
        eta = DesignRows(rows.columns[part], rows.values[part]).sparse(len(draws)) @ draws
        yield part, eta if offset is None else eta + offset[part, None]


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
