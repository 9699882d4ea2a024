"""Functions of one coordinate ψ of θ, of which the surrogate of the log posterior is made.

The likelihood of a standard deviation σ is a sum of terms like log(σ² + s²) and 1/(σ² + s²), with s
the sds that the data leave to the effects: these, at a few s, are the functions for σ, beside
powers. They are flat near zero and logarithmic far away, as the likelihood is; and interactions
vanish where a σ is large. Other coordinates have powers alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import BoolArray, FloatArray

_SCALES = np.array([0.7, 2.0, 6.0])  # s in units of c
_PAIR_SCALES = np.array([1.0, 4.0])
_POWERS = 4
_POWER_SDS = np.array([3.0, 1.0, 0.15, 0.03])  # of coefficients, before they are seen
_SIGMA_SD, _PAIR_SD = 4.0, 2.0
_PAIR_POWER_SDS = np.array([1.0, 0.3])
_LARGEST = 20.0  # of ψ of a standard deviation


@dataclass(frozen=True)
class Features:
    """Functions of each coordinate: ``own`` ones, and those whose products make ``pairs``.

    Attributes
    ----------
    mode, sd : ndarray, shape (d,)
        Powers are those of x = (ψ − mode)/sd.
    folded : ndarray of bool, shape (d,)
        Which coordinates are standard deviations.
    """

    mode: FloatArray
    sd: FloatArray
    folded: BoolArray

    @property
    def n_own(self) -> int:
        """Functions of a coordinate alone."""
        return _POWERS + 2 * len(_SCALES)

    @property
    def n_pair(self) -> int:
        """Functions of a coordinate that are multiplied with those of others."""
        return len(_PAIR_SCALES)

    @property
    def own_sds(self) -> FloatArray:
        """Prior sds of the coefficients of ``own``, shape (d, n_own)."""
        of_sigma = np.where(self.folded[:, None], _SIGMA_SD, 1e-9) * np.ones(2 * len(_SCALES))
        return np.hstack([np.tile(_POWER_SDS, (len(self.mode), 1)), of_sigma])

    @property
    def pair_sds(self) -> FloatArray:
        """Prior sds of the factors of a product's coefficient, shape (d, n_pair)."""
        return np.where(self.folded[:, None], np.sqrt(_PAIR_SD), _PAIR_POWER_SDS)

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Own functions and their derivatives by x, then those for pairs and theirs.

        Parameters
        ----------
        x : ndarray, shape (n, d)

        Returns
        -------
        own, own_slopes : ndarray, shape (n, d, n_own)
        pair, pair_slopes : ndarray, shape (n, d, n_pair)
        """
        n, d = x.shape
        own, slopes = np.zeros((n, d, self.n_own)), np.zeros((n, d, self.n_own))
        square = x * x
        own[..., 0], own[..., 1], own[..., 2], own[..., 3] = x, square, square * x, square**2
        slopes[..., 0], slopes[..., 1], slopes[..., 2] = 1.0, 2 * x, 3 * square
        slopes[..., 3] = 4 * square * x
        pair, pair_slopes = own[..., :2].copy(), slopes[..., :2].copy()
        sigmas = np.flatnonzero(self.folded)
        if len(sigmas):
            psi = np.clip(self.mode[sigmas] + self.sd[sigmas] * x[:, sigmas], -_LARGEST, _LARGEST)
            variance = np.sinh(psi) ** 2
            by_x = np.sinh(2 * psi) * self.sd[sigmas]  # of the variance
            s = _SCALES**2
            share = s / (s + variance[..., None])
            by_log = by_x[..., None] / s * share
            own[:, sigmas, _POWERS:] = np.concatenate([-np.log(share), share], axis=2)
            slopes[:, sigmas, _POWERS:] = np.concatenate([by_log, -by_log * share], axis=2)
            s = _PAIR_SCALES**2
            share = s / (s + variance[..., None])
            pair[:, sigmas] = share
            pair_slopes[:, sigmas] = -by_x[..., None] / s * share**2
        return own, slopes, pair, pair_slopes
