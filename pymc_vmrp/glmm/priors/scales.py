"""Priors on the standard deviation σ of a group-specific term with one effect.

Scales are in units of the linear predictor (of its square, for a prior on the variance).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors.arguments import numbers, positive

_ON = ("sd", "variance")


@dataclass(frozen=True)
class HalfStudentT:
    """Half-t prior on σ.

    Parameters
    ----------
    nu : float
        Degrees of freedom.
    sigma : float
        Scale.
    """

    nu: float = 4.0
    sigma: float = 2.5

    def __post_init__(self) -> None:
        positive("HalfStudentT: nu", self.nu, scalar=True)
        positive("HalfStudentT: sigma", self.sigma, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        nu, s = self.nu, self.sigma
        constant = np.log(2) + gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
        return np.asarray(constant - np.log(s) - 0.5 * (nu + 1) * np.log1p((sigma / s) ** 2 / nu))


@dataclass(frozen=True)
class HalfCauchy:
    """Half-Cauchy prior on σ.

    Parameters
    ----------
    beta : float
        Scale: the median of σ.
    """

    beta: float = 2.5

    def __post_init__(self) -> None:
        positive("HalfCauchy: beta", self.beta, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        return np.asarray(math.log(2 / (math.pi * self.beta)) - np.log1p((sigma / self.beta) ** 2))


@dataclass(frozen=True)
class HalfNormal:
    """Half-normal prior on σ.

    Parameters
    ----------
    sigma : float
        Scale.
    """

    sigma: float = 2.5

    def __post_init__(self) -> None:
        positive("HalfNormal: sigma", self.sigma, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        s = self.sigma
        return np.asarray(0.5 * np.log(2 / np.pi) - np.log(s) - 0.5 * (sigma / s) ** 2)


@dataclass(frozen=True)
class Exponential:
    """Exponential prior on σ.

    Parameters
    ----------
    lam : float
        Rate: one over the mean of σ.
    """

    lam: float = 1.0

    def __post_init__(self) -> None:
        positive("Exponential: lam", self.lam, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        return np.asarray(math.log(self.lam) - self.lam * sigma)


@dataclass(frozen=True)
class Uniform:
    """Uniform prior on σ or on its square, from 0 to an upper limit.

    Parameters
    ----------
    upper : float
        Upper limit of σ, or of σ² where ``on`` is "variance".
    on : {"sd", "variance"}
    """

    upper: float
    on: str = "sd"

    def __post_init__(self) -> None:
        positive("Uniform: upper", self.upper, scalar=True)
        _check_on("Uniform", self.on)

    @property
    def largest(self) -> float:
        """Largest σ that the prior allows."""
        return self.upper if self.on == "sd" else math.sqrt(self.upper)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ; −inf beyond the limit."""
        value, log_jacobian = _measured(sigma, self.on)
        # the limit itself belongs to the support, also after a rounded square root
        inside = value <= self.upper * (1 + 1e-12)
        return np.where(inside, log_jacobian - math.log(self.upper), -np.inf)


@dataclass(frozen=True)
class Gamma:
    """Gamma prior on σ or on its square.

    Parameters
    ----------
    alpha : float
        Shape.
    beta : float
        Rate.
    on : {"sd", "variance"}
    """

    alpha: float
    beta: float
    on: str = "sd"

    def __post_init__(self) -> None:
        positive("Gamma: alpha", self.alpha, scalar=True)
        positive("Gamma: beta", self.beta, scalar=True)
        _check_on("Gamma", self.on)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        value, log_jacobian = _measured(sigma, self.on)
        constant = self.alpha * math.log(self.beta) - math.lgamma(self.alpha)
        return constant + (self.alpha - 1) * np.log(value) - self.beta * value + log_jacobian


@dataclass(frozen=True)
class InverseGamma:
    """Inverse gamma prior on the variance σ², or on σ itself.

    Parameters
    ----------
    alpha : float
        Shape.
    beta : float
        Scale: 1/σ² (or 1/σ) is Gamma(alpha, rate beta).
    on : {"variance", "sd"}
    """

    alpha: float
    beta: float
    on: str = "variance"

    def __post_init__(self) -> None:
        positive("InverseGamma: alpha", self.alpha, scalar=True)
        positive("InverseGamma: beta", self.beta, scalar=True)
        _check_on("InverseGamma", self.on)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        value, log_jacobian = _measured(sigma, self.on)
        constant = self.alpha * math.log(self.beta) - math.lgamma(self.alpha)
        return constant - (self.alpha + 1) * np.log(value) - self.beta / value + log_jacobian


@dataclass(frozen=True)
class LogNormal:
    """Lognormal prior on σ.

    Parameters
    ----------
    mu : float
        Mean of log σ.
    sigma : float
        Standard deviation of log σ.
    """

    mu: float = 0.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        numbers("LogNormal: mu", self.mu, scalar=True)
        positive("LogNormal: sigma", self.sigma, scalar=True)

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        log_sigma = np.log(sigma)
        z = (log_sigma - self.mu) / self.sigma
        constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
        return np.asarray(-0.5 * z**2 - log_sigma - constant)


@dataclass(frozen=True)
class ScaleDensity:
    """Any prior on σ, given by its log density.

    Parameters
    ----------
    name : str
        What it is, for messages.
    log_density : callable
        Log density of σ > 0, elementwise; −inf outside of the support.
    largest, smallest : float
        Ends of the support of σ.
    """

    name: str
    log_density: Callable[[FloatArray], FloatArray]
    largest: float = math.inf
    smallest: float = 0.0

    def log_density_sigma(self, sigma: FloatArray) -> FloatArray:
        """Log density of σ."""
        return np.asarray(self.log_density(np.asarray(sigma, dtype=float)))


ScalePrior = (
    HalfStudentT
    | HalfCauchy
    | HalfNormal
    | Exponential
    | Uniform
    | Gamma
    | InverseGamma
    | LogNormal
    | ScaleDensity
)


def log_density_at(prior: ScalePrior, sigma: float) -> float:
    """Log density of one σ."""
    return float(prior.log_density_sigma(np.asarray(sigma)))


def largest_sigma(prior: ScalePrior) -> float:
    """Upper end of the support of σ."""
    return prior.largest if isinstance(prior, Uniform | ScaleDensity) else math.inf


def smallest_sigma(prior: ScalePrior) -> float:
    """Lower end of the support of σ."""
    return prior.smallest if isinstance(prior, ScaleDensity) else 0.0


def log_density_of_variance(prior: ScalePrior, covariance: FloatArray) -> FloatArray:
    """Log density of σ², for ``covariance`` of shape (..., 1, 1)."""
    sigma = np.sqrt(covariance[..., 0, 0])
    return np.asarray(prior.log_density_sigma(sigma) - np.log(2 * sigma))  # dσ/dσ² = 1/(2σ)


def _check_on(prior: str, on: str) -> None:
    if on not in _ON:
        raise PriorError(f"{prior}: on must be 'sd' or 'variance', not {on!r}.")


def _measured(sigma: FloatArray, on: str) -> tuple[FloatArray, FloatArray]:
    """What the prior is on, and the log of its derivative by σ."""
    if on == "sd":
        return sigma, np.zeros_like(sigma)
    return sigma**2, np.log(2 * sigma)
