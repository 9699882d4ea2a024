"""What docs/bambi.md says of `bmb.interpret.comparisons`: to be looked at when Bambi changes."""

from __future__ import annotations

import bambi as bmb
import numpy as np
import pandas as pd
import pytest
from bambi.interpret.types import ComparisonVariable
from bambi.interpret.utils import aggregate

DATA = pd.DataFrame({"rare": [0, 0, 0, 1], "common": [0, 1, 1, 1], "male": [-0.5, -0.5, -0.5, 0.5]})


@pytest.mark.skipif(not bmb.__version__.startswith("0.21"), reason="the page is about Bambi 0.21")
@pytest.mark.parametrize(
    ("name", "values"), [("rare", [-1, 1]), ("common", [0, 2]), ("male", [-0.75, 0.25])]
)
def test_values_of_a_name_alone(name, values):
    assert ComparisonVariable.from_param(DATA, name).variable.tolist() == values


def test_values_that_are_given_are_taken():
    found = ComparisonVariable.from_param(DATA, {"male": [-0.5, 0.5]})
    assert found.variable.tolist() == [-0.5, 0.5]


def test_an_average_of_bounds_is_no_bound_of_the_average():
    draws = np.random.default_rng(1).normal(size=(4000, 10))
    bounds = np.quantile(draws, [0.05, 0.95], axis=0)
    table = pd.DataFrame({"g": "a", "lower": bounds[0], "upper": bounds[1]})
    averaged = aggregate(table, "g").iloc[0]
    own = np.quantile(draws.mean(1), [0.05, 0.95])
    assert averaged["upper"] - averaged["lower"] > 2 * (own[1] - own[0])
