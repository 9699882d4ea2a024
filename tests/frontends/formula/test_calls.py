"""Transformations in formulas: what they remember, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


LEVELS = ["HS", "College"]


@pytest.mark.parametrize(
    ("call", "labels"),
    [
        ("C(educ, levels=LEVELS)", ("College",)),
        ("C(educ)", ("HS",)),
        ("T(educ, 'HS')", ("College",)),
        ("C(educ, Treatment('HS'))", ("College",)),
        ("S(educ)", ("College",)),
        ("S(educ, levels=LEVELS)", ("HS",)),
        ("C(ordered)", ("College",)),
        ("binary(educ)", None),
        ("binary(educ, 'HS')", None),
    ],
)
def test_categories_are_remembered(survey, call, labels):
    ordered = pd.Categorical(survey["educ"], LEVELS, ordered=True)
    data = survey.assign(ordered=ordered)
    model = vmrp.Model(f"y ~ {call} + ({call}|state)", data)
    assert model.glmm.common.terms[0].labels == labels
    encoder = model.encoder
    whole = encoder.encode(encoder.prepare(data, "data"), [()], "data")
    for rows in (data.head(1), data.tail(3)):  # a row has one of the levels only
        part = encoder.encode(encoder.prepare(rows, "new"), [()], "new")
        position = data.index.get_indexer(rows.index)
        np.testing.assert_array_equal(part.common, whole.common[position])
        np.testing.assert_array_equal(part.values[0], whole.values[0][position])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("C(educ, 'HS')", r"Treatment\('HS'\)"),
        ("C(educ, levels=STATES)", "levels= must name each level"),
        ("binary(educ, 'PhD')", "no value is 'PhD'"),
        ("np.mean(x)", "same for all rows"),
        ("poly(x, 0)", "whole number"),
        ("poly(male, 2)", "3 distinct values, and there are 2"),
        ("bs(x, df=2)", "too small"),
        ("scale(one)", "same in every row"),
        ("scale(educ)", "scale"),
    ],
)
def test_arguments_that_make_no_sense(survey, call, message):
    STATES = list("ABC")  # noqa: F841 - the formula finds it
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.Model(f"y ~ {call} + (1|state)", survey.assign(one=1.0))


def test_learned_transformations_agree_with_formulae(survey):
    import formulae

    design = formulae.design_matrices(
        "0 + poly(x, 3) + bs(x, df=5) + scale(x) + center(x) + poly(x, 2, raw=True)", survey
    )
    formula = "y ~ 0 + poly(x, 3) + bs(x, df=5) + scale(x) + center(x) + poly(x, 2, raw=True)"
    encoder = vmrp.Model(formula, survey).encoder
    rows = encoder.encode(encoder.prepare(survey, "data"), [], "data")
    np.testing.assert_allclose(rows.common, np.asarray(design.common), atol=1e-10)


def test_calls_that_read_alike_are_told_apart(survey):
    model = vmrp.Model("y ~ scale(np.abs(x)) + scale(x) + np.abs(scale(x))", survey)
    assert len(model.glmm.common.terms) == 3
