"""Prior distributions a user can name, and their log densities.

Priors on a common coefficient: :class:`Normal`, :class:`Flat`. Priors on the d × d covariance
matrix Σ of a group-specific term: :class:`HuangWand` and :class:`InverseWishart` for any d,
:class:`HalfStudentT` and :class:`HalfNormal` on the standard deviation σ where d = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, multigammaln

from pymc_vmrp.errors import PriorError

FloatArray = NDArray[np.float64]


def _numbers(name: str, value: Any, scalar: bool = False) -> FloatArray:
    """``value`` as finite numbers, or a PriorError that names the argument."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise PriorError(f"{name} must be a number, not {value!r}.") from None
    if not np.isfinite(array).all():
        raise PriorError(f"{name} must be finite, not {value!r}.")
    if scalar and array.ndim:
        raise PriorError(f"{name} must be one number, not {value!r}.")
    return array


def _positive(name: str, value: Any, scalar: bool = False) -> None:
    if not np.all(_numbers(name, value, scalar) > 0):
        raise PriorError(f"{name} must be positive, not {value!r}.")


def _freeze(prior: Any, field_name: str) -> None:
    """Store an array as nested tuples, so that priors compare and hash by value."""
    value = getattr(prior, field_name)
    if np.ndim(value):
        nested = np.asarray(value, dtype=float).tolist()
        frozen = tuple(tuple(row) if isinstance(row, list) else row for row in nested)
        object.__setattr__(prior, field_name, frozen)


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
        _positive("Normal: sigma", self.sigma)
        _numbers("Normal: mu", self.mu)
        _freeze(self, "mu")
        _freeze(self, "sigma")


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
        _positive("HuangWand: nu", self.nu, scalar=True)
        _positive("HuangWand: A", self.A)
        _freeze(self, "A")

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
            _positive("InverseWishart: df", self.df, scalar=True)
        scale = _numbers("InverseWishart: scale", self.scale)
        if scale.ndim == 0:
            _positive("InverseWishart: scale", self.scale)
        elif scale.ndim != 2 or scale.shape[0] != scale.shape[1]:
            raise PriorError("InverseWishart: scale must be a number or a square matrix.")
        elif not np.allclose(scale, scale.T) or np.linalg.eigvalsh(scale).min() <= 0:
            raise PriorError("InverseWishart: scale must be symmetric and positive definite.")
        _freeze(self, "scale")

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


@dataclass(frozen=True)
class HalfStudentT:
    """Half-t prior on the standard deviation of a term with one effect.

    Parameters
    ----------
    nu : float
        Degrees of freedom.
    sigma : float
        Scale, in units of the linear predictor.
    """

    nu: float = 4.0
    sigma: float = 2.5

    def __post_init__(self) -> None:
        _positive("HalfStudentT: nu", self.nu, scalar=True)
        _positive("HalfStudentT: sigma", self.sigma, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        nu, s = self.nu, self.sigma
        constant = np.log(2) + gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
        return np.asarray(constant - np.log(s) - 0.5 * (nu + 1) * np.log1p((sigma / s) ** 2 / nu))

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of σ², for ``covariance`` of shape (..., 1, 1)."""
        return _variance_log_density(self, covariance)


@dataclass(frozen=True)
class HalfNormal:
    """Half-normal prior on the standard deviation of a term with one effect.

    Parameters
    ----------
    sigma : float
        Scale, in units of the linear predictor.
    """

    sigma: float = 2.5

    def __post_init__(self) -> None:
        _positive("HalfNormal: sigma", self.sigma, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        s = self.sigma
        return np.asarray(0.5 * np.log(2 / np.pi) - np.log(s) - 0.5 * (sigma / s) ** 2)

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of σ², for ``covariance`` of shape (..., 1, 1)."""
        return _variance_log_density(self, covariance)


CoefficientPrior = Normal | Flat
ScalePrior = HalfStudentT | HalfNormal
CovariancePrior = HuangWand | InverseWishart | HalfStudentT | HalfNormal


def check_covariance_prior(prior: CovariancePrior, d: int, term: str) -> None:
    """Raise PriorError where ``prior`` cannot serve a group-specific term with d effects."""
    if isinstance(prior, ScalePrior) and d > 1:
        name = type(prior).__name__
        raise PriorError(
            f"The prior of {term!r} is {name}, which is a prior on one standard deviation, but the "
            f"term has {d} correlated effects. Use HuangWand or InverseWishart, or write the term "
            "with || so that its effects are independent."
        )
    if isinstance(prior, HuangWand):
        prior.scales(d)
    elif isinstance(prior, InverseWishart):
        prior.parameters(d)


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


def _variance_log_density(prior: ScalePrior, covariance: FloatArray) -> FloatArray:
    sigma = np.sqrt(covariance[..., 0, 0])
    return np.asarray(prior.log_density_sigma(sigma) - np.log(2 * sigma))  # dσ/dσ² = 1/(2σ)


def _per_effect(name: str, value: float | Sequence[float], d: int) -> FloatArray:
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return np.full(d, float(array))
    if array.shape != (d,):
        raise PriorError(f"{name} has {array.size} values, but the term has {d} effects.")
    return array
