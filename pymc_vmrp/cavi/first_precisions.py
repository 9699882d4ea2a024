"""E[Σ⁻¹] of the first sweep: moderate effects, whatever the units and the zeros of predictors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.glmm.spec import GLMM, same_levels

FloatArray = NDArray[np.float64]


_RIDGE = 1e-13  # relative, of effects that are collinear
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
    for together in same_levels(glmm.groups):
        blocks = [glmm.groups[j] for j in together]
        if blocks[0].m == len(blocks[0].levels):  # the effects of a basis are of one size
            starts[0][together[0]] = starts[1][together[0]] = np.eye(blocks[0].d) / size**2
            continue
        z = np.column_stack([b.member_values.reshape(-1, b.d) for b in blocks])
        moment = z.T @ z / glmm.n_cells
        units = np.sqrt(np.diag(moment))
        units[units == 0] = 1.0
        correlation = moment / np.outer(units, units)
        far = far or bool(np.abs(np.tril(correlation, -1)).max() > _FAR)
        covariance = np.linalg.inv(correlation + _RIDGE * np.eye(len(units)))
        ends = np.cumsum([block.d for block in blocks])
        for j, block, end in zip(together, blocks, ends, strict=True):
            own = slice(end - block.d, end)
            scales = np.outer(units[own], units[own]) / size**2
            starts[0][j] = np.linalg.inv(covariance[own, own]) * scales
            starts[1][j] = np.eye(block.d) * scales
    return [tuple(start) for start in (starts if far else starts[:1])]
