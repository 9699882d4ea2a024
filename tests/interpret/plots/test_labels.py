from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.interpret.plots.labels import (
    decimals_for,
    interval_text,
    level_labels,
    number,
    shorten,
)


def test_text_is_called_by_itself_and_numbers_with_their_column():
    labels = level_labels(["g", "k", "x"], [["a", "b"], [0, 1], [0.5, 2.0]], None)
    assert labels == (["a", "b"], ["k=0", "k=1"], ["x=0.5", "x=2"])


def test_levels_that_look_alike_are_told_apart():
    ((first, second),) = level_labels(["x"], [[0.1, 0.1 + 1e-12]], None)
    assert first != second


def test_levels_are_renamed_and_made_safe():
    names = {"k": {1: "yes\x1b[2J"}}
    assert level_labels(["k"], [[0, 1]], names) == (["k=0", r"yes\x1b[2J"],)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"z": {0: "no"}}, "column 'z'"),
        ({"k": {7: "no"}}, "7, which is no level of 'k'"),
        ({"k": "no"}, "level_names= must map"),
        ("k", "level_names= must map"),
    ],
)
def test_bad_level_names(names, message):
    with pytest.raises(vmrp.DataError, match=message):
        level_labels(["k"], [[0, 1]], names)


def test_long_labels_keep_both_ends():
    short = shorten("abc" * 50 + "end")
    assert len(short) == 40
    assert short.startswith("abcabc")
    assert short.endswith("end")
    assert shorten("x" * 40) == "x" * 40


@pytest.mark.parametrize(("width", "decimals"), [(0.16, 2), (0.06, 3), (1.5, 1), (40, 0), (0, 2)])
def test_two_digits_of_the_width(width, decimals):
    assert decimals_for(np.array([0.0, np.nan]), np.array([width, 1.0])) == decimals


def test_numbers():
    assert interval_text(-0.001, 0.409, 2) == "[0.00, 0.41]"
    assert number(12345678.9, 0) == "1.23e+07"
