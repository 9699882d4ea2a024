"""A pm.Model taken apart: what is observed, its Gaussian variables, and its hyperparameters."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.multivariate import LKJCorrRV, ZeroSumNormalRV, _LKJCholeskyCovRV
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.replace import vectorize_graph

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.frontends.pymc.graph import (
    arrays_of,
    depends_on,
    evaluate,
    named_input,
    numeric,
    substitute,
)
from pymc_vmrp.frontends.pymc.latents import Latent, as_latent
from pymc_vmrp.frontends.pymc.refusal import refuse

Theta = tuple[FloatArray, ...]  # values of the hyperparameters

# PyMC's names of its variables behind covariance matrices, and what they hold
LKJ_FORMS = {
    _LKJCholeskyCovRV: ("LKJCholeskyCov", "covariance factor"),
    LKJCorrRV: ("LKJCorr", "correlation factor"),
}
_NODES, _REACH, _STEP = 1001, 6.0, 0.1  # of a potential, in units of the free hyperparameter
_LARGE = 2**16  # bytes of data of which copies matter


@dataclass(frozen=True)
class Hyper:
    """A hyperparameter: a free variable that is not Gaussian.

    Attributes
    ----------
    name : str
    rv : TensorVariable
        The variable in the frozen model.
    value : TensorVariable
        An input that takes its place in every graph.
    free : TensorVariable
        An unconstrained input, from which ``constrained`` makes a value of the support.
    constrained : TensorVariable
    shape, free_shape : tuple of int
        Of ``value`` and of ``free``.
    kind : {"scalars", "covariance factor", "correlation factor"}
        Independent numbers, or PyMC's LKJ variables.
    """

    name: str
    rv: Any
    value: Any
    free: Any
    constrained: Any
    shape: tuple[int, ...]
    free_shape: tuple[int, ...]
    kind: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Point:
    """Values of every input: z of each latent, and the value of each hyperparameter."""

    z: tuple[FloatArray, ...]
    theta: Theta

    @property
    def arguments(self) -> tuple[FloatArray, ...]:
        """In the order of ``Parts.inputs``."""
        return (*self.z, *self.theta)


@dataclass(frozen=True)
class Parts:
    """A pm.Model of one observed variable.

    Attributes
    ----------
    original, frozen : pm.Model
        As given, and with dims and data as constants.
    observed : TensorVariable
        Of the frozen model.
    data : TensorVariable
        The observed values, a constant of the frozen model.
    y : ndarray
        Its values.
    latents : tuple of Latent
    hypers : tuple of Hyper
    potentials : tuple of (int, TensorVariable)
        Potentials of the frozen model, and the one hyperparameter, a scalar, that each depends on.
    """

    original: pm.Model
    frozen: pm.Model
    observed: Any
    data: Any
    y: AnyArray
    latents: tuple[Latent, ...]
    hypers: tuple[Hyper, ...]
    potentials: tuple[tuple[int, Any], ...] = ()

    @property
    def inputs(self) -> list[Any]:
        """Inputs of every graph: z of each latent, then the hyperparameters."""
        return [*(one.z for one in self.latents), *(one.value for one in self.hypers)]

    @cached_property
    def replacements(self) -> dict[Any, Any]:
        """What takes the place of each free variable."""
        latents = {one.rv: one.expression for one in self.latents}
        return latents | {one.rv: one.value for one in self.hypers}

    @cached_property
    def with_data(self) -> dict[Any, Any]:
        """The same, and the data in the place of the observed variable."""
        return self.replacements | {self.observed: self.data}

    def in_inputs(self, variables: Sequence[Any]) -> list[Any]:
        """Variables of the frozen model in terms of the inputs."""
        return substitute(variables, self.replacements)

    @cached_property
    def _constrain(self) -> Callable[..., list[Any]]:
        return numeric([h.free for h in self.hypers], [h.constrained for h in self.hypers])

    def theta(self, free: Sequence[FloatArray]) -> Theta:
        """Values of the hyperparameters from unconstrained ones."""
        return tuple(np.asarray(v, dtype=float) for v in self._constrain(*free))

    @property
    def free(self) -> list[Any]:
        """The free variables of the frozen model."""
        return [*(one.rv for one in self.latents), *(one.rv for one in self.hypers)]

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the values of ``free``."""
        return shapes_of(self.free)

    def zeros(self) -> tuple[FloatArray, ...]:
        """Z = 0 of every latent."""
        return tuple(np.zeros(one.shape) for one in self.latents)

    def base(self) -> Theta:
        """Hyperparameters at the middle of their supports: mostly 1."""
        return self.theta([np.zeros(h.free_shape) for h in self.hypers])

    def random_theta(self, rng: np.random.Generator, scale: float = 0.4) -> Theta:
        """Hyperparameters at random around ``base``."""
        return self.theta([scale * rng.standard_normal(h.free_shape) for h in self.hypers])


def read(model: pm.Model, as_hypers: Collection[str] = ()) -> Parts:
    """Take a model apart.

    Parameters
    ----------
    model : pm.Model
    as_hypers : collection of str
        Gaussian variables that are hyperparameters, such as the log of a standard deviation.

    Raises
    ------
    ModelError
        Where a variable cannot be part of a hierarchical GLM.
    """
    _check(model)
    frozen = _frozen(model)
    observed = frozen.observed_RVs[0]
    data = frozen.rvs_to_values[observed]
    free = frozen.free_RVs
    shapes = shapes_of([*free, observed])
    latents, hypers = [], []
    for rv, shape in zip(free, shapes[:-1], strict=True):
        latent = None if rv.name in as_hypers else as_latent(rv, shape)
        if latent is None:
            hypers.append(_hyper(frozen, rv, shape))
            continue
        is_zero_sum = isinstance(rv.owner.op, ZeroSumNormalRV)
        if frozen.rvs_to_transforms[rv] is not None and not is_zero_sum:
            raise refuse(rv.name, "has a transform, which makes it other than Gaussian")
        latents.append(latent)
    if 0 in shapes[-1]:
        raise refuse(observed.name, "has no rows")
    if not latents:
        names = ", ".join(repr(rv.name) for rv in free) or "none"
        raise refuse(None, f"has no variable with a Gaussian prior (it has {names})")
    y = np.asarray(data.data if hasattr(data, "data") else evaluate([data])[0])
    potentials = tuple((_only_hyper(frozen, hypers, p), p) for p in frozen.potentials)
    return Parts(model, frozen, observed, data, y, tuple(latents), tuple(hypers), potentials)


def _only_hyper(frozen: pm.Model, hypers: Sequence[Hyper], potential: Any) -> int:
    """The hyperparameter that a potential is part of the prior of."""
    parents = depends_on([potential], [*frozen.free_RVs, *frozen.observed_RVs])
    if len(parents) == 1:
        for h, hyper in enumerate(hypers):
            if hyper.rv is parents[0] and hyper.size == 1 and hyper.kind == "scalars":
                _check_smooth(potential, hyper)
                return h
    raise refuse(potential.name, "is a Potential of more than one scalar hyperparameter")


def _check_smooth(potential: Any, hyper: Hyper) -> None:
    """Refuse a potential with a step: the posterior of θ is explored as a smooth one."""
    (own,) = substitute([potential], {hyper.rv: hyper.constrained})
    batch = named_input("batch", (None, *hyper.free_shape))
    function = numeric([batch], [vectorize_graph(own.sum(), {hyper.free: batch})])
    largest = []
    for nodes in (_NODES, 8 * _NODES):
        free = np.linspace(-_REACH, _REACH, nodes).reshape(-1, *([1] * len(hyper.free_shape)))
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.ravel(function(free)[0]), nodes)
        if not np.isfinite(values).all():
            raise refuse(potential.name, "is a Potential that cuts off values: give the prior ends")
        largest.append(float(np.abs(np.diff(values)).max()))
    if largest[1] > max(_STEP, 0.7 * largest[0]):
        raise refuse(potential.name, "is a Potential with a step")


def _frozen(model: pm.Model) -> pm.Model:
    """The model with dims and data as constants, which share their memory with it."""
    frozen = _copied(model)
    data = {v.name: v for v in model.named_vars.values() if isinstance(v, SharedVariable)}
    outputs = [*frozen.basic_RVs, *frozen.deterministics]
    for constant in arrays_of(outputs):
        shared = data.get(constant.name)
        if shared is not None and constant.data.nbytes > _LARGE:
            constant.data = shared.get_value(borrow=True)
    if sum(v.get_value(borrow=True).nbytes for v in data.values()) > _LARGE:
        gc.collect()  # PyMC leaves copies behind, in cycles
    return frozen


def _copied(model: pm.Model) -> pm.Model:
    """``freeze_dims_and_data``, which does not take initial values that are variables."""
    given = dict(model.rvs_to_initial_values)
    try:
        for rv in given:
            model.rvs_to_initial_values[rv] = None
        return freeze_dims_and_data(model)
    except (AssertionError, NotImplementedError, ValueError) as error:
        detail = str(error) or "a variable whose dims= has a None?"
        raise refuse(None, f"cannot be copied by PyMC ({detail})") from error
    finally:
        model.rvs_to_initial_values.update(given)


def _check(model: pm.Model) -> None:
    if model.parent is not None:
        raise refuse(None, f"is a part of another model, {model.root.name or 'the outer one'!r}")
    _check_names([v.name for v in [*model.free_RVs, *model.deterministics]])
    names = [rv.name for rv in model.observed_RVs]
    if not names:
        raise refuse(None, "has no observed variable")
    if len(names) > 1:
        raise refuse(None, f"has several observed variables ({', '.join(map(repr, names))})")
    if type(model.observed_RVs[0].owner.op).__name__ == "MinibatchRandomVariable":
        raise refuse(names[0], "has total_size=: minibatches are not for this method, which reads "
                     "all rows at once")  # fmt: skip
    single = [rv.name for rv in model.free_RVs if str(rv.dtype) in ("float16", "float32")]
    if single:
        raise refuse(single[0], "is in single precision: build the model with floatX='float64'")


def _check_names(names: Sequence[str]) -> None:
    """ArviZ drops variables under the names of its dimensions."""
    taken = {"chain", "draw"} | {f"{name}_dim_{i}" for name in names for i in range(4)}
    for name in names:
        if name in taken:
            raise refuse(name, "has the name of a dimension in ArviZ: give it another one")


def shapes_of(rvs: Sequence[Any]) -> list[tuple[int, ...]]:
    """Static shapes, evaluated where the type does not say."""
    unknown = [rv for rv in rvs if None in rv.type.shape]
    values = evaluate([rv.shape for rv in unknown]) if unknown else []
    found = dict(zip(unknown, values, strict=True))
    return [tuple(int(n) for n in found.get(rv, rv.type.shape)) for rv in rvs]


def _hyper(frozen: pm.Model, rv: Any, shape: tuple[int, ...]) -> Hyper:
    op = rv.owner.op
    if not str(rv.dtype).startswith("float"):
        if rv.name.endswith("_unobserved"):  # as PyMC names what it imputes
            of = rv.name.removesuffix("_unobserved")
            raise refuse(of, "has missing values: leave out their rows")
        raise refuse(rv.name, "is discrete")
    others = [other for other in frozen.free_RVs if other is not rv]
    parents = depends_on(rv.owner.inputs, others)
    if parents:
        reason = f"has a prior that depends on {parents[0].name!r}, and is not Gaussian"
        raise refuse(rv.name, reason)
    transform = frozen.rvs_to_transforms[rv]
    kind = LKJ_FORMS.get(type(op), ("", "scalars"))[1]
    if kind == "scalars" and op.ndim_supp > 0:
        raise refuse(rv.name, f"has the multivariate prior {print_name(rv)}, which is not known")
    if transform is not None and kind == "scalars" and (transform.ndim_supp or 0) > 0:
        raise refuse(rv.name, "has a transform that ties its elements together")
    free_shape = shape
    if kind == "correlation factor":
        free_shape = (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)
    value = named_input(rv.name, shape)
    free = named_input(f"{rv.name}__free", free_shape)
    constrained = free if transform is None else transform.backward(free, *rv.owner.inputs)
    if transform is None and kind == "scalars" and _is_positive(rv, shape):
        constrained = pt.exp(free)
    return Hyper(rv.name, rv, value, free, constrained, shape, free_shape, kind)


def _is_positive(rv: Any, shape: tuple[int, ...]) -> bool:
    """Whether values below zero have no density."""
    value = np.full(shape, -1.0)
    with np.errstate(all="ignore"):
        return bool(np.isneginf(evaluate([pm.logp(rv, pt.constant(value))])[0]).all())


def print_name(rv: Any) -> str:
    """PyMC's name of a variable's distribution."""
    names = getattr(rv.owner.op, "_print_name", None)
    return str(names[0] if names else type(rv.owner.op).__name__)
