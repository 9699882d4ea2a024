"""New rows of a pm.Model as design rows of the GLMM that was recognised in it.

η is affine in the coefficients whatever the data are: with new values in the pm.Data containers its
columns are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError, ModelError
from pymc_vmrp.frontends.formula.encoder import EncodedRows
from pymc_vmrp.frontends.pymc.assemble import scale_codes, vector_codes
from pymc_vmrp.frontends.pymc.data_graph import (
    NO_NEW_ROWS,
    DataGraph,
    Values,
    make_data_graph,
    size_of,
)
from pymc_vmrp.frontends.pymc.further import INTERCEPT, Further, find_further
from pymc_vmrp.frontends.pymc.new_design import find_design
from pymc_vmrp.frontends.pymc.quiet import quiet
from pymc_vmrp.frontends.pymc.reading import Point
from pymc_vmrp.frontends.pymc.recognise import Recognised
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import CommonTerm

if TYPE_CHECKING:
    from pymc_vmrp.frontends.formula.effects import Block
    from pymc_vmrp.frontends.formula.smooths import Smooth

OFFSET = "offset"


@dataclass(frozen=True)
class NewData:
    """What is found once about a model and other data than its own.

    Attributes
    ----------
    graph : DataGraph
    further : tuple of Further
    latents : dict of str to set of int
        Of each term.
    of_offset : frozenset of str
        Containers that the offset depends on.
    has_offset : bool
    """

    graph: DataGraph
    further: tuple[Further, ...]
    latents: Mapping[str, frozenset[int]]
    of_offset: frozenset[str]
    has_offset: bool


@dataclass(frozen=True)
class Once:
    """What is found about a model, when new rows are there for the first time."""

    recognised: Recognised

    @cached_property
    def _found(self) -> NewData:
        return _make(self.recognised)

    def __call__(self) -> NewData:
        """ModelError where data are in no containers."""
        return self._found

    def __reduce__(self) -> tuple[type, tuple[Recognised]]:
        """Functions of graphs are made again."""
        return Once, (self.recognised,)


@dataclass(frozen=True)
class PreparedRows:
    """Values of the containers in some rows; of those not needed some of the model's own."""

    values: Values
    size: int


@dataclass(frozen=True)
class PymcEncoder:
    """See :class:`pymc_vmrp.read_model.RowEncoder`.

    Attributes
    ----------
    make : callable
        Makes what is found once; ModelError where data are in no containers.
    kept : frozenset of str, or None
        Terms that take part; None is all.
    kept_blocks : tuple of int, or None
    offset : bool
        Whether the offset takes part.
    """

    make: Callable[[], NewData]
    kept: frozenset[str] | None = None
    kept_blocks: tuple[int, ...] | None = None
    offset: bool = True

    # levels are positions, not names in columns; and there is no formula
    blocks: tuple[Block, ...] = ()
    smooths: tuple[Smooth, ...] = ()

    @property
    def common_terms(self) -> Sequence[CommonTerm]:
        """Those that take part."""
        every = self.make().graph.recognised.glmm.common.terms
        return [term for term in every if self.kept is None or term.name in self.kept]

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor of new rows is known."""
        return self.make().has_offset

    @property
    def needed(self) -> list[str]:
        """Columns of the data that are read."""
        names = self._needed()
        containers = [one for one in self.make().graph.containers if one.name in names]
        return [column for one in containers for column in one.column_names]

    def own_rows(self) -> pd.DataFrame:
        """The columns of the model's own rows."""
        containers = self.make().graph.containers
        return pd.DataFrame(
            {name: column for one in containers for name, column in one.own_columns().items()}
        )

    def restricted(
        self, kept: Collection[str], blocks: Sequence[int], smooths: Sequence[Smooth], offset: bool
    ) -> PymcEncoder:
        """The encoder of some of the terms and blocks, which needs their columns alone."""
        return replace(self, kept=frozenset(kept), kept_blocks=tuple(blocks), offset=offset)

    def columns_of(self, term: str) -> list[str]:
        """Names of the containers that a term reads."""
        made = self.make()
        if term == OFFSET:
            return sorted(made.of_offset)
        return sorted(set().union(*(made.graph.needed[j] for j in made.latents.get(term, ()))))

    def prepare(self, data: pd.DataFrame, what: str) -> PreparedRows:
        """Values of the containers that are needed, checked."""
        graph, needed = self.make().graph, self._needed()
        values = graph.read(data, needed, what)
        graph.check_indices(values, needed, what)
        return PreparedRows(values, len(data))

    def unseen_levels(self, frame: PreparedRows) -> list[tuple[str, ...]]:
        """None: a pm.Model has as many levels as it was built with."""
        return [()] * len(self._blocks())

    def encode(
        self, frame: PreparedRows, unseen: Sequence[Sequence[str]], what: str
    ) -> EncodedRows:
        """Design of prepared rows; codes of ``further`` coefficients come last."""
        made = self.make()
        recognised = made.graph.recognised
        glmm, name = recognised.glmm, recognised.translation.parts.observed.name
        design = find_design(made.graph, made.further, frame.values, frame.size, self._latents())
        coded = []
        for j in self._blocks():
            d = glmm.groups[j].d
            is_scale = j < len(recognised.translation.terms.blocks)
            matrix = design.groups[j]
            coded.append(scale_codes(matrix, name) if is_scale else vector_codes(matrix, d, name))
        for one, matrix in zip(made.further, design.further, strict=True):
            if self._takes(one.term):
                coded.append(scale_codes(matrix, name))
        at = int(glmm.common.intercept)
        chosen = [np.arange(t.start, t.stop) + at for t in self.common_terms]
        is_whole = len(self._latents()) == len(recognised.translation.parts.latents)
        if is_whole and not made.has_offset and design.offset.any():
            raise ModelError(
                f"{NO_NEW_ROWS}a part of their linear predictor is known, and there is none in the "
                "model's own rows."
            )
        return EncodedRows(
            design.common[:, np.concatenate([np.empty(0, dtype=np.int64), *chosen])],
            tuple(codes for codes, _ in coded),
            tuple(values for _, values in coded),
            design.offset if self.offset and design.offset.any() else None,
            design.common[:, 0] if at else None,
        )

    def further(self, draws: Draws) -> list[tuple[str, FloatArray]]:
        """Coefficients of effects that none of the model's own rows has."""
        return [
            (one.term, one.coefficients(draws))
            for one in self.make().further
            if self._takes(one.term)
        ]

    def _takes(self, term: str) -> bool:
        return self.kept is None or term in self.kept

    def _blocks(self) -> Sequence[int]:
        every = range(len(self.make().graph.recognised.glmm.groups))
        return every if self.kept_blocks is None else self.kept_blocks

    def _latents(self) -> set[int]:
        """Variables whose columns are needed."""
        made = self.make()
        found: set[int] = set()
        for term, latents in made.latents.items():
            if self._takes(term):
                found |= latents
        if self.offset:  # what they have at z = 0 is no part of it
            places = made.graph.recognised.translation.assembled.common
            found |= {place.part.latent for place in places if place.part.location.any()}
        return found

    def _needed(self) -> set[str]:
        made = self.make()
        needed = set(made.graph.needed[-1])
        for j in self._latents():
            needed |= made.graph.needed[j]
        return needed | (made.of_offset if self.offset else set())


def pymc_encoder(recognised: Recognised) -> PymcEncoder:
    """The encoder of a model; what costs time is done once, when new rows are there."""
    return PymcEncoder(Once(recognised))


@quiet()
def _make(recognised: Recognised) -> NewData:
    graph = make_data_graph(recognised)
    data = graph.made_up()
    further = find_further(graph, data)
    latents = _latents_of_terms(recognised, further)
    every = set().union(*latents.values())
    n = size_of(graph.containers, data)
    offset = find_design(graph, further, data, n, every).offset
    own = recognised.translation.assembled.observations
    has_offset = bool(offset.any()) or own.offset is not None or own.rows.offset is not None
    return NewData(graph, further, latents, _of_offset(graph, data), has_offset)


def _latents_of_terms(
    recognised: Recognised, further: Sequence[Further]
) -> dict[str, frozenset[int]]:
    translation, glmm = recognised.translation, recognised.glmm
    found: dict[str, set[int]] = {}

    def add(term: str, latents: Collection[int]) -> None:
        found.setdefault(term, set()).update(latents)

    names = {term.name for term in glmm.common.terms}
    for place in translation.assembled.common:
        name = translation.parts.latents[place.part.latent].name
        if glmm.common.intercept and (place.index == 0).any():
            add(INTERCEPT, {place.part.latent})
        if name in names:
            add(name, {place.part.latent})
    blocks = [set(block.latents.tolist()) for block in translation.terms.blocks]
    blocks += [{vector.latent} for vector in translation.terms.vectors]
    for group, latents in zip(glmm.groups, blocks, strict=True):
        add(group.name, latents)
    for one in further:
        add(one.term, {one.latent})
    return {term: frozenset(latents) for term, latents in found.items()}


def _of_offset(graph: DataGraph, data: Values) -> frozenset[str]:
    """Containers that η depends on where all latents are zero."""
    zero = Point(graph.parts.zeros(), graph.parts.base())
    here = graph.eta(zero, data)
    found = set()
    for one in graph.containers:
        values = np.roll(data[one.name], 1, one.axis)
        moved = {**data, one.name: values}
        if not np.array_equal(graph.eta(zero, moved), here):
            found.add(one.name)
    return frozenset(found)


@dataclass(frozen=True)
class KnownOfRows:
    """Trials, or known sds, of new rows; see :class:`pymc_vmrp.read_model.KnownArgument`.

    Attributes
    ----------
    make : callable
        As of :class:`PymcEncoder`.
    """

    make: Callable[[], NewData]

    def read(self, data: pd.DataFrame, what: str) -> AnyArray:
        """Those of new rows.

        Raises
        ------
        DataError
            Where the model has them in no container.
        """
        graph = self.make().graph
        names = graph.of_known()
        if names is None:
            raise DataError(
                f"New responses of {graph.parts.observed.name!r} need the trials or sds of new "
                "rows, which the pm.Model has in no pm.Data container: kind='response_params' "
                "gives their means."
            )
        found = np.broadcast_to(graph.known(graph.read(data, names, what)), len(data))
        wrong = (found < 0) | (found != np.round(found)) if graph.has_trials else ~(found > 0)
        if wrong.any():
            kind = "trials" if graph.has_trials else "standard deviations"
            told = " and ".join(map(repr, sorted(names)))
            raise DataError(f"{kind} in {told} of {what} reach {found[wrong][0]:g}.")
        return found.astype(np.int64) if graph.has_trials else found
