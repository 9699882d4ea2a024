"""GLMM → pm.Model in whitened coordinates: the joint density of ``build.py``, changed variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from pymc_vmrp.glmm.spec import GLMM, GroupEffects
from pymc_vmrp.mcmc.build import likelihood, model_coords, precision_triangle, scalar_sigma
from pymc_vmrp.mcmc.coefficients import horseshoe_scales, named_coefficients
from pymc_vmrp.mcmc.folded import Folded, can_fold
from pymc_vmrp.mcmc.whitened import whitened_coefficients
from pymc_vmrp.mcmc.whitening import Whitening

WHITENED = "whitened"  # name of the variable ξ

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def build_whitened(glmm: GLMM, whitening: Whitening, scales: Sequence[float]) -> pm.Model:
    """Write the GLMM as a pm.Model of ξ, where (β, u) is a function of ξ and θ.

    ξ are standard normal in the Gaussian of ``whitening`` whatever θ is. θ and all names are those
    of :func:`pymc_vmrp.mcmc.build.build_pymc`, without the ``..._offset`` variables.

    Parameters
    ----------
    glmm : GLMM
    whitening : Whitening
    scales : sequence of float
        A typical size of σ of each block, which its unconstrained coordinate is bent at.
    """
    with pm.Model(coords=model_coords(glmm)) as model:
        xi = pm.Normal(WHITENED, 0, 1, shape=whitening.size)
        horseshoe = horseshoe_scales(glmm.common)
        roots = [
            scalar_sigma(glmm, group, Folded(scale) if can_fold(group.prior) else None)
            if group.d == 1
            else precision_triangle(glmm, group)
            for group, scale in zip(glmm.groups, scales, strict=True)
        ]
        entries = [pt.atleast_1d(sd) ** -2 for sd in horseshoe.values()]
        entries += [_precision(root) for root in roots]
        joined = pt.concatenate(entries) if entries else pt.as_tensor(np.zeros(0))
        b, log_jacobian = whitened_coefficients(whitening, xi, joined)
        beta, log_p = named_coefficients(glmm.common, b[: glmm.common.size], horseshoe)
        effects = []
        for j, (group, root) in enumerate(zip(glmm.groups, roots, strict=True)):
            u = _effects(group, b[glmm.group_slice(j)])
            log_p = log_p + _log_prior(group, u, root)
            effects.append(u)
        log_xi = -0.5 * (xi**2).sum() - whitening.size * _HALF_LOG_2PI
        pm.Potential("change_of_variables", log_p + log_jacobian - log_xi)
        likelihood(glmm, beta, effects)
    return model


def _precision(root: Any) -> Any:
    """Σ⁻¹ row by row, from σ or from T."""
    return pt.atleast_1d(root) ** -2 if root.ndim == 0 else pt.dot(root, root.T).ravel()


def _effects(group: GroupEffects, block: Any) -> Any:
    """The block's coefficients, shape (L,) where d = 1, else (d, L)."""
    return block if group.d == 1 else block.reshape((len(group.levels), group.d)).T


def _log_prior(group: GroupEffects, u: Any, root: Any) -> Any:
    """Log p(u | Σ) of a block."""
    constant = group.size * _HALF_LOG_2PI
    if group.d == 1:
        return -0.5 * ((u / root) ** 2).sum() - group.size * pt.log(root) - constant
    diagonal = root[np.arange(group.d), np.arange(group.d)]
    log_det = len(group.levels) * pt.log(diagonal).sum()
    return log_det - 0.5 * (pt.dot(root.T, u) ** 2).sum() - constant
