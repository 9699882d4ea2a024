from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import ks_2samp

from pymc_vmrp.calibration.simulation import randomized_pit
from pymc_vmrp.calibration.uniformity import (
    chi_square,
    direction,
    holm,
    ks_symmetric,
    walk_exceeds,
)


def test_chi_square_is_pearsons():
    pit = np.random.default_rng(1).beta(1.3, 1, 200)
    counts, _ = np.histogram(pit, 10, (0, 1))
    np.testing.assert_allclose(chi_square(pit, 10), stats.chisquare(counts))


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_the_walk_by_enumeration(n):
    paths = np.cumsum(list(product([-1, 1], repeat=n)), axis=1)
    largest = np.abs(paths).max(1)
    for a in range(n + 2):
        assert walk_exceeds(n, a) == pytest.approx((largest >= a).mean(), abs=1e-12)


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=40, unique=True))
@settings(max_examples=50, deadline=None)
def test_symmetry_statistic_is_the_two_sample_one(values):
    p = np.array(values)
    distinct = np.unique(np.concatenate([p, 1 - p]).round(12))
    if len(distinct) == 2 * len(p):  # without ties
        assert ks_symmetric(p)[0] == pytest.approx(ks_2samp(p, 1 - p).statistic)


@pytest.mark.slow
def test_symmetry_has_its_size_and_power():
    rng = np.random.default_rng(2)
    u_shaped = [ks_symmetric(rng.beta(0.5, 0.5, 60))[1] for _ in range(1500)]
    assert (np.array(u_shaped) < 0.1).mean() == pytest.approx(0.1, abs=0.03)
    assert ks_symmetric(rng.beta(1.6, 1, 200))[1] < 1e-3


def test_holm():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.005])), [0.06, 0.03, 0.06, 0.02])


def test_directions():
    rng = np.random.default_rng(3)
    assert direction(rng.beta(0.4, 0.4, 500)) == "too narrow"
    assert direction(rng.beta(2, 2, 500)) == "too wide"
    assert direction(rng.beta(1.5, 1, 500)) == "shifted"


def test_ranks_with_ties_are_uniform():
    rng = np.random.default_rng(4)
    pit = np.array(
        [
            randomized_pit(rng.poisson(2, 1).astype(float), rng.poisson(2, (19, 1)), rng)[0]
            for _ in range(3000)
        ]
    )
    assert stats.kstest(pit, "uniform").pvalue > 0.01
    low = randomized_pit(np.array([0.0]), np.ones((9, 1)), rng)
    high = randomized_pit(np.array([2.0]), np.ones((9, 1)), rng)
    assert 0 <= low[0] < 0.1
    assert 0.9 < high[0] < 1
