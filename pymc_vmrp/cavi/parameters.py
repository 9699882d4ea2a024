"""q(φ) of a likelihood's own parameters, such as σ: its factors.

Given the marginals of η, the optimal q(φ) ∝ p(φ) exp(E ℓ(η, φ)) is a density in one or two
dimensions. Of a Gaussian likelihood it is that of a term's standard deviation. Of the others it is
tabulated at nodes in t = log φ (:mod:`pymc_vmrp.cavi.nodes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicSpline, RegularGridInterpolator

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.covariance import CovarianceFactor

_FINE_1D, _FINE_2D = 2001, 201  # points per axis of the tabulated density


class ParameterFactor(Protocol):
    """A fitted q(φ) of k parameters."""

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """Draws of φ, shape (draws, k)."""
        ...

    def log_density(self, parameters: FloatArray) -> FloatArray:
        """Log q(φ) at ``parameters`` of shape (draws, k)."""
        ...

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and sd of each parameter, shape (k,) each."""
        ...


@dataclass(frozen=True)
class SigmaFactor:
    """q(σ) of a Gaussian likelihood; ``variance`` is q(σ²) as a 1 × 1 covariance matrix."""

    variance: CovarianceFactor

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`ParameterFactor`."""
        return np.sqrt(self.variance.sample(rng, draws)[:, :, 0])

    def log_density(self, parameters: FloatArray) -> FloatArray:
        """See :class:`ParameterFactor`; dσ²/dσ = 2σ."""
        squares = parameters[:, :, None] ** 2
        return self.variance.log_density(squares) + np.log(2 * parameters[:, 0])

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`ParameterFactor`."""
        return self.variance.sigma_moments()


@dataclass(frozen=True)
class TabulatedFactor:
    """q(φ) through log densities of t = log φ at the nodes of a grid.

    Attributes
    ----------
    centre : ndarray, shape (k,)
    axes : ndarray, shape (k, k)
        t = centre + axes @ z.
    z : tuple of ndarray
        Evenly spaced coordinates of the nodes along each of the k axes.
    log_q : ndarray, with one dimension per axis
        Log density of t at the nodes, up to a constant.
    """

    centre: FloatArray
    axes: FloatArray
    z: tuple[FloatArray, ...]
    log_q: FloatArray

    @cached_property
    def _fine(self) -> tuple[tuple[FloatArray, ...], FloatArray]:
        """A fine grid of z, and the log density of z on it, normalised."""
        points = _FINE_1D if len(self.z) == 1 else _FINE_2D
        axes = tuple(np.linspace(z[0], z[-1], points) for z in self.z)
        top = self.log_q.max()
        # far tails fall steeply enough to upset a cubic
        values = np.maximum(self.log_q - top, -60.0)
        if len(self.z) == 1:
            # where the prior ends, so does the table: a cubic across the step would swing
            inside = np.isfinite(self.log_q)
            z = self.z[0][inside]
            axes = (np.linspace(z[0], z[-1], points),)
            fine = np.asarray(CubicSpline(z, values[inside])(axes[0]))
        else:
            spline = RegularGridInterpolator(self.z, values, method="cubic")
            mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
            fine = np.asarray(spline(mesh))
        step = np.prod([a[1] - a[0] for a in axes])
        log_z = np.log(np.exp(fine).sum() * step)
        return axes, fine - log_z

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`ParameterFactor`; a point of the fine grid, then evenly around it."""
        axes, log_density = self._fine
        mass = np.exp(log_density).ravel()
        cumulative = np.cumsum(mass)
        chosen = np.searchsorted(cumulative, rng.random(draws) * cumulative[-1])
        index = np.unravel_index(np.minimum(chosen, mass.size - 1), log_density.shape)
        z = np.stack(
            [
                np.clip(a[i] + (rng.random(draws) - 0.5) * (a[1] - a[0]), a[0], a[-1])
                for a, i in zip(axes, index, strict=True)
            ],
            axis=1,
        )
        return np.exp(self.centre + z @ self.axes.T)

    def log_density(self, parameters: FloatArray) -> FloatArray:
        """See :class:`ParameterFactor`."""
        t = np.log(parameters)
        z = np.linalg.solve(self.axes, (t - self.centre).T).T
        axes, log_density = self._fine
        table = RegularGridInterpolator(axes, log_density, bounds_error=False, fill_value=-np.inf)
        log_det = np.log(np.abs(np.linalg.det(self.axes)))
        return np.asarray(table(z) - log_det - t.sum(1))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`ParameterFactor`."""
        axes, log_density = self._fine
        mass = np.exp(log_density)
        mass /= mass.sum()
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        phi = np.exp(self.centre + mesh @ self.axes.T)
        weights = mass[..., None]
        every = tuple(range(mass.ndim))
        mean = (weights * phi).sum(every)
        return mean, np.sqrt((weights * (phi - mean) ** 2).sum(every))
