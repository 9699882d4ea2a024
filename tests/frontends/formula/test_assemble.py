"""Priors, centring and the invariances of the model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.units import in_units
from pymc_vmrp.glmm.spec import Mixture

FORMULA = "y ~ x + educ + (1 + x|state) + (1|age)"


def summary(model):
    """Mean and sd of every coefficient, by name, and the ELBO."""
    idata = model.fit(2, random_seed=0, tol=1e-9, hyperparameters="mean_field")
    mean, sd = (idata[f"fit/{which}"].to_dataset() for which in ("mean", "sd"))
    return mean, sd, idata["fit"]["elbo"].values[-1]


def assert_same(a, b):
    for x, y in zip(a[:2], b[:2], strict=True):
        for name in x.data_vars:
            np.testing.assert_allclose(
                x[name].values, y[name].sel(x[name].coords).values, rtol=2e-5, atol=1e-6
            )
    if len(a) > 2:
        assert a[2] == pytest.approx(b[2], abs=1e-5)


def test_default_priors(survey):
    common = vmrp.Model(FORMULA, survey).glmm.common
    x, educ = survey["x"], survey["educ"] == "HS"
    np.testing.assert_allclose(common.prior_mean, 0)
    np.testing.assert_allclose(common.prior_sd, [2.5, 2.5 / x.std(ddof=0), 2.5 / educ.std(ddof=0)])
    np.testing.assert_allclose(common.center, [x.mean(), educ.mean()])


def test_given_priors(survey):
    flat_then_normal = {"common": "flat", "x": vmrp.Normal(1, 2), "Intercept": vmrp.Flat()}
    group = {"group_specific": vmrp.InverseWishart(), "1|age": vmrp.HalfNormal(1)}
    glmm = vmrp.Model(FORMULA, survey, priors=flat_then_normal | group).glmm
    np.testing.assert_allclose(glmm.common.prior_mean, [0, 1, 0])
    np.testing.assert_allclose(glmm.common.prior_sd, [np.inf, 2, np.inf])
    slopes = glmm.groups[0]
    assert slopes.prior == in_units(vmrp.InverseWishart(), 1 / np.diag(slopes.basis))
    assert glmm.groups[1].prior == vmrp.HalfNormal(1)


def test_mixtures_are_placed_and_a_horseshoe_ties_what_one_key_gives(survey):
    formula = "y ~ x + age + male + educ + (1|state)"
    priors = {"common": vmrp.Horseshoe(), "male": vmrp.StudentT(4, 0.3, 2), "Intercept": "flat"}
    common = vmrp.Model(formula, survey, priors=priors).glmm.common
    assert common.mixtures == (
        Mixture("common", (1, 2, 3, 5), vmrp.Horseshoe()),
        Mixture("male", (4,), vmrp.StudentT(4, 0.3, 2)),
    )
    np.testing.assert_array_equal(common.prior_mean, [0, 0, 0, 0, 0.3, 0])
    np.testing.assert_array_equal(common.prior_sd, [np.inf, *[np.nan] * 5])
    apart = {name: vmrp.Laplace(0, 1) for name in ("common", "Intercept")}
    mixtures = vmrp.Model(formula, survey, priors=apart).glmm.common.mixtures
    assert [(m.name, m.index) for m in mixtures] == [
        ("Intercept", (0,)), ("x", (1,)), ("age", (2, 3)), ("male", (4,)), ("educ", (5,)),
    ]  # fmt: skip


def test_a_column_may_not_be_called_as_a_scale_of_a_horseshoe(survey):
    frame = survey.assign(x_lambda=survey["x"] ** 2)
    vmrp.Model("y ~ x + x_lambda", frame)
    with pytest.raises(vmrp.FormulaError, match="x_lambda"):
        vmrp.Model("y ~ x + x_lambda", frame, priors={"x": vmrp.Horseshoe(1)})


@pytest.mark.parametrize("key", ["1+x|state", "1|state", "x|state"])
def test_a_correlated_term_answers_to_any_of_its_effects(survey, key):
    prior = vmrp.HuangWand(2, [1, 3])
    group = vmrp.Model(FORMULA, survey, priors={key: prior}).glmm.groups[0]
    assert group.prior == in_units(prior, 1 / np.diag(group.basis))


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"z": vmrp.Normal()}, "'z'.*no such term"),
        ({"x": vmrp.HuangWand()}, "'x' must be Normal"),
        ({"1|age": vmrp.Normal()}, r"'1\|age' must be"),
        ({"1|age": "flat"}, r"'1\|age' must be"),
        ({"1|state": vmrp.HalfNormal(1)}, r"2 correlated effects.*\|\|"),
        ({"1|state": vmrp.HuangWand(A=1), "x|state": vmrp.HuangWand(A=2)}, "one prior"),
        ({"1|state": vmrp.HuangWand(A=[1, 2, 3])}, "3 values"),
        ({"educ": vmrp.Normal(0, [1, 2])}, "2 values"),
        ({"educ": vmrp.StudentT(3, 0, [1, 2])}, "2 values"),
        ({"educ": vmrp.Laplace([0, 1])}, "2 values"),
        ({"1|age": vmrp.StudentT(3)}, r"'1\|age' must be"),
        ([vmrp.Normal()], "dict"),
    ],
)
def test_bad_priors(survey, priors, message):
    with pytest.raises(vmrp.PriorError, match=message):
        vmrp.Model(FORMULA, survey, priors=priors)


seeds = st.integers(0, 2**32 - 1)


def random_survey(seed):
    """A small survey with few distinct rows, every level of every column present."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(30, 120))
    frame = pd.DataFrame(
        {
            "g": rng.permutation(np.resize(list("ABCD"), n)),
            "h": rng.permutation(np.resize(["u", "v", "w"], n)),
            "x": rng.permutation(np.resize([-1.0, 0.0, 0.5, 2.0], n)),
            "y": rng.permutation(np.resize([0, 1, 1], n)),
        }
    )
    return frame, "x + h + (1 + x|g) + (1|g:h)"


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_rows_and_cells_are_the_same_model(seed):
    frame, predictors = random_survey(seed)
    counted = frame.groupby(["g", "h", "x"], as_index=False).agg(s=("y", "sum"), n=("y", "size"))
    rows = vmrp.Model(f"y ~ {predictors}", frame)
    counts = vmrp.Model(f"p(s, n) ~ {predictors}", counted, family="binomial")
    assert_same(summary(rows)[:2], summary(counts)[:2])
    # the ELBOs differ by the binomial coefficients, which counted rows have and single rows lack
    constant = counts.glmm.response.log_base - rows.glmm.response.log_base
    assert summary(counts)[2] - summary(rows)[2] == pytest.approx(constant, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(2, 4))
def test_weights_equal_repetition(seed, times):
    frame, predictors = random_survey(seed)
    repeated = pd.concat([frame] * times)
    counts = frame.assign(s=times * frame["y"], n=times)
    a = vmrp.Model(f"y ~ {predictors}", repeated)
    b = vmrp.Model(f"p(s, n) ~ {predictors}", counts, family="binomial")
    assert_same(summary(a)[:2], summary(b)[:2])


def test_order_of_terms_does_not_matter(survey):
    a = summary(vmrp.Model("y ~ x + educ + (1|state) + (1|age)", survey))
    b = summary(vmrp.Model("y ~ educ + (1|age) + x + (1|state)", survey))
    assert_same(a, b)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_rows_does_not_matter(survey, seed):
    shuffled = survey.sample(frac=1, random_state=seed)
    a = vmrp.Model(FORMULA, survey).approximate(hyperparameters="mean_field")
    b = vmrp.Model(FORMULA, shuffled).approximate(hyperparameters="mean_field")
    np.testing.assert_allclose(a.mean(), b.mean(), rtol=1e-10, atol=1e-12)
    assert a.elbo == pytest.approx(b.elbo, abs=1e-8)


@settings(max_examples=8, deadline=None)
@given(st.permutations("ABCDEF"))
def test_names_of_levels_do_not_matter(survey, names):
    renamed = survey.assign(state=survey["state"].map(dict(zip("ABCDEF", names, strict=True))))
    a = vmrp.Model("y ~ x + (1|state)", survey).fit(2, tol=1e-9, hyperparameters="mean_field")[
        "fit/mean"
    ]["1|state"]
    b = vmrp.Model("y ~ x + (1|state)", renamed).fit(2, tol=1e-9, hyperparameters="mean_field")[
        "fit/mean"
    ]["1|state"]
    np.testing.assert_allclose(
        a.values, b.sel({"state__factor_dim": list(names)}).values, atol=1e-7
    )


def test_centring_moves_no_prior_of_independent_effects(survey):
    weak = {"Intercept": vmrp.Normal(0, 100)}
    formula = FORMULA.replace("1 + x|", "1 + x||")  # correlated effects have theirs there too
    a = summary(vmrp.Model(formula, survey, priors=weak))
    b = summary(vmrp.Model(formula, survey, priors=weak, center_predictors=False))
    for name in ("Intercept", "x", "1|state"):
        np.testing.assert_allclose(a[0][name], b[0][name], atol=2e-4)
        np.testing.assert_allclose(a[1][name], b[1][name], rtol=1e-3)
