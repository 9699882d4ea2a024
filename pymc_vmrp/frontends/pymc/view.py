"""What the rows say of η: the likelihood as functions, and as a family with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
from pymc.logprob.utils import ParameterValueError
from pytensor.tensor.random import basic

from pymc_vmrp.arrays import AnyArray, BoolArray, FloatArray, IndexArray, IntArray
from pymc_vmrp.frontends.pymc.graph import is_random, named_input, numeric, substitute
from pymc_vmrp.frontends.pymc.predictor import Predictor
from pymc_vmrp.frontends.pymc.reading import Parts, Theta
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import Scale, Trials
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.spec import FamilyParameter

_FAR = (6.0, 8.0), (12.0, 16.0)  # of η, where a link that is clipped would show


# mean response, or the share of it in trials, from the parameters of PyMC's distribution
MEANS: dict[type, Callable[[list[Any]], Any]] = {
    basic.BernoulliRV: lambda args: args[0],
    basic.BinomialRV: lambda args: args[1],
    basic.PoissonRV: lambda args: args[0],
    basic.NegBinomialRV: lambda args: args[0] * (1 - args[1]) / args[1],
    basic.GammaRV: lambda args: args[0] * args[1],
    basic.BetaBinomialRV: lambda args: args[1] / (args[1] + args[2]),
    basic.StudentTRV: lambda args: args[1],
    basic.NormalRV: lambda args: args[0],
}


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

    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean response, or the share of it in trials, in each row."""
        of = MEANS[type(self.observed.owner.op)]
        return of(self.arguments(eta, self.trials.base))


def make_view(parts: Parts, predictor: Predictor, trials: Trials) -> View | None:
    """The likelihood as a function of a predictor; None where rows depend on several elements.

    Raises
    ------
    ModelError
        Where it cannot be evaluated.
    """
    shape = predictor.shape
    eta = named_input("eta", shape)
    (observed,) = substitute([predictor.observed], {predictor.node: eta})
    log_density = pm.logp(observed, parts.data)
    theta = [hyper.value for hyper in parts.hypers]
    name = parts.observed.name
    if is_random(log_density):
        raise refuse(name, "depends on a random variable that is not part of the model")
    if log_density.type.ndim != parts.y.ndim:
        return None
    of_rows = numeric([eta, *theta], [log_density])

    def rows(value: FloatArray) -> FloatArray:
        try:
            with np.errstate(all="ignore"):
                found = of_rows(value, *trials.base)[0]
        except ParameterValueError:  # this is no value that the node may have
            found = np.array(np.nan)
        return np.broadcast_to(found, parts.y.shape).ravel()

    if any(np.isnan(rows(np.full(shape, everywhere))).all() for everywhere in (-0.5, 1.5)):
        raise refuse(name, "has parameters outside of their support for ordinary values of the "
                     "linear predictor: a link function is missing")  # fmt: skip
    element = element_of_rows(rows, shape, parts.y.size)
    if element is None:
        return None
    op = observed.owner.op
    parameters = op.dist_params(observed.owner) if type(op) in MEANS else []
    inner = numeric([eta, *theta], parameters)

    def arguments(value: FloatArray, at: Theta) -> list[FloatArray]:
        with np.errstate(all="ignore"):
            found = [np.asarray(p, dtype=float) for p in inner(value, *at)]
        shape = parts.y.shape
        return [(p if p.size == 1 else np.broadcast_to(p, shape)).ravel() for p in found]

    return View(parts, trials, eta, observed, element, arguments)


def element_of_rows(
    function: Callable[[FloatArray], FloatArray], shape: tuple[int, ...], rows: int
) -> IntArray | None:
    """Which element of its argument each row of a function depends on; None where on several.

    Element for element where that is so; else the binary digits of the number of the element are
    found one by one, by moving all elements whose number has that digit.

    Parameters
    ----------
    function : callable
        An array of ``shape`` → rows.
    shape : tuple of int
    rows : int
    """
    size = int(np.prod(shape))
    rng = np.random.default_rng(1)
    start = rng.uniform(-0.5, 0.5, shape)
    at_start = function(start)

    def moves(members: BoolArray) -> BoolArray:
        return function(start + 0.37 * members.reshape(shape)) != at_start

    # rows that say nothing of η, such as a binomial one without trials, may be said to have any
    silent = ~moves(np.ones(size, dtype=bool))
    half = rng.random(size) < 0.5
    if size == rows and ((moves(half) == half) | silent).all():
        return np.arange(rows)
    element = np.zeros(rows, dtype=np.int64)
    numbers = np.arange(size)
    for digit in range(max(size - 1, 0).bit_length()):
        element += moves((numbers >> digit) % 2 == 1).astype(np.int64) << digit
    if (element >= size).any():
        return None
    if not ((moves(half) == half[element]) | silent).all():
        return None
    return element
