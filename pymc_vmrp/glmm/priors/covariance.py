"""Prior distributions a user can name, and their log densities.

Priors on a common coefficient: :class:`Normal`, :class:`Flat`, and those of ``mixtures.py`` and
``horseshoe.py``. Priors on the d × d covariance matrix Σ of a group-specific term:
:class:`HuangWand` and :class:`InverseWishart` for any d; those of ``scales.py`` on the standard
deviation σ where d = 1; by name, those of ``improper.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import gammaln, multigammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors.arguments import freeze, numbers, positive
from pymc_vmrp.glmm.priors.improper import IMPROPER_NAMES, ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.mixtures import ScaleMixture
from pymc_vmrp.glmm.priors.scales import ScalePrior, log_density_of_variance


@dataclass(frozen=True)
class Normal:
    """Normal prior on a common coefficient.

    Parameters
    ----------
    mu : float or sequence of float
        Mean, on the scale of the linear predictor per unit of the predictor.
    sigma : float or sequence of float
        Standard deviation on the same scale. A sequence gives one value per column of a term.
    """

    mu: float | Sequence[float] = 0.0
    sigma: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        positive("Normal: sigma", self.sigma)
        numbers("Normal: mu", self.mu)
        freeze(self, "mu")
        freeze(self, "sigma")


@dataclass(frozen=True)
class Flat:
    """Improper uniform prior on a common coefficient."""


@dataclass(frozen=True)
class HuangWand:
    """Huang–Wand prior on the covariance matrix of a group-specific term.

    Σ | a ~ InverseWishart(ν + d − 1, 2ν diag(1/a_k)) and a_k ~ InverseGamma(½, 1/A_k²), so that
    each standard deviation is half-t(ν, A_k) and, for ν = 2, each correlation is uniform on
    (−1, 1).

    Parameters
    ----------
    nu : float
        Degrees of freedom of the half-t marginals.
    A : float or sequence of float
        Scale of the half-t marginals, one value or one per effect of the term.

    References
    ----------
    Huang, A. and Wand, M. P. (2013). Simple marginally noninformative prior distributions for
    covariance matrices. Bayesian Analysis 8(2), equation (2) and properties 2 to 4.
    """

    nu: float = 2.0
    A: float | Sequence[float] = 5.0

    def __post_init__(self) -> None:
        positive("HuangWand: nu", self.nu, scalar=True)
        positive("HuangWand: A", self.A)
        freeze(self, "A")

    def scales(self, d: int) -> FloatArray:
        """A_k for each of the d effects, shape (d,)."""
        return _per_effect("HuangWand: A", self.A, d)

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of Σ with the auxiliaries a_k integrated out.

        Parameters
        ----------
        covariance : ndarray, shape (..., d, d)

        Returns
        -------
        ndarray, shape (...)
            Each a_k enters p(Σ | a) p(a) as an inverse gamma kernel with shape (ν + d)/2 and rate
            1/A_k² + ν (Σ⁻¹)_kk, which is integrated in closed form (Huang & Wand 2013, sec. 2).
        """
        d = covariance.shape[-1]
        scale = self.scales(d)
        precision = np.linalg.inv(covariance)
        diagonal = np.einsum("...kk->...k", precision)
        df = self.nu + d - 1
        log_det = np.linalg.slogdet(covariance)[1]
        constant = (
            0.5 * df * d * np.log(self.nu)
            - multigammaln(0.5 * df, d)
            + d * (gammaln(0.5 * (self.nu + d)) - gammaln(0.5))
            - np.log(scale).sum()
        )
        kernel = -0.5 * (self.nu + d) * np.log(scale**-2 + self.nu * diagonal).sum(-1)
        return np.asarray(constant - 0.5 * (df + d + 1) * log_det + kernel)

    def log_density_augmented(self, covariance: FloatArray, aux: FloatArray) -> FloatArray:
        """Log density of (Σ, a): p(Σ | a) p(a), for ``aux`` of shape (..., d)."""
        d = covariance.shape[-1]
        scale = self.scales(d)
        psi = 2 * self.nu / aux[..., None] * np.eye(d)
        rate = scale**-2
        log_a = np.log(aux)
        log_p_a = (0.5 * np.log(rate) - gammaln(0.5) - 1.5 * log_a - rate / aux).sum(-1)
        return inverse_wishart_log_density(covariance, self.nu + d - 1, psi) + log_p_a


@dataclass(frozen=True)
class InverseWishart:
    """Inverse Wishart prior on the covariance matrix of a group-specific term.

    Parameters
    ----------
    df : float, optional
        Degrees of freedom; None means d + 1, which makes each correlation uniform.
    scale : float or array-like of shape (d, d)
        Scale matrix; a number s means s times the identity.
    """

    df: float | None = None
    scale: float | Sequence[Sequence[float]] = field(default=1.0)

    def __post_init__(self) -> None:
        if self.df is not None:
            positive("InverseWishart: df", self.df, scalar=True)
        scale = numbers("InverseWishart: scale", self.scale)
        if scale.ndim == 0:
            positive("InverseWishart: scale", self.scale)
        elif scale.ndim != 2 or scale.shape[0] != scale.shape[1]:
            raise PriorError("InverseWishart: scale must be a number or a square matrix.")
        elif not np.allclose(scale, scale.T) or np.linalg.eigvalsh(scale).min() <= 0:
            raise PriorError("InverseWishart: scale must be symmetric and positive definite.")
        freeze(self, "scale")

    def parameters(self, d: int) -> tuple[float, FloatArray]:
        """Degrees of freedom and (d, d) scale matrix for a term with d effects."""
        df = float(d + 1 if self.df is None else self.df)
        if df <= d - 1:
            raise PriorError(f"InverseWishart: df must exceed d - 1 = {d - 1}, not {df}.")
        scale = np.asarray(self.scale, dtype=float)
        if scale.ndim == 0:
            return df, float(scale) * np.eye(d)
        if scale.shape != (d, d):
            raise PriorError(
                f"InverseWishart: scale has shape {scale.shape}, but the term has {d} effects."
            )
        return df, scale

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of Σ, for ``covariance`` of shape (..., d, d)."""
        df, scale = self.parameters(covariance.shape[-1])
        return inverse_wishart_log_density(covariance, df, scale)


CoefficientPrior = Normal | Flat | ScaleMixture
CovariancePrior = HuangWand | InverseWishart | ImproperInverseWishart | LKJ | ScalePrior


def named_covariance_prior(name: str) -> CovariancePrior | None:
    """The prior that vglmer calls so, or None: "mean_exists" is InverseWishart(d + 1, I)."""
    if name == "mean_exists":
        return InverseWishart()
    return ImproperInverseWishart(name) if name in IMPROPER_NAMES else None


def covariance_log_density(prior: CovariancePrior, covariance: FloatArray) -> FloatArray:
    """Log density of Σ (of σ² where d = 1), for ``covariance`` of shape (..., d, d)."""
    if isinstance(prior, ScalePrior):
        return log_density_of_variance(prior, covariance)
    return prior.log_density(covariance)


def inverse_wishart_log_density(
    covariance: FloatArray, df: float | FloatArray, scale: FloatArray
) -> FloatArray:
    """Log density of InverseWishart(df, scale) at ``covariance``, shapes (..., d, d)."""
    d = covariance.shape[-1]
    trace = np.einsum("...ij,...ji->...", scale, np.linalg.inv(covariance))
    return np.asarray(
        0.5 * df * np.linalg.slogdet(scale)[1]
        - 0.5 * df * d * np.log(2)
        - multigammaln(0.5 * df, d)
        - 0.5 * (df + d + 1) * np.linalg.slogdet(covariance)[1]
        - 0.5 * trace
    )


def _per_effect(name: str, value: float | Sequence[float], d: int) -> FloatArray:
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return np.full(d, float(array))
    if array.shape != (d,):
        raise PriorError(f"{name} has {array.size} values, but the term has {d} effects.")
    return array
