"""A function that stands in for a log density of a few coordinates, and draws from it.

Every evaluation of the log posterior of θ comes with its gradient, so that a few points per
coordinate determine the coefficients of functions of one coordinate and of products of two
(:mod:`pymc_vmrp.integration.features`). Draws from the surrogate propose where to evaluate next,
and importance weights make up for what it misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.integration.features import Features

_GRADIENT_WEIGHT = 0.7  # of an equation for a gradient, relative to one for a value
_NOISE, _NOISE_BELOW = 0.03, 0.3  # sd of values; grows with the distance below the expected drop
_DEEP, _NOISE_DEEP = 8.0, 1.0  # below it, so that no draw is there; sd of values held to that
_MOST_CORRECTIONS = 4
_TRUSTED = 8.0  # most distance below the expected drop, of points that the box contains
_MARGIN = 0.5  # beyond those points, where the functions are still trusted
_SLOPE, _CURVATURE = 1.0, 0.05  # of the decline beyond, at least; slope of a sd by x or by ψ
_LEAPFROGS = 5


@dataclass(frozen=True)
class Table:
    """Functions of one coordinate each, on an even grid of x.

    Attributes
    ----------
    low, step : ndarray, shape (d,)
        Where the grid of each coordinate starts, and the distance of its points.
    values : ndarray, shape (functions, d, points)
        −inf marks where there is no mass.
    """

    low: FloatArray
    step: FloatArray
    values: FloatArray

    @property
    def high(self) -> FloatArray:
        """Where the grid of each coordinate ends, shape (d,)."""
        return np.asarray(self.low + (self.values.shape[2] - 1) * self.step)

    @property
    def grid(self) -> FloatArray:
        """Points of the grid, shape (points, d)."""
        points = np.arange(self.values.shape[2])
        return np.asarray(self.low + points[:, None] * self.step)

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and slopes by linear interpolation, shape (functions, n, d) each."""
        at = np.clip((x - self.low) / self.step, 0, self.values.shape[2] - 1.000001)
        index = at.astype(np.int64)
        rows = np.arange(len(self.low))
        left, right = self.values[:, rows, index], self.values[:, rows, index + 1]
        inside = np.isfinite(left) & np.isfinite(right)
        slope = np.where(inside, right, 0.0) - np.where(inside, left, 0.0)
        values = np.where(inside, left + (at - index) * slope, -np.inf)
        return values, slope / self.step


@dataclass(frozen=True)
class Surrogate:
    """Log density of x: c + Σ_j own_j(x_j) + ½ pair(x)'C pair(x).

    Attributes
    ----------
    features : Features
        Of which it is made.
    table : Table
        First ``own``, priors of one coordinate included, then each of the functions for pairs.
    constant : float
    pair : ndarray, shape (n_pair·d, n_pair·d)
        Symmetric.
    mirror : ndarray, shape (d,)
        Where folded coordinates have their mirror.
    """

    features: Features
    table: Table
    constant: float
    pair: FloatArray
    mirror: FloatArray

    def fold(self, x: FloatArray) -> FloatArray:
        """The mirror image of x where it lies behind a mirror."""
        return np.where(self.features.folded & (x < self.mirror), 2 * self.mirror - x, x)

    def log_density(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values, shape (n,), and gradients, shape (n, d), at folded points x of shape (n, d)."""
        n, d = x.shape
        values, slopes = self.table(x)
        pair = np.swapaxes(values[1:], 0, 1).reshape(n, -1)
        products = pair @ self.pair
        value = self.constant + values[0].sum(1) + 0.5 * (products * pair).sum(1)
        by_pair = np.swapaxes(products.reshape(n, -1, d), 0, 1)
        value = np.where((x > self.table.high).any(1), -np.inf, value)
        return value, slopes[0] + (by_pair * slopes[1:]).sum(0)

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
            energy = np.where(np.isnan(energy), -np.inf, energy)  # from outside to outside
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
    prior: Table,
    x: FloatArray,
    values: FloatArray,
    gradients: FloatArray,
    mirror: FloatArray,
) -> Surrogate:
    """Regress log densities and their gradients on the features.

    Points count the less the further their density lies below what a Gaussian's draws have.

    Parameters
    ----------
    features : Features
    prior : Table
        What is known beforehand: one function of each coordinate.
    x : ndarray, shape (n, d)
        In units in which the posterior has about unit sds.
    values : ndarray, shape (n,)
    gradients : ndarray, shape (n, d)
    mirror : ndarray, shape (d,)
        See :class:`Surrogate`.
    """
    # next to a limit of the prior its table has no mass
    usable = np.isfinite(prior(x)[0][0]).all(1)
    x, values, gradients = x[usable], values[usable], gradients[usable]
    n, d = x.shape
    top = values.max()
    known, known_slopes = prior(x)
    below = np.maximum(top - values - d, 0.0)
    weight = 1 / (_NOISE + _NOISE_BELOW * below)
    first, second = np.triu_indices(d, 1)
    pairs = _Pairs(first[:, None], second[:, None], features.n_pair)
    own, own_slopes, pair, pair_slopes = features(x)
    of_pair_sds = pairs.products(features.pair_sds[None], features.pair_sds[None])[0]
    sds = np.concatenate([[1e4], features.own_sds.ravel(), of_pair_sds])
    design = np.hstack([np.ones((n, 1)), own.reshape(n, -1), pairs.products(pair, pair)]) * sds
    of_values = design * weight[:, None]
    normal = of_values.T @ of_values
    normal[np.diag_indices_from(normal)] += 1.0
    right = of_values.T @ (weight * (values - top - known[0].sum(1)))
    weight *= _GRADIENT_WEIGHT
    for j in range(d):  # a slope along j has to do with functions of coordinate j alone
        touching = (first == j) | (second == j)
        some = _Pairs(first[touching, None], second[touching, None], features.n_pair)
        slopes = pair_slopes * (np.arange(d)[:, None] == j)
        of_pairs = some.products(slopes, pair) + some.products(pair, slopes)
        columns = np.concatenate(
            [
                1 + j * features.n_own + np.arange(features.n_own),
                1 + d * features.n_own + np.flatnonzero(np.repeat(touching, features.n_pair**2)),
            ]
        )
        of_slopes = np.hstack([own_slopes[:, j], of_pairs]) * weight[:, None] * sds[columns]
        normal[np.ix_(columns, columns)] += of_slopes.T @ of_slopes
        right[columns] += of_slopes.T @ (weight * (gradients[:, j] - known_slopes[0, :, j]))
    solution = np.linalg.solve(normal, right)
    deep = top - d - _DEEP
    raised = np.zeros(n, dtype=bool)
    for _ in range(_MOST_CORRECTIONS):  # where it is far too high, it is to be low, however low
        predicted = design @ solution + top + known[0].sum(1)
        more = (values < deep) & (predicted > deep) & ~raised
        if not more.any():
            break
        raised |= more
        added = design[more] / _NOISE_DEEP
        normal += added.T @ added
        right += added.T @ (deep - top - known[0].sum(1))[more] / _NOISE_DEEP
        solution = np.linalg.solve(normal, right)
    solution *= sds
    size = d * features.n_own
    trusted = x[below <= _TRUSTED]
    box = trusted.min(0) - _MARGIN, trusted.max(0) + _MARGIN
    return Surrogate(
        features=features,
        table=_tabulate(features, prior, solution[1 : 1 + size].reshape(d, -1), box),
        constant=float(solution[0] + top),
        pair=pairs.matrix(solution[1 + size :], d),
        mirror=mirror,
    )


@dataclass(frozen=True)
class _Pairs:
    """All pairs of coordinates, and of functions for pairs."""

    first: IntArray  # shape (pairs, 1)
    second: IntArray
    n_pair: int

    def products(self, one: FloatArray, other: FloatArray) -> FloatArray:
        """Shape (n, pairs·n_pair²), of functions of shape (n, d, n_pair)."""
        k = np.arange(self.n_pair**2)
        left = one[:, self.first, k // self.n_pair]
        return (left * other[:, self.second, k % self.n_pair]).reshape(len(one), -1)

    def matrix(self, coefficients: FloatArray, d: int) -> FloatArray:
        """C of :class:`Surrogate`."""
        k = np.arange(self.n_pair**2)
        out = np.zeros((self.n_pair, d, self.n_pair, d))
        at = (k // self.n_pair, self.first, k % self.n_pair, self.second)
        out[at] = coefficients.reshape(len(self.first), self.n_pair**2)
        flat = out.reshape(self.n_pair * d, -1)
        return np.asarray(flat + flat.T)


def _tabulate(
    features: Features, prior: Table, own: FloatArray, box: tuple[FloatArray, FloatArray]
) -> Table:
    """The fitted functions; beyond the box they are held, and a steady decline is added."""
    x = prior.grid
    inside = np.clip(x, *box)
    functions, slopes, pair, _ = features(inside)
    distance, sign = np.abs(x - inside), np.sign(x - inside)
    # the slope at the box's edge goes on, if it falls, and gets steeper
    least = np.where(features.folded, _SLOPE * np.minimum(features.sd, 1.0), _SLOPE)
    outwards = np.minimum((slopes * own).sum(2) * sign, -least)
    value = (functions * own).sum(2) + outwards * distance - 0.5 * _CURVATURE * distance**2
    tables = [value.T + prior.values[0], *np.moveaxis(pair, (0, 1, 2), (2, 1, 0))]
    return Table(prior.low, prior.step, np.array(tables))
