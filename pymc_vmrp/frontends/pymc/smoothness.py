"""Derivatives of log densities that are given as functions alone, and kinks of log densities.

Differences stand in where automatic derivatives are not finite, as behind the branches of a
truncated likelihood. A kink, as the Laplace likelihood has, leaves no second derivative to use.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pymc_vmrp.arrays import BoolArray, FloatArray

Density = Callable[[FloatArray], FloatArray]
Derivatives = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_STEPS = 10.0 ** np.arange(-4.0, 2.0)
_AGREE = 1e-5  # relative, of the second derivatives by a step and by half of it
_NODES, _FINER = 2001, 4
_DEEP = 40.0  # below the largest log density, where kinks do not matter
_ROUNDING = 1e-9  # of a step
_MISSING = 0.005  # share of the change in slope that the curvature does not account for


def differences(density: Density, eta: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """ℓ′ and ℓ″ by five points; Abramowitz & Stegun (1964), 25.3.6 and 25.3.24 in steps of h."""
    far_left, left, middle, right, far_right = (density(eta + k * step) for k in range(-2, 3))
    slope = (far_left - 8 * left + 8 * right - far_right) / (12 * step)
    curvature = -far_left + 16 * left - 30 * middle + 16 * right - far_right
    return slope, curvature / (12 * step**2)


def best_step(density: Density, eta: FloatArray) -> float | None:
    """The step at which differences depend least on it; None where they do at every step."""
    found = []
    for step in _STEPS:
        with np.errstate(all="ignore"):
            coarse, fine = (differences(density, eta, h)[1] for h in (step, step / 2))
            error = np.abs(coarse - fine).max() / np.abs(fine).max()
        found.append(error if np.isfinite(error) else np.inf)
    best = int(np.argmin(found))
    return float(_STEPS[best]) if found[best] < _AGREE else None


def has_kinks(density: Density, derivatives: Derivatives, low: float, high: float) -> bool:
    """Whether ∫ℓ″ falls short of the change in ℓ′, or ∫ℓ′ of that in ℓ, however fine the grid.

    Parameters
    ----------
    density, derivatives : callable
        η of shape (k,) → ℓ, or ℓ′ and ℓ″, of some rows, each of shape (rows, k).
    low, high : float
        The ends.
    """
    coarse, fine = (_missing(density, derivatives, low, high, n) for n in (_NODES, _FINER * _NODES))
    found = (coarse > _MISSING) & (fine > _MISSING) & (fine > 0.7 * coarse)
    return bool(found.any())


def _missing(
    density: Density, derivatives: Derivatives, low: float, high: float, nodes: int
) -> FloatArray:
    """Share of the change that is missing in the integral of the derivative, shape (2, rows)."""
    eta = np.linspace(low, high, nodes)
    with np.errstate(all="ignore"):
        (slope, curvature), level = derivatives(eta), density(eta)
        top = np.where(np.isfinite(level), level, -np.inf).max(axis=1, keepdims=True)
        # far below, where numbers lose their digits, nothing depends on them
        usable = np.isfinite(slope) & np.isfinite(curvature) & (level > top - _DEEP)
    pairs = usable[:, 1:] & usable[:, :-1]
    return np.array(
        [
            _share(pairs, value, derivative, eta[1] - eta[0])
            for value, derivative in ((slope, curvature), (level, slope))
        ]
    )


def _share(pairs: BoolArray, value: FloatArray, derivative: FloatArray, step: float) -> FloatArray:
    with np.errstate(all="ignore"):
        steps = np.where(pairs, np.diff(value, axis=1), 0.0)
        areas = np.where(pairs, 0.5 * step * (derivative[:, 1:] + derivative[:, :-1]), 0.0)
    missing, total = np.abs(steps - areas).sum(axis=1), np.abs(steps).sum(axis=1)
    return np.where(missing > _ROUNDING * np.abs(pairs).sum(axis=1), missing / (total + 1e-300), 0)
