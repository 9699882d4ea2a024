"""Encoding data frames: types, contrasts, new data, and data that are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.written import written_columns, written_values


@pytest.mark.parametrize("dtype", ["object", "str", "category", "string[python]"])
def test_text_types_are_alike(survey, dtype):
    model = vmrp.Model("y ~ educ + (1|state)", survey.astype({"state": dtype, "educ": dtype}))
    reference = vmrp.Model("y ~ educ + (1|state)", survey)
    np.testing.assert_array_equal(
        model.approximate(hyperparameters="mean_field").mean(),
        reference.approximate(hyperparameters="mean_field").mean(),
    )


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int8", "float32"])
def test_number_types_are_alike(survey, dtype):
    data = survey.assign(k=(survey["x"] > 0) * 2)
    a = (
        vmrp.Model("y ~ k + (1|state)", data.astype({"k": dtype}))
        .approximate(hyperparameters="mean_field")
        .mean()
    )
    np.testing.assert_allclose(
        a, vmrp.Model("y ~ k + (1|state)", data).approximate(hyperparameters="mean_field").mean()
    )


def test_slopes_of_a_category_are_contrasts_next_to_an_intercept(survey):
    with_intercept = vmrp.Model("y ~ (age|state)", survey).glmm.groups[0]
    assert [e.name for e in with_intercept.effects] == ["1", "age[35-54]", "age[55+]"]
    without = vmrp.Model("y ~ (0 + age|state)", survey).glmm.groups[0]
    assert [e.name for e in without.effects] == ["age[18-34]", "age[35-54]", "age[55+]"]
    np.testing.assert_array_equal(without.values.sum(1), 1)


def test_independent_equals_two_terms(survey):
    a = vmrp.Model("y ~ x + (1 + x||state)", survey).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    b = vmrp.Model("y ~ x + (1|state) + (0 + x|state)", survey).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    np.testing.assert_allclose(a.mean(), b.mean())
    assert a.elbo == pytest.approx(b.elbo)


def test_a_categorical_slope_is_coded_for_each_factor(survey):
    together = vmrp.Model("y ~ (1|state) + (0 + age|state + educ)", survey)
    apart = vmrp.Model("y ~ (1|state) + (0 + age|state) + (0 + age|educ)", survey)
    assert [group.d for group in together.glmm.groups] == [1, 3, 3]  # whatever other bars have
    assert together.approximate(hyperparameters="mean_field").elbo == pytest.approx(
        apart.approximate(hyperparameters="mean_field").elbo, rel=1e-12
    )


def test_small_integers_do_not_overflow(survey):
    data = survey.assign(a=(survey["x"] * 10).astype("int64") + 60, b=100)
    data.loc[::2, "b"] = 90
    wide = vmrp.Model("y ~ a:b", data).glmm.common.columns
    narrow = vmrp.Model("y ~ a:b", data.astype({"a": "int8", "b": "uint8"})).glmm.common.columns
    np.testing.assert_array_equal(wide, narrow)


def test_new_data_have_the_training_design(survey):
    model = vmrp.Model("y ~ x*educ + (1 + x|state) + (age|educ) + (1|state:age)", survey)
    encoder = model.encoder
    frame = encoder.prepare(survey, "new")
    unseen = encoder.unseen_levels(frame)
    assert unseen == [(), (), ()]
    encoded = encoder.encode(frame, unseen, "new")
    cell = model.observations.cell
    common = written_columns(model.glmm, model.glmm.common.columns)
    np.testing.assert_allclose(encoded.common, common[cell], atol=1e-12)
    for group, codes, values in zip(model.glmm.groups, encoded.codes, encoded.values, strict=True):
        np.testing.assert_array_equal(codes, group.codes[cell])
        np.testing.assert_allclose(values, written_values(group, group.values)[cell], atol=1e-12)


def test_one_row_is_enough(survey):
    model = vmrp.Model("y ~ x*educ + (1 + x|state)", survey)
    frame = model.encoder.prepare(survey.iloc[[3]], "new")
    assert model.encoder.encode(frame, [()], "new").common.shape == (1, 3)


def nested_survey(n: int, seed: int = 0) -> pd.DataFrame:
    """Clusters in regions, with predictors of many types."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 30, n)
    return pd.DataFrame(
        {
            "y": rng.random(n) < 0.4,
            "a": pd.Categorical.from_codes(rng.integers(0, 4, n), list("dcbaz")),
            "b": rng.choice(["lo", "mid", "hi"], n),
            "x": rng.normal(size=n).round(1),
            "k": pd.array(rng.integers(0, 3, n), dtype="Int64"),
            "region": (cluster // 5).astype(np.int8),
            "cluster": [f"c{i}" for i in cluster],
        }
    )


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ a + b + (1|region/cluster)",
        "y ~ a + b + x + (1|region/cluster)",
        "y ~ x + (1 + x|cluster) + (b|region)",
        "y ~ scale(x) + C(k) + b:k + (1|a:b)",
    ],
)
def test_the_order_of_rows_does_not_matter(formula):
    data = nested_survey(400)
    shuffled = data.sample(frac=1, random_state=1)
    one, other = vmrp.Model(formula, data), vmrp.Model(formula, shuffled)
    np.testing.assert_array_equal(one.glmm.rows.columns, other.glmm.rows.columns)
    np.testing.assert_allclose(one.glmm.rows.values, other.glmm.rows.values, rtol=1e-12)
    np.testing.assert_array_equal(
        one.glmm.response.statistics[0], other.glmm.response.statistics[0]
    )
    assert [g.levels for g in one.glmm.groups] == [g.levels for g in other.glmm.groups]
    np.testing.assert_array_equal(one.observations.cell[shuffled.index], other.observations.cell)


@pytest.mark.parametrize("kind", ["object", "string[python]", "category", "arrow", "unused"])
def test_any_kind_of_text_gives_the_same_model(kind):
    data = nested_survey(300)
    data["a"] = data["a"].astype(str)
    other = data.copy()
    for name in ("a", "b", "cluster"):
        if kind == "unused":
            levels = ["zz", *sorted(set(data[name]), reverse=True), "aa"]
            other[name] = pd.Categorical(data[name], levels)
        elif kind == "arrow":
            arrow = pytest.importorskip("pyarrow")
            other[name] = data[name].astype(pd.ArrowDtype(arrow.string()))
        else:
            other[name] = data[name].astype(kind)
    formula = "y ~ a*b + x + (1|region/cluster) + (0 + a|b)"
    one, two = vmrp.Model(formula, data).glmm, vmrp.Model(formula, other).glmm
    assert one.common.terms == two.common.terms
    assert [(g.levels, g.effects) for g in one.groups] == [
        (g.levels, g.effects) for g in two.groups
    ]
    # cells follow the order of the categories: compare the models as sets of rows
    dense = [
        np.column_stack(
            [g.rows.dense(g.n_coefficients), g.response.statistics[0], g.response.statistics[1]]
        )
        for g in (one, two)
    ]
    a, b = (rows[np.lexsort(rows.round(9).T)] for rows in dense)
    np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_text_column_may_also_be_an_argument_of_a_call():
    data = nested_survey(200)

    def shout(text):
        return text.str.upper() + "!"

    model = vmrp.Model("y ~ b + (1|shout(b)) + (1|cluster)", data)
    assert model.glmm.groups[0].levels == ("HI!", "LO!", "MID!")
    assert model.glmm.common.terms[0].labels == ("lo", "mid")


def test_minus_zero_is_zero_whichever_comes_first():
    data = pd.DataFrame({"z": [-0.0, 0.0, 1.0, 2.0], "y": [0, 1, 0, 1]})
    for rows in (data, data.iloc[[1, 0, 2, 3]]):
        glmm = vmrp.Model("y ~ z + (1|z)", rows).glmm
        assert glmm.groups[0].levels == ("0.0", "1.0", "2.0")
        assert not np.signbit(glmm.common.columns).any()


def test_the_encoder_does_not_hold_on_to_the_data():
    model = vmrp.Model("y ~ a*b + scale(x) + (1 + x|cluster)", nested_survey(300))
    effects = [e for b in model.encoder.blocks for e in b.expressions if hasattr(e, "components")]
    for term in [*model.encoder.terms, *effects]:
        assert len(term.data) == 0
        for component in term.components:
            assert len(component.value) == 0
            assert component._intermediate_data is None


def test_observations_of_a_binary_response_are_small():
    data = nested_survey(300)
    model = vmrp.Model("y ~ a + (1|cluster)", data.set_index("cluster", drop=False))
    observed = model.observations.rows
    assert observed.y.dtype == np.int8
    assert observed.trials is observed.weights is observed.offset is None
    assert observed.ones.strides == (0,)
    assert observed.ones.sum() == 300
    np.testing.assert_array_equal(observed.y, data["y"])
    assert model.observations.index.tolist() == data["cluster"].tolist()


BAD = {
    "unknown column": ("y ~ malee + (1|state)", {}, vmrp.DataError, "'malee'.*mean 'male'"),
    "unknown group": ("y ~ x + (1|county)", {}, vmrp.DataError, r"'county'.*1\|county"),
    "missing predictor": ("y ~ x", {"x": np.nan}, vmrp.DataError, r"'x' \(1\).*dropna"),
    "missing group": ("y ~ (1|state)", {"state": None}, vmrp.DataError, r"'state' \(1\)"),
    "infinite": ("y ~ x", {"x": np.inf}, vmrp.DataError, "'x'.*infinite"),
    "infinite after log": ("y ~ np.log(z)", {}, vmrp.DataError, r"np.log\(z\)"),
    "constant": ("y ~ one", {}, vmrp.DataError, "'one' is constant"),
    "one level common": ("y ~ word", {}, vmrp.DataError, "'word'"),
    "one level group": ("y ~ (1|word)", {}, vmrp.DataError, "'word' has only one level"),
    "dates": ("y ~ day", {}, vmrp.DataError, "'day'.*datetime"),
    "mixed": ("y ~ (1|mixed)", {}, vmrp.DataError, "'mixed'"),
    "offset of text": ("y ~ x + offset(word)", {}, vmrp.FormulaError, "numeric"),
    "offset that interacts": ("y ~ x:offset(z)", {}, vmrp.FormulaError, "no interactions"),
    "offset by group": ("y ~ (offset(z)|state)", {}, vmrp.FormulaError, "group-specific"),
    "unknown function": ("y ~ nosuch(x)", {}, vmrp.FormulaError, r"nosuch\(x\)"),
    "slash in a name": ("y ~ I(x / 2)", {}, vmrp.FormulaError, "/"),
    "slope without variation": ("y ~ (one|state)", {}, vmrp.DataError, r"one\|state"),
    "slope with one level": ("y ~ (word|state)", {}, vmrp.DataError, r"word\|state"),
    "level of a predictor": ("y ~ educ['HS']", {}, vmrp.FormulaError, "response only"),
    "power": ("y ~ x**2", {}, vmrp.FormulaError, r"I\(x\*\*2\)"),
    "factor minus factor": ("y ~ (1|state - age)", {}, vmrp.FormulaError, "subtracted"),
    "response as predictor": ("y ~ y", {}, vmrp.FormulaError, "'y' is the response"),
    "spline as group": ("y ~ (1|bs(x, df=4))", {}, vmrp.VmrpError, r"bs\(x"),
    "name of another": ("y ~ `1|state_sigma` + (1|state)", {}, vmrp.FormulaError, "1|state_sigma"),
    "twice the name": ("y ~ `x:male` + x:male", {}, vmrp.FormulaError, "x:male"),
    "two factors of a name": (
        "y ~ (1|`age:educ`) + (0 + x|age:educ)",
        {},
        vmrp.FormulaError,
        "both called 'age:educ'",
    ),
    "response a number": ("2 ~ x", {}, vmrp.FormulaError, "number"),
    "slash in the response": ("I(y / 1) ~ x", {}, vmrp.FormulaError, "/"),
    "spline as response": ("bs(y, df=4) ~ x", {}, vmrp.VmrpError, r"bs\(y"),
    "huge integers": ("y ~ huge", {}, vmrp.DataError, "'huge'"),
    "nothing": ("y ~ 0", {}, vmrp.FormulaError, "nothing to estimate"),
    "bare number": ("y ~ x + 3", {}, vmrp.FormulaError, "number"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_refused_by_name(survey, case):
    formula, change, error, message = BAD[case]
    data = survey.assign(z=0.0, one=1, word="w", day=pd.Timestamp("2020-01-01"))
    data["1|state_sigma"] = data["x:male"] = data["age:educ"] = np.arange(600) % 7
    data["huge"] = pd.Series([2**70, 1] * 300, dtype=object)
    data["mixed"] = pd.Series([1, "a"] * 300, dtype=object)
    for column, value in change.items():
        data.loc[data.index[5], column] = value
    with np.errstate(all="ignore"), pytest.raises(error, match=message):
        vmrp.Model(formula, data)


def test_frames_are_checked(survey):
    with pytest.raises(vmrp.DataError, match="no rows"):
        vmrp.Model("y ~ x", survey.iloc[:0])
    with pytest.raises(vmrp.DataError, match="duplicate columns"):
        vmrp.Model("y ~ x", pd.concat([survey, survey[["x"]]], axis=1))
    with pytest.raises(vmrp.DataError, match="not strings"):
        vmrp.Model("y ~ x", survey.rename(columns={"male": 3}))
    with pytest.raises(vmrp.DataError, match="DataFrame"):
        vmrp.Model("y ~ x", {"y": [1], "x": [2]})


def test_missing_rows_are_dropped_on_request_and_counted(survey):
    data = survey.copy()
    data.loc[data.index[:3], "x"] = np.nan
    data.loc[data.index[2:5], "state"] = None
    with pytest.warns(UserWarning, match=r"dropped 5 of 600 rows.*'x' \(3\), 'state' \(3\)"):
        model = vmrp.Model("y ~ x + (1|state)", data, dropna=True)
    assert len(model.observations.rows.y) == 595
    assert list(model.observations.index) == list(data.index[5:])


def test_new_data_of_another_type_are_refused(survey):
    data = survey.assign(code=survey["state"].map(ord))
    model = vmrp.Model("y ~ (1|code)", data)
    with pytest.raises(vmrp.DataError, match=r"'code' held numbers.*text"):
        model.encoder.prepare(data.assign(code=data["code"].astype(str)), "cells")
