"""Priors of common terms as the arrays that a GLMM holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors.covariance import CoefficientPrior, Flat, Normal
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.spec import Mixture


@dataclass(frozen=True)
class GivenPrior:
    """The prior of a term with ``width`` columns, and the key it was given under."""

    name: str
    key: str
    prior: CoefficientPrior
    width: int


def prior_arrays(
    given: Sequence[GivenPrior],
) -> tuple[FloatArray, FloatArray, tuple[Mixture, ...]]:
    """``prior_mean``, ``prior_sd`` and ``mixtures`` of :class:`CommonEffects`."""
    nothing = np.empty(0), np.empty(0)
    means, sds = zip(nothing, *map(_location_and_sd, given), strict=True)
    return np.concatenate(means), np.concatenate(sds), _mixtures(given)


def _location_and_sd(given: GivenPrior) -> tuple[FloatArray, FloatArray]:
    """``prior_mean`` and ``prior_sd`` of a term, shape (width,) each."""
    prior = given.prior
    if isinstance(prior, Flat):
        return np.zeros(given.width), np.full(given.width, np.inf)
    if isinstance(prior, Normal):
        return _per_column(given, prior.mu), _per_column(given, prior.sigma)
    _per_column(given, prior.scale)
    return _per_column(given, prior.location), np.full(given.width, np.nan)


def _per_column(given: GivenPrior, value: Any) -> FloatArray:
    array = np.asarray(value, dtype=float)
    if array.ndim and array.shape != (given.width,):
        raise PriorError(
            f"The prior of {given.name!r} has {array.size} values, but the term has {given.width} "
            "columns."
        )
    return np.broadcast_to(array, given.width)


def _mixtures(given: Sequence[GivenPrior]) -> tuple[Mixture, ...]:
    """One per term; a horseshoe ties the columns of all terms that it is given to under one key."""
    mixtures: dict[str, Mixture] = {}
    start = 0
    for one in given:
        index = tuple(range(start, start + one.width))
        start += one.width
        if isinstance(one.prior, Normal | Flat):
            continue
        name = one.key if isinstance(one.prior, Horseshoe) else one.name
        tied = mixtures[name].index if name in mixtures else ()
        mixtures[name] = Mixture(name, tied + index, one.prior)
    return tuple(mixtures.values())
