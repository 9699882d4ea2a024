"""Gaussian family with identity link. Cells hold (mean, n, sum of squares around the mean).

Of a response ``se(y, sd)``, whose standard deviations are known, n sums 1/sd² and σ is 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import (
    Expected,
    Family,
    Parameter,
    Parameters,
    Rows,
    Statistics,
    TwoArrays,
)
from pymc_vmrp.glmm.priors.scales import HalfStudentT

_LOG_2PI = np.log(2 * np.pi)


def _pool(rows: Rows, cells: Cells) -> Statistics:
    weights = rows.ones if rows.sd is None else rows.ones / rows.sd**2
    y = rows.y if rows.offset is None else rows.y - rows.offset
    n = cells.sum(weights)
    mean = cells.sum(weights * y) / np.where(n > 0, n, 1.0)
    squares = cells.sum(weights * (y - mean[cells.index]) ** 2)
    return mean, n, squares


def _constants(rows: Rows) -> FloatArray:
    """What known sds add: the statistics count 1/sd² rows of sd 1 for each row."""
    if rows.sd is None:
        return np.broadcast_to(0.0, len(rows.y))
    return np.asarray(-np.log(rows.sd) - 0.5 * _LOG_2PI * (1 - rows.sd**-2.0))


def _log_likelihood(eta: FloatArray, statistics: Statistics, phi: Parameters) -> FloatArray:
    mean, n, squares = statistics
    (sigma,) = phi
    distance = squares + n * (mean - eta) ** 2
    return np.asarray(-n * (np.log(sigma) + 0.5 * _LOG_2PI) - 0.5 * distance / sigma**2)


def _derivatives(eta: FloatArray, statistics: Statistics, phi: Parameters) -> TwoArrays:
    mean, n, _ = statistics
    precision = n / phi[0] ** 2
    return precision * (mean - eta), -precision + 0.0 * eta


def _augment(
    _: np.random.Generator, eta: FloatArray, statistics: Statistics, phi: Parameters
) -> TwoArrays:
    """Quadratic as it is."""
    mean, n, _squares = statistics
    precision = n / phi[0] ** 2
    return precision, precision * mean


def _expectations(
    mean: FloatArray, variance: FloatArray, statistics: Statistics, phi: Parameters
) -> Expected:
    slope, curvature = _derivatives(mean, statistics, phi)
    expected = _log_likelihood(mean, statistics, phi) + 0.5 * curvature * variance
    return Expected(expected, slope, -curvature)


def mean_response(statistics: Statistics, offset: FloatArray | None) -> float:
    """Mean of the response less its offset, of statistics that begin with (y, weight)."""
    y, weight = statistics[:2]
    return float(np.average(y if offset is None else y - offset, weights=weight))


def response_start(y: FloatArray, n: FloatArray) -> TwoArrays:
    """Every cell at the mean of the response, with its variance."""
    total = n.sum()
    mean = n @ y / total
    return np.full(len(y), mean), np.full(len(y), max(n @ (y - mean) ** 2 / total, 1e-300))


def _likelihood(
    name: str, eta: Any, statistics: Statistics, parameters: dict[str, Any], dims: str
) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    mean, n, squares = statistics
    sigma = parameters["sigma"]
    pm.Normal(name, mu=eta, sigma=sigma / np.sqrt(np.maximum(n, 1e-300)), observed=mean, dims=dims)
    # what the squares around the cells' means say of σ; the mean of a cell counts as one row
    spare = n.sum() - len(n)
    if squares.sum() > 0 or spare != 0:
        within = -spare * pt.log(sigma) - 0.5 * squares.sum() / sigma**2
        pm.Potential(f"{name}_within", within)


def _draw(rng: np.random.Generator, eta: FloatArray, _: Any, phi: Parameters) -> Any:
    return rng.normal(eta, phi[0])


FAMILIES = (
    Family(
        name="gaussian",
        link="identity",
        response="real",
        inverse_link=lambda eta: eta,
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        expectations=_expectations,
        pool=_pool,
        constants=_constants,
        start=lambda statistics: response_start(*statistics[:2]),
        likelihood=_likelihood,
        draw=_draw,
        centre=mean_response,
        parameters=(
            Parameter("sigma", lambda sd: HalfStudentT(4, sd), (-4.0, 2.0), relative=True),
        ),
        form="gaussian",
        pools=True,
        absorbs_offset=True,
        scaled=True,
        augment=_augment,
    ),
)
