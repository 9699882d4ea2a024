"""Whether estimands move when short chains that leave the posterior invariant start from q's draws.

If q is the posterior, so is the distribution after any number of steps. What moves is not where q
has it; what does not, may only be slow: shifts found here are lower bounds. The idea of TADDAA
(Wang, Kasprzak & Huggins 2023), with standard errors from the blocks of the chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray

SURELY, LIKELY = 3.0, 2.0  # standard errors


@dataclass(frozen=True)
class Blocks:
    """Moments of estimands in parts of the chains that are nearly independent.

    Attributes
    ----------
    first, second : ndarray, shape (blocks, estimands)
        Means of x − centre and of its square.
    centre : ndarray, shape (estimands,)
    """

    first: FloatArray
    second: FloatArray
    centre: FloatArray

    def mean_and_log_sd(self) -> tuple[FloatArray, FloatArray]:
        """Over all blocks, shape (estimands,) each."""
        return _moments(self.first.mean(0), self.second.mean(0), self.centre)

    def standard_errors(self) -> tuple[FloatArray, FloatArray]:
        """Of the mean and of the log sd, by the jackknife over blocks (Efron & Stein 1981)."""
        n = len(self.first)
        without = [(n * total.mean(0) - total) / (n - 1) for total in (self.first, self.second)]
        mean, log_sd = _moments(without[0], without[1], self.centre)
        scale = np.sqrt((n - 1) / n)
        return tuple(  # type: ignore[return-value]
            scale * np.sqrt(((part - part.mean(0)) ** 2).sum(0)) for part in (mean, log_sd)
        )


def _moments(
    first: FloatArray, second: FloatArray, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    variance = np.maximum(second - first**2, np.finfo(float).tiny)
    return centre + first, 0.5 * np.log(variance)


def in_blocks(values: FloatArray, pieces: int = 1) -> Blocks:
    """Blocks of draws of shape (chain, draw, estimands).

    Parameters
    ----------
    values : ndarray, shape (chain, draw, estimands)
    pieces : int
        Consecutive parts that each chain is cut into.
    """
    chains, draws, k = values.shape
    centre = values.mean((0, 1))
    length = draws // pieces
    cut = (values - centre)[:, : length * pieces].reshape(chains * pieces, length, k)
    return Blocks(cut.mean(1), (cut**2).mean(1), centre)


def moves(q: FloatArray, chains: FloatArray, pieces: int = 1) -> pd.DataFrame:
    """How far the chains' moments are from q's.

    Parameters
    ----------
    q : ndarray, shape (draws, estimands)
        Independent draws.
    chains : ndarray, shape (chain, draw, estimands)
    pieces : int
        See :func:`in_blocks`.

    Returns
    -------
    DataFrame
        One row per estimand: ``shift`` (mean of q − mean of the chains, in sds of the chains) with
        ``shift_se``, ``sd_ratio`` (q's over the chains') with ``log_ratio_se``, and what of both
        is beyond three standard errors: ``sure_shift``, ``sure_log_ratio``.
    """
    own, other = in_blocks(q[:, None], 1), in_blocks(chains, pieces)
    n = len(q)
    mean_q, sd_q = q.mean(0), q.std(0)
    mean, log_sd = other.mean_and_log_sd()
    mean_se, log_sd_se = other.standard_errors()
    constant = (sd_q == 0) & (np.exp(log_sd) < 1e-100)
    sd = np.where(constant, 1.0, np.exp(log_sd))
    shift = (mean_q - mean) / sd
    shift_se = np.hypot(mean_se / sd, sd_q / sd / np.sqrt(n))
    with np.errstate(divide="ignore"):
        log_ratio = np.where(constant, 0.0, np.log(sd_q) - log_sd)
    log_ratio_se = np.hypot(log_sd_se, _log_sd_se(own))
    return pd.DataFrame(
        {
            "shift": shift,
            "shift_se": shift_se,
            "sd_ratio": np.exp(log_ratio),
            "log_ratio_se": np.where(constant, 0.0, log_ratio_se),
            "sure_shift": _beyond(shift, SURELY * shift_se),
            "sure_log_ratio": _beyond(log_ratio, SURELY * log_ratio_se),
            "likely_shift": _beyond(shift, LIKELY * shift_se),
            "likely_log_ratio": _beyond(log_ratio, LIKELY * log_ratio_se),
        }
    )


def _log_sd_se(own: Blocks) -> FloatArray:
    """Of independent draws, whatever their kurtosis."""
    return own.standard_errors()[1]


def _beyond(value: FloatArray, error: FloatArray) -> FloatArray:
    return np.sign(value) * np.maximum(np.abs(value) - error, 0)
