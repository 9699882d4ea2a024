"""How much effects vary over groups, and which terms they vary with, draw by draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray

REMAINDER = "remainder"
_TIED = 1e-12  # effects closer than this part of the largest are equal


def finite_sd(values: FloatArray, shares: FloatArray) -> FloatArray:
    """Weighted sd of the groups' effects, (groups, draws) → (draws,)."""
    centred = values - shares @ values
    return np.sqrt(shares @ centred**2)


def pooled_sd(values: FloatArray, shares: FloatArray) -> float:
    """The sd of all draws of all groups: variation and uncertainty together."""
    centre = float((shares @ values).mean())
    return float(np.sqrt((shares @ (values - centre) ** 2).mean()))


def level_means(
    values: FloatArray, weights: FloatArray, level: IntArray, n_levels: int
) -> FloatArray:
    """Weighted mean effect of the groups with each level, shape (levels, draws)."""
    totals = np.zeros((n_levels, values.shape[1]))
    np.add.at(totals, level, weights[:, None] * values)
    return np.asarray(totals / np.bincount(level, weights=weights, minlength=n_levels)[:, None])


class Ranks(NamedTuple):
    """The first and the last rank that each group has in each draw, 1 the smallest; by ties."""

    first: IntArray
    last: IntArray


def find_ranks(values: FloatArray) -> Ranks:
    """Ranks of groups, (groups, draws); those that differ by rounding alone are tied."""
    order = np.argsort(values, axis=0, kind="stable")
    laid = np.take_along_axis(values, order, axis=0)
    place = np.arange(1, len(values) + 1)[:, None]
    apart = np.diff(laid, axis=0) > _TIED * np.abs(values).max(axis=0)
    ends = np.ones((1, values.shape[1]), dtype=bool)
    starts, stops = np.concatenate([ends, apart]), np.concatenate([apart, ends])
    first = np.maximum.accumulate(np.where(starts, place, 1), axis=0)
    last = np.minimum.accumulate(np.where(stops, place, len(values))[::-1], axis=0)[::-1]
    found = Ranks(np.empty_like(order), np.empty_like(order))
    np.put_along_axis(found.first, order, first, axis=0)
    np.put_along_axis(found.last, order, last, axis=0)
    return found


def variance_shares(
    values: FloatArray, parts: Mapping[str, FloatArray], shares: FloatArray, is_linear: bool
) -> dict[str, FloatArray]:
    """Share of each part in the variance of effects over the groups, by draw; they sum to one.

    With effects θ_g = c Σ_k p_kg + r_g the share of part k is c·cov(p_k, θ) / var(θ): covariances
    are additive, so that shares are, whether parts are correlated or not (Pratt 1987). Shares may
    be negative, where a part works against the others.

    Parameters
    ----------
    values : ndarray, shape (groups, draws)
    parts : mapping of str to ndarray, shape (groups, draws)
    shares : ndarray, shape (groups,)
        Weights of the groups, which sum to one.
    is_linear : bool
        Whether effects are the sum of the parts: c = 1 and no remainder. Otherwise c is the
        regression of effects on that sum.

    Returns
    -------
    dict of str to ndarray, shape (draws,)
        Parts that are constant over groups left out. NaN in draws without variation.
    """
    centred = values - shares @ values
    variance = shares @ centred**2
    moved = {name: part - shares @ part for name, part in parts.items()}
    size = np.sqrt(variance.mean())
    moved = {k: p for k, p in moved.items() if np.sqrt((p**2).mean()) > 1e-12 * (size or 1.0)}
    total = np.sum(list(moved.values()), axis=0) if moved else np.zeros_like(values)
    factor = np.ones(values.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        if not is_linear:
            size_of_total = shares @ total**2
            factor = np.where(size_of_total > 0, shares @ (total * centred) / size_of_total, 0.0)
        found = {
            name: factor * (shares @ (part * centred)) / variance for name, part in moved.items()
        }
        if not is_linear:
            rest = centred - factor * total
            found[REMAINDER] = (shares @ (rest * centred)) / variance
    return found
