"""Elementary functions against the mathematical library's."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from pymc_vmrp.glmm.vectorised import exp_of_nonpositive, expit, softplus

EPS = np.finfo(float).eps
TINY = np.finfo(float).tiny


def compiled(function):
    """A loop over an array, which LLVM vectorises."""

    @numba.njit(error_model="numpy", fastmath={"contract"})
    def loop(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    def call(x):
        out = np.empty(len(x))
        loop(x, out)
        return out

    return call


@pytest.mark.parametrize(
    ("actual", "expected", "low", "high"),
    [
        (exp_of_nonpositive, np.exp, -708.3, 0),
        (softplus, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), -708, 1e3),
        (expit, special.expit, -708, 1e3),
    ],
    ids=["exp", "softplus", "expit"],
)
def test_relative_error_is_a_few_units_in_the_last_place(actual, expected, low, high):
    rng = np.random.default_rng(0)
    x = np.r_[
        low, high, rng.uniform(low, high, 20_000), rng.uniform(max(low, -2), min(high, 2), 99)
    ]
    np.testing.assert_allclose(compiled(actual)(x), expected(x), rtol=4 * EPS)


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False))
@example(np.inf)
@example(-np.inf)
@example(-708.5)
@example(-708.9)
@example(-0.0)
def test_any_number_at_all(x):
    assert softplus(x) == pytest.approx(np.logaddexp(0, x), rel=4 * EPS, abs=2 * TINY)
    assert expit(x) == pytest.approx(special.expit(x), rel=4 * EPS, abs=2 * TINY)
    assert exp_of_nonpositive(-abs(x)) == pytest.approx(np.exp(-abs(x)), rel=4 * EPS, abs=2 * TINY)


def test_what_is_not_a_number_stays_so():
    assert all(np.isnan(f(np.nan)) for f in (exp_of_nonpositive, softplus, expit))
