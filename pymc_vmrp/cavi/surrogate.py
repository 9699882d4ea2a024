"""A function that stands in for a log density of a few coordinates, and draws from it.

Every evaluation of the log posterior of θ comes with its gradient, so that a few points per
coordinate determine the coefficients of functions of one coordinate and of products of two
(:mod:`pymc_vmrp.cavi.features`). Draws from the surrogate propose where to evaluate next, and
importance weights make up for what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.cavi.features import Features

FloatArray = NDArray[np.float64]

_GRADIENT_WEIGHT = 0.7  # of an equation for a gradient, relative to one for a value
_NOISE, _NOISE_BELOW = 0.03, 0.3  # sd of values; grows with the distance below the expected drop
_TRUSTED = 8.0  # most distance below the expected drop, of points that the box contains
_MARGIN = 0.5  # beyond those points, where the functions are still trusted
_SLOPE, _CURVATURE = 1.0, 0.05  # of the decline beyond, at least
_LEAPFROGS = 5


@dataclass(frozen=True)
class Known:
    """What is known of a log density beforehand: a sum of functions of one coordinate each.

    Attributes
    ----------
    low, step : ndarray, shape (d,)
        Where the grid of each coordinate x starts, and the distance of its points.
    values : ndarray, shape (d, points)
        −inf marks where there is no mass.
    """

    low: FloatArray
    step: FloatArray
    values: FloatArray

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values, shape (n,), and gradients, shape (n, d), by linear interpolation."""
        at = np.clip((x - self.low) / self.step, 0, self.values.shape[1] - 2 - 1e-9)
        index = at.astype(np.int64)
        rows = np.arange(len(self.low))
        left, right = self.values[rows, index], self.values[rows, index + 1]
        slope = right - left
        slope = np.where(np.isfinite(slope), slope, 0.0)
        return (left + (at - index) * slope).sum(1), slope / self.step


@dataclass(frozen=True)
class Surrogate:
    """Log density of x: c + Σ_j a_j·own(x_j) + ½ pair(x)'C pair(x) + what is known beforehand.

    Attributes
    ----------
    features : Features
    known : Known
    constant : float
    own : ndarray, shape (d, n_own)
    pair : ndarray, shape (d·n_pair, d·n_pair)
        Symmetric, with blocks of zeros on the diagonal.
    low, high : ndarray, shape (d,)
        Beyond these the functions are held and a steady decline is added.
    mirror, limit : ndarray, shape (d,)
        Where folded coordinates have their mirror, and above what there is no mass.
    """

    features: Features
    known: Known
    constant: float
    own: FloatArray
    pair: FloatArray
    low: FloatArray
    high: FloatArray
    mirror: FloatArray
    limit: FloatArray

    def fold(self, x: FloatArray) -> FloatArray:
        """The mirror image of x where it lies behind a mirror."""
        return np.where(self.features.folded & (x < self.mirror), 2 * self.mirror - x, x)

    def log_density(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values, shape (n,), and gradients, shape (n, d), at folded points x of shape (n, d)."""
        n, d = x.shape
        inside = np.clip(x, self.low, self.high)
        beyond = x - inside
        own, own_slopes, pair, pair_slopes = self.features(inside)
        products = pair.reshape(n, -1) @ self.pair
        value = self.constant + own.reshape(n, -1) @ self.own.ravel()
        value += 0.5 * (products * pair.reshape(n, -1)).sum(1)
        gradient = (own_slopes * self.own).sum(2) + (products.reshape(n, d, -1) * pair_slopes).sum(
            2
        )
        # beyond the box: the slope at its edge goes on, if it falls, and gets steeper
        distance = np.abs(beyond)
        outwards = np.minimum(gradient * np.sign(beyond), -_SLOPE)
        value += (outwards * distance - 0.5 * _CURVATURE * distance**2).sum(1)
        # of the other coordinates' slopes this leaves out what the edge's slope changes by: enough
        # for trajectories, whose ends are accepted by value
        outside = (outwards - _CURVATURE * distance) * np.sign(beyond)
        known, known_slope = self.known(x)
        value = np.where((x > self.limit).any(1), -np.inf, value + known)
        return value, np.where(beyond == 0, gradient, outside) + known_slope

    def sample(
        self,
        rng: np.random.Generator,
        start: FloatArray,
        factor: FloatArray,
        kept: int,
        burn_in: int,
        temperature: float = 1.0,
    ) -> FloatArray:
        """Draws by Hamiltonian Monte Carlo, many chains at once (Neal 2011).

        Parameters
        ----------
        rng : Generator
        start : ndarray, shape (chains, d)
        factor : ndarray, shape (d, d)
            Cholesky factor of roughly the covariance, which makes the steps alike in all
            directions.
        kept : int
            States kept of each chain.
        burn_in : int
            States before, in which the step size adapts.
        temperature : float
            The density drawn from is the surrogate's to the power 1/temperature.

        Returns
        -------
        ndarray, shape (kept, chains, d)
        """
        x = self.fold(start)
        value, slope = self.log_density(x)
        step, out = 0.9 / x.shape[1] ** 0.25, []
        for iteration in range(burn_in + kept):
            momentum = rng.standard_normal(x.shape)  # of z, where x = factor @ z
            size = step * rng.uniform(0.7, 1.3)
            position, moving, there, there_slope = self._leap(
                x, momentum, slope, factor, size, temperature
            )
            energy = (there - value) / temperature
            energy += 0.5 * ((momentum**2).sum(1) - (moving**2).sum(1))
            accepted = np.log(rng.random(len(x))) < energy
            x = np.where(accepted[:, None], position, x)
            slope = np.where(accepted[:, None], there_slope, slope)
            value = np.where(accepted, there, value)
            if iteration < burn_in:  # towards four accepted of five
                rate = float(np.exp(np.minimum(energy, 0.0)).mean())
                step *= float(np.exp(0.5 * (rate - 0.8)))
            else:
                out.append(x)
        return np.array(out)

    def _leap(
        self,
        x: FloatArray,
        momentum: FloatArray,
        slope: FloatArray,
        factor: FloatArray,
        size: float,
        temperature: float,
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """A leapfrog trajectory: where it ends, folded, and momentum, value and slope there."""
        position, there = x, np.empty(len(x))
        moving = momentum + 0.5 * size * (slope @ factor) / temperature
        for leap in range(_LEAPFROGS):
            position = position + size * moving @ factor.T
            # positions run on behind the mirror, where the slope is that of the image, reversed
            folded = self.fold(position)
            there, slope = self.log_density(folded)
            onwards = np.where(folded == position, slope, -slope)
            last = 0.5 if leap == _LEAPFROGS - 1 else 1.0
            moving = moving + last * size * (onwards @ factor) / temperature
        return folded, moving, there, slope


def fit_surrogate(
    features: Features,
    known: Known,
    x: FloatArray,
    values: FloatArray,
    gradients: FloatArray,
    mirror: FloatArray,
    limit: FloatArray,
) -> Surrogate:
    """Regress log densities and their gradients on the features.

    Points count the less the further their density lies below what a Gaussian's draws have.

    Parameters
    ----------
    features : Features
    known : Known
    x : ndarray, shape (n, d)
        In units in which the posterior has about unit sds.
    values : ndarray, shape (n,)
    gradients : ndarray, shape (n, d)
    mirror, limit : ndarray, shape (d,)
        See :class:`Surrogate`.
    """
    n, d = x.shape
    top = values.max()
    prior, prior_slopes = known(x)
    own, own_slopes, pair, pair_slopes = features(x)
    first, second = (index[:, None] for index in np.triu_indices(d, 1))
    k = np.arange(features.n_pair**2)
    one, other = k // features.n_pair, k % features.n_pair
    products = pair[:, first, one] * pair[:, second, other]
    matrix = np.hstack([np.ones((n, 1)), own.reshape(n, -1), products.reshape(n, -1)])
    below = np.maximum(top - values - d, 0.0)
    weight = 1 / (_NOISE + _NOISE_BELOW * below)
    stacked = [matrix * weight[:, None]]
    wanted = [weight * (values - top - prior)]
    for j in range(d):
        of_own = np.zeros(own.shape)
        of_own[:, j] = own_slopes[:, j]
        of_products = (first == j) * pair_slopes[:, first, one] * pair[:, second, other]
        of_products = (
            of_products + (second == j) * pair_slopes[:, second, other] * pair[:, first, one]
        )
        slopes = np.hstack([np.zeros((n, 1)), of_own.reshape(n, -1), of_products.reshape(n, -1)])
        stacked.append(_GRADIENT_WEIGHT * slopes * weight[:, None])
        wanted.append(_GRADIENT_WEIGHT * weight * (gradients[:, j] - prior_slopes[:, j]))
    a, b = np.concatenate(stacked), np.concatenate(wanted)
    pair_sds = features.pair_sds[first, one] * features.pair_sds[second, other]
    sds = np.concatenate([[1e4], features.own_sds.ravel(), pair_sds.ravel()])
    normal = (a * sds).T @ (a * sds)
    normal[np.diag_indices_from(normal)] += 1.0
    solution = sds * np.linalg.solve(normal, sds * (a.T @ b))
    size = d * features.n_own
    pairs = np.zeros((d, features.n_pair, d, features.n_pair))
    pairs[first, one, second, other] = solution[1 + size :].reshape(products.shape[1:])
    flat = pairs.reshape(d * features.n_pair, -1)
    trusted = below <= _TRUSTED
    return Surrogate(
        features=features,
        known=known,
        constant=float(solution[0] + top),
        own=solution[1 : 1 + size].reshape(d, -1),
        pair=flat + flat.T,
        low=x[trusted].min(0) - _MARGIN,
        high=x[trusted].max(0) + _MARGIN,
        mirror=mirror,
        limit=limit,
    )
