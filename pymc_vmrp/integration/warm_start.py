"""Where to start the fit at a new θ: marginals of η regressed on those of the points before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.integration.conditional import Conditional, Marginals

_RIDGE = 0.03  # in units of what one point at distance one tells
_MOST_NUMBERS = 1.5e7  # of marginals held at a time
_FARTHEST = 4.0  # coordinates beyond this are predicted as if here


@dataclass(frozen=True)
class Predictor:
    """Mean and log sd of η as quadratics in x, exact at the centre.

    Attributes
    ----------
    centre : Marginals
    coefficients : ndarray, shape (features, 2N)
    """

    centre: Marginals
    coefficients: FloatArray

    def __call__(self, x: FloatArray) -> Marginals:
        """Marginals at one point x, shape (d,)."""
        if not len(self.coefficients):
            return self.centre
        features = _features(np.clip(x, -_FARTHEST, _FARTHEST)[None], len(self.coefficients))[0]
        moved = features @ self.coefficients
        n = len(self.centre.mean)
        variance = self.centre.variance * np.exp(2 * np.clip(moved[n:], -3, 3))
        return Marginals(self.centre.mean + moved[:n], variance)


def fit_predictor(centre: Marginals, x: FloatArray, fits: Sequence[Conditional]) -> Predictor:
    """Regress the fits' marginals on their points ``x`` of shape (n, d), around x = 0."""
    n, d = x.shape
    cells = len(centre.mean)
    most = int(_MOST_NUMBERS / max(2 * cells, 1))
    if min(n, most) <= d:
        return Predictor(centre, np.empty((0, 2 * cells)))
    x, fits = x[-most:], fits[-most:]
    size = next((s for s in _sizes(d) if s <= 0.6 * len(x)), d)
    features = _features(np.clip(x, -_FARTHEST, _FARTHEST), size)
    moved = np.empty((len(x), 2 * cells))
    for row, fit in zip(moved, fits, strict=True):
        assert fit.marginals is not None
        row[:cells] = fit.marginals.mean - centre.mean
        row[cells:] = 0.5 * np.log(fit.marginals.variance / centre.variance)
    normal = features.T @ features
    normal[np.diag_indices_from(normal)] += _RIDGE
    return Predictor(centre, np.linalg.solve(normal, features.T @ moved))


def _sizes(d: int) -> tuple[int, int, int]:
    return (d * (d + 3) // 2, 2 * d, d)


def _features(x: FloatArray, size: int) -> FloatArray:
    """Coordinates, their squares and their products: the first ``size`` of them."""
    d = x.shape[1]
    parts = [x]
    if size > d:
        parts.append(x**2)
    if size > 2 * d:
        rows, columns = np.triu_indices(d, 1)
        parts.append(x[:, rows] * x[:, columns])
    return np.hstack(parts)
