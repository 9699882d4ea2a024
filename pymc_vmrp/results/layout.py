"""Draws under the names, dims and coords of the library that a model was written in.

A door that reads another library's model notes here how that library reports what is unknown:
several blocks of the GLMM may be one of its variables, and it may report levels that no row has.
Those have the prior as their posterior given σ, so they are drawn beside the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.variables import Variables


@dataclass(frozen=True)
class Reported:
    """One variable of the results.

    Attributes
    ----------
    name : str
    dims : tuple of str
        Besides those of the samples.
    sources : tuple of str
        Variables of the GLMM, named as in ``glmm.variables``, that it is made of.
    axis : int, optional
        Where the dimension lies along which sources are stacked, counted from the end; None for
        one source as it is.
    """

    name: str
    dims: tuple[str, ...]
    sources: tuple[str, ...]
    axis: int | None = None


@dataclass(frozen=True)
class Levels:
    """Which of the reported levels of a block the data have.

    Attributes
    ----------
    known : ndarray of integers, shape (levels of the block,)
        Their positions among the reported levels, in ascending order.
    size : int
        Number of reported levels.
    """

    known: IntArray
    size: int

    @property
    def unseen(self) -> IntArray:
        """Positions of the levels that no row has."""
        return np.setdiff1d(np.arange(self.size), self.known)

    def complete(self, known: FloatArray, unseen: FloatArray) -> FloatArray:
        """Values of all reported levels, shape (..., size)."""
        out = np.empty((*known.shape[:-1], self.size))
        out[..., self.known] = known
        out[..., self.unseen] = unseen
        return out


@dataclass(frozen=True)
class Layout:
    """How a library reports the unknowns of a model.

    Attributes
    ----------
    variables : tuple of Reported
        In the order of the results.
    coords : mapping
        Labels along each dimension.
    levels : mapping of str to Levels
        By the name of a block's variable in the GLMM, where some reported levels have no rows.
    interface : mapping of str
        Attributes by which the library knows its results.
    """

    variables: tuple[Reported, ...]
    coords: Mapping[str, Any]
    levels: Mapping[str, Levels] = field(default_factory=dict)
    interface: Mapping[str, str] = field(default_factory=dict)


def relabelled(
    layout: Layout, named: Variables, unseen: Mapping[str, FloatArray], partly: bool = False
) -> Variables:
    """The GLMM's variables as the library reports them.

    Parameters
    ----------
    layout : Layout
    named : mapping
        As ``glmm.variables`` names them.
    unseen : mapping of str to ndarray
        For each block in ``layout.levels``, values of the levels without rows, shape (..., unseen).
    partly : bool
        Whether variables whose sources ``named`` does not have are left out.
    """
    out: Variables = {}
    for one in layout.variables:
        if partly and not set(one.sources) <= set(named):
            continue
        values = [_completed(layout, source, named[source][1], unseen) for source in one.sources]
        out[one.name] = (one.dims, values[0] if one.axis is None else np.stack(values, one.axis))
    return out


def sources(layout: Layout, reported: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The GLMM's variables from what the library reports; levels without rows are left out."""
    out = {}
    for one in layout.variables:
        value = reported[one.name]
        for k, source in enumerate(one.sources):
            own = value if one.axis is None else np.take(value, k, axis=one.axis)
            levels = layout.levels.get(source)
            out[source] = own if levels is None else own[..., levels.known]
    return out


def draw_unseen(
    layout: Layout, named: Variables, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Effects of levels that no row has, from N(0, σ²) with the draws of σ."""
    out = {}
    for source, levels in layout.levels.items():
        sigma = named[f"{source}_sigma"][1][..., None]
        out[source] = sigma * rng.standard_normal((*sigma.shape[:-1], len(levels.unseen)))
    return out


def unseen_log_density(
    layout: Layout, named: Variables, unseen: Mapping[str, FloatArray]
) -> FloatArray | float:
    """Log density of those effects given σ: what they add to log p and to log q alike."""
    total: FloatArray | float = 0.0
    for source, effects in unseen.items():
        sigma = named[f"{source}_sigma"][1]
        count = effects.shape[-1]
        squares = np.sum((effects / sigma[..., None]) ** 2, axis=-1)
        total = total - 0.5 * squares - count * (np.log(sigma) + 0.5 * np.log(2 * np.pi))
    return total


def unseen_moments(
    layout: Layout, mean: Variables, sd: Variables
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Mean 0, and the root of E σ², of effects of levels that no row has."""
    means, sds = {}, {}
    for source, levels in layout.levels.items():
        name = f"{source}_sigma"
        size = len(levels.unseen)
        means[source] = np.zeros(size)
        sds[source] = np.full(size, np.hypot(mean[name][1], sd[name][1]))
    return means, sds


def _completed(
    layout: Layout, source: str, values: FloatArray, unseen: Mapping[str, FloatArray]
) -> FloatArray:
    levels = layout.levels.get(source)
    return values if levels is None else levels.complete(values, unseen[source])
