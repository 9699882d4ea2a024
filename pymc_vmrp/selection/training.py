"""The model of some of the rows, and its draws as draws of the whole model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pymc_vmrp.arrays import IndexArray, IntArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.responses import pooled, take_rows
from pymc_vmrp.glmm.spec import GLMM, GroupEffects, Observations
from pymc_vmrp.prediction.rows import draw_new_levels


@dataclass(frozen=True)
class Training:
    """A GLMM of some of the rows: same columns and priors, but none but the levels that they have.

    A level without rows would be no part of the likelihood, but q(Σ) of a factorized approximation
    would count it as one more level seen.

    Attributes
    ----------
    whole : GLMM
        Of all rows.
    glmm : GLMM
    kept : tuple of ndarray of integers
        Which levels of each block of ``whole`` are in ``glmm``.
    """

    whole: GLMM
    glmm: GLMM
    kept: tuple[IntArray, ...]

    def extend(self, draws: Draws, rng: np.random.Generator) -> Draws:
        """Draws of the whole model's coefficients: levels not seen get theirs from N(0, Σ)."""
        whole, own = self.whole, self.glmm
        out = np.empty((len(draws), whole.n_coefficients))
        out[:, : whole.common.size] = draws.coefficients[:, : own.common.size]
        for j, kept in enumerate(self.kept):
            group = whole.groups[j]
            effects = np.empty((len(draws), len(group.levels), group.d))
            effects[:, kept] = draws.coefficients[:, own.group_slice(j)].reshape(
                len(draws), len(kept), group.d
            )
            new = np.setdiff1d(np.arange(len(group.levels)), kept)
            if len(new):
                drawn = draw_new_levels(draws.covariances[j], len(new), rng)
                effects[:, new] = drawn.T.reshape(len(draws), len(new), group.d)
            out[:, whole.group_slice(j)] = effects.reshape(len(draws), -1)
        return Draws(out, draws.covariances, draws.parameters)


def training(glmm: GLMM, observations: Observations, rows: IndexArray) -> Training:
    """The model of these rows."""
    part = pooled(glmm, take_rows(observations, rows))
    seen = [_seen(group) for group in part.groups]
    groups = tuple(_restrict(g, kept) for g, kept in zip(part.groups, seen, strict=True))
    return Training(glmm, replace(part, groups=groups), tuple(seen))


def _seen(group: GroupEffects) -> IntArray:
    """Levels that some cell has; all of a smooth, and of a factor with several memberships."""
    if group.is_smooth or group.m > 1:
        return np.arange(len(group.levels))
    return np.unique(group.codes).astype(np.int64)


def _restrict(group: GroupEffects, kept: IntArray) -> GroupEffects:
    if len(kept) == len(group.levels):
        return group
    position = np.zeros(len(group.levels), dtype=group.codes.dtype)
    position[kept] = np.arange(len(kept))
    levels = tuple(group.levels[i] for i in kept)
    return replace(group, levels=levels, codes=position[group.codes])
