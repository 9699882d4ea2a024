"""Expectations of ℓ, ℓ′ and ℓ″ under the Gaussian marginals of η: closed form, or quadrature."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.glmm.families.family import Expected
from pymc_vmrp.glmm.spec import GLMM

FloatArray = NDArray[np.float64]

_NODES = 20
_BLOCK = 2**16  # values of η at a time, so that temporaries stay in cache


def expectations(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, phi: tuple[Any, ...]
) -> Expected:
    """E ℓ, E ℓ′ and −E ℓ″ of each cell under η ~ N(mean, variance), at parameters φ.

    Parameters
    ----------
    glmm : GLMM
    mean, variance : ndarray, shape (N,)
        Of the whole linear predictor, its offset included.
    phi : tuple of float
    """
    family, statistics = glmm.family, glmm.response.statistics
    if family.expectations is not None:
        return family.expectations(mean, variance, statistics, phi)
    nodes, weights = _gauss_hermite()
    n = len(mean)
    out = Expected(np.empty(n), np.empty(n), np.empty(n))
    for part in _parts(n):
        eta = mean[part, None] + np.sqrt(variance[part, None]) * nodes
        here = tuple(s[part, None] for s in statistics)
        first, second = family.derivatives(eta, here, phi)
        out.log_likelihood[part] = family.log_likelihood(eta, here, phi) @ weights
        out.slope[part] = first @ weights
        out.curvature[part] = -(second @ weights)
    return out


def expected_log_likelihood(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, phi: tuple[Any, ...]
) -> float:
    """Sum of E ℓ over the cells; see :func:`expectations`."""
    family, statistics = glmm.family, glmm.response.statistics
    if family.expectations is not None:
        return float(family.expectations(mean, variance, statistics, phi).log_likelihood.sum())
    nodes, weights = _gauss_hermite()
    total = 0.0
    for part in _parts(len(mean)):
        eta = mean[part, None] + np.sqrt(variance[part, None]) * nodes
        here = tuple(s[part, None] for s in statistics)
        total += float((family.log_likelihood(eta, here, phi) @ weights).sum())
    return total


def _parts(n: int) -> list[slice]:
    step = _BLOCK // _NODES
    return [slice(at, min(at + step, n)) for at in range(0, n, step)]


@cache
def _gauss_hermite() -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for expectations under N(0, 1); Golub & Welsch (1969)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return nodes, weights / weights.sum()
