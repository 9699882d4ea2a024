"""Marginally augmented variational Bayes: one step from draws of q towards the posterior.

Where an effect that varies over the levels of a factor also has a common effect, the posterior
knows their sum better than either, and a factorized q understates the uncertainty of both. Move all
levels of every such effect by −c and the common effects by Tc: no linear predictor changes, and
given (β, u, Σ) the shifts c have the density

    p(c | β, u, Σ) ∝ p(β + Tc) Π_j Π_g N(u_jg − c_j; 0, Σ_j),

which is Gaussian (translations have Jacobian 1). Drawing c from it is a Gibbs step along the orbits
of a group (Liu & Sabatti 2000) and leaves the posterior as it is; so the draws after it are no
further from the posterior, in Kullback-Leibler divergence, than those of q were. Goplerud (2022)
calls it marginally augmented VB, with flat β and a working prior of infinite variance.

References
----------
Goplerud, M. (2022). Fast and accurate estimation of non-nested binomial hierarchical models using
variational inference. Bayesian Analysis 17(2). Liu, J. S. and Sabatti, C. (2000). Generalised Gibbs
sampler and multigrid Monte Carlo for Bayesian computation. Biometrika 87(2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.cavi.expand import mean_shifts
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.dense import DenseSolver


@dataclass(frozen=True)
class Shifts:
    """Shifts c of the k effects that have a common counterpart, and their full conditional.

    Attributes
    ----------
    directions : ndarray, shape (k, p)
        How the coefficients move with each shift.
    mean : ndarray, shape (draws, k)
    precision : ndarray, shape (draws, k, k)
    """

    directions: FloatArray
    mean: FloatArray
    precision: FloatArray


def augment(
    glmm: GLMM,
    coefficients: FloatArray,
    covariances: Sequence[FloatArray],
    rng: np.random.Generator,
) -> FloatArray:
    """Move each draw by shifts from their full conditional.

    Parameters
    ----------
    glmm : GLMM
    coefficients : ndarray, shape (draws, p)
    covariances : sequence of ndarray, each of shape (draws, d, d)
    rng : Generator

    Returns
    -------
    ndarray, shape (draws, p)
    """
    shifts = conditional_shifts(glmm, coefficients, covariances)
    if not len(shifts.directions):
        return coefficients.copy()
    root = np.linalg.cholesky(shifts.precision)
    noise = rng.standard_normal(shifts.mean.shape)
    away = np.linalg.solve(np.swapaxes(root, 1, 2), noise[..., None])[..., 0]
    return np.asarray(coefficients + (shifts.mean + away) @ shifts.directions)


def conditional_shifts(
    glmm: GLMM, coefficients: FloatArray, covariances: Sequence[FloatArray]
) -> Shifts:
    """The full conditional of the shifts at each draw; see :func:`augment`."""
    draws, common = len(coefficients), glmm.common
    sizes = [group.d for group in glmm.groups]
    first = np.cumsum([0, *sizes])
    matrix = np.zeros((draws, first[-1], first[-1]))
    right = np.zeros((draws, first[-1]))
    for j, (group, covariance) in enumerate(zip(glmm.groups, covariances, strict=True)):
        part = slice(first[j], first[j + 1])
        u = coefficients[:, glmm.group_slice(j)].reshape(draws, -1, group.d)
        precision = np.linalg.inv(covariance)
        matrix[:, part, part] = len(group.levels) * precision
        right[:, part] = (precision @ u.sum(1)[..., None])[..., 0]
    shifts, free = _invariant_shifts(glmm)
    prior = np.where(np.isnan(common.prior_sd), 0.0, common.prior_sd**-2.0)
    matrix += shifts.T @ (prior[:, None] * shifts)
    right += (prior * (common.prior_mean - coefficients[:, : common.size])) @ shifts
    precision = matrix[:, free[:, None], free]
    mean = np.linalg.solve(precision, right[:, free, None])[..., 0]
    return Shifts(_directions(glmm, shifts)[free], mean, precision)


def _invariant_shifts(glmm: GLMM) -> tuple[FloatArray, IntArray]:
    """Those of :func:`mean_shifts` that leave every linear predictor as it is."""
    shifts, free = mean_shifts(glmm)
    design = DenseSolver(glmm)
    # effects of levels that share a row by weights would need weights that sum to 1
    # and the conditional is normal where the prior of β is
    normal = ~np.isnan(glmm.common.prior_sd)
    kept = [
        column
        for column, direction in zip(free, _directions(glmm, shifts)[free], strict=True)
        if np.abs(design.row_products(direction)).max(initial=0.0) < 1e-9
        and not shifts[~normal, column].any()
    ]
    return shifts, np.array(kept, dtype=np.int64)


def _directions(glmm: GLMM, shifts: FloatArray) -> FloatArray:
    """Change of the coefficient vector with each shift, shape (Σd, p)."""
    out = np.zeros((shifts.shape[1], glmm.n_coefficients))
    out[:, : glmm.common.size] = shifts.T
    row = 0
    for j, group in enumerate(glmm.groups):
        for a in range(group.d):
            out[row, glmm.group_slice(j)][a :: group.d] = -1.0
            row += 1
    return out
