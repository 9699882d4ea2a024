"""The logistic likelihood against scipy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.families import BINOMIAL, get_family, log_binomial_coefficients

ETA = np.linspace(-6, 6, 13)
Y, N = np.full(13, 3.0), np.full(13, 7.0)


def test_log_likelihood_is_scipys():
    expected = stats.binom.logpmf(Y, N, expit(ETA))
    actual = BINOMIAL.log_likelihood(ETA, Y, N) + log_binomial_coefficients(Y[:1], N[:1])
    np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_derivatives_are_finite_differences():
    h = 1e-4
    first, second = BINOMIAL.derivatives(ETA, Y, N)
    high, middle, low = (BINOMIAL.log_likelihood(ETA + s, Y, N) for s in (h, 0, -h))
    np.testing.assert_allclose(first, (high - low) / (2 * h), atol=1e-6)
    np.testing.assert_allclose(second, (high - 2 * middle + low) / h**2, atol=1e-5)


def test_unknown_family():
    with pytest.raises(vmrp.FormulaError, match="bernoulli"):
        get_family("poisson")
