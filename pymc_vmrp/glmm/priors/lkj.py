"""The LKJ prior: standard deviations of any priors, and a correlation matrix of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors.arguments import positive
from pymc_vmrp.glmm.priors.scales import HalfNormal, ScalePrior

CLOSEST = 1e-6  # of a partial correlation to ±1: beyond it Σ has no inverse in double precision

_LOG_SCALES = np.linspace(-14.0, 14.0, 2801)  # where a median is looked for


@dataclass(frozen=True)
class LKJ:
    """Prior on Σ = diag(σ) R diag(σ): independent σ_k of any priors, and p(R) ∝ |R|^(η − 1).

    It takes the place of ``HuangWand`` where the standard deviations of correlated effects should
    have priors of their own, such as an informative ``HalfNormal``.

    Parameters
    ----------
    eta : float
        1 makes all correlation matrices equally likely; more draws them to the identity.
    sd : prior on one standard deviation, or sequence of them
        Prior of each σ_k: one for all effects of the term, or one per effect in their order.

    References
    ----------
    Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random correlation matrices based
    on vines and extended onion method. Journal of Multivariate Analysis 100(9), equation (16).

    Examples
    --------
    >>> priors = {"1+x|g": vmrp.LKJ(2, sd=vmrp.HalfNormal(1))}
    """

    eta: float = 1.0
    sd: ScalePrior | Sequence[ScalePrior] = field(default_factory=lambda: HalfNormal(1.0))

    def __post_init__(self) -> None:
        positive("LKJ: eta", self.eta, scalar=True)
        if isinstance(self.sd, list | tuple):
            object.__setattr__(self, "sd", tuple(self.sd))
        several = self.sd if isinstance(self.sd, tuple) else (self.sd,)
        for one in several:
            if not isinstance(one, ScalePrior):
                raise PriorError(
                    "LKJ: sd must be a prior on one standard deviation, such as HalfNormal(1), or "
                    f"one per effect, not {one!r}."
                )
        if not several:
            raise PriorError("LKJ: sd is empty: give one prior, or one per effect.")

    def scales(self, d: int) -> tuple[ScalePrior, ...]:
        """Prior of each of the d standard deviations."""
        if not isinstance(self.sd, tuple):
            return (self.sd,) * d  # type: ignore[return-value]
        if len(self.sd) != d:
            raise PriorError(f"LKJ: sd has {len(self.sd)} priors, but the term has {d} effects.")
        return self.sd

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of Σ, for ``covariance`` of shape (..., d, d)."""
        d = covariance.shape[-1]
        sigma = np.sqrt(np.einsum("...kk->...k", covariance))
        log_sigma = np.log(sigma)
        log_det = np.linalg.slogdet(covariance)[1] - 2 * log_sigma.sum(-1)
        total = (self.eta - 1) * log_det - _log_normaliser(self.eta, d)
        for k, prior in enumerate(self.scales(d)):
            total = total + prior.log_density_sigma(sigma[..., k])
        # |dΣ/d(σ, R)| = 2^d Π σ_k^d
        return np.asarray(total - d * math.log(2) - d * log_sigma.sum(-1))

    def partial_shapes(self, d: int) -> FloatArray:
        """The b of each canonical partial correlation z, row by row: (z + 1)/2 ~ Beta(b, b).

        Shape (d(d − 1)/2,); z_ij is that of effects i > j given the effects before j.
        """
        return np.array([self.eta + 0.5 * (d - 2 - j) for i in range(d) for j in range(i)])


@cache
def _log_normaliser(eta: float, d: int) -> float:
    """Log ∫ |R|^(η − 1) dR: a product over the columns of beta integrals."""
    k = np.arange(1, d)
    shape = eta + 0.5 * (d - 1 - k)
    terms = 0.5 * k * math.log(math.pi) + gammaln(shape) - gammaln(eta + 0.5 * (d - 1))
    return float(terms.sum())


def correlation_root(partial: FloatArray, d: int) -> FloatArray:
    """Cholesky factor, shape (..., d, d), of the R with these canonical partial correlations.

    Row by row as in :meth:`LKJ.partial_shapes` (Lewandowski, Kurowicka & Joe 2009).
    """
    factor = np.zeros((*partial.shape[:-1], d, d))
    at = 0
    for i in range(d):
        left = np.ones(partial.shape[:-1])
        for j in range(i):
            factor[..., i, j] = partial[..., at] * np.sqrt(left)
            left = left * (1 - partial[..., at] ** 2)
            at += 1
        factor[..., i, i] = np.sqrt(left)
    return factor


def partial_correlations(root: FloatArray) -> FloatArray:
    """The canonical partial correlations of a Cholesky factor, shape (d, d): the way back."""
    out = []
    for i in range(len(root)):
        left = 1.0
        for j in range(i):
            z = float(np.clip(root[i, j] / math.sqrt(left), CLOSEST - 1, 1 - CLOSEST))
            out.append(z)
            left *= 1 - z**2
    return np.array(out)


def median(prior: ScalePrior) -> float:
    """Median of σ."""
    with np.errstate(all="ignore"):
        log_density = prior.log_density_sigma(np.exp(_LOG_SCALES)) + _LOG_SCALES
    log_density = np.where(np.isfinite(log_density), log_density, -np.inf)
    mass = np.cumsum(np.exp(log_density - log_density.max()))
    return float(np.exp(np.interp(0.5, mass / mass[-1], _LOG_SCALES)))
