"""The horseshoe prior: β_k ~ N(0, λ_k²τ²) with λ_k ~ half-Cauchy(1).

With λ_k integrated out, log p(β | τ) = −log τ − ½ log 2π³ + log f(c), where c = β²/(2τ²) and
f(c) = eᶜE₁(c) is the scaled exponential integral (Carvalho, Polson & Scott 2010, theorem 1, bound
this integral; Neville, Ormerod & Wand 2014 use it in mean-field variational Bayes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import exp1

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.arguments import positive

_ASYMPTOTIC = 100.0  # beyond it eight terms of the series of f are exact to 1e-11
_MARGIN = 15.0  # in log τ: the integrand falls by e^-30 or more beyond the scales of β and of τ
_COARSE, _FINE = 97, 193  # points over log τ
_LOWEST = 45.0  # of the log integrand below its maximum, left out
_MOST = 2**22  # numbers held at a time


@dataclass(frozen=True)
class Horseshoe:
    """Horseshoe prior on common coefficients: most are near zero, and a few are not.

    β_k ~ N(0, λ_k²τ²) with local scales λ_k ~ half-Cauchy(1). Give predictors of one scale, for
    example ``scale(x)``: τ is one number for all of them.

    Parameters
    ----------
    tau : float, optional
        Global scale. None gives it a half-Cauchy(1) prior; then all columns that the prior is
        given to under one key share one τ.

    References
    ----------
    Carvalho, C. M., Polson, N. G. and Scott, J. G. (2010). The horseshoe estimator for sparse
    signals. Biometrika 97(2).
    Neville, S. E., Ormerod, J. T. and Wand, M. P. (2014). Mean field variational Bayes for
    continuous sparse signal shrinkage: pitfalls and remedies. Electronic Journal of Statistics 8.
    """

    tau: float | None = None

    def __post_init__(self) -> None:
        if self.tau is not None:
            positive("Horseshoe: tau", self.tau, scalar=True)

    @property
    def location(self) -> float:
        """Centre of the distribution."""
        return 0.0

    @property
    def scale(self) -> FloatArray:
        """Typical size of β."""
        return np.asarray(1.0 if self.tau is None else self.tau, dtype=float)

    def log_density_of_squares(self, squares: FloatArray) -> FloatArray:
        """Log density at β², shape (..., k), of all k coefficients, λ (and τ) integrated out."""
        if self.tau is not None:
            return _log_density(squares, self.tau).sum(-1)
        flat = squares.reshape(-1, squares.shape[-1])
        out = np.empty(len(flat))
        size = max(1, _MOST // (_FINE * max(flat.shape[1], 1)))
        for at in range(0, len(flat), size):
            grid = _GlobalScale.given(flat[at : at + size])
            out[at : at + size] = grid.log_evidence
        return out.reshape(squares.shape[:-1])

    def expected_precision(self, squares: FloatArray) -> FloatArray:
        """E[1/(λτ)²] under the optimal q(λ, τ), shape (k,), given E[β²]."""
        if self.tau is not None:
            return _expected_precision(squares, self.tau)
        grid = _GlobalScale.given(squares[None])
        given_tau = _expected_precision(squares, np.exp(grid.log_tau[0])[:, None])
        return np.asarray(grid.mass[0] @ given_tau)

    def log_density_augmented(
        self, beta: FloatArray, local: FloatArray, tau: FloatArray | float
    ) -> FloatArray:
        """Log density of (β, λ), or of (β, λ, τ) where τ is unknown.

        Parameters
        ----------
        beta, local : ndarray, shape (..., k)
        tau : float or ndarray, shape (...)
        """
        sd = local * np.asarray(tau)[..., None]
        normal = -0.5 * (beta / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
        total = (normal + _log_half_cauchy(local)).sum(-1)
        return np.asarray(total if self.tau is not None else total + _log_half_cauchy(tau))

    def likely_scales(self, beta: FloatArray) -> tuple[FloatArray, float]:
        """Local scales, shape (k,), and a global scale that go well with β, to start a sampler."""
        squares = np.maximum(beta**2, 1e-200)
        tau = self.tau
        if tau is None:
            grid = _GlobalScale.given(squares[None])
            tau = float(np.exp(grid.mass[0] @ grid.log_tau[0]))
        return 1 / (tau * np.sqrt(_expected_precision(squares, tau))), tau


@dataclass(frozen=True)
class _GlobalScale:
    """p(τ | S) ∝ half-Cauchy(τ) Π_k p(S_k | τ) on an even grid of log τ, one row per draw."""

    log_tau: FloatArray  # (draws, points)
    mass: FloatArray  # (draws, points)
    log_evidence: FloatArray  # (draws,)

    @classmethod
    def given(cls, squares: FloatArray) -> _GlobalScale:
        log_sizes = 0.5 * np.log(squares)
        low = np.minimum(log_sizes.min(-1), 0.0) - _MARGIN
        high = np.maximum(log_sizes.max(-1), 0.0) + _MARGIN
        log_tau, values = _tabulate(squares, low, high, _COARSE)
        # where the mass is, and one point more on either side
        inside = values > values.max(-1, keepdims=True) - _LOWEST
        first = np.maximum(inside.argmax(-1) - 1, 0)
        last = np.minimum(_COARSE - inside[:, ::-1].argmax(-1), _COARSE - 1)
        row = np.arange(len(squares))
        log_tau, values = _tabulate(squares, log_tau[row, first], log_tau[row, last], _FINE)
        top = values.max(-1, keepdims=True)
        mass = np.exp(values - top)
        mass[:, [0, -1]] *= 0.5  # the trapezoid rule
        total = mass.sum(-1)
        step = log_tau[:, 1] - log_tau[:, 0]
        return cls(log_tau, mass / total[:, None], top[:, 0] + np.log(total * step))


def _tabulate(
    squares: FloatArray, low: FloatArray, high: FloatArray, points: int
) -> tuple[FloatArray, FloatArray]:
    """Log of p(τ) Π_k p(S_k | τ) dτ/d log τ on a grid of log τ, shape (draws, points) each."""
    log_tau = np.linspace(low, high, points, axis=-1)
    tau = np.exp(log_tau)
    given_tau = _log_density(squares[:, None, :], tau[..., None]).sum(-1)
    return log_tau, _log_half_cauchy(tau) + log_tau + given_tau


def _log_half_cauchy(x: FloatArray | float) -> FloatArray:
    return np.asarray(np.log(2 / np.pi) - np.log1p(np.square(x)))


def _log_density(squares: FloatArray, tau: FloatArray | float) -> FloatArray:
    """Log p(β | τ) at β², element by element."""
    c = squares / (2 * np.square(tau))
    return np.asarray(-np.log(tau) - 0.5 * np.log(2 * np.pi**3) + np.log(_scaled_e1(c)))


def _expected_precision(squares: FloatArray, tau: FloatArray | float) -> FloatArray:
    """−2 d log p/dS = (1/(c f(c)) − 1)/τ²."""
    c = squares / (2 * np.square(tau))
    return np.asarray(_complement(c) / (c * _scaled_e1(c)) / np.square(tau))


def _scaled_e1(c: FloatArray) -> FloatArray:
    """f(c) = eᶜE₁(c)."""
    near = np.minimum(c, _ASYMPTOTIC)
    return np.where(c < _ASYMPTOTIC, np.exp(near) * exp1(near), (1 - _series(c)) / c)


def _complement(c: FloatArray) -> FloatArray:
    """1 − c f(c), without cancellation where c is large."""
    near = np.minimum(c, _ASYMPTOTIC)
    return np.where(c < _ASYMPTOTIC, 1 - near * np.exp(near) * exp1(near), _series(c))


def _series(c: FloatArray) -> FloatArray:
    """1/c − 2!/c² + 3!/c³ − ..., the asymptotic series of 1 − c f(c)."""
    far = np.maximum(c, _ASYMPTOTIC)
    total = np.zeros_like(far)
    for n in range(9, 0, -1):
        total = (1 - total) * n / far
    return total
