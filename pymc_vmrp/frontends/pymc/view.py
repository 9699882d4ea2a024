"""What the rows say of η: the likelihood as functions, and as a family with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_vmrp.arrays import AnyArray, FloatArray, IndexArray
from pymc_vmrp.frontends.pymc.reading import Parts, Theta
from pymc_vmrp.frontends.pymc.scales import Scale, Trials
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.spec import FamilyParameter

_FAR = (6.0, 8.0), (12.0, 16.0)  # of η, where a link that is clipped would show


@dataclass(frozen=True)
class FreeParameter:
    """A parameter of the likelihood that is factor·σ of one hyperparameter."""

    scale: Scale
    factor: float


@dataclass(frozen=True)
class Likelihood:
    """What the rows say of η.

    Attributes
    ----------
    family : Family
    rows : Rows
        The response, flat; its ``offset`` is added to η.
    element : ndarray of int, shape (rows,)
        Which element of η each row belongs to; of :func:`find_likelihood` of η's own shape, later
        of the distinct ones.
    parameters : tuple of FamilyParameter
    free : tuple of FreeParameter
        Where those that are not fixed come from.
    divisor : ndarray, shape (rows,), or None
        By which η and the response are divided, where sds are known multiples of one σ.
    """

    family: Family
    rows: Rows
    element: IndexArray
    parameters: tuple[FamilyParameter, ...] = ()
    free: tuple[FreeParameter, ...] = ()
    divisor: FloatArray | None = None


@dataclass(frozen=True)
class View:
    """The likelihood as functions of η and the hyperparameters.

    Attributes
    ----------
    parts : Parts
    trials : Trials
    eta : TensorVariable
        An input in the place of η.
    observed : TensorVariable
        The observed random variable in terms of it and the hyperparameters.
    element : ndarray of int, shape (rows,)
    arguments : callable
        (η, hyperparameters) → the distribution's parameters, each of shape (rows,) or (1,).
    """

    parts: Parts
    trials: Trials
    eta: Any
    observed: Any
    element: IndexArray
    arguments: Callable[[FloatArray, Theta], list[FloatArray]]

    @property
    def y(self) -> AnyArray:
        """The response, flat."""
        return self.parts.y.ravel()

    def random_eta(self, seed: int) -> FloatArray:
        """Some values of η, of its own shape."""
        size = (*self.eta.type.shape,)
        return np.random.default_rng(seed).uniform(-1.5, 1.5, size)

    def etas(self) -> Iterator[FloatArray]:
        """Values at which functions of η are compared: near ones, and far ones on both sides.

        One at a time: each is as long as the data.
        """
        yield self.random_eta(2)
        yield self.random_eta(3)
        for sign in (1, -1):
            for ends in _FAR:
                size = (*self.eta.type.shape,)
                yield sign * np.random.default_rng(5).uniform(*ends, size)

    def rows(self, eta: FloatArray) -> FloatArray:
        """η of each row."""
        return eta.ravel()[self.element]
