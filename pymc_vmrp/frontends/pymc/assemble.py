"""What was found in the graph, written as a GLMM on cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray, IndexArray, SmallIntArray
from pymc_vmrp.frontends.identify import check_identified, warn_of_far_zeros
from pymc_vmrp.frontends.pooling import cell_keys, pool_rows
from pymc_vmrp.frontends.pymc.graph import depends_on, evaluate
from pymc_vmrp.frontends.pymc.labels import block_labels, element_labels, vector_labels
from pymc_vmrp.frontends.pymc.latents import Latent
from pymc_vmrp.frontends.pymc.reading import Parts
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import prior_of
from pymc_vmrp.frontends.pymc.terms import CommonPart, ScaleBlock, Terms, VectorBlock
from pymc_vmrp.frontends.pymc.view import Likelihood
from pymc_vmrp.frontends.unbounded import check_bounded
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import Codes, encode_column
from pymc_vmrp.glmm.memberships import order_members
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, ScaleMixture, StudentT
from pymc_vmrp.glmm.spec import (
    GLMM,
    CommonEffects,
    CommonTerm,
    Effect,
    GroupEffects,
    Mixture,
    Observations,
)

_MOST_VALUES = 3e8  # of the design as fixed-width rows
_MIXTURES = {"StudentT": StudentT, "Cauchy": Cauchy, "Laplace": Laplace}


@dataclass(frozen=True)
class CommonPlace:
    """Where the elements of a common part are in β: β = factor·(location + scale·z)."""

    part: CommonPart
    index: IndexArray
    factor: FloatArray


@dataclass(frozen=True)
class Assembled:
    """A GLMM, and where it keeps the variables of the pm.Model.

    Attributes
    ----------
    glmm : GLMM
        Its blocks are those of ``terms.blocks``, then those of ``terms.vectors``.
    common : tuple of CommonPlace
    observations : Observations
    """

    glmm: GLMM
    common: tuple[CommonPlace, ...]
    observations: Observations


def assemble(parts: Parts, terms: Terms, likelihood: Likelihood) -> Assembled:
    """Write the GLMM.

    Raises
    ------
    ModelError
        Where the design would not fit into memory.
    """
    family, rows, element = likelihood.family, likelihood.rows, likelihood.element
    offset = terms.offset[element]
    if likelihood.divisor is not None:
        offset = offset / likelihood.divisor
    if rows.offset is not None:
        offset = offset + rows.offset
    known = offset if offset.any() else None
    cells = _cells(parts, terms, likelihood, None if family.absorbs_offset else known)
    response, observations = pool_rows(
        parts.observed.name, family, replace(rows, offset=None), known, cells,
        partial(np.arange, len(rows.y)),
    )  # fmt: skip
    first = element[cells.first]
    divisor = None if likelihood.divisor is None else likelihood.divisor[cells.first]
    groups = [_scale_group(parts, block, first, divisor) for block in terms.blocks]
    groups += [_vector_group(parts, block, first, divisor) for block in terms.vectors]
    common, places = _common(parts, terms, first, divisor)
    check_identified(common, family, response.statistics)
    warn_of_far_zeros(tuple(groups), cells.counts().astype(float))
    glmm = GLMM(family, response, common, tuple(groups), likelihood.parameters)
    check_bounded(glmm, observations.rows, known, cells)
    return Assembled(glmm, places, observations)


def _cells(parts: Parts, terms: Terms, likelihood: Likelihood, offset: FloatArray | None) -> Cells:
    """Rows that agree in all that the likelihood knows of them share a cell."""
    family, rows = likelihood.family, likelihood.rows
    n = len(rows.y)
    if family.link == "graph":
        every = np.arange(n)
        return Cells(every, every)
    elements = collapse(_design_columns(parts, terms), len(terms.offset))
    index = elements.index[likelihood.element]
    keys = (offset, likelihood.divisor, *cell_keys(family, rows.y, rows.trials))
    columns = [pd.Series(values) for values in keys if values is not None]
    return collapse([encode_column(pd.Series(index.astype(np.int64))), *columns], n)


def _design_columns(parts: Parts, terms: Terms) -> list[pd.Series | Codes]:
    """Columns that tell apart elements of η of different design."""
    out: list[pd.Series | Codes] = []
    matrices = [part.matrix for part in terms.common]
    matrices += [block.matrix for block in terms.blocks]
    matrices += [block.matrix for block in terms.vectors]
    for matrix in matrices:
        codes, values = fixed_width(matrix, parts.observed.name)
        for i in range(codes.shape[1]):
            for column in (codes[:, i], values[:, i]):
                if len(column) and (column != column[0]).any():
                    out.append(encode_column(pd.Series(column)))
    return out


def fixed_width(matrix: csr_array, name: str) -> tuple[SmallIntArray, FloatArray]:
    """A sparse matrix as (N, m) columns and values, rows of fewer entries filled with zeros."""
    n = matrix.shape[0]
    counts = np.diff(matrix.indptr)
    m = max(int(counts.max(initial=0)), 1)
    if n * m > _MOST_VALUES:
        raise refuse(name, f"has a design of {n} rows with up to {m} entries each, too many")
    codes, values = np.zeros((n, m), dtype=np.int32), np.zeros((n, m, 1))
    row = np.repeat(np.arange(n), counts)
    place = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], counts)
    codes[row, place] = matrix.indices
    values[row, place, 0] = matrix.data
    codes, values = order_members(codes, values)
    return codes, values[:, :, 0] + 0.0


def _taken(matrix: csr_array, first: IndexArray, divisor: FloatArray | None) -> csr_array:
    taken = csr_array(matrix[first])
    return taken if divisor is None else csr_array(taken.multiply(1 / divisor[:, None]))


def _scale_group(
    parts: Parts, block: ScaleBlock, first: IndexArray, divisor: FloatArray | None
) -> GroupEffects:
    names = [parts.latents[j].name for j in block.latents]
    codes, values = scale_codes(_taken(block.matrix, first, divisor), parts.observed.name)
    title = "+".join(dict.fromkeys(names))
    return GroupEffects(
        factor=title,
        effects=(Effect("1"),),
        levels=block_labels(parts, block.latents, block.elements),
        codes=codes,
        values=values,
        prior=prior_of(parts, block.scale),
        title=title,
    )


def _vector_group(
    parts: Parts, block: VectorBlock, first: IndexArray, divisor: FloatArray | None
) -> GroupEffects:
    """Entries of one level come together: they are its d effects."""
    latent = parts.latents[block.latent]
    name = latent.name
    codes, values = vector_codes(_taken(block.matrix, first, divisor), block.d, name)
    levels, effects = vector_labels(parts, latent, block.elements)
    return GroupEffects(
        factor=name,
        effects=tuple(Effect("effect", label) for label in effects),
        levels=levels,
        codes=codes,
        values=values,
        prior=block.prior,
        title=name,
    )


def scale_codes(matrix: csr_array, name: str) -> tuple[SmallIntArray, FloatArray]:
    """Levels of a block of single effects that each row has, and what they are multiplied by."""
    codes, values = fixed_width(matrix, name)
    return (codes[:, 0], values) if codes.shape[1] == 1 else (codes, values[:, :, None])


def vector_codes(matrix: csr_array, d: int, name: str) -> tuple[SmallIntArray, FloatArray]:
    """The same of a block of ``d`` effects, whose columns come level by level."""
    levels = matrix.shape[1] // d
    entries = matrix.tocoo()
    row, column = entries.coords
    touched = csr_array(
        (np.ones(len(row)), (row, column // d)), shape=(matrix.shape[0], levels)
    )  # fmt: skip
    codes, _ = fixed_width(touched, name)
    n, m = codes.shape
    values = np.zeros((n, m, d))
    for i in range(m):
        # a level that fills a short row, and comes again, has zeros the first time
        own = np.ones(n, dtype=bool) if i == m - 1 else codes[:, i] != codes[:, i + 1]
        for a in range(d):
            found = np.asarray(matrix[np.arange(n), codes[:, i].astype(np.int64) * d + a]).ravel()
            values[own, i, a] = found[own]
    return (codes[:, 0], values[:, 0]) if m == 1 else (codes, values)


def _common(
    parts: Parts, terms: Terms, first: IndexArray, divisor: FloatArray | None
) -> tuple[CommonEffects, tuple[CommonPlace, ...]]:
    columns = [_taken(part.matrix, first, divisor).toarray() for part in terms.common]
    intercept = _find_intercept(parts, terms.common, columns)
    means: list[FloatArray] = []
    sds: list[FloatArray] = []
    places, kept, names, mixtures = [], [], [], []
    at = 0 if intercept is None else 1
    start = 0
    if intercept is not None:
        p, e, value = intercept
        means.append(np.array([value * terms.common[p].location[e]]))
        sds.append(np.array([abs(value) * _sd(parts, terms.common[p])[e]]))
    for p, (part, own) in enumerate(zip(terms.common, columns, strict=True)):
        latent = parts.latents[part.latent]
        k = len(part.elements)
        index, factor, chosen = np.empty(k, dtype=np.int64), np.ones(k), np.ones(k, dtype=bool)
        if intercept is not None and intercept[0] == p:
            chosen[intercept[1]] = False
            index[intercept[1]], factor[intercept[1]] = 0, intercept[2]
        index[chosen] = at + np.arange(chosen.sum())
        places.append(CommonPlace(part, index, factor))
        if not chosen.any():
            continue
        width = int(chosen.sum())
        kept.append(own[:, chosen])
        means.append(part.location[chosen])
        sds.append(_sd(parts, part)[chosen])
        every = element_labels(parts, latent)
        labels = tuple(every[e] for e in part.elements[chosen]) if latent.shape else None
        names.append(CommonTerm(latent.name, labels, start, start + width))
        if latent.kind == "mixture":
            which = tuple(range(at, at + width))
            mixtures.append(Mixture(latent.name, which, _mixture(parts, latent, part)))
        at, start = at + width, start + width
    n = len(first)
    matrix = np.hstack([np.empty((n, 0)), *kept])
    effects = CommonEffects(
        columns=matrix,
        terms=tuple(names),
        intercept=intercept is not None,
        center=np.zeros(matrix.shape[1]),
        prior_mean=np.concatenate([np.empty(0), *means]),
        prior_sd=np.concatenate([np.empty(0), *sds]),
        mixtures=tuple(mixtures),
    )
    return effects, tuple(places)


def _sd(parts: Parts, part: CommonPart) -> FloatArray:
    unknown = {"flat": np.inf, "mixture": np.nan}.get(parts.latents[part.latent].kind)
    return np.asarray(part.scale) if unknown is None else np.full(len(part.scale), unknown)


def _find_intercept(
    parts: Parts, common: tuple[CommonPart, ...], columns: list[FloatArray]
) -> tuple[int, int, float] | None:
    """Part, element and value of a column that is the same in all cells."""
    for p, (part, own) in enumerate(zip(common, columns, strict=True)):
        if parts.latents[part.latent].kind == "mixture" or not len(own):
            continue
        alike = (own == own[0]).all(axis=0) & (own[0] != 0)
        if alike.any():
            e = int(np.flatnonzero(alike)[0])
            return p, e, float(own[0, e])
    return None


def _mixture(parts: Parts, latent: Latent, part: CommonPart) -> ScaleMixture:
    arguments = dict(latent.arguments)
    kind = _MIXTURES[arguments.pop("distribution")]
    if depends_on(list(arguments.values()), parts.free):
        raise refuse(latent.name, "has a prior that is not Gaussian and depends on other variables")
    values = {}
    for key, variable in arguments.items():
        found = np.broadcast_to(np.asarray(evaluate([variable])[0], dtype=float), latent.shape)
        own = found.ravel()[part.elements]
        if key == "nu" and (own != own[0]).any():
            raise refuse(latent.name, "has a Student t prior with several degrees of freedom")
        values[key] = float(own[0]) if key == "nu" else tuple(own.tolist())
    return kind(**values)
