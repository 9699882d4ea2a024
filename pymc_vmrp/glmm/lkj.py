"""The LKJ prior: standard deviations of any priors, and a correlation matrix of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pymc_vmrp.glmm.scale_priors import ScalePrior

FloatArray = NDArray[np.float64]

_LOG_SCALES = np.linspace(-14.0, 14.0, 2801)  # where a median is looked for


@dataclass(frozen=True)
class LKJ:
    """Prior on Σ = diag(σ) R diag(σ): independent σ_k, and p(R) ∝ |R|^(η − 1).

    It is not conjugate: only ``hyperparameters="integrated"`` takes it. The mean-field fit that
    integration starts from has the Huang–Wand prior with the same medians of σ in its place.

    Parameters
    ----------
    eta : float
        1 makes all correlation matrices equally likely; more draws them to the identity.
    scales : tuple of ScalePrior
        Prior of each σ_k.

    References
    ----------
    Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random correlation matrices based
    on vines and extended onion method. Journal of Multivariate Analysis 100(9), equation (16).
    """

    eta: float
    scales: tuple[ScalePrior, ...]

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of Σ, for ``covariance`` of shape (..., d, d)."""
        d = len(self.scales)
        sigma = np.sqrt(np.einsum("...kk->...k", covariance))
        log_sigma = np.log(sigma)
        log_det = np.linalg.slogdet(covariance)[1] - 2 * log_sigma.sum(-1)
        total = (self.eta - 1) * log_det - self._log_normaliser
        for k, prior in enumerate(self.scales):
            total = total + prior.log_density_sigma(sigma[..., k])
        # |dΣ/d(σ, R)| = 2^d Π σ_k^d
        return np.asarray(total - d * math.log(2) - d * log_sigma.sum(-1))

    @cached_property
    def _log_normaliser(self) -> float:
        """Log ∫ |R|^(η − 1) dR: a product over the columns of beta integrals."""
        d = len(self.scales)
        k = np.arange(1, d)
        shape = self.eta + 0.5 * (d - 1 - k)
        terms = 0.5 * k * math.log(math.pi) + gammaln(shape) - gammaln(self.eta + 0.5 * (d - 1))
        return float(terms.sum())

    @cached_property
    def medians(self) -> tuple[float, ...]:
        """Median of each σ_k."""
        return tuple(median(prior) for prior in self.scales)


def median(prior: ScalePrior) -> float:
    """Median of σ."""
    with np.errstate(all="ignore"):
        log_density = prior.log_density_sigma(np.exp(_LOG_SCALES)) + _LOG_SCALES
    log_density = np.where(np.isfinite(log_density), log_density, -np.inf)
    mass = np.cumsum(np.exp(log_density - log_density.max()))
    return float(np.exp(np.interp(0.5, mass / mass[-1], _LOG_SCALES)))
