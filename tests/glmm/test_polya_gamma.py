"""Pólya–Gamma draws against their Laplace transform and cumulants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm.polya_gamma import _unit_cumulants, random_polya_gamma

SHAPES = [0.05, 0.7, 1.0, 2.0, 3.0, 2.5, 13.0, 400.0]


def log_transform(h, z, t):
    """Log E exp(−tω) of ω ~ PG(h, z): Polson, Scott & Windle (2013), section 2."""
    return h * (np.log(np.cosh(z / 2)) - np.log(np.cosh(np.sqrt(2 * t + z**2) / 2)))


@pytest.mark.parametrize("h", SHAPES)
@pytest.mark.parametrize("z", [0.0, 1.5, 6.0])
def test_moments_and_transform(h, z):
    n = 40_000
    rng = np.random.default_rng([int(10 * h), int(10 * z)])
    draws = random_polya_gamma(rng, np.full(n, h), np.full(n, -z))
    mean, variance = (float(x[0]) for x in _unit_cumulants(np.array([z])))
    mean, variance = h * mean / (2 * np.pi**2), h * variance / (2 * np.pi**2) ** 2
    assert abs(draws.mean() - mean) < 4.5 * np.sqrt(variance / n)
    squares = (draws - mean) ** 2
    assert abs(squares.mean() - variance) < 4.5 * squares.std() / np.sqrt(n)
    t = 1 / np.sqrt(variance)  # where the transform is sensitive to the shape of the distribution
    values = np.exp(-t * (draws - mean))
    expected = np.exp(log_transform(h, z, t) + t * mean)
    assert abs(values.mean() - expected) < 4.5 * values.std() / np.sqrt(n)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 60))
def test_cumulants_are_those_of_the_series(z):
    k = np.arange(100_000) + 0.5
    weights = 1 / (k**2 + (z / (2 * np.pi)) ** 2)
    mean, variance = (float(x[0]) for x in _unit_cumulants(np.array([z])))
    assert mean == pytest.approx(weights.sum() + 1e-5, rel=1e-9)  # the integral of what is left out
    assert variance == pytest.approx((weights**2).sum(), rel=1e-9)


def test_what_is_left_out_of_the_skewness():
    k = np.arange(100_000) + 0.5
    for z, most in ((2.0, 1e-6), (6.0, 3e-5), (12.0, 5e-4)):
        weights = 1 / (k**2 + (z / (2 * np.pi)) ** 2)
        rest = weights[6:]
        drawn = 2 * (rest**2).sum() ** 2 / rest.sum()  # third cumulant of the gamma variable
        missed = 2 * (rest**3).sum() - drawn
        assert 0 < missed / (weights**2).sum() ** 1.5 < most


def test_cells_without_trials_say_nothing_and_others_come_in_order():
    rng = np.random.default_rng(0)
    h = np.array([0.0, 1.0, 1000.0, 0.0, 2.5])
    draws = random_polya_gamma(rng, h, np.zeros(5))
    assert (draws[[0, 3]] == 0).all()
    assert (draws[[1, 2, 4]] > 0).all()
    assert draws[2] == pytest.approx(250, rel=0.2)
