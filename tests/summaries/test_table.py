"""Tables that print within 80 columns."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.summaries.table import Table, within


@pytest.mark.parametrize("names", [["x"], ["a_long_name" * 8], ["p" * 30, "q" * 31, "1+x|s[1,x]"]])
@pytest.mark.parametrize("levels", [1, 2])
def test_lines_are_short_whatever_the_names(names, levels):
    index = pd.Index(names, name="parameter")
    if levels == 2:
        index = pd.MultiIndex.from_product([["group_specific"], names], names=["part", "parameter"])
    values = np.full((len(names), 4), -12.345678)
    table = Table(values, index=index, columns=["mean", "sd", "eti90_lb", "eti90_ub"])
    lines = repr(table).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("eti90_ub" in line for line in lines) == 1  # not in two halves
    assert repr(table).count("-12.346") == 4 * len(names)
    for name in names:
        assert any(line.split()[-5].startswith(name[:3]) for line in lines[1:] if "-12" in line)


def test_numbers_of_any_size():
    table = pd.DataFrame({"mean": [0.0, 1e-6, 1234.5, -2e9, np.nan, np.inf]})
    text = within(table).split()
    assert {"0.000", "1e-06", "1234.500", "-2e+09", "NaN", "inf"} <= set(text)


def test_it_is_a_data_frame_in_all_else():
    table = Table({"mean": [1.23456789], "sd": [2.0]}, index=["x"])
    assert type(table.loc[["x"]]) is pd.DataFrame
    assert table.loc["x", "mean"] == 1.23456789
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)), table)


def test_the_summary_of_a_model(survey):
    frame = survey.assign(a_predictor_of_long_name=survey["x"])
    model = vmrp.Model("y ~ a_predictor_of_long_name + (1 + a_predictor_of_long_name|state)", frame)
    table = model.summary(model.fit(50, random_seed=1, hyperparameters="mean_field"))
    assert max(map(len, repr(table).splitlines())) <= 80
    assert len(table.loc["group_specific"]) == 3
