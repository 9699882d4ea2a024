"""The Gaussian that a fit makes of p(β, u | y, θ), at every θ: what whitened coordinates rest on.

A fit stands a site −½wη² + kη in for the likelihood of each cell. Given the hyperparameters θ, the
coefficients b = (β, u) are then Gaussian with precision P(θ) = X'WX + D(θ) and P(θ)·mean = X'k +
D(θ)μ, where D holds the prior precisions and μ the prior means (those of u are zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.cavi.mixtures import prior_precision
from pymc_vmrp.cavi.run import Fit
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.sites import Sites

_RIDGE = 1e-9  # relative: P must be a little better than positive semidefinite, and any P will do


@dataclass(frozen=True)
class Whitening:
    """P(θ) = ``matrix`` + D(θ) and P(θ)·mean = ``right``.

    Entries of D(θ) are those of each horseshoe's coefficients, 1/(τλ)², and then of each block's
    Σ⁻¹, row by row. Any matrix and right-hand side give an exact sampler: those of a good fit
    give a quick one.

    Attributes
    ----------
    matrix : ndarray, shape (p, p)
        X'WX, and the prior precisions of β that do not depend on θ.
    right : ndarray, shape (p,)
        X'k + Dμ.
    rows, columns, which : ndarray, shape (n,)
        Where D(θ) has an entry, and which one.
    entries : int
        How many entries there are.
    """

    matrix: FloatArray
    right: FloatArray
    rows: IntArray
    columns: IntArray
    which: IntArray
    entries: int

    @property
    def size(self) -> int:
        """Number of coefficients p."""
        return len(self.right)

    def precision(self, entries: FloatArray) -> FloatArray:
        """P(θ), shape (p, p), from the entries of D(θ)."""
        out = self.matrix.copy()
        out[self.rows, self.columns] += entries[self.which]
        return out


def whitening(glmm: GLMM, fit: Fit) -> Whitening:
    """The Gaussian of a mean-field fit of ``glmm``."""
    state = fit.state
    sites = _nonnegative(state.target.sites, state.mean)
    scaled = horseshoe_index(glmm)
    fixed = prior_precision(glmm.common, state.target.scales)
    fixed[scaled] = 0.0
    eye = [np.eye(group.d) for group in glmm.groups]
    with one_blas_thread():
        solved = DenseSolver(glmm, expand=True).solve(sites, eye, np.ones(glmm.common.size))
    matrix = np.tril(solved.products) + np.tril(solved.products, -1).T
    right = solved.right.copy()
    beta = np.arange(glmm.common.size)
    matrix[beta, beta] += fixed
    right[beta] += fixed * glmm.common.prior_mean
    matrix[np.diag_indices_from(matrix)] *= 1 + _RIDGE
    return Whitening(matrix, right, *_places(glmm, scaled))


def horseshoe_index(glmm: GLMM) -> IntArray:
    """The coefficients of β whose prior precision is among the entries of D(θ)."""
    index = [i for m in glmm.common.mixtures if isinstance(m.prior, Horseshoe) for i in m.index]
    return np.array(sorted(index), dtype=np.int64)


def _nonnegative(sites: Sites, mean: FloatArray) -> Sites:
    """Sites of negative precision (not log-concave) flat, with the same slope at the mean."""
    precision = np.maximum(sites.precision, 0.0)
    return Sites(precision, sites.shift + (precision - sites.precision) * mean)


def _places(glmm: GLMM, scaled: IntArray) -> tuple[IntArray, IntArray, IntArray, int]:
    rows, columns, which = [scaled], [scaled], [np.arange(len(scaled))]
    count = len(scaled)
    for j, group in enumerate(glmm.groups):
        d, index = group.d, glmm.group_index(j)
        for a in range(d):
            for b in range(d):
                rows.append(index[:, a])
                columns.append(index[:, b])
                which.append(np.full(len(index), count + a * d + b))
        count += d * d
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(which), count
