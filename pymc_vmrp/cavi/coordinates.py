"""The point of the fixed-point iteration as one unconstrained vector, and how far it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.bounds import Bound, PolyaGamma
from pymc_vmrp.cavi.nodes import GaussianBound
from pymc_vmrp.cavi.sweep import Point, State
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.sites import Sites

_SMALLEST_PRECISION = 1e-290  # of a site: cells without trials have none, and need a logarithm


@dataclass(frozen=True)
class Coordinates:
    """Points as vectors, for acceleration.

    First the log-Cholesky coordinates of each E[Σ_j⁻¹] and of each E[1/λ²]; then those of the
    sites: log E[σ⁻²] of a Gaussian likelihood; otherwise log w of each site (w in units of
    1/``scale``² where it may be negative) and, where the shift varies, k in units of 1/``scale``.

    Attributes
    ----------
    glmm : GLMM
    bound : Bound
    scale : ndarray, shape (N,)
        Typical sds of η, so that a shift of 1/scale moves q by about one sd.
    """

    glmm: GLMM
    bound: Bound
    scale: FloatArray

    @property
    def n_hyper(self) -> int:
        """How many belong to covariances, to scales of β, and to σ of a Gaussian likelihood."""
        return self._n_covariance + self._n_scales + int(self._one_sigma)

    @property
    def _n_scales(self) -> int:
        return sum(len(mixture.index) for mixture in self.glmm.common.mixtures)

    @property
    def size(self) -> int:
        """Length of the vector."""
        if self._one_sigma:
            return self.n_hyper
        return self.n_hyper + self.glmm.n_cells * (1 if self._constant_shift else 2)

    @property
    def _n_covariance(self) -> int:
        return sum(group.d * (group.d + 1) // 2 for group in self.glmm.groups)

    @property
    def _one_sigma(self) -> bool:
        return isinstance(self.bound, GaussianBound)

    @property
    def _constant_shift(self) -> bool:
        return isinstance(self.bound, PolyaGamma) and self.glmm.response.offset is None

    def encode(self, point: Point) -> FloatArray:
        """Coordinates of ``point``."""
        parts = [_log_cholesky(precision) for precision in point.precisions]
        parts.append(0.5 * np.log(point.scales))
        precision, shift = point.sites.precision, point.sites.shift
        if self._one_sigma:
            total = self.glmm.response.statistics[1].sum()
            return np.concatenate([*parts, [np.log(precision.sum() / total)]])
        if self.glmm.family.log_concave:
            parts.append(np.log(np.maximum(precision, _SMALLEST_PRECISION)))
        else:
            parts.append(precision * self.scale**2)
        if not self._constant_shift:
            parts.append(shift * self.scale)
        return np.concatenate(parts)

    def decode(self, z: FloatArray, like: Point) -> Point:
        """The point with coordinates ``z``; a constant shift is that of ``like``."""
        precisions = []
        at = 0
        for group in self.glmm.groups:
            size = group.d * (group.d + 1) // 2
            precisions.append(_from_log_cholesky(z[at : at + size], group.d))
            at += size
        scales = np.exp(2 * z[at : at + self._n_scales])
        at += self._n_scales
        return Point(tuple(precisions), self._sites(z[at:], like.sites), scales)

    def _sites(self, z: FloatArray, like: Sites) -> Sites:
        if self._one_sigma:
            y, n, _ = self.glmm.response.statistics
            precision = n * np.exp(z[0])
            return Sites(precision, precision * y)
        n_cells = self.glmm.n_cells
        first = z[:n_cells]
        precision = np.exp(first) if self.glmm.family.log_concave else first / self.scale**2
        shift = like.shift if self._constant_shift else z[n_cells:] / self.scale
        return Sites(precision, shift)

    def change(self, state: State) -> float:
        """What the next plain sweep would change.

        The largest change of log σ's and correlations, and of any cell's η in posterior sds (its
        mean by the linear response V X'δ to the change of the sites, its log sd by its own site).
        """
        now, then = state.point, state.image
        hyper = 0.0
        for a, b in zip(now.precisions, then.precisions, strict=True):
            hyper = max(hyper, float(np.abs(_log_cholesky(b) - _log_cholesky(a)).max()))
        scales = 0.5 * np.abs(np.log(then.scales / now.scales))
        hyper = max(hyper, float(scales.max(initial=0.0)))
        precision = then.sites.precision - now.sites.precision
        gradient = then.sites.shift - now.sites.shift - precision * state.mean
        response = state.gaussian.row_response(gradient)
        mean = np.abs(response) / np.sqrt(state.variance)
        log_sd = 0.5 * np.abs(precision) * state.variance
        return float(max(hyper, mean.max(initial=0.0), log_sd.max(initial=0.0)))


def _log_cholesky(matrix: FloatArray) -> FloatArray:
    """Log diagonal of the Cholesky factor, then its strict lower triangle over the diagonal."""
    if len(matrix) == 1:
        return np.array([0.5 * np.log(matrix[0, 0])])
    factor = np.linalg.cholesky(matrix)
    diagonal = np.diag(factor)
    lower = np.tril_indices(len(matrix), -1)
    return np.concatenate([np.log(diagonal), (factor / diagonal[:, None])[lower]])


def _from_log_cholesky(z: FloatArray, d: int) -> FloatArray:
    if d == 1:
        return np.exp(2 * z)[:, None]
    diagonal = np.exp(z[:d])
    factor = np.zeros((d, d))
    factor[np.tril_indices(d, -1)] = z[d:]
    factor = factor * diagonal[:, None] + np.diag(diagonal)
    return np.asarray(factor @ factor.T)
