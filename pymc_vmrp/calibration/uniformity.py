"""Tests of ranks: whether they are uniform, or symmetric, and what a deviation means."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtrc
from scipy.stats import binom, kstest

from pymc_vmrp.arrays import FloatArray


def chi_square(pit: FloatArray, bins: int) -> tuple[float, float]:
    """Pearson's χ² statistic of equal counts in ``bins`` bins of (0, 1), and its p-value.

    Talts et al. (2018), section 4.1, test the counts of ranks so.
    """
    counts = np.bincount(np.minimum((pit * bins).astype(int), bins - 1), minlength=bins)
    expected = len(pit) / bins
    statistic = float(((counts - expected) ** 2).sum() / expected)
    return statistic, float(chdtrc(bins - 1, statistic))


def ks_uniform(pit: FloatArray) -> float:
    """P-value of Kolmogorov's test that the values are uniform on (0, 1)."""
    return float(kstest(pit, "uniform").pvalue)


def ks_symmetric(pit: FloatArray) -> tuple[float, float]:
    """Two-sample Kolmogorov statistic of p and 1 − p, and its p-value if p is symmetric around ½.

    Yao et al. (2018), algorithm 2, compare p with 1 − p so. These are not two independent samples:
    n times the statistic is the largest |sum| of the signs of p − ½, taken from the outermost
    value inwards. Under symmetry they are independent coin flips, so that its distribution is that
    of the maximum of a random walk (Butler 1969).
    """
    deviation = pit - 0.5
    order = np.argsort(-np.abs(deviation), kind="stable")
    largest = int(np.abs(np.cumsum(np.sign(deviation[order]))).max())
    return largest / len(pit), walk_exceeds(len(pit), largest)


def walk_exceeds(n: int, a: int) -> float:
    """P(max_k |S_k| ≥ a) of a simple random walk of n steps.

    By repeated reflection P(max |S_k| < a) = Σ_j (−1)^j P((2j − 1)a < S_n < (2j + 1)a), over all
    whole j (Billingsley 1968, section 11).
    """
    if a <= 0:
        return 1.0
    j = np.arange(-(n // (2 * a)) - 1, n // (2 * a) + 2)
    # S_n = 2K − n with K binomial; both bounds are exclusive
    first = np.floor(((2 * j - 1) * a + n) / 2) + 1
    last = np.ceil(((2 * j + 1) * a + n) / 2) - 1
    inside = float(((-1.0) ** j * (binom.cdf(last, n, 0.5) - binom.cdf(first - 1, n, 0.5))).sum())
    return float(np.clip(1 - inside, 0.0, 1.0))


def holm(p: FloatArray) -> FloatArray:
    """Adjusted p-values by Holm's (1979) step-down method, shape (k,)."""
    order = np.argsort(p)
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def direction(pit: FloatArray) -> str:
    """What non-uniform ranks imply of the posterior: "too narrow", "too wide" or "shifted".

    Whichever of two means is further from that of uniform values, in standard errors: of |p − ½|
    (large if the posterior is too narrow, Talts et al. 2018, section 4.2), or of p.
    """
    n = len(pit)
    shift = (pit.mean() - 0.5) * np.sqrt(12 * n)
    spread = (np.abs(pit - 0.5).mean() - 0.25) * np.sqrt(48 * n)
    if abs(shift) >= abs(spread):
        return "shifted"
    return "too narrow" if spread > 0 else "too wide"
