"""The linear predictor: the last node of the graph that is affine in all Gaussian variables.

A node through which every path from the Gaussian variables to the observed one passes is a
*dominator*. Going back from the observed variable, the first dominator that is affine in z, for any
fixed hyperparameters, is η; what comes after it is the likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.traversal import ancestors, io_toposort

from pymc_vmrp.arrays import FloatArray, IndexArray
from pymc_vmrp.frontends.pymc.graph import depends_on, is_random, numeric
from pymc_vmrp.frontends.pymc.probe import Columns, probe_columns
from pymc_vmrp.frontends.pymc.reading import Parts, Point, Theta, print_name
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.rows import at_distinct_rows

_SMALL = 1e-9  # relative, of differences that are rounding


@dataclass(frozen=True)
class Predictor:
    """η as a graph and as a function.

    Attributes
    ----------
    node : TensorVariable
        In terms of the inputs of ``Parts``.
    observed : TensorVariable
        The observed random variable, of the same graph.
    evaluate : callable
        :class:`Point` → η, flat, at the rows of distinct data.
    shape : tuple of int
        Of η.
    index : ndarray of int
        Which of those rows each element of η is.
    offset : ndarray
        ``evaluate`` at z = 0; it does not depend on the hyperparameters.
    """

    node: Any
    observed: Any
    evaluate: Callable[[Point], FloatArray]
    shape: tuple[int, ...]
    index: IndexArray
    offset: FloatArray


@dataclass(frozen=True)
class OfLatent:
    """η less its value at z = 0, as a function of one latent; all others are zero.

    Attributes
    ----------
    parts : Parts
    evaluate : callable
        :class:`Point` → η, flat.
    offset : ndarray
        ``evaluate`` at z = 0.
    latent : int
    """

    parts: Parts
    evaluate: Callable[[Point], FloatArray]
    offset: FloatArray
    latent: int

    def __call__(self, z: FloatArray, theta: Theta) -> FloatArray:
        """At values of the latent and of the hyperparameters."""
        full = list(self.parts.zeros())
        full[self.latent] = z.reshape(full[self.latent].shape)
        return self.evaluate(Point(tuple(full), theta)) - self.offset

    def columns(self, rng: np.random.Generator) -> Columns | None:
        """Its columns; None where they are too large to be taken apart."""
        base, size = self.parts.base(), self.parts.latents[self.latent].size
        return probe_columns(lambda z: self(z, base), size, rng)

    def scales(self, columns: Columns) -> Callable[[Theta], FloatArray]:
        """Values of the elements' columns as a function of the hyperparameters."""
        return lambda theta: columns.scales(lambda z: self(z, theta))


def find_predictors(parts: Parts) -> list[Predictor]:
    """Every node that may serve as η, from the observed variable backwards.

    Raises
    ------
    ModelError
        Where no node is affine in the Gaussian variables; it names those to blame.
    """
    (observed,) = parts.in_inputs([parts.observed])
    zs = [latent.z for latent in parts.latents]
    rng = np.random.default_rng(0)
    found: list[Predictor] = []
    last: Callable[[Point], FloatArray] | None = None
    for node in dominators(observed, zs):
        if is_random(node) or not str(node.dtype).startswith("float"):
            continue
        shape = _shape(parts, node)
        evaluate, index = _at_rows(parts, node, shape, rng)
        last = evaluate
        _check_data(parts, evaluate, rng)
        if _is_affine(parts, evaluate, rng) and _has_known_offset(parts, evaluate, rng):
            offset = evaluate(Point(parts.zeros(), parts.base()))
            found.append(Predictor(node, observed, evaluate, shape, index, offset))
    if not found:
        raise _blame(parts, observed, last, rng)
    return found


def _check_data(
    parts: Parts, evaluate: Callable[[Point], FloatArray], rng: np.random.Generator
) -> None:
    """Some rows without a value, whatever the variables' values, are those of missing data."""
    points = Point(parts.zeros(), parts.base()), Point(_random_z(parts, rng), parts.base())
    never = np.isnan([evaluate(point) for point in points]).all(axis=0)
    if never.any() and not never.all():
        raise refuse(
            parts.observed.name,
            "has rows whose linear predictor is not a number: look for missing values in the data",
        )


def transformed_latents(parts: Parts) -> list[str]:
    """Gaussian variables that the model knows by a non-linear function of each alone.

    Such as log σ, of which exp(log σ) is all that others depend on.
    """
    (observed,) = parts.in_inputs([parts.observed])
    zs = [latent.z for latent in parts.latents]
    hypers = [hyper.value for hyper in parts.hypers]
    rng = np.random.default_rng(3)
    out = []
    for latent in parts.latents:
        if latent.kind != "normal" or depends_on([latent.location, latent.scale], parts.free):
            continue
        others = {*zs, *hypers} - {latent.z}
        own = [
            node
            for node in dominators(observed, [latent.z])
            if not is_random(node) and not others & set(ancestors([node]))
        ]
        alone = [_function(parts, node) for node in own if str(node.dtype).startswith("float")]
        if any(not _is_affine(parts, evaluate, rng) for evaluate in alone):
            out.append(latent.name)
    return out


def dominators(sink: Any, sources: Sequence[Any]) -> Iterator[Any]:
    """Variables on every path from the sources to the sink, from the sink backwards.

    A cut between them starts at the sink's inputs; its latest member is replaced by those of its
    own inputs that lead to a source, and whenever one variable is left it is a dominator.
    """
    order = {node: i for i, node in enumerate(io_toposort([], [sink]))}
    reached = _descendants(order, sources)
    if sink not in reached:
        return
    cut = {v for v in sink.owner.inputs if v in reached}
    while cut:
        if len(cut) == 1:
            (only,) = cut
            yield only
        latest = max(cut, key=lambda v: -1 if v.owner is None else order[v.owner])
        if latest.owner is None:
            return
        cut = (cut - {latest}) | {v for v in latest.owner.inputs if v in reached}


def _descendants(order: dict[Any, int], sources: Sequence[Any]) -> set[Any]:
    reached = set(sources)
    for node in order:
        if any(v in reached for v in node.inputs):
            reached |= set(node.outputs)
    return reached


def _at_rows(
    parts: Parts, node: Any, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[Callable[[Point], FloatArray], IndexArray]:
    """A node as a function at its distinct rows, where it is that; else at all."""
    full = _function(parts, node)
    reduced = at_distinct_rows(node, shape[0]) if len(shape) == 1 else None
    if reduced is not None:
        small, cells = reduced
        evaluate = _function(parts, small)
        point = Point(_random_z(parts, rng), parts.random_theta(rng))
        try:
            found = evaluate(point)
        except ValueError:  # shapes that do not go together: elements know of other rows
            found = np.empty(0)
        if len(found) == len(cells.first) and np.array_equal(found[cells.index], full(point)):
            return evaluate, cells.index
    return full, np.arange(int(np.prod(shape)))


def _function(parts: Parts, node: Any) -> Callable[[Point], FloatArray]:
    inner = numeric(parts.inputs, [pt.cast(node, "float64").ravel()])

    def evaluate(point: Point) -> FloatArray:
        with np.errstate(all="ignore"):
            return np.asarray(inner(*point.arguments)[0])

    return evaluate


def _shape(parts: Parts, node: Any) -> tuple[int, ...]:
    if None not in node.type.shape:
        return tuple(node.type.shape)
    point = Point(parts.zeros(), parts.base())
    return tuple(int(n) for n in numeric(parts.inputs, [node.shape])(*point.arguments)[0])


def _random_z(parts: Parts, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    return tuple(rng.standard_normal(latent.shape) for latent in parts.latents)


def _is_affine(
    parts: Parts, evaluate: Callable[[Point], FloatArray], rng: np.random.Generator
) -> bool:
    """Whether η(a) + η(b) = η(a + b) + η(0) and so on, at two values of the hyperparameters."""
    for theta in (parts.random_theta(rng), parts.random_theta(rng)):
        a, b = _random_z(parts, rng), _random_z(parts, rng)
        mixed = tuple(0.7 * x - 1.9 * y for x, y in zip(a, b, strict=True))
        at_zero = evaluate(Point(parts.zeros(), theta))
        of_a, of_b, of_mixed = (evaluate(Point(z, theta)) - at_zero for z in (a, b, mixed))
        if not _agree(of_mixed, 0.7 * of_a - 1.9 * of_b, of_a, of_b, at_zero):
            return False
    return True


def _agree(left: FloatArray, right: FloatArray, *sizes: FloatArray) -> bool:
    scale = max(float(np.abs(size).max(initial=0.0)) for size in sizes)
    return bool(np.isfinite(scale) and np.abs(left - right).max(initial=0.0) <= _SMALL * scale)


def _has_known_offset(
    parts: Parts, evaluate: Callable[[Point], FloatArray], rng: np.random.Generator
) -> bool:
    """Whether η at z = 0 is the same for all values of the hyperparameters."""
    here, there = (evaluate(Point(parts.zeros(), parts.random_theta(rng))) for _ in range(2))
    return _agree(here, there, here, there, np.ones(1))


def _blame(
    parts: Parts,
    observed: Any,
    evaluate: Callable[[Point], FloatArray] | None,
    rng: np.random.Generator,
) -> Exception:
    """The error for a graph whose earliest dominator, ``evaluate``, will not do."""
    name = parts.observed.name
    if all(latent.z not in set(ancestors([observed])) for latent in parts.latents):
        return refuse(name, "does not depend on any variable with a Gaussian prior")
    if evaluate is None:
        return refuse(
            name, "depends on the Gaussian variables in several ways, not through one predictor"
        )
    theta, zeros = parts.random_theta(rng), parts.zeros()
    at_zero = evaluate(Point(zeros, theta))

    def moved(**values: FloatArray) -> FloatArray:
        z = [values.get(f"z{j}", zero) for j, zero in enumerate(zeros)]
        return evaluate(Point(tuple(z), theta)) - at_zero

    a, b = _random_z(parts, rng), _random_z(parts, rng)
    for j, latent in enumerate(parts.latents):
        of_a, of_b, of_sum = (moved(**{f"z{j}": v}) for v in (a[j], b[j], a[j] + b[j]))
        if not _agree(of_sum, of_a + of_b, of_a, of_b, at_zero):
            return refuse(
                latent.name, f"has a Gaussian prior, but {name!r} is not linear in it on any scale"
            )
    for j, first in enumerate(parts.latents):
        for k in range(j):
            one, two = {f"z{j}": a[j]}, {f"z{k}": a[k]}
            of_one, of_two, of_both = moved(**one), moved(**two), moved(**one, **two)
            if not _agree(of_both, of_one + of_two, of_one, of_two, at_zero):
                return refuse(
                    first.name,
                    f"is multiplied with {parts.latents[k].name!r}, so that the linear predictor "
                    "is not linear in both",
                )
    for h, hyper in enumerate(parts.hypers):
        other = list(theta)
        other[h] = parts.random_theta(rng)[h]
        if not _agree(evaluate(Point(zeros, tuple(other))), at_zero, at_zero, np.ones(1)):
            return refuse(
                hyper.name,
                f"has a prior that is not Gaussian ({print_name(hyper.rv)}), and is a term of the "
                "linear predictor",
            )
    return refuse(name, "has no predictor that is linear in the Gaussian variables")
