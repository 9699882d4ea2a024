"""Poisson family with log link. Cells hold (count, exposure); offsets go into the exposure."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import (
    Expected,
    Family,
    Parameters,
    Rows,
    Statistics,
    TwoArrays,
)

LARGEST_EXPONENT = 600.0  # whose exponential leaves room for what it is multiplied by


def _pool(rows: Rows, cells: Cells) -> Statistics:
    exposure = np.broadcast_to(1.0, len(rows.y)) if rows.offset is None else np.exp(rows.offset)
    return cells.sum(rows.weighted(rows.y)), cells.sum(rows.weighted(exposure))


def _constants(rows: Rows) -> FloatArray:
    log_factorials = -gammaln(rows.y + 1.0)
    return log_factorials if rows.offset is None else log_factorials + rows.y * rows.offset


def _log_likelihood(eta: FloatArray, statistics: Statistics, _: Parameters) -> FloatArray:
    y, exposure = statistics
    return np.asarray(y * eta - exposure * np.exp(eta))


def _derivatives(eta: FloatArray, statistics: Statistics, _: Parameters) -> TwoArrays:
    y, exposure = statistics
    rate = exposure * np.exp(eta)
    return y - rate, -rate


def _expectations(
    mean: FloatArray, variance: FloatArray, statistics: Statistics, _: Parameters
) -> Expected:
    """E e^η = e^(μ + v/2)."""
    y, exposure = statistics
    # without the bound a cell of no exposure would have 0 × inf
    rate = exposure * np.exp(np.minimum(mean + 0.5 * variance, LARGEST_EXPONENT))
    return Expected(y * mean - rate, y - rate, rate)


def log_rate_start(y: FloatArray, exposure: FloatArray) -> TwoArrays:
    """Each cell's log rate, drawn towards the overall rate as by one more expected event."""
    rate = (y.sum() + 0.5) / max(exposure.sum(), 1e-300)
    return np.log((y + 1) / (exposure + 1 / rate)), np.full(len(y), 0.1)


def log_mean(statistics: Statistics, offset: FloatArray | None) -> float:
    """Log of the mean response per unit of exposure, of statistics (y, weight)."""
    y, weight = statistics
    exposure = weight if offset is None else weight * np.exp(offset)
    return float(np.log(weight @ y / exposure.sum()))


def _likelihood(name: str, eta: Any, statistics: Statistics, _: dict[str, Any], dims: str) -> None:
    import pymc as pm
    import pytensor.tensor as pt

    from pymc_vmrp.glmm.pymc_likelihoods import observed

    y, exposure = statistics
    if np.all(y == np.floor(y)) and np.all(exposure > 0):
        pm.Poisson(name, mu=exposure * pt.exp(eta), observed=y.astype(np.int64), dims=dims)
    else:

        def logp(value: Any, at: Any, n: Any) -> Any:
            return value * at - n * pt.exp(at)

        observed(name, y, dims, logp, eta, exposure)


def _draw(rng: np.random.Generator, eta: FloatArray, _: Any, __: Parameters) -> Any:
    return rng.poisson(np.exp(eta))


FAMILIES = (
    Family(
        name="poisson",
        link="log",
        response="count",
        inverse_link=np.exp,
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        expectations=_expectations,
        pool=_pool,
        constants=_constants,
        start=lambda statistics: log_rate_start(*statistics),
        likelihood=_likelihood,
        draw=_draw,
        centre=lambda statistics, _: float(np.log(statistics[0].sum() / statistics[1].sum())),
        pools=True,
        absorbs_offset=True,
    ),
)
