"""Weights of points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pymc_vmrp.cavi.weights import (
    agreed,
    calibrate,
    effective_size,
    importance_weights,
    log_normaliser,
    systematic_counts,
)


def test_effective_size():
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)


def test_importance_weights_are_truncated():
    weights = importance_weights(np.array([0.0] * 99 + [5.0]))
    assert weights.sum() == pytest.approx(1)
    assert 0.15 < weights[-1] < 0.25  # without truncation 0.6
    np.testing.assert_allclose(importance_weights(np.full(5, 700.0)), 0.2)


def test_calibration_meets_the_target_and_does_nothing_where_it_is_met():
    x = np.random.default_rng(0).normal(size=(300, 3))
    features = np.hstack([x, x**2])
    base = np.full(300, 1 / 300)
    weights = calibrate(features, np.array([0.1, 0, 0, 1, 1, 1]), base)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights @ features, [0.1, 0, 0, 1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(calibrate(features, features.mean(0), base), base, rtol=1e-5)


def test_calibration_gives_up_where_no_weights_do_it():
    x = np.random.default_rng(0).uniform(size=(20, 1))
    np.testing.assert_array_equal(calibrate(x, np.array([2.0]), np.full(20, 0.05)), 0.05)


def test_bridge_sampling_finds_the_normaliser():
    rng = np.random.default_rng(1)
    own, reference = rng.gamma(4, 1, 4000), rng.normal(4, 2.5, 4000)
    g = stats.norm(4, 2.5)

    def log_f(x):
        return np.where(x > 0, stats.gamma(4).logpdf(np.maximum(x, 1e-9)) + 2.5, -np.inf)

    found = log_normaliser((log_f(own), g.logpdf(own)), (log_f(reference), g.logpdf(reference)))
    assert found == pytest.approx(2.5, abs=0.03)


def test_systematic_counts_are_expectations_rounded():
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.full(50, 0.5))
    for _ in range(20):
        counts = systematic_counts(rng, weights, 333)
        assert counts.sum() == 333
        assert (np.abs(counts - 333 * weights) < 1 + 1e-9).all()


def test_normalisers_of_several_samples_are_made_to_agree():
    """Of three normal distributions, two of which claim densities that are off by constants."""
    rng = np.random.default_rng(3)
    means, sds, sizes = np.array([0.0, 0.5, -0.3]), np.array([1.0, 1.3, 0.8]), [2000, 3000, 1000]
    x = np.concatenate([rng.normal(m, s, n) for m, s, n in zip(means, sds, sizes, strict=True)])
    exact = -0.5 * ((x - means[:, None]) / sds[:, None]) ** 2 - np.log(sds)[:, None]
    wrong = exact + np.array([0.0, 2.0, -3.0])[:, None]
    offsets = agreed(wrong, np.array(sizes) / sum(sizes))
    np.testing.assert_allclose(offsets - offsets[0], [0.0, -2.0, 3.0], atol=0.05)
