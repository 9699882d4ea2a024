"""q(σ) of one standard deviation under a prior that is not conjugate: a grid over log σ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.scales import ScalePrior, largest_sigma

_FEWEST = 50  # points of a grid between which a density can be interpolated
_FINEST = 1e-13  # steps of a grid relative to its numbers, near the spacing of floats


@dataclass(frozen=True)
class GridFactor:
    """q(σ) of a term with one effect, tabulated on an even grid of t = log σ.

    ``log_density_t`` is the normalised log density of t at the grid points.
    """

    t: FloatArray
    log_density_t: FloatArray
    elbo: float
    prior: ScalePrior
    d: int = 1

    @property
    def transformable(self) -> bool:
        """See :class:`CovarianceFactor`."""
        return largest_sigma(self.prior) == math.inf

    @property
    def _mass(self) -> FloatArray:
        mass = np.exp(self.log_density_t)
        mass[[0, -1]] *= 0.5  # the trapezoid rule
        return np.asarray(mass / mass.sum())

    @property
    def expected_precision(self) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return np.array([[self._mass @ np.exp(-2 * self.t)]])

    def log_prior_of_transformed(self, transform: FloatArray) -> tuple[float, FloatArray]:
        """See :class:`CovarianceFactor`; here E log p(rσ) + log r, by central differences."""
        r, step = float(transform[0, 0]), 1e-5

        def value(log_r: float) -> float:
            return float(self._mass @ self.prior.log_density_sigma(np.exp(self.t + log_r))) + log_r

        log_r = math.log(r)
        slope = (value(log_r + step) - value(log_r - step)) / (2 * step)
        return value(log_r), np.array([[slope / r]])

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`CovarianceFactor`; by the inverse distribution function."""
        cumulative = np.concatenate([[0.0], np.cumsum(self._mass)])
        step = self.t[1] - self.t[0]
        edges = np.append(self.t - 0.5 * step, self.t[-1])
        edges[0] = self.t[0]
        t = np.interp(rng.random(draws), cumulative / cumulative[-1], edges)
        return np.asarray(np.exp(2 * t)[:, None, None])

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """See :class:`CovarianceFactor`; dt/dσ² = 1/(2σ²)."""
        variance = covariance[:, 0, 0]
        log_t = np.interp(
            0.5 * np.log(variance), self.t, self.log_density_t, left=-np.inf, right=-np.inf
        )
        return np.asarray(log_t - np.log(2 * variance))

    def sigma_moments(self, basis: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """See :class:`CovarianceFactor`."""
        sigma = np.exp(self.t) * (1.0 if basis is None else abs(basis[0, 0]))
        mean = self._mass @ sigma
        return np.array([mean]), np.array([np.sqrt(self._mass @ (sigma - mean) ** 2)])


def update_grid(prior: ScalePrior, second_moment: float, levels: float) -> GridFactor:
    """q(σ) ∝ p(σ) σ^(−L) exp(−S/(2σ²)), normalised over t = log σ by the trapezoid rule."""

    def log_kernel(t: FloatArray) -> FloatArray:
        return (
            prior.log_density_sigma(np.exp(t))
            + (1 - levels) * t
            - 0.5 * second_moment * np.exp(-2 * t)
        )

    # locate the mass on a wide coarse grid, then tabulate where it is within e^-45 of its mode
    centre = 0.5 * np.log(max(second_moment, 1e-300) / levels)
    most = math.log(largest_sigma(prior)) if largest_sigma(prior) < math.inf else math.inf
    coarse = min(centre, most) + np.linspace(-20, 20, 2001)
    coarse = np.append(coarse[coarse < most], most) if most < math.inf else coarse
    t, values, width = coarse, log_kernel(coarse), 0
    while width < _FEWEST:  # again where the mass is narrow, as under a limit far below the data
        inside = np.flatnonzero(values >= values.max() - 45)
        low, high = t[max(inside[0] - 1, 0)], t[min(inside[-1] + 1, len(t) - 1)]
        t = np.linspace(low, high, 1201)
        if t[1] - t[0] <= _FINEST * abs(t[0]):
            break
        values = log_kernel(t)
        width = int(np.count_nonzero(values >= values.max() - 45))
    values = log_kernel(t)
    top = values.max()
    log_z = top + np.log(np.trapezoid(np.exp(values - top), t))
    elbo = float(log_z - 0.5 * levels * np.log(2 * np.pi))
    return GridFactor(t, values - log_z, elbo, prior)
