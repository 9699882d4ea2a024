"""E[Σ⁻¹] of the first sweep: moderate effects, whatever the units and the zeros of predictors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.spec import GLMM, same_levels

_RIDGE = 1e-13  # relative, of effects that are collinear
_DISTINCT = 1e-12  # smallest eigenvalue of correlations of columns that are not copies
_FAR = 0.95  # correlation of what effects are multiplied by: a mean of three sds


def first_precisions(glmm: GLMM, size: float) -> list[tuple[FloatArray, ...]]:
    """Σ⁻¹ of each block such that what a factor adds to η varies by about ``size``.

    Σ = size²·G⁻¹ for the mean G of zz' over the cells, z what a cell multiplies all effects of the
    factor by, is the prior under which no linear change of the effects makes a difference. Blocks
    of one factor that are independent get their parts of it: where x is far from zero, a varying
    slope needs large intercepts, and without them coordinate ascent would hold it at nothing.
    There, a second start has the effects apart: independent priors may make it the better optimum.
    """
    starts: list[list[FloatArray]] = [[np.empty(0)] * len(glmm.groups) for _ in range(2)]
    far = False
    for j, group in enumerate(glmm.groups):
        if group.m == len(group.levels):  # the effects of a basis are of one size
            starts[0][j] = starts[1][j] = np.eye(group.d) / size**2
    for together in same_levels(glmm.groups):
        blocks = [j for j in together if not starts[0][j].size]
        while blocks:
            moment = _moment(glmm, blocks)
            units = np.sqrt(np.where(np.diag(moment) > 0, np.diag(moment), 1.0))
            correlation = moment / np.outer(units, units)
            kept = _independent(glmm, blocks, correlation)
            columns = np.concatenate([np.full(glmm.groups[j].d, j in kept) for j in blocks])
            inner = correlation[np.ix_(columns, columns)] + _RIDGE * np.eye(columns.sum())
            far = far or bool(np.abs(np.tril(inner, -1)).max() > _FAR)
            covariance, at = np.linalg.inv(inner), 0
            for j in kept:
                own = slice(at, at + glmm.groups[j].d)
                scales = np.outer(units[columns][own], units[columns][own]) / size**2
                starts[0][j] = np.linalg.inv(covariance[own, own]) * scales
                starts[1][j] = np.eye(glmm.groups[j].d) * scales
                at = own.stop
            blocks = [j for j in blocks if j not in kept]
    return [tuple(start) for start in (starts if far else starts[:1])]


def _moment(glmm: GLMM, blocks: Sequence[int]) -> FloatArray:
    """Mean of zz' over the cells, z what a cell multiplies the effects of these blocks by."""
    groups = [glmm.groups[j] for j in blocks]
    z = np.column_stack([group.member_values.reshape(-1, group.d) for group in groups])
    return np.asarray(z.T @ z / glmm.n_cells)


def _independent(glmm: GLMM, blocks: Sequence[int], correlation: FloatArray) -> list[int]:
    """The first of the blocks, and those after it that add columns of their own."""
    kept: list[int] = []
    columns: list[int] = []
    at = 0
    for j in blocks:
        own = list(range(at, at + glmm.groups[j].d))
        at += glmm.groups[j].d
        tried = correlation[np.ix_(columns + own, columns + own)]
        if not kept or np.linalg.eigvalsh(tried)[0] > _DISTINCT:
            kept.append(j)
            columns += own
    return kept
