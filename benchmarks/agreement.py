"""How far a posterior is from a reference of which moments or quantiles are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

FloatArray = NDArray[np.float64]

INTERVAL = (0.05, 0.95)  # of which coverage is told


def normal_probability(
    low: FloatArray, high: FloatArray, mean: FloatArray, sd: FloatArray
) -> FloatArray:
    """Probability of each interval [low, high] under N(mean, sd²)."""
    return np.asarray(norm.cdf(high, mean, sd) - norm.cdf(low, mean, sd))


def quantile_probability(
    low: float, high: float, quantiles: FloatArray, levels: FloatArray
) -> float:
    """Probability of [low, high] under a distribution of which some quantiles are known.

    Between and beyond them its normal scores are taken for linear, which is exact for a normal.
    """
    scores = norm.ppf(levels)
    return float(norm.cdf(_line(high, quantiles, scores)) - norm.cdf(_line(low, quantiles, scores)))


def _line(x: float, knots: FloatArray, values: FloatArray) -> float:
    """Linear interpolation that goes on beyond the first and the last knot."""
    i = int(np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2))
    slope = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
    return float(values[i] + slope * (x - knots[i]))


def summarise(draws: FloatArray) -> pd.DataFrame:
    """Mean, sd and the limits of the central 90% interval of each column of draws (S, k)."""
    low, high = np.quantile(draws, INTERVAL, axis=0)
    return pd.DataFrame(
        {"mean": draws.mean(0), "sd": draws.std(0, ddof=1), "low": low, "high": high}
    )


def distances(found: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """|Shift| in sds of the reference, ratio of sds and probability covered, by row.

    Parameters
    ----------
    found : DataFrame
        Of :func:`summarise`.
    reference : DataFrame
        Rows in the same order, with ``mean``, ``sd``, and ``q025``, ``q05``, ``q50``, ``q95``,
        ``q975``, or none but ``q05`` and ``q95``: then it is taken for normal.
    """
    mean, sd = reference["mean"].to_numpy(), reference["sd"].to_numpy()
    low, high = found["low"].to_numpy(), found["high"].to_numpy()
    names = ["q025", "q05", "q50", "q95", "q975"]
    if set(names) <= set(reference.columns):
        levels = np.array([0.025, 0.05, 0.5, 0.95, 0.975])
        rows = zip(low, high, reference[names].to_numpy(), strict=True)
        covered = np.array([quantile_probability(a, b, knots, levels) for a, b, knots in rows])
    else:
        covered = normal_probability(low, high, mean, sd)
    return pd.DataFrame(
        {
            "shift": np.abs(found["mean"].to_numpy() - mean) / sd,
            "sd_ratio": found["sd"].to_numpy() / sd,
            "covered": covered,
        }
    )
