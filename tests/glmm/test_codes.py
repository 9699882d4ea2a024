"""Columns as small integer codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm.codes import SLICE, encode_column, encode_integers, occurring

DTYPES = [
    "int8",
    "int64",
    "uint8",
    "bool",
    "float64",
    "object",
    "str",
    "string[python]",
    "Int64",
    "boolean",
]


def column(dtype: str, numbers: list[int]) -> pd.Series:
    if dtype in ("bool", "boolean"):
        return pd.Series([i > 2 for i in numbers]).astype(dtype)
    if dtype in ("object", "str", "string[python]"):
        return pd.Series([f"level {i}" for i in numbers]).astype(dtype)
    return pd.Series(numbers).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=20, deadline=None)
@given(numbers=st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_codes_point_at_sorted_distinct_values(dtype, numbers):
    values = column(dtype, numbers)
    coded = encode_column(values)
    assert coded.levels.take(coded.codes).tolist() == values.tolist()
    assert coded.levels.tolist() == sorted(set(values.tolist()))
    assert coded.codes.dtype == np.int8


@pytest.mark.parametrize("n", [10, 3 * SLICE + 1])
@pytest.mark.parametrize("spread", [3, 10**6, 2**62])
def test_integers_of_any_spread(n, spread):
    values = np.random.default_rng(n).integers(-spread, spread, n)
    codes, levels = encode_integers(values)
    np.testing.assert_array_equal(levels, np.unique(values))
    np.testing.assert_array_equal(levels[codes], values)


def test_few_values_far_apart():
    values = np.random.default_rng(0).choice([-(2**63), -5, 2**63 - 1], 10_000)
    codes, levels = encode_integers(values)
    assert levels.tolist() == [-(2**63), -5, 2**63 - 1]
    np.testing.assert_array_equal(levels[codes], values)


@pytest.mark.parametrize("n", [20, 20_000])
def test_continuous_numbers(n):
    values = np.random.default_rng(0).normal(size=n)
    values[:2] = [0.0, -0.0]
    coded = encode_column(pd.Series(values))
    np.testing.assert_array_equal(coded.levels[coded.codes], values)
    assert coded.codes[0] == coded.codes[1]
    assert str(coded.levels[coded.codes[1]]) == "0.0"


def test_categories_keep_their_own_order():
    categorical = pd.Series(pd.Categorical(["b", "a", "b"], ["b", "unused", "a"]))
    coded = encode_column(categorical)
    assert coded.codes.tolist() == [0, 2, 0]
    assert coded.sorted().levels.tolist() == ["a", "b", "unused"]
    assert coded.sorted().codes.tolist() == [1, 0, 1]
    declared = encode_column(categorical.cat.as_ordered())
    assert declared.sorted().levels.tolist() == ["b", "unused", "a"]


def test_missing_values_do_not_occur():
    assert occurring(np.array([-1, 2, 0], dtype=np.int8), 3).tolist() == [True, False, True]
