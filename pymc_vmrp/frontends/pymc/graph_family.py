"""A family whose ℓ, ℓ′ and ℓ″ are PyTensor's: any likelihood of one linear predictor.

Rows keep their own cell, and their number is their statistic: data of the graph that have one entry
per row are taken at the rows that are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Never

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.utils import ParameterValueError
from pytensor.compile.maker import function
from pytensor.gradient import grad
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors

from pymc_vmrp.arrays import AnyArray, FloatArray, IntArray
from pymc_vmrp.frontends.pymc.graph import arrays_of, in_double, named_input, numeric, substitute
from pymc_vmrp.frontends.pymc.numpy_mode import numpy_mode
from pymc_vmrp.frontends.pymc.reading import print_name
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import Scale, evaluate_ends, prior_of
from pymc_vmrp.frontends.pymc.smoothness import best_step, differences, has_kinks
from pymc_vmrp.frontends.pymc.view import FreeParameter, Likelihood, View
from pymc_vmrp.glmm.families.family import Family, Parameters, Rows, Statistics
from pymc_vmrp.glmm.priors.lkj import median
from pymc_vmrp.glmm.priors.scales import largest_sigma
from pymc_vmrp.glmm.spec import FamilyParameter

_LOOKED_AT = 24  # rows whose derivatives are looked at, twice
_LEAST = -1e8  # of ℓ
_INSIDE = 1e-9  # relative, by which φ stays off the end of its support
_MOST_FREE = 2  # parameters: q(φ) is a grid
_SPAN = 3.0  # of log φ around the prior's median, where it is looked for at first
_GRID = np.linspace(-12.0, 12.0, 97)  # of η, for a start


def graph_likelihood(view: View) -> Likelihood:
    """The likelihood of a :class:`View` as a family of its own.

    Raises
    ------
    ModelError
        Where rows cannot be evaluated by themselves, or there are more parameters than two.
    """
    scales = _free(view)
    priors = [prior_of(view.parts, scale) for scale in scales]
    largest = tuple(largest_sigma(prior) * (1 - _INSIDE) for prior in priors)
    graph = _usable(_Graph(view, tuple(scales), largest))
    parameters = []
    for i, prior in enumerate(priors):
        centre = np.log(median(prior))
        high = min(centre + _SPAN, np.log(largest_sigma(prior)) - 1e-3)
        parameters.append(FamilyParameter(f"phi{i}", prior, (centre - _SPAN, high)))
    free = tuple(FreeParameter(scale, 1.0) for scale in scales)
    middle = tuple(float(np.exp(np.mean(parameter.span))) for parameter in parameters)
    family = _family(print_name(view.observed), graph, len(view.y), middle)
    return Likelihood(family, Rows(view.y), view.element, tuple(parameters), free)


def _free(view: View) -> list[Scale]:
    """The elements of hyperparameters that the likelihood depends on, as positive numbers."""
    parts, out = view.parts, []
    used = set(ancestors([view.observed]))
    for h, hyper in enumerate(parts.hypers):
        if hyper.value not in used:
            continue
        if hyper.kind != "scalars":
            raise refuse(hyper.name, "is a covariance matrix, and a parameter of the likelihood")
        lower = evaluate_ends(hyper)[0]
        out += [Scale(h, e, "power" if lower[e] >= 0 else "exp", 1.0) for e in range(hyper.size)]
    if len(out) > _MOST_FREE:
        raise refuse(
            parts.observed.name,
            f"has the distribution {print_name(view.observed)} with {len(out)} free parameters; "
            f"there may be {_MOST_FREE}",
        )
    return out


@dataclass(frozen=True)
class _Graph:
    """ℓ, ℓ′ and ℓ″ of some rows at several η and φ each.

    Attributes
    ----------
    view : View
    scales : tuple of Scale
        Of which φ consists.
    largest : tuple of float
        Largest value of each.
    automatic : bool
        Whether automatic derivatives are of any use.
    step : float, optional
        Of the differences in their place, where they are not finite.
    """

    view: View
    scales: tuple[Scale, ...]
    largest: tuple[float, ...]
    automatic: bool = True
    step: float | None = None
    # PyTensor's functions keep their arguments: one call at a time
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    @cached_property
    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        view, parts = self.view, self.view.parts
        rows = pt.lvector("rows")
        some = pt.dvector("some")  # η of these rows
        log_density = pm.logp(view.observed, parts.data)
        by_row = _data_of_rows(log_density, parts.y.shape, rows)
        own = {**by_row, view.eta: some}
        flat = parts.y.ndim > 1
        (replaced,) = in_double(substitute([log_density], own, any_shape=True, flat=flat))
        many = pt.dmatrix("many")
        used = sorted({scale.hyper for scale in self.scales})
        values = [parts.hypers[h].value for h in used]
        batches = [named_input("batch", (None, *v.type.shape)) for v in values]
        density = vectorize_graph(
            replaced, {some: many, **dict(zip(values, batches, strict=True))}
        )  # fmt: skip
        slope: Any = grad(density.sum(), many)
        curvature: Any = grad(slope.sum(), many, disconnected_inputs="ignore")
        mode = numpy_mode("fast_run")
        inputs = [many, rows, *batches]
        return (
            function(inputs, density, mode=mode, on_unused_input="ignore"),
            function(inputs, [slope, curvature], mode=mode, on_unused_input="ignore"),
        )

    def density(self, eta: FloatArray, rows: FloatArray, phi: Parameters) -> FloatArray:
        """ℓ, of the shape of η: (n,) or (n, k)."""
        found = np.asarray(self._call(0, eta, rows, phi))
        # far out, where numbers underflow
        return np.where(found > _LEAST, found, _LEAST)

    def derivatives(
        self, eta: FloatArray, rows: FloatArray, phi: Parameters
    ) -> tuple[FloatArray, FloatArray]:
        """ℓ′ and ℓ″."""
        if not self.automatic:
            return self._differences(eta, rows, phi)
        slope, curvature = self._call(1, eta, rows, phi)
        broken = ~(np.isfinite(slope) & np.isfinite(curvature))
        if self.step is None or not broken.any():
            return slope, curvature
        other = self._differences(eta, rows, phi)
        return np.where(broken, other[0], slope), np.where(broken, other[1], curvature)

    def _differences(
        self, eta: FloatArray, rows: FloatArray, phi: Parameters
    ) -> tuple[FloatArray, FloatArray]:
        assert self.step is not None
        return differences(lambda at: self.density(at, rows, phi), eta, self.step)

    def _call(self, which: int, eta: FloatArray, rows: FloatArray, phi: Parameters) -> Any:
        matrix = eta[:, None] if eta.ndim == 1 else eta
        number = np.ascontiguousarray(rows.reshape(len(matrix), -1)[:, 0]).astype(np.int64)
        k = matrix.shape[1]
        batches = []
        for h in sorted({scale.hyper for scale in self.scales}):
            batch = np.empty((k, self.view.parts.hypers[h].size))
            for scale, value, largest in zip(self.scales, phi, self.largest, strict=True):
                if scale.hyper == h:  # PyMC's checks of parameters raise outside of the support
                    inside = np.minimum(np.asarray(value, dtype=float), largest)
                    batch[:, scale.element] = scale.theta(inside)
            batches.append(batch.reshape(k, *self.view.parts.hypers[h].shape))
        with self.lock, np.errstate(all="ignore"):
            try:
                found = self._functions[which](np.ascontiguousarray(matrix.T), number, *batches)
            except ParameterValueError as error:
                raise refuse(
                    self.view.parts.observed.name,
                    f"has parameters that the fit takes out of their support ({error})",
                ) from error
        if which == 0:
            return np.broadcast_to(found, matrix.T.shape).T.reshape(eta.shape)
        return tuple(np.broadcast_to(f, matrix.T.shape).T.reshape(eta.shape) for f in found)


def _data_of_rows(log_density: Any, shape: tuple[int, ...], rows: Any) -> dict[Any, Any]:
    """Constants that have an entry for each response, taken at some of them."""
    out = {}
    for constant in arrays_of([log_density]):
        data = constant.data
        if data.size == 1 and data.ndim and len(shape) > 1:
            out[constant] = pt.constant(data.reshape(()))
        if data.ndim > len(shape) > 1 or data.size < 2:
            continue
        if len(shape) == 1 and data.shape[:1] == shape:
            out[constant] = pt.as_tensor(np.array(data))[rows]
        elif len(shape) > 1 and _fits(data.shape, shape):
            out[constant] = pt.as_tensor(np.broadcast_to(data, shape).ravel())[rows]
    return out


def _fits(own: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether an array of a shape broadcasts to another one."""
    tail = shape[len(shape) - len(own) :]
    return all(m in (1, n) for m, n in zip(own, tail, strict=True))


def _usable(graph: _Graph) -> _Graph:
    """The graph, by differences where it has no derivatives.

    Raises
    ------
    ModelError
        Where rows by themselves have not the log density that they have among all, or it has kinks.
    """
    view, name = graph.view, graph.view.parts.observed.name
    eta = view.random_eta(4)
    phi = tuple(scale.value(view.trials.base) for scale in graph.scales)
    every = np.arange(len(view.y), dtype=float)
    some = every[_spread(view.y)]
    chosen = view.rows(eta)[some.astype(int)]
    theta = [hyper.value for hyper in view.parts.hypers]
    whole = numeric([view.eta, *theta], [pm.logp(view.observed, view.parts.data)])
    try:
        own = graph.density(chosen, some, phi)
        first, second = graph.derivatives(chosen, some, phi)
    except Exception as error:
        latents = ", ".join(repr(latent.name) for latent in view.parts.latents)
        raise refuse(
            name,
            f"depends on {latents} in a way that is neither linear nor that of one predictor for "
            "each row",
        ) from error
    expected = whole(eta, *view.trials.base)[0].ravel()[some.astype(int)]
    if not np.allclose(own, expected, rtol=1e-7, atol=1e-7):
        if not np.array_equal(view.element, np.arange(len(view.y))):
            raise refuse(
                name, "has rows that are indexed behind the link function f: write f(a[index]) in "
                "place of f(a)[index]",
            )  # fmt: skip
        raise refuse(name, "has rows that depend on one another")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        graph = replace(graph, automatic=False)
    step = best_step(lambda at: graph.density(at, some, phi), chosen)
    if step is None and not graph.automatic:
        raise refuse(name, "has a likelihood without two derivatives")
    graph = replace(graph, step=step)

    def everywhere(at: FloatArray) -> FloatArray:
        return np.broadcast_to(at, (len(some), len(at)))

    if has_kinks(
        lambda at: graph.density(everywhere(at), some, phi),
        lambda at: graph.derivatives(everywhere(at), some, phi),
        *_range(view),
    ):
        raise refuse(
            name,
            f"has the distribution {print_name(view.observed)}, whose log density has kinks or "
            "steps in the linear predictor",
        )
    return graph


def _spread(y: AnyArray) -> IntArray:
    """Some rows: evenly spaced, at random, and those of the smallest and the largest response."""
    even = np.linspace(0, len(y) - 1, min(_LOOKED_AT, len(y))).astype(np.int64)
    chance = np.random.default_rng(7).integers(0, len(y), _LOOKED_AT)
    return np.unique(np.concatenate([even, chance, [np.argmin(y), np.argmax(y)]]))


def _range(view: View) -> tuple[float, float]:
    """Values of η around which rows are looked at: those of any link, and of the response."""
    y = view.y[np.isfinite(view.y)] if view.y.dtype.kind == "f" else np.zeros(1)
    return min(float(_GRID[0]), float(y.min())), max(float(_GRID[-1]), float(y.max()))


def _family(name: str, graph: _Graph, rows: int, middle: tuple[float, ...]) -> Family:
    every = np.arange(rows, dtype=float)
    grid = np.union1d(_GRID, np.linspace(*_range(graph.view), len(_GRID)))

    def start(_: Statistics) -> tuple[FloatArray, FloatArray]:
        """Every row at one η: the mode that is next to 0, as a circle has others."""
        values = np.array([graph.density(np.full(rows, e), every, middle).sum() for e in grid])
        return np.full(rows, grid[_nearest_mode(grid, values)]), np.ones(rows)

    return Family(
        name=name,
        link="graph",
        response="real",
        inverse_link=_absent,
        log_likelihood=lambda eta, statistics, phi: graph.density(eta, statistics[0], phi),
        derivatives=lambda eta, statistics, phi: graph.derivatives(eta, statistics[0], phi),
        pool=lambda _, cells: (cells.first.astype(float),),
        start=start,
        likelihood=_absent,
        draw=_absent,
        log_concave=False,
    )


def _nearest_mode(grid: FloatArray, values: FloatArray) -> int:
    """The local maximum to which a climb from 0 leads."""
    at = int(np.argmin(np.abs(grid)))
    while True:
        around = np.arange(max(at - 1, 0), min(at + 2, len(values)))
        best = int(around[np.argmax(values[around])])
        if values[best] <= values[at]:
            return at
        at = best


def _absent(*_: Any) -> Never:
    raise NotImplementedError("use PyMC's own functions on the model")
