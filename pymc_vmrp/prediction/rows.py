"""Design rows to predict for: the model's own data, or new data with levels it never saw.

Rows here hold the columns as the formula writes them, not centred, and meet the intercept that
results report: so the contribution of each term is that of the variable with its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray, IndexArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate, storable_labels
from pymc_vmrp.frontends.formula.factors import level_name
from pymc_vmrp.frontends.formula.smooths import Smooth, linear_name
from pymc_vmrp.glmm.codes import slices
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.glmm.spec import GLMM, CommonEffects, DesignRows, GroupEffects, Observations
from pymc_vmrp.glmm.spec import design_rows as code_rows
from pymc_vmrp.glmm.variables import effect_variables
from pymc_vmrp.glmm.written import written_coefficients, written_columns, written_values
from pymc_vmrp.read_model import RowEncoder

INTERCEPT = "Intercept"
OFFSET = "offset"


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows of the data.

    Attributes
    ----------
    part : slice
        Which rows of the data.
    design : DesignRows
        Their design; rows that agree may share one.
    index : ndarray of integers, shape (rows,), or None
        Which design row each row has; None where each has its own.
    offset : ndarray, shape (rows,), or None
    """

    part: slice
    design: DesignRows
    index: IndexArray | None
    offset: FloatArray | None

    def linear_predictor(
        self, coefficients: Coefficients, terms: Collection[str] | None = None
    ) -> FloatArray:
        """η of the rows, shape (rows, draws), of these terms (None: all) and the offset."""
        eta = coefficients.linear_predictor(self, coefficients.terms if terms is None else terms)
        return eta if self.offset is None else eta + self.offset[:, None]


@dataclass(frozen=True)
class Coefficients:
    """Draws of the coefficients that design rows refer to.

    Attributes
    ----------
    values : ndarray, shape (p, draws)
        The intercept is that of the formula as written. New levels of a block follow its known.
    starts : tuple of int
        First coefficient of each block.
    terms : tuple of str
    owner : ndarray of integers, shape (p,)
        Which of ``terms`` each coefficient belongs to.
    """

    values: FloatArray
    starts: tuple[int, ...]
    terms: tuple[str, ...]
    owner: IntArray

    def linear_predictor(self, chunk: Chunk, terms: Collection[str]) -> FloatArray:
        """What these terms contribute to η of a chunk, shape (rows, draws), offsets left out."""
        design = chunk.design
        wanted = np.array([name in terms for name in self.terms])
        # every row has the same blocks and effects in the same places
        places = wanted[self.owner[design.columns[0]]]
        if not places.all():
            design = DesignRows(design.columns[:, places], design.values[:, places])
        parts = [eta for _, eta in linear_predictors(design, self.values, None)]
        eta = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return eta if chunk.index is None else eta[chunk.index]


def group_terms(glmm: GLMM, group: GroupEffects) -> list[str]:
    """Names of a block's terms, which are those of its variables."""
    return [variable.name for variable in effect_variables(glmm, group)]


def term_names(glmm: GLMM, has_offset: bool) -> list[str]:
    """Every term of the linear predictor, in the order of the coefficients."""
    names = [INTERCEPT] if glmm.common.intercept else []
    names += [term.name for term in glmm.common.terms]
    for group in glmm.groups:
        names += group_terms(glmm, group)
    return [*names, OFFSET] if has_offset else names


@dataclass(frozen=True)
class OwnRows:
    """The rows the model was built from, read from its cells."""

    glmm: GLMM
    observations: Observations
    offset: bool = True
    what: str = "the data"  # for messages

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.observations.cell)

    @property
    def labels(self) -> AnyArray:
        """The data frame's own index."""
        return self.observations.index

    def coefficients(self, draws: Draws, rng: np.random.Generator) -> Coefficients:
        """All of the model's; there are no new levels to draw."""
        return _coefficients(self.glmm, draws, [()] * len(self.glmm.groups), rng)

    def chunks(self, coefficients: Coefficients, size: int) -> Iterator[Chunk]:
        """The rows, at most ``size`` at a time; those of one cell share a design row."""
        common, rows = self.glmm.common, self.glmm.rows
        observations = self.observations
        offset = observations.rows.offset
        offset = observations.offset if offset is None else offset
        for part in slices(self.size, size):
            cells, index = np.unique(observations.cell[part], return_inverse=True)
            values = rows.values[cells]
            raw = written_columns(self.glmm, common.columns[cells])
            values[:, : common.size] = _with_intercept(common, raw)
            self._write_groups(values)
            own = None if offset is None or not self.offset else offset[part]
            yield Chunk(part, DesignRows(rows.columns[cells], values), index, own)

    def _write_groups(self, values: FloatArray) -> None:
        """Put what the formula writes in place of the centred values of blocks."""
        at = self.glmm.common.size
        for group in self.glmm.groups:
            width = group.m * group.d
            if group.basis is not None:
                own = values[:, at : at + width].reshape(len(values), group.m, group.d)
                values[:, at : at + width] = written_values(group, own).reshape(len(values), -1)
            at += width


@dataclass(frozen=True)
class NewRows:
    """Rows of a data frame the model has not seen.

    Attributes
    ----------
    glmm : GLMM
    encoder : RowEncoder
        Of the terms that take part in the prediction.
    blocks : tuple of int
        Which of the model's blocks these terms have.
    frame : DataFrame
    what : str
        What error messages call it.
    unseen : tuple of tuple of str
        Keys of each block's levels that the model never saw.
    strange : tuple of str
        Parts of grouping factors (columns, mostly) of which no value at all was seen by the model.
    """

    glmm: GLMM
    encoder: RowEncoder
    blocks: tuple[int, ...]
    frame: pd.DataFrame
    what: str
    unseen: tuple[tuple[str, ...], ...]
    strange: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @property
    def labels(self) -> AnyArray:
        """The data frame's own index."""
        return storable_labels(self.frame.index)

    @property
    def unseen_levels(self) -> dict[str, list[str]]:
        """Names of the levels that the model never saw, by grouping factor."""
        return {
            block.factor.name: [level_name(key) for key in keys]
            for block, keys in zip(self.encoder.blocks, self.unseen, strict=False)
            if keys  # smooths come last, and have no levels to be unseen
        }

    def coefficients(self, draws: Draws, rng: np.random.Generator) -> Coefficients:
        """Those of the terms that take part; new levels get one draw from N(0, Σ) per draw."""
        kept = [term.name for term in self.encoder.common_terms]
        further = self.encoder.further(draws)
        return _coefficients(self.glmm, draws, self.unseen, rng, kept, self.blocks, further)

    def chunks(self, coefficients: Coefficients, size: int) -> Iterator[Chunk]:
        """The rows, at most ``size`` at a time."""
        for part in slices(self.size, size):
            prepared = self.encoder.prepare(self.frame.iloc[part], self.what)
            encoded = self.encoder.encode(prepared, self.unseen, self.what)
            design = code_rows(
                _with_intercept(self.glmm.common, encoded.common, encoded.intercept),
                list(zip(encoded.codes, encoded.values, strict=True)),
                coefficients.starts,
            )
            yield Chunk(part, design, None, encoded.offset)


Rows = OwnRows | NewRows


def new_rows(
    glmm: GLMM,
    encoder: RowEncoder,
    frame: pd.DataFrame,
    what: str,
    chunk_size: int,
    terms: Collection[str] | None = None,
) -> NewRows:
    """Check new data and find the levels that the model never saw, over all chunks.

    Parameters
    ----------
    glmm : GLMM
    encoder : RowEncoder
    frame : DataFrame
    what : str
        What error messages call it.
    chunk_size : int
        Rows read at a time.
    terms : collection of str, optional
        Terms that take part; what others need may be missing. None means all.
    """
    blocks = tuple(range(len(glmm.groups)))
    if terms is not None:
        of_blocks = [group_terms(glmm, group) for group in glmm.groups]
        smooths = [s for s in encoder.smooths if any(name in terms for name in smooth_terms(s))]
        titles = {block.title for smooth in smooths for block in smooth.blocks}
        blocks = tuple(
            j
            for j in blocks
            if glmm.groups[j].title in titles or any(name in terms for name in of_blocks[j])
        )
        encoder = encoder.restricted(terms, blocks, smooths, OFFSET in terms)
    found: list[set[str]] = [set() for _ in blocks]
    factors = {block.factor.name: block.factor for block in encoder.blocks}
    strange = {name: set(factor.parts()) for name, factor in factors.items()}
    for part in slices(len(frame), chunk_size):
        prepared = encoder.prepare(frame.iloc[part], what)
        unseen = encoder.unseen_levels(prepared)
        for names, new in zip(found, unseen, strict=True):
            names.update(new)
        # smooths come last, and have no levels to be unseen
        new_of = {b.factor.name: new for b, new in zip(encoder.blocks, unseen, strict=False)}
        for name, factor in factors.items():
            if strange[name]:  # without a new level every part of it is known
                strange[name] -= factor.known_parts(prepared) if new_of[name] else strange[name]
    never = dict.fromkeys(part for parts in strange.values() for part in sorted(parts))
    every = tuple(tuple(sorted(names)) for names in found)
    return NewRows(glmm, encoder, blocks, frame, what, every, tuple(never))


def refuse_unseen(rows: NewRows) -> None:
    """Raise DataError where rows have levels that the model never saw."""
    unseen = rows.unseen_levels
    if not unseen:
        return
    parts = [f"{factor!r}: {abbreviate(levels)}" for factor, levels in unseen.items()]
    names = [g.name for g in rows.glmm.groups if g.factor in unseen]
    raise DataError(
        f"{rows.what} has levels that the model never saw, of {'; of '.join(parts)}. Correct them "
        "if they are misspelled; or pass sample_new_groups=True, which draws their effects from "
        f"N(0, Σ); or leave the terms {names!r} out (exclude= of predict)."
    )


def smooth_terms(smooth: Smooth) -> list[str]:
    """Names of a smooth's terms: its linear part and its blocks."""
    linear = [] if smooth.linear is None else [linear_name(smooth.name)]
    return linear + [block.title for block in smooth.blocks]


def _with_intercept(
    common: CommonEffects, columns: FloatArray, intercept: FloatArray | None = None
) -> FloatArray:
    """Common columns after that of the intercept: ones, mostly."""
    if not common.intercept:
        return columns
    return np.column_stack([np.ones(len(columns)) if intercept is None else intercept, columns])


def _coefficients(
    glmm: GLMM,
    draws: Draws,
    unseen: Sequence[Sequence[str]],
    rng: np.random.Generator,
    common_terms: Collection[str] | None = None,
    blocks: Sequence[int] | None = None,
    further: Sequence[tuple[str, FloatArray]] = (),
) -> Coefficients:
    """Coefficients of some terms (None: all), with draws from N(0, Σ) for new levels.

    Those in ``further``, of shape (k, draws), come last.
    """
    common = glmm.common
    written = written_coefficients(glmm, draws.coefficients)
    names: list[str] = []
    owner: list[IntArray] = []
    pieces: list[FloatArray] = []

    def add(name: str, values: FloatArray) -> None:
        owner.append(np.full(len(values), len(names)))
        names.append(name)
        pieces.append(values)

    if common.intercept:
        add(INTERCEPT, written[:, :1].T)
    slopes = written[:, int(common.intercept) : common.size]
    for term in common.terms:
        if common_terms is None or term.name in common_terms:
            add(term.name, slopes[:, term.start : term.stop].T)
    starts = []
    at = sum(map(len, pieces))
    chosen = range(len(glmm.groups)) if blocks is None else blocks
    for j, new in zip(chosen, unseen, strict=True):
        group = glmm.groups[j]
        effects = written[:, glmm.group_slice(j)].T
        if new:
            drawn = draw_new_levels(draws.covariances[j], len(new), rng)
            effects = np.concatenate([effects, _written_levels(group, drawn)])
        variables = effect_variables(glmm, group)
        widths = [variable.stop - variable.start for variable in variables]
        of_effect = np.repeat(len(names) + np.arange(len(variables)), widths)
        owner.append(np.tile(of_effect, len(effects) // group.d))
        names += group_terms(glmm, group)
        pieces.append(effects)
        starts.append(at)
        at += len(effects)
    for name, effects in further:
        add(name, effects)
        starts.append(at)
        at += len(effects)
    values = np.concatenate(pieces) if pieces else np.empty((0, len(draws)))
    owners = np.concatenate(owner) if owner else np.empty(0, dtype=np.int64)
    return Coefficients(np.ascontiguousarray(values), tuple(starts), tuple(names), owners)


def _written_levels(group: GroupEffects, effects: FloatArray) -> FloatArray:
    """Effects of some levels, shape (levels · d, draws), as the formula writes them."""
    if group.basis is None:
        return effects
    by_level = effects.reshape(-1, group.d, effects.shape[1])
    return np.einsum("ab,lbs->las", group.basis, by_level).reshape(effects.shape)


def draw_new_levels(covariances: FloatArray, levels: int, rng: np.random.Generator) -> FloatArray:
    """Effects of new levels from N(0, Σ), shape (levels · d, draws): one per level and draw."""
    root = _root(covariances)
    z = rng.standard_normal((len(root), levels, root.shape[-1]))
    return np.einsum("skm,slm->slk", root, z).reshape(len(root), -1).T


def _root(covariances: FloatArray) -> FloatArray:
    """R with RR' = Σ, also where Σ is singular (a standard deviation of zero)."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[:, None, :])
