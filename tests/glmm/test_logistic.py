"""Closed-form expectations against numerical integration and against scipy's Φ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr

from pymc_vmrp.glmm.logistic import (
    CHUNK,
    MIXTURE_P,
    MIXTURE_S,
    PARALLEL_FROM,
    logistic_expectations,
)

MEANS = st.floats(-1e3, 1e3)
VARIANCES = st.floats(-12, 6).map(lambda exponent: 10.0**exponent)


def expectations(mean, variance):
    mean, variance = (np.ascontiguousarray(a, dtype=float) for a in (mean, variance))
    out = np.empty((3, mean.size))
    logistic_expectations(mean, variance, *out)
    return out


def probit_mixture(mean, variance):
    """The same closed form, by scipy; numpy's sums."""
    tau = np.sqrt(np.asarray(variance)[:, None] + 1 / np.square(MIXTURE_S))
    mean = np.asarray(mean)[:, None]
    z = mean / tau
    pdf = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return [(MIXTURE_P * part).sum(1) for part in (mean * ndtr(z) + tau * pdf, ndtr(z), pdf / tau)]


def integrals(mean, variance):
    """Trapezoids over an even grid, which converge faster than any power.

    Over η where the Gaussian is the narrower; else over a logistic t, for logit⁻¹(η) = P(t < η).
    """
    sd = np.sqrt(variance)
    if sd < 2:
        z = np.linspace(-12, 12, 2401)
        weight = np.exp(-0.5 * z**2)
        eta = mean + sd * z
        parts = np.logaddexp(0, eta), expit(eta), expit(eta) * expit(-eta)
    else:
        t = np.linspace(-45, 45, 3601)
        weight = expit(t) * expit(-t)
        z = (mean - t) / sd
        pdf = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        parts = (mean - t) * ndtr(z) + sd * pdf, ndtr(z), pdf / sd
    return [(part * weight).sum() / weight.sum() for part in parts]


def test_error_against_the_exact_integrals():
    magnitudes = np.r_[0, np.linspace(0.01, 40, 150), 1e2, 1e3]
    mean, variance = (
        a.ravel() for a in np.meshgrid(np.r_[-magnitudes, magnitudes], 10.0 ** np.arange(-12, 7))
    )
    exact = np.array([integrals(m, v) for m, v in zip(mean, variance, strict=True)]).T
    softplus, probability, slope = expectations(mean, variance)
    assert np.max(np.abs(softplus - exact[0]) / np.maximum(1, exact[0])) < 1e-8
    assert np.max(np.abs(probability - exact[1])) < 3e-9
    assert np.max(np.abs(slope - exact[2])) < 1.5e-8


def in_tail(mean, variance):
    return np.abs(mean) > 5 + 2 * np.asarray(variance)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(MEANS, VARIANCES), min_size=1, max_size=40))
@example([(-m, 20.0) for m in np.linspace(0, 160, 300)])
def test_all_but_the_tails_are_those_of_the_mixture(pairs):
    mean, variance = np.array([pair for pair in pairs if not in_tail(*pair)] or [(0.0, 1.0)]).T
    actual, expected = expectations(mean, variance), probit_mixture(mean, variance)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-13, atol=1e-12)
    # to the last normal numbers
    for a, e in zip(actual[1:], expected[1:], strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-290)


@pytest.mark.parametrize("variance", [1e-12, 1e-3, 0.1, 0.5, 1.0, 2.0, 6.0, 12.0, 40.0])
def test_tails_have_relative_accuracy(variance):
    """Rare events among millions of trials, and what is negative binomial but nearly Poisson."""
    mean = -5 - 2 * variance - np.r_[1e-9, np.linspace(0.1, 30, 40)]
    z = np.linspace(-20, 20, 8001)  # around the mean of e^η N(η), which holds the mass
    weight = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    eta = mean[:, None] + variance + np.sqrt(variance) * z
    scale = np.exp(mean + 0.5 * variance)
    parts = np.log1p(np.exp(eta)) * np.exp(-eta), expit(-eta), expit(-eta) ** 2
    exact = [scale * (part @ weight) for part in parts]
    actual = expectations(mean, np.full(mean.size, variance))
    np.testing.assert_allclose(actual[0], exact[0], rtol=1e-5)
    np.testing.assert_allclose(actual[1], exact[1], rtol=3e-8)
    np.testing.assert_allclose(actual[2], exact[2], rtol=3e-8)


@settings(max_examples=100, deadline=None)
@given(MEANS, VARIANCES)
def test_symmetry(mean, variance):
    (up, down), (p, q), (slope, same) = expectations([mean, -mean], [variance] * 2)
    assert up - down == pytest.approx(mean, rel=1e-13, abs=1e-13)
    assert p + q == pytest.approx(1, abs=1e-14)
    assert slope == same >= 0
    assert max(0, mean) * (1 - 1e-13) <= up
    assert 0 <= p <= 1


@settings(max_examples=300, deadline=None)
@given(
    st.floats(allow_nan=False),
    st.floats(min_value=0, allow_nan=False),
)
@example(np.inf, np.inf)
@example(-np.inf, 0.0)
@example(1e308, 1e308)
def test_nothing_is_not_a_number(mean, variance):
    softplus, probability, slope = expectations([mean], [variance])
    assert softplus[0] >= 0
    assert 0 <= probability[0] <= 1
    assert 0 <= slope[0] <= 0.25
    assert np.isfinite(softplus[0]) or mean == np.inf


def test_what_is_not_a_number_stays_so():
    assert np.isnan(expectations([np.nan, 0.0], [1.0, np.nan])).all()


@pytest.mark.parametrize("n", [0, 1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_an_element_does_not_depend_on_its_place(n):
    rng = np.random.default_rng(n)
    mean, variance = rng.normal(size=n) * 10, rng.gamma(1, 1, n)
    together = expectations(mean, variance)
    alone = [expectations([m], [v])[:, 0] for m, v in zip(mean, variance, strict=True)]
    np.testing.assert_array_equal(together, np.reshape(alone, (n, 3)).T)


def test_threads_do_not_change_a_bit(monkeypatch):
    rng = np.random.default_rng(0)
    n = PARALLEL_FROM + 17
    mean, variance = rng.normal(size=n) * 10, rng.gamma(1, 1, n)
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        results.append(expectations(mean, variance))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    middle = ~in_tail(mean, variance)
    expected = probit_mixture(mean[middle], variance[middle])[1]
    np.testing.assert_allclose(results[0][1][middle], expected, rtol=1e-12)
