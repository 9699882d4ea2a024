"""Weights of points that stand for a density."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from pymc_vmrp.arrays import FloatArray, IntArray

_NEWTON_STEPS = 30
_RIDGE = 1e-6
_MOST_STEPS, _CLOSE = 200, 1e-4


def effective_size(weights: FloatArray) -> float:
    """(Σw)²/Σw²: how many equal weights these are worth (Kong 1992)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def importance_weights(log_ratio: FloatArray) -> FloatArray:
    """Normalised weights, none above √n times the mean (Ionides 2008)."""
    ratio = np.exp(log_ratio - log_ratio.max())
    ratio = np.minimum(ratio, ratio.mean() * np.sqrt(len(ratio)))
    return np.asarray(ratio / ratio.sum())


def calibrate(features: FloatArray, target: FloatArray, base: FloatArray) -> FloatArray:
    """Weights nearest to ``base`` (in relative entropy) under which the features average to target.

    These are the control variates of a sample whose distribution is known: Hainmueller (2012),
    Deville & Särndal (1992). ``base`` where no weights do it.

    Parameters
    ----------
    features : ndarray, shape (n, f)
    target : ndarray, shape (f,)
    base : ndarray, shape (n,)
        Sums to 1.
    """
    log_base = np.log(base)
    centred = features - target
    scale = np.maximum(centred.std(0), 1e-12)
    centred = centred / scale
    multiplier = np.zeros(features.shape[1])

    def normaliser(at: FloatArray) -> float:
        return float(logsumexp(log_base + centred @ at))

    value = normaliser(multiplier)
    for _ in range(_NEWTON_STEPS):
        weights = np.exp(log_base + centred @ multiplier - value)
        slope = weights @ centred
        if np.abs(slope).max() < 1e-8:
            return np.asarray(weights)
        hessian = (centred * weights[:, None]).T @ centred - np.outer(slope, slope)
        hessian[np.diag_indices_from(hessian)] += _RIDGE
        direction, step = -np.linalg.solve(hessian, slope), 1.0
        while step > 1e-3 and not normaliser(multiplier + step * direction) <= value:
            step /= 2
        multiplier = multiplier + step * direction
        value = normaliser(multiplier)
    return base


def log_normaliser(
    own: tuple[FloatArray, FloatArray], reference: tuple[FloatArray, FloatArray]
) -> float:
    """Log ∫ exp(f) by bridge sampling (Meng & Wong 1996).

    Parameters
    ----------
    own : (f, log g) at draws from the density proportional to exp(f)
    reference : (f, log g) at draws from the normalised density g
    """
    ratio_own, ratio_reference = own[0] - own[1], reference[0] - reference[1]
    n_own, n_reference = len(ratio_own), len(ratio_reference)
    log_z = float(np.median(ratio_own))
    for _ in range(200):
        # optimal bridge: weights 1/(s₁ f/z + s₂ g)
        top = logsumexp(
            ratio_reference
            - np.logaddexp(np.log(n_own) + ratio_reference - log_z, np.log(n_reference))
        ) - np.log(n_reference)
        bottom = logsumexp(
            -np.logaddexp(np.log(n_own) + ratio_own - log_z, np.log(n_reference))
        ) - np.log(n_own)
        moved = float(top - bottom) - log_z
        log_z += moved
        if abs(moved) < 1e-6:
            break
    return log_z


def agreed(log_densities: FloatArray, shares: FloatArray) -> FloatArray:
    """Offsets of log densities from which points were drawn, so that their normalisers agree.

    The multistate Bennett acceptance ratio (Shirts & Chodera 2008); the offsets' median is 0.

    Parameters
    ----------
    log_densities : ndarray, shape (k, n)
        Of each distribution at the draws from all.
    shares : ndarray, shape (k,)
        Of the draws, that are from each.
    """
    offsets = np.zeros(len(shares))
    for _ in range(_MOST_STEPS):
        mixture = logsumexp(log_densities + offsets[:, None], b=shares[:, None], axis=0)
        moved = np.log(log_densities.shape[1]) - logsumexp(log_densities - mixture, axis=1)
        moved -= np.median(moved)
        change, offsets = np.abs(moved - offsets).max(), moved
        if change < _CLOSE:
            break
    return offsets


def systematic_counts(rng: np.random.Generator, weights: FloatArray, draws: int) -> IntArray:
    """How often each point is drawn: its expectation, rounded up or down.

    Carpenter, Clifford & Fearnhead (1999).
    """
    edges = np.cumsum(weights) / weights.sum() * draws
    crossed = np.floor(edges - rng.random()).astype(np.int64) + 1
    crossed[-1] = draws
    return np.diff(crossed, prepend=0)
