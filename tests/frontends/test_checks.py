"""Checks of frames and columns, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.checks import (
    abbreviate,
    check_columns,
    check_weights,
    storable_labels,
)
from pymc_vmrp.frontends.tidy import kind_of, tidy_column


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "numbers"),
        ([1.5, 2.0], "numbers"),
        (pd.array([1, 2], dtype="Int8"), "numbers"),
        ([True, False], "true/false"),
        (pd.array([True, False], dtype="boolean"), "true/false"),
        (["a", "b"], "text"),
        (pd.Categorical(["a", "b"]), "text"),
        (pd.Categorical([1, 2]), "numbers"),
        (np.array([True, False], dtype=object), "true/false"),
        (np.array([1, 2], dtype=object), "numbers"),
    ],
)
def test_kinds(values, kind):
    assert kind_of(tidy_column(pd.Series(values, name="c"), "data")) == kind


@pytest.mark.parametrize("dtype", ["int8", "uint16", "Int32", "int64"])
def test_integers_are_of_one_width(dtype):
    assert tidy_column(pd.Series([1, 2], dtype=dtype, name="c"), "data").dtype == np.int64


@pytest.mark.parametrize("values", [[1j, 2], [np.inf, 1], [{}, {}]])
def test_refused_columns(values):
    with pytest.raises(vmrp.DataError, match="'c'"):
        tidy_column(pd.Series(values, name="c"), "data")


def test_unused_categories_go():
    column = tidy_column(pd.Series(pd.Categorical(["a"], ["a", "b"]), name="c"), "data")
    assert list(column.cat.categories) == ["a"]


def test_missing_columns_are_named_with_the_nearest():
    with pytest.raises(vmrp.DataError, match=r"'stat'.*did you mean 'state'.*merge"):
        check_columns(pd.DataFrame({"state": [1]}), ["stat"], "cells")


def test_weights_are_floats():
    assert check_weights(pd.Series([1, 2], name="n"), "cells").dtype == float


def test_labels_for_files():
    assert storable_labels(pd.RangeIndex(2)).dtype.kind == "i"
    assert storable_labels(pd.date_range("2020", periods=2)).dtype.kind == "U"


def test_abbreviate():
    assert abbreviate(range(7), 2) == "0, 1 and 5 more"
    assert abbreviate(np.array([1.5, 2.0])) == "1.5, 2.0"
