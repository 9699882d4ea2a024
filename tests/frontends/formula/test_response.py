"""Reading the response."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

G = ["a", "b"] * 4
BINARY = [1, 0, 0, 1, 1, 1, 0, 0]


def model(y, formula="y ~ (1|g)", **kwargs):
    return vmrp.Model(formula, pd.DataFrame({"y": y, "g": G}), **kwargs)


@pytest.mark.parametrize(
    ("values", "formula"),
    [
        (BINARY, "y ~ (1|g)"),
        (np.array(BINARY, dtype=float), "y ~ (1|g)"),
        (np.array(BINARY, dtype=bool), "y ~ (1|g)"),
        (pd.array(BINARY, dtype="Int64"), "y ~ (1|g)"),
        (pd.array(BINARY, dtype="boolean"), "y ~ (1|g)"),
        (["yes" if b else "no" for b in BINARY], "y['yes'] ~ (1|g)"),
        (pd.Categorical(["yes" if b else "no" for b in BINARY]), "y['yes'] ~ (1|g)"),
        ([b + 3 for b in BINARY], "I(y > 3) ~ (1|g)"),
        (pd.Series(BINARY, dtype=object), "y ~ (1|g)"),
        (pd.Series([bool(b) for b in BINARY], dtype=object), "y ~ (1|g)"),
    ],
)
def test_binary_forms(values, formula):
    np.testing.assert_array_equal(model(values, formula).observations.rows.y, BINARY)


def test_two_levels_follow_bambi_and_say_so():
    with pytest.warns(UserWarning, match=r"P\(y = 'no'\)"):
        m = model(["yes" if b else "no" for b in BINARY])
    np.testing.assert_array_equal(m.observations.rows.y, 1 - np.array(BINARY))
    assert "y = no" in repr(m)


@pytest.mark.parametrize(
    ("values", "formula", "message"),
    [
        ([0, 1, 2, 1, 0, 1, 0, 1], "y ~ (1|g)", "0 or 1.*2"),
        ([0.5] * 8, "y ~ (1|g)", "0 or 1"),
        (list("abcabcab"), "y ~ (1|g)", "two levels"),
        (["a"] * 8, "y ~ (1|g)", "two levels"),
        (list("abababab"), "y['c'] ~ (1|g)", "no level 'c'"),
        ([1, None, 0, 1, 1, 1, 0, 0], "y ~ (1|g)", "missing values in 'y' \\(1\\)"),
    ],
)
def test_not_binary(values, formula, message):
    with pytest.raises(vmrp.DataError, match=message):
        model(values, formula)


def proportion(successes, trials, formula="p(s, n) ~ (1|g)", family="binomial"):
    frame = pd.DataFrame({"s": successes, "n": trials, "g": ["a", "b"]})
    return vmrp.Model(formula, frame, family=family)


@pytest.mark.parametrize("formula", ["p(s, n) ~ (1|g)", "proportion(s, n) ~ (1|g)"])
def test_proportion(formula):
    m = proportion([1, 4], [3, 9], formula)
    np.testing.assert_array_equal(m.glmm.response.statistics[0], [1, 4])
    np.testing.assert_array_equal(m.glmm.response.statistics[1], [3, 9])


def test_arguments_by_name():
    m = proportion([1, 4], [3, 9], "p(trials=n, successes=s) ~ (1|g)")
    np.testing.assert_array_equal(m.glmm.response.statistics[1], [3, 9])


@pytest.mark.parametrize("response", ["p(s, n)", "p(trials=n, successes=s)"])
def test_the_number_of_trials_may_be_a_predictor_but_not_the_successes(response):
    assert proportion([1, 4], [3, 9], f"{response} ~ n").glmm.common.size == 2
    with pytest.raises(vmrp.FormulaError, match="'s' is the response"):
        proportion([1, 4], [3, 9], f"{response} ~ s")


def test_constant_trials():
    np.testing.assert_array_equal(
        proportion([1, 4], [0, 0], "p(s, 9) ~ (1|g)").glmm.response.statistics[1], [9, 9]
    )


@pytest.mark.parametrize(
    ("successes", "trials", "message"),
    [
        ([4, 4], [3, 9], "more successes than trials in 1"),
        ([-1, 4], [3, 9], "negative"),
        ([0.5, 4], [3, 9], "fractional"),
        ([1, 4], [3.5, 9], "fractional"),
        ([1, np.inf], [3, np.inf], "infinite"),
        ([0, 0], [0, 0], "no trial"),
        ([1, 2], [1e300, 9], r"trials 'n' of .p\(s, n\). sum to 1e\+300.*correct"),
        (["1", "2"], [3, 9], "numbers"),
    ],
)
def test_bad_counts(successes, trials, message):
    with pytest.raises(vmrp.DataError, match=message):
        proportion(successes, trials)


def test_family_and_response_must_agree():
    with pytest.raises(vmrp.FormulaError, match="family='binomial'"):
        proportion([1, 4], [3, 9], family="bernoulli")
    with pytest.raises(vmrp.FormulaError, match="family='bernoulli'"):
        model(BINARY, family="binomial")


@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
def test_what_the_response_calls_may_fail_and_is_named(family):
    def broken(y):
        raise KeyError("no such table")

    with pytest.raises(vmrp.FormulaError, match=r"broken\(y\).*no such table"):
        vmrp.Model("broken(y) ~ (1|g)", pd.DataFrame({"y": BINARY, "g": G}), family=family)
