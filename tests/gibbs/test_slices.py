"""Slice steps leave densities as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pymc_vmrp.gibbs.slices import slice_sample


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.02, 1.0, 300.0])
@pytest.mark.parametrize(
    ("distribution", "start"),
    [(stats.norm(3, 2), 0.0), (stats.expon(1), 1.5), (stats.gamma(0.7), 1.0)],
)
def test_invariance(distribution, start, width):
    """From exact draws, one step each: they stay exact draws, whatever the width."""
    rng = np.random.default_rng(1)

    def log_density(x):
        return float(distribution.logpdf(x)) if x > distribution.support()[0] else -math.inf

    draws = [
        slice_sample(rng, log_density, x, width) for x in distribution.rvs(600, random_state=2)
    ]
    assert stats.kstest(draws, distribution.cdf).pvalue > 1e-4
    assert len(set(draws)) == 600


def test_two_humps_are_left_as_they_are():
    rng = np.random.default_rng(3)

    def log_density(x):
        return float(np.logaddexp(-5 * (x - 1) ** 2, -5 * (x + 1) ** 2))

    x, kept = 1.0, []
    for _ in range(4000):
        x = slice_sample(rng, log_density, x, 1.0)
        kept.append(x)
    assert abs(np.mean(np.array(kept) > 0) - 0.5) < 0.1


def test_a_point_mass_ends():
    assert (
        slice_sample(np.random.default_rng(0), lambda x: 0.0 if x == 2.0 else -1e300, 2.0, 1) == 2
    )
