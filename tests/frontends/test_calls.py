"""Transformations in formulas: what they remember, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd  # noqa: F401 - the formulas use it
import pytest

import pymc_vmrp as vmrp


def test_transformations_learn_from_all_rows_and_remember(survey):
    model = vmrp.Model("y ~ scale(x) + np.exp(x) + (1|state)", survey)
    new = survey.iloc[:7]
    encoded = model.encoder.encode(model.encoder.prepare(new, "new"), [()], "new")
    expected = (new["x"] - survey["x"].mean()) / survey["x"].std(ddof=0)
    np.testing.assert_allclose(encoded.common[:, 0], expected)
    np.testing.assert_allclose(encoded.common[:, 1], np.exp(new["x"]))


def test_splines_from_formulae_work(survey):
    model = vmrp.Model("y ~ bs(x, df=4) + (1|state)", survey)
    assert model.glmm.common.terms[0].labels == ("0", "1", "2", "3")
    assert model.approximate(hyperparameters="mean_field").converged


def test_names_of_the_users_code_are_found(survey):
    def double(column):
        return 2 * column

    model = vmrp.Model("y ~ double(x) + (1|state)", survey)
    assert model.glmm.common.terms[0].name == "double(x)"


def test_transformations_that_forget_are_refused(survey):
    with pytest.raises(vmrp.FormulaError, match=r"depends on all rows.*center"):
        vmrp.Model("y ~ I(x - np.mean(x)) + (1|state)", survey)


@pytest.mark.parametrize(
    "term",
    [
        "I(x - np.max(x))",
        "I(z - np.mean(z))",  # z differs in every row, so that no rows collapse
        "pd.qcut(x, 4)",
        "(1|pd.cut(x, 3))",
        "binary(educ)",
    ],
)
def test_other_transformations_that_forget(survey, term):
    data = survey.assign(z=np.arange(len(survey)) * 1.0)
    with pytest.raises(vmrp.FormulaError, match="depends on all rows"):
        vmrp.Model(f"y ~ {term}", data)


def test_fixed_bins_may_group(survey):
    bins = [-10, 0, 10]  # noqa: F841 - the formula finds it
    model = vmrp.Model("y ~ (1|pd.cut(x, bins))", survey)
    assert model.glmm.groups[0].levels == ("(-10, 0]", "(0, 10]")
    assert model.approximate(hyperparameters="mean_field").converged


def test_calls_without_a_value_in_some_rows(survey):
    bins = [-1, 0, 1]  # noqa: F841 - the formula finds it
    for formula in ("y ~ pd.cut(x, bins)", "y ~ (1|pd.cut(x, bins))"):
        with pytest.raises(vmrp.DataError, match=r"pd.cut\(x, bins\).*no value in"):
            vmrp.Model(formula, survey)
