"""The likelihood's local quadratic as a function of transforms of the group-specific effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM


@dataclass(frozen=True)
class Quadratic:
    """s'r − ½ r'Hr, where r holds 1 for the common part, then vec(R_j) of each term.

    With η = x'β + Σ_j Σ_ab z_a (R_j)_ab u_b, the quadratic of the sites in expectation over q. H
    sums products of X'WX and E[θθ'] over pairs of coefficients: no pass over the rows is needed.

    Attributes
    ----------
    curvature : ndarray, shape (1 + Σd², 1 + Σd²)
        H = Σ_i w_i E[φ_i φ_i'], where φ holds x'β and the products z_a u_b of a row.
    slope : ndarray, shape (1 + Σd²,)
        s = Σ_i k_i E[φ_i], left at 0 for x'β.
    """

    curvature: FloatArray
    slope: FloatArray


def n_products(glmm: GLMM) -> int:
    """Length of r."""
    return 1 + sum(group.d**2 for group in glmm.groups)


def product_slots(glmm: GLMM) -> IntArray:
    """For each coefficient, shape (p, 3): its effect, its term's number of effects, its term in r.

    Common coefficients are effect 0 of a term with one effect, at the start of r.
    """
    parts = [np.tile([[0, 1, 0]], (glmm.common.size, 1))]
    first = 1
    for group in glmm.groups:
        effects = np.tile(np.arange(group.d), len(group.levels))
        parts.append(
            np.column_stack([effects, np.full(group.size, group.d), np.full(group.size, first)])
        )
        first += group.d**2
    return np.concatenate(parts).astype(np.int64)


def product_slope(glmm: GLMM, right: FloatArray, mean: FloatArray) -> FloatArray:
    """Slope s of the quadratic, from X'k and E[θ] of every coefficient."""
    parts = [np.zeros(1)]
    for j, group in enumerate(glmm.groups):
        where = glmm.group_slice(j)
        shifts, means = (x[where].reshape(-1, group.d) for x in (right, mean))
        parts.append((means.T @ shifts).ravel())  # entry of z_a u_b at b·d + a
    return np.concatenate(parts)
