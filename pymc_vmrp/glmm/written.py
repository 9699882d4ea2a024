"""Coefficients as the formula writes them, from those of the centred design, and back.

Engines work with columns that are centred, and may be scaled: C = V·M + (a constant), where V holds
the columns as the formula writes them and M is a block's ``basis``. So coefficients b of C are M·b
of V, Σ is MΣM', and the intercept takes up the constant. All that a user sees is as written.
"""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.spec import GLMM, GroupEffects


def written_coefficients(glmm: GLMM, coefficients: FloatArray) -> FloatArray:
    """The coefficient vector, shape (..., p), as the formula writes it."""
    common = glmm.common
    out = np.array(coefficients, dtype=float)
    first = int(common.intercept)
    if common.intercept:
        out[..., 0] = common.reported_intercept(coefficients[..., : common.size])
    if common.basis is not None:
        out[..., first : common.size] = coefficients[..., first : common.size] @ common.basis.T
    for j, group in enumerate(glmm.groups):
        if group.basis is not None:
            where = glmm.group_slice(j)
            out[..., where] = _by_level(group, coefficients[..., where], group.basis)
    return out


def centred_coefficients(glmm: GLMM, written: FloatArray) -> FloatArray:
    """The coefficient vector of the centred design, shape (..., p); undoes the above."""
    out = centred_effects(glmm, written)
    common = glmm.common
    first = int(common.intercept)
    slopes = out[..., first : common.size]
    if common.basis is not None:
        slopes = slopes @ np.linalg.inv(common.basis).T
        out[..., first : common.size] = slopes
    if common.intercept:
        out[..., 0] += slopes @ common.center
    return out


def centred_effects(glmm: GLMM, written: FloatArray) -> FloatArray:
    """The same where the common effects are those of the centred design already."""
    out = np.array(written, dtype=float)
    for j, group in enumerate(glmm.groups):
        if group.basis is not None:
            where = glmm.group_slice(j)
            out[..., where] = _by_level(group, written[..., where], np.linalg.inv(group.basis))
    return out


def written_covariance(group: GroupEffects, covariance: FloatArray) -> FloatArray:
    """Σ of a block, shape (..., d, d), as the formula writes its effects."""
    return covariance if group.basis is None else _sandwich(group.basis, covariance)


def centred_covariance(group: GroupEffects, covariance: FloatArray) -> FloatArray:
    """Σ of a block in the centred design, shape (..., d, d); undoes the above."""
    if group.basis is None:
        return covariance
    return _sandwich(np.linalg.inv(group.basis), covariance)


def written_values(group: GroupEffects, values: FloatArray) -> FloatArray:
    """What effects are multiplied by, shape (..., d), as the formula writes them."""
    return values if group.basis is None else values @ np.linalg.inv(group.basis)


def written_columns(glmm: GLMM, columns: FloatArray) -> FloatArray:
    """Common columns, shape (..., k), as the formula writes them."""
    basis = glmm.common.basis
    return columns if basis is None else columns @ np.linalg.inv(basis)


def _by_level(group: GroupEffects, block: FloatArray, matrix: FloatArray) -> FloatArray:
    effects = block.reshape(*block.shape[:-1], len(group.levels), group.d)
    return np.asarray((effects @ matrix.T).reshape(block.shape))


def _sandwich(matrix: FloatArray, covariance: FloatArray) -> FloatArray:
    return np.asarray(matrix @ covariance @ matrix.T)
