"""The design of new rows, found by evaluating η at their data, and compared with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, hstack

from pymc_vmrp.arrays import FloatArray, IndexArray
from pymc_vmrp.errors import DataError, ModelError
from pymc_vmrp.frontends.pymc.data_graph import NO_NEW_ROWS, DataGraph, Values
from pymc_vmrp.frontends.pymc.further import Further, columns_of_latent
from pymc_vmrp.frontends.pymc.probe import Columns
from pymc_vmrp.frontends.pymc.reading import Point
from pymc_vmrp.glmm.draws import Draws

_TOLERANCE = 1e-8  # relative to the parts of η in a row
_ROUNDING = 1e-12  # of an offset, relative


@dataclass(frozen=True)
class NewDesign:
    """Columns of the GLMM's coefficients in new rows; those of latents left out are zero.

    Attributes
    ----------
    common : ndarray, shape (n, p)
        With the intercept's.
    groups : tuple of csr_array
        For each block, one column a coefficient.
    further : tuple of csr_array
    offset : ndarray, shape (n,)
    """

    common: FloatArray
    groups: tuple[csr_array, ...]
    further: tuple[csr_array, ...]
    offset: FloatArray


def find_design(
    graph: DataGraph, further: Sequence[Further], data: Values, n: int, latents: Collection[int]
) -> NewDesign:
    """Design of ``n`` rows.

    Parameters
    ----------
    graph : DataGraph
    further : sequence of Further
    data : mapping of str to ndarray
    n : int
    latents : collection of int
        Whose columns are wanted.

    Raises
    ------
    ModelError
        Where the linear predictor of the rows is not that of the model's own rows.
    DataError
        Where it is no finite number.
    """
    parts, translation = graph.parts, graph.recognised.translation
    terms, glmm = translation.terms, graph.recognised.glmm
    base = parts.base()
    at_zero = graph.eta(Point(parts.zeros(), base), data)
    element, added = graph.rows(at_zero, data, n)
    flat = at_zero.ravel().astype(float)
    _check_finite(flat[element], data, graph)
    empty = {j: csr_array((n, one.size)) for j, one in enumerate(parts.latents)}
    matrices = dict(empty)
    for j in sorted(latents):
        if parts.latents[j].size:
            columns, _ = columns_of_latent(graph, data, j, flat)
            _check_known(graph, further, j, columns)
            matrices[j] = columns.matrix[element]
    common = np.zeros((n, glmm.common.size))
    offset = flat[element] + added
    largest = float(np.abs(offset[np.isfinite(offset)]).max(initial=1.0))
    for place in translation.assembled.common:
        part = place.part
        own = matrices[part.latent][:, part.elements].toarray() / part.scale
        offset -= own @ part.location
        common[:, place.index] = own / place.factor
    offset[np.abs(offset) < _ROUNDING * largest] = 0.0
    groups = []
    for block in terms.blocks:
        pieces = [
            matrices[j][:, block.elements[block.latents == j]]
            for j in dict.fromkeys(block.latents.tolist())
        ]
        groups.append(csr_array(hstack(pieces, format="csr") / block.scale.value(base)))
    for vector in terms.vectors:
        divisor = np.array([s.value(base) for s in vector.scales] or [1.0] * vector.d)
        own = matrices[vector.latent][:, vector.elements.ravel()]
        groups.append(csr_array(own.multiply(np.tile(1 / divisor, len(vector.elements)))))
    more = tuple(csr_array(matrices[one.latent][:, one.elements] / one.divisor) for one in further)
    design = NewDesign(common, tuple(groups), more, offset)
    _prove(graph, further, design, data, element, added, latents)
    return design


def _check_known(graph: DataGraph, further: Sequence[Further], j: int, columns: Columns) -> None:
    """Refuse elements of which neither the GLMM nor ``further`` has a coefficient."""
    unknown = np.zeros(len(columns.touched), dtype=bool)
    for k, elements in graph.recognised.translation.terms.untouched:
        if k == j:
            unknown[elements] = True
    for one in further:
        if one.latent == j:
            unknown[one.elements] = False
    if (unknown & columns.touched).any():
        raise ModelError(
            f"{NO_NEW_ROWS}they have elements of {graph.parts.latents[j].name!r} that none of the "
            "model's own rows has, and whose standard deviation was not found. Predict them by "
            "pm.set_data() and pm.sample_posterior_predictive()."
        )


def _check_finite(offset: FloatArray, data: Values, graph: DataGraph) -> None:
    bad = ~np.isfinite(offset)
    if bad.any():
        names = ", ".join(repr(one.name) for one in graph.containers)
        raise DataError(
            f"The linear predictor of {int(bad.sum())} new rows is no finite number, whatever the "
            f"coefficients are: look at what the pm.Model computes from {names}."
        )


def _prove(
    graph: DataGraph,
    further: Sequence[Further],
    design: NewDesign,
    data: Values,
    element: IndexArray,
    added: FloatArray,
    latents: Collection[int],
) -> None:
    """Compare the design with η at random values of the latents and hyperparameters."""
    parts, glmm = graph.parts, graph.recognised.glmm
    rng = np.random.default_rng(8)
    for _ in range(2):
        z = tuple(
            rng.standard_normal(one.shape) if j in latents else np.zeros(one.shape)
            for j, one in enumerate(parts.latents)
        )
        point = Point(z, parts.random_theta(rng))
        draws, _ = graph.recognised.translation.to_glmm(point)
        with np.errstate(all="ignore"):
            expected = graph.eta(point, data).ravel()[element] + added
            found, size = _evaluate(glmm.common.size, further, design, draws)
            wrong = ~(np.abs(found - expected) <= _TOLERANCE * size)
        wrong &= ~((found == expected) | (np.isinf(added)))  # of rows without exposure
        if wrong.any():
            names = ", ".join(repr(one.name) for one in graph.containers)
            raise ModelError(
                f"{NO_NEW_ROWS}the linear predictor of {int(wrong.sum())} of them is not that of "
                f"the model's own rows with other data in {names}. Values of very different sizes "
                "would do that, or a graph that treats some rows otherwise. Look at their largest "
                "values, or predict by pm.set_data() and pm.sample_posterior_predictive()."
            )


def _evaluate(
    p: int, further: Sequence[Further], design: NewDesign, draws: Draws
) -> tuple[FloatArray, FloatArray]:
    """η of the design, and the sum of the sizes of its parts."""
    values = draws.coefficients[0]
    pieces = [(csr_array(design.common), values[:p])]
    at = p
    for matrix in design.groups:
        pieces.append((matrix, values[at : at + matrix.shape[1]]))
        at += matrix.shape[1]
    for one, matrix in zip(further, design.further, strict=True):
        pieces.append((matrix, one.coefficients(draws)[:, 0]))
    found, size = design.offset.copy(), np.abs(design.offset)
    for matrix, own in pieces:
        found += matrix @ own
        size += abs(matrix) @ np.abs(own)
    return found, size
