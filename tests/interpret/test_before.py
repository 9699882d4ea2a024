"""Rows of each arm by group: counts, notes, warnings, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp


def frame_of(n=600, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.choice(list("xyz"), n), "b": rng.integers(0, 2, n)})
    frame["arm"] = rng.choice(["control", "left"], n)
    return frame


def test_counts_are_a_crosstab_and_silent_where_rows_are_many():
    frame = frame_of()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = vmrp.groups(frame, ["a", "b"], "arm")
    expected = pd.crosstab([frame.a, frame.b], frame.arm)
    np.testing.assert_array_equal(table[["n[control]", "n[left]"]], expected)
    np.testing.assert_array_equal(table["n"], expected.sum(axis=1))
    assert list(table.index) == list(expected.index)
    assert (table["note"] == "").all()


def test_empty_crossings_lacking_arms_and_few_rows():
    frame = frame_of()
    frame = frame[~((frame.a == "x") & (frame.b == 0))]
    frame = frame[~((frame.a == "y") & (frame.b == 1) & (frame.arm == "left"))]
    few = (frame.a == "z") & (frame.b == 1) & (frame.arm == "control")
    frame = frame.drop(frame[few].index[4:])
    with pytest.warns(UserWarning, match="6 crossed groups") as caught:
        table = vmrp.groups(frame, ["a", "b"], "arm", least=5)
    text = str(caught[0].message)
    assert "of 6 crossed groups 1 no rows (('x', 0))" in text
    assert "1 no rows of an arm of 'arm' (('y', 1))" in text
    assert "1 fewer than 5 rows of an arm (('z', 1))" in text
    assert caught[0].filename == __file__
    assert table["note"].to_dict() == {
        ("x", 0): "no rows", ("x", 1): "", ("y", 0): "", ("y", 1): "no rows of left",
        ("z", 0): "", ("z", 1): "few rows of control",
    }  # fmt: skip
    assert table["n"].sum() == len(frame)
    with pytest.warns(UserWarning, match="6 crossed groups") as caught:
        vmrp.groups(frame, ["a", "b"], "arm", least=4)
    assert "fewer" not in str(caught[0].message)


def test_order_of_rows_does_not_matter_and_arms_keep_their_order():
    frame = frame_of()
    frame["arm"] = pd.Categorical(frame["arm"], ["left", "control", "never"])
    table = vmrp.groups(frame, "a", "arm")
    assert list(table.columns) == ["n[left]", "n[control]", "n", "note"]
    assert table.index.name == "a"
    same = vmrp.groups(frame.sample(frac=1, random_state=1), "a", "arm")
    pd.testing.assert_frame_equal(table, same)


@pytest.mark.parametrize(
    ("change", "by", "treatment", "match"),
    [
        ({}, ["a", "c"], "arm", "no column 'c' \\(needed by by="),
        ({}, ["a"], "arms", "no column 'arms'.*did you mean 'arm'"),
        ({}, ["a", "arm"], "arm", "by= has the treatment 'arm' itself"),
        ({}, [], "arm", "by= names no column"),
        ({"a": [None, *"xy"] * 200}, "a", "arm", "missing values in 'a' \\(200 rows\\)"),
        ({"arm": [None, *"xy"] * 200}, "a", "arm", "missing values in 'arm' \\(200 rows\\)"),
        ({"arm": "control"}, "a", "arm", "'arm' does not vary: all rows have 'control'"),
        ({"arm": np.arange(600) / 7}, "a", "arm", "'arm' is a number with 600 values: cut it"),
        ({"a": np.arange(600), "b": np.arange(600), "c": np.arange(600)}, ["a", "b", "c"], "arm",
         "216,000,000 combinations of levels, more than 1,000,000"),
    ],
)  # fmt: skip
def test_bad_input(change, by, treatment, match):
    with pytest.raises(vmrp.DataError, match=match):
        vmrp.groups(frame_of().assign(**change), by, treatment)


def test_bad_arguments():
    with pytest.raises(vmrp.VmrpError, match="least must be a whole number"):
        vmrp.groups(frame_of(), "a", "arm", least=0)
    with pytest.raises(vmrp.DataError, match="data must be a pandas DataFrame"):
        vmrp.groups({"a": [1]}, "a", "arm")
