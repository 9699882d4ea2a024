"""The Gaussian block q(β, u) = N(m, V), behind an interface that other solvers can implement.

P = D + X'WX, m = P⁻¹(X'k + D·prior mean), V = P⁻¹, where D holds the prior precisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.solvers.quadratic import Quadratic
from pymc_vmrp.solvers.sites import Sites

_LARGEST_MARGINAL = 512  # coefficients whose covariance is formed at a time


class Gaussian(Protocol):
    """A fitted q(β, u): its moments, its samples and its density."""

    @property
    def mean(self) -> FloatArray:
        """m, shape (p,)."""
        ...

    @property
    def log_det_precision(self) -> float:
        """Log |P|."""
        ...

    def variances(self) -> FloatArray:
        """Diagonal of V, shape (p,)."""
        ...

    def marginal_covariance(self, index: IntArray) -> FloatArray:
        """V[index, index], shape (k, k)."""
        ...

    def level_covariances(self, index: IntArray) -> FloatArray:
        """V of the coefficients in each row of ``index``, shape (L, d): shape (L, d, d).

        Those of a row are the effects of one level.
        """
        ...

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of η in each cell, shape (N,) each."""
        ...

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """X V X'gradient: how the mean of η responds to a change of the sites, shape (N,)."""
        ...

    def quadratic(self) -> Quadratic:
        """The sites' quadratic in transforms of the effects; only of solvers that ``expand``."""
        ...

    def second_moment(self, j: int) -> FloatArray:
        """Σ_g E[u_g u_g'] of block j, shape (d, d)."""
        ...

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """Draws of (β, u), shape (draws, p)."""
        ...

    def log_density(self, coefficients: FloatArray) -> FloatArray:
        """Log q at ``coefficients`` of shape (draws, p)."""
        ...


class Solver(Protocol):
    """Computes q(β, u) from sites and expected precisions."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def operations(self) -> float:
        """Rough count of multiplications of one solution."""
        ...

    def solve(
        self,
        sites: Sites,
        precisions: Sequence[FloatArray],
        common: FloatArray | None = None,
    ) -> Gaussian:
        """q(β, u) for the sites and E[Σ_j⁻¹] of each block.

        ``common`` holds the expected prior precision of each β; None stands for that of its normal
        priors.
        """
        ...


def add_prior(matrix: FloatArray, index: IntArray, precision: FloatArray) -> None:
    """Add Σ⁻¹ of every level to the lower triangle of P; ``index`` of shape (L, d) places them."""
    for a in range(len(precision)):
        for b in range(a + 1):
            matrix[index[:, a], index[:, b]] += precision[a, b]


def covariances_by_chunks(gaussian: Gaussian, index: IntArray) -> FloatArray:
    """``gaussian.level_covariances(index)`` from its marginal covariances."""
    levels, d = index.shape
    out = np.empty((levels, d, d))
    step = max(1, _LARGEST_MARGINAL // d)
    for low in range(0, levels, step):
        part = index[low : low + step]
        joint = gaussian.marginal_covariance(part.ravel())
        every = np.arange(len(part))
        out[low : low + step] = joint.reshape(len(part), d, len(part), d)[every, :, every]
    return out
