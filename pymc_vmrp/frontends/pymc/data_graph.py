"""A recognised pm.Model as functions of its pm.Data also: η and the likelihood at other rows.

The containers along the rows become inputs of the frozen graphs; the model itself is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pytensor.graph.traversal import ancestors
from pytensor.tensor.type import TensorType

from pymc_vmrp.arrays import AnyArray, FloatArray, IntArray
from pymc_vmrp.errors import DataError, ModelError
from pymc_vmrp.frontends.pymc.containers import (
    REMEDY,
    Container,
    Index,
    blame,
    find_containers,
    find_indices,
)
from pymc_vmrp.frontends.pymc.graph import multipliers, numeric, substitute
from pymc_vmrp.frontends.pymc.reading import Parts, Point
from pymc_vmrp.frontends.pymc.recognise import Recognised
from pymc_vmrp.frontends.pymc.view import MEANS, element_of_rows

Values = Mapping[str, AnyArray]

NO_NEW_ROWS = "New rows of this pm.Model cannot be predicted: "
_MOST_ROWS = 20_000  # of made-up data
_SMALL = 1e-9  # relative, of differences that are rounding


@dataclass(frozen=True)
class DataGraph:
    """η and the likelihood's parameters as functions of the variables and the data.

    Attributes
    ----------
    recognised : Recognised
    containers : tuple of Container
        Those along the rows.
    needed : dict
        Names of the containers that the slope of η by each latent needs, by position of the
        latent; under −1 those of the mean beside η, under −2 those of trials and sds.
    indices : tuple of Index
    """

    recognised: Recognised
    containers: tuple[Container, ...]
    needed: dict[int, frozenset[str]]
    indices: tuple[Index, ...]
    _eta: Callable[..., list[Any]]
    _parameters: Callable[..., list[Any]]
    _indices: Callable[..., list[Any]]

    @property
    def parts(self) -> Parts:
        """The model taken apart."""
        return self.recognised.translation.parts

    def eta(self, point: Point, data: Values) -> FloatArray:
        """η, of its own shape."""
        with np.errstate(all="ignore"):
            return np.asarray(self._eta(*point.arguments, *self._ordered(data))[0])

    def parameters(
        self, eta: FloatArray, theta: Sequence[FloatArray], data: Values
    ) -> list[FloatArray]:
        """Parameters of the likelihood's distribution."""
        with np.errstate(all="ignore"):
            found = self._parameters(eta, *theta, *self._ordered(data))
        return [np.asarray(value, dtype=float) for value in found]

    def mean(self, eta: FloatArray, theta: Sequence[FloatArray], data: Values) -> FloatArray:
        """Mean response, or the share of it in trials, in all rows or the same for all."""
        of = MEANS[type(self.recognised.observed.owner.op)]
        with np.errstate(all="ignore"):
            return np.asarray(of(self.parameters(eta, theta, data))).ravel()

    @property
    def has_trials(self) -> bool:
        """Whether what is known of each row is its number of trials, not an sd."""
        return self.recognised.glmm.family.response == "proportion"

    def known(self, data: Values) -> FloatArray:
        """Trials or sds of rows, or the same for all."""
        zero = Point(self.parts.zeros(), self.parts.base())
        found = self.parameters(self.eta(zero, data), zero.theta, data)
        return found[0 if self.has_trials else 1].ravel()

    def of_known(self) -> frozenset[str] | None:
        """Containers that trials or sds are in; None where they are constants along the rows."""
        data = self.made_up()
        n = size_of(self.containers, data)
        return self.needed[-2] if self.known(data).size in (1, n) else None

    def rows(self, eta: FloatArray, data: Values, n: int) -> tuple[AnyArray, FloatArray]:
        """Which element of η each row depends on, and what is added to it.

        Raises
        ------
        ModelError
            Where the likelihood of rows is not that of the model's own rows.
        """
        theta, family = self.parts.base(), self.recognised.glmm.family
        element = element_of_rows(
            lambda at: np.broadcast_to(self.mean(at, theta, data), n), eta.shape, n
        )
        if element is None:
            raise ModelError(f"{NO_NEW_ROWS}their means depend on several linear predictors each.")
        added = []
        for at in (np.zeros(eta.shape), np.random.default_rng(2).uniform(-1, 1, eta.shape)):
            mean = np.broadcast_to(self.mean(at, theta, data), n)
            known = at.ravel()[element]
            with np.errstate(all="ignore"):
                if family.link in ("identity", "log"):
                    added.append((mean if family.link == "identity" else np.log(mean)) - known)
                elif not np.allclose(mean, family.inverse_link(known), rtol=1e-7, atol=1e-9):
                    raise ModelError(f"{NO_NEW_ROWS}their link is not that of the model's rows.")
                else:
                    added.append(np.zeros(n))
        if not np.allclose(added[0], added[1], rtol=1e-9, atol=1e-9):
            raise ModelError(f"{NO_NEW_ROWS}their link is not that of the model's rows.")
        return element, added[0]

    def check_indices(self, data: Values, names: Collection[str], what: str) -> None:
        """Refuse positions of levels that there are not.

        Raises
        ------
        DataError
            It names the column.
        """
        zeros = Point(self.parts.zeros(), self.parts.base())
        try:
            found = self._indices(*zeros.arguments, *self._ordered(data))
        except IndexError as error:  # of an index that chooses from another's choice
            told = " or ".join(repr(one.name) for one in self.containers if one.is_whole)
            raise DataError(
                f"{what} has a level in {told} that the pm.Model does not have: {error}"
            ) from error
        for index, values, length in zip(self.indices, found[::2], found[1::2], strict=True):
            if not set(index.names) & set(names):
                continue
            wrong = (values >= length) | (values < (0 if index.direct else -length))
            if wrong.any():
                told = " and ".join(map(repr, index.names))
                shown = f"{np.asarray(values)[wrong].flat[0]}"
                raise DataError(
                    f"{what} has level {shown} in {told}, but the pm.Model has levels 0 to "
                    f"{int(length) - 1}: its size is fixed, and new levels cannot be drawn. "
                    "Give positions of the model's levels, or leave those rows out."
                )

    def read(self, data: pd.DataFrame, names: Collection[str], what: str) -> dict[str, Any]:
        """Values of the containers in ``names`` in new rows; of the others some of the model's."""
        rows = np.arange(len(data)) % len(self.parts.y)
        return {
            one.name: one.read(data, what) if one.name in names else one.taken(rows)
            for one in self.containers
        }

    def own(self, rows: IntArray) -> dict[str, AnyArray]:
        """Data of some of the model's own rows."""
        return {one.name: one.taken(rows) for one in self.containers}

    def made_up(self) -> dict[str, AnyArray]:
        """Data of other rows than the model's, as far as possible with every level.

        Numbers are positive; whole ones that are no index are the model's own.
        """
        rng = np.random.default_rng(4)
        own = self.own(np.arange(len(self.parts.y)))
        zeros = Point(self.parts.zeros(), self.parts.base())
        lengths: dict[str, int] = {}
        found = self._indices(*zeros.arguments, *self._ordered(own))
        for index, length in zip(self.indices, found[1::2], strict=True):
            if index.direct:
                (name,) = index.names
                lengths[name] = min(lengths.get(name, int(length)), int(length))
        every = int(np.prod([float(n) for n in lengths.values()] or [1]))
        is_grid = every <= _MOST_ROWS
        n = max(64, every if is_grid else min(_MOST_ROWS, 8 * max(lengths.values())))
        n += n == len(self.parts.y)
        rows = np.arange(n)
        out, step = {}, 1
        for one in self.containers:
            value = one.taken(rows % len(self.parts.y))
            if one.name in lengths:
                length = lengths[one.name]
                grid = (rows // step) % length if is_grid else rng.permutation(rows) % length
                step *= length
                if value.ndim == 2:  # several memberships
                    width = value.shape[1 - one.axis]
                    others = [rng.permutation(grid) for _ in range(width - 1)]
                    grid = np.stack([grid, *others], 1 - one.axis)
                value = grid.astype(value.dtype)
            elif not one.is_whole:
                value = rng.uniform(0.5, 1.5, value.shape).astype(value.dtype)
            out[one.name] = value
        if np.isfinite(self.eta(zeros, out)).all():
            return out
        # not all numbers will do
        taken = {one.name: one.taken(rows % len(self.parts.y)) for one in self.containers}
        return {name: v if name in lengths else taken[name] for name, v in out.items()}

    def _ordered(self, data: Values) -> list[AnyArray]:
        return [data[one.name] for one in self.containers]


def size_of(containers: Sequence[Container], data: Values) -> int:
    """Number of rows of some data; one without any."""
    return next((data[one.name].shape[one.axis] for one in containers), 1)


def make_data_graph(recognised: Recognised) -> DataGraph:
    """Functions of the data of a model.

    Raises
    ------
    ModelError
        Where arrays along the rows are in no pm.Data container; it names what they belong to.
    """
    parts, node = recognised.translation.parts, recognised.observed.owner
    parameters = list(node.op.dist_params(node))
    if parts.y.ndim != 1:
        raise ModelError(f"{NO_NEW_ROWS}{parts.observed.name!r} is no vector of rows. {REMEDY}")
    candidates = find_containers(parts, parameters)
    tables = [one.name for one in candidates if one.values.ndim > 2]
    if tables:
        raise ModelError(
            f"{NO_NEW_ROWS}pm.Data {tables[0]!r} has more than two dimensions, which columns of a "
            "data frame cannot fill."
        )
    unclear = [one for one in candidates if not one.certain]
    # containers that are as long as the rows by chance are found by leaving them out
    for size in range(min(len(unclear), 2) + 1):
        for left_out in combinations(unclear, size):
            chosen = tuple(one for one in candidates if one not in left_out)
            graph = _compile(recognised, chosen, parameters)
            if _is_of_rows(graph):
                return graph
    raise ModelError(NO_NEW_ROWS + blame(parts, recognised.eta, parameters, candidates))


def _compile(
    recognised: Recognised, containers: tuple[Container, ...], parameters: Sequence[Any]
) -> DataGraph:
    parts = recognised.translation.parts
    inputs = {one.constant: _input(one) for one in containers}
    shape = tuple(1 if n == 1 else None for n in recognised.eta.type.shape)
    eta = TensorType("float64", shape)("eta")
    (node,) = substitute([recognised.eta], inputs, any_shape=True)
    after = substitute(parameters, {**inputs, recognised.eta: eta}, any_shape=True)
    data = list(inputs.values())
    thetas = [hyper.value for hyper in parts.hypers]
    whole = substitute(parameters, inputs, any_shape=True)
    indices, values = find_indices(whole, inputs)
    name_of = {variable: one.name for one, variable in zip(containers, data, strict=True)}

    def names(variables: Collection[Any]) -> frozenset[str]:
        return frozenset(name_of[v] for v in data if v in variables)

    needed = {j: names(multipliers(one.z, node)) for j, one in enumerate(parts.latents)}
    mean = MEANS[type(recognised.observed.owner.op)](after)
    needed[-1] = names(set(ancestors([mean])))
    has_trials = recognised.glmm.family.response == "proportion"
    needed[-2] = names(set(ancestors([after[0 if has_trials else -1]])))
    return DataGraph(
        recognised,
        containers,
        needed,
        tuple(indices),
        numeric([*parts.inputs, *data], [node]),
        numeric([eta, *thetas, *data], after),
        numeric([*parts.inputs, *data], values),
    )


def _input(one: Container) -> Any:
    shape = [None if axis == one.axis else n for axis, n in enumerate(one.values.shape)]
    return TensorType(str(one.values.dtype), tuple(shape))(one.name)


def _is_of_rows(graph: DataGraph) -> bool:
    """Whether each row of the mean is of its own row of the data, and there may be other rows."""
    parts, n = graph.parts, len(graph.parts.y)
    rng = np.random.default_rng(6)
    z = tuple(0.3 * rng.standard_normal(latent.shape) for latent in parts.latents)
    point = Point(z, parts.random_theta(rng))

    def mean(data: Values) -> FloatArray:
        return graph.mean(graph.eta(point, data), point.theta, data)

    try:
        other = graph.made_up()
        if mean(other).size not in (1, size_of(graph.containers, other)):
            return False
        order = np.roll(np.arange(n), 1)
        own, moved = graph.own(np.arange(n)), graph.own(order)
        for one in graph.containers:
            if not one.is_whole and np.isfinite(mean(own)).all():
                # numbers that repeat would hide in which rows they are
                values = one.values * rng.uniform(0.9, 1.1, one.values.shape)
                own[one.name] = values.astype(one.values.dtype)
                moved[one.name] = np.take(own[one.name], order, one.axis)
        here, there = mean(own), mean(moved)
    except Exception:  # whatever a node raises whose inputs are of several lengths
        return False
    if here.size == 1:
        return there.size == 1
    return bool(np.allclose(there, here[order], rtol=_SMALL, atol=0, equal_nan=True))
