"""The free variables and deterministics of a pm.Model at points of its latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pymc_vmrp.arrays import AnyArray
from pymc_vmrp.frontends.pymc.graph import named_input, numeric, substitute
from pymc_vmrp.frontends.pymc.reading import Parts, Point, shapes_of


def n_values(parts: Parts) -> int:
    """Numbers in one draw of all free variables and deterministics."""
    return sum(int(np.prod(shape)) for shape in shapes_of(_named(parts)))


def variables(
    parts: Parts,
    points: Iterable[Point],
    draws: int,
    callback: Callable[[int], None] = lambda _: None,
) -> dict[str, AnyArray]:
    """Every free variable and deterministic at each point, shape (draws, ...).

    ``callback`` is told how many points are done.
    """
    named = _named(parts)
    function = numeric(parts.inputs, substitute(named, parts.with_data))
    out: dict[str, AnyArray] = {}
    for i, point in enumerate(points):
        with np.errstate(all="ignore"):
            values = function(*point.arguments)
        for variable, value in zip(named, values, strict=True):
            if i == 0:
                out[variable.name] = np.empty((draws, *np.shape(value)), np.asarray(value).dtype)
            out[variable.name][i] = value
        callback(i + 1)
    return out


def points_of(parts: Parts, values: Sequence[AnyArray]) -> Iterator[Point]:
    """Each draw of the free variables, given in the order of ``parts.free``, as a point."""
    inputs = {rv: named_input(rv.name, shape) for rv, shape in zip(parts.free, parts.shapes,
                                                                   strict=True)}  # fmt: skip
    standards = substitute([latent.standard for latent in parts.latents], inputs)
    function = numeric(list(inputs.values()), standards)
    first = len(parts.latents)
    for draw in zip(*values, strict=True):
        with np.errstate(all="ignore"):
            z = function(*draw)
        theta = tuple(np.asarray(value, dtype=float) for value in draw[first:])
        yield Point(
            tuple(np.reshape(own, one.shape) for own, one in zip(z, parts.latents, strict=True)),
            theta,
        )


def _named(parts: Parts) -> list[Any]:
    return [*parts.frozen.free_RVs, *parts.frozen.deterministics]
