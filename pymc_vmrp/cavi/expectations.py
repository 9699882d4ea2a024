"""Expectations of ℓ, ℓ′ and ℓ″ under the Gaussian marginals of η: closed form, or quadrature."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.families.family import Expected, Statistics
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import Chunk, map_chunks

# ℓ is smooth over about one unit of η (or of the first parameter, where η is on the scale of the
# response): where the marginal is narrower than that, few nodes are exact to all digits
_NARROW, _FEW_NODES, _NODES = 0.35, 10, 20
# where it is wider, nodes have to be a fraction of that unit apart: trapezoids over 8.5 sds, with
# twice as many for each doubling of the sd
_WIDE, _TRAPEZOIDS, _DOUBLINGS, _REACH = 1.0, 29, 4, 8.5
_CHUNK = 40_960  # values at a time, so that temporaries stay in cache
_OPERATIONS_A_NODE = 100.0  # logarithms and the like


def expectations(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, phi: tuple[Any, ...]
) -> Expected:
    """E ℓ, E ℓ′ and −E ℓ″ of each cell under η ~ N(mean, variance), at parameters φ.

    Parameters
    ----------
    glmm : GLMM
    mean, variance : ndarray, shape (N,)
        Of the whole linear predictor, its offset included.
    phi : tuple of float
    """
    family, n = glmm.family, len(mean)
    if family.expectations is not None:
        return family.expectations(mean, variance, glmm.response.statistics, phi)
    out = Expected(np.empty(n), np.empty(n), np.empty(n))
    for cells, nodes, weights in _rules(glmm, variance, phi):

        def task(first: int, last: int) -> None:
            part = cells[first:last]  # noqa: B023
            eta, here = _grid(glmm, mean, variance, part, nodes)  # noqa: B023
            slope, curvature = family.derivatives(eta, here, phi)
            out.log_likelihood[part] = family.log_likelihood(eta, here, phi) @ weights  # noqa: B023
            out.slope[part] = slope @ weights  # noqa: B023
            out.curvature[part] = -(curvature @ weights)  # noqa: B023

        map_chunks(
            task, _chunks(len(cells), len(nodes)), _OPERATIONS_A_NODE * len(cells) * len(nodes)
        )
    return out


def expected_log_likelihood(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, phi: tuple[Any, ...]
) -> float:
    """Sum of E ℓ over the cells; see :func:`expectations`."""
    family, statistics = glmm.family, glmm.response.statistics
    if family.expectations is not None:
        return float(family.expectations(mean, variance, statistics, phi).log_likelihood.sum())
    total = 0.0
    for cells, nodes, weights in _rules(glmm, variance, phi):

        def task(first: int, last: int) -> float:
            eta, here = _grid(glmm, mean, variance, cells[first:last], nodes)  # noqa: B023
            return float((family.log_likelihood(eta, here, phi) @ weights).sum())  # noqa: B023

        operations = _OPERATIONS_A_NODE * len(cells) * len(nodes)
        total += sum(map_chunks(task, _chunks(len(cells), len(nodes)), operations))
    return total


def _rules(
    glmm: GLMM, variance: FloatArray, phi: tuple[Any, ...]
) -> list[tuple[IntArray, FloatArray, FloatArray]]:
    """Cells with the nodes and weights that their marginals need."""
    scale = float(phi[0]) if glmm.family.scaled else 1.0
    narrow, wide = variance < (_NARROW * scale) ** 2, variance > (_WIDE * scale) ** 2
    rules = [
        (np.flatnonzero(narrow), _gauss_hermite(_FEW_NODES)),
        (np.flatnonzero(~narrow & ~wide), _gauss_hermite(_NODES)),
    ]
    cells = np.flatnonzero(wide)
    if len(cells):
        doublings = np.ceil(0.5 * np.log2(variance[cells] / (_WIDE * scale) ** 2))
        doublings = np.clip(doublings, 1, _DOUBLINGS).astype(int)
        rules += [
            (cells[doublings == k], _trapezoids(_TRAPEZOIDS << k)) for k in np.unique(doublings)
        ]
    return [(cells, *rule) for cells, rule in rules if len(cells)]


def _grid(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, cells: IntArray, nodes: FloatArray
) -> tuple[FloatArray, Statistics]:
    eta = mean[cells, None] + np.sqrt(variance[cells, None]) * nodes
    return eta, tuple(s[cells, None] for s in glmm.response.statistics)


def _chunks(n: int, nodes: int) -> tuple[Chunk, ...]:
    size = max(_CHUNK // nodes, 1)
    return tuple((at, min(at + size, n)) for at in range(0, n, size))


@cache
def _gauss_hermite(size: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for expectations under N(0, 1); Golub & Welsch (1969)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    return nodes, weights / weights.sum()


@cache
def _trapezoids(size: int) -> tuple[FloatArray, FloatArray]:
    """The same, evenly spaced: of functions that are smooth over a few nodes, exact as well."""
    nodes = np.linspace(-_REACH, _REACH, size)
    weights = np.exp(-0.5 * nodes**2)
    return nodes, weights / weights.sum()
