"""A row of weight w stands for w rows, and a row of weight zero for none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

FAMILIES = {
    "bernoulli": "b",
    "binomial": "p(k, n)",
    "beta_binomial": "p(k, n)",
    "gaussian": "z",
    "t": "z",
    "poisson": "k",
    "negativebinomial": "k",
    "gamma": "a",
}

TERMS = {
    "common": "x + c",
    "learned": "scale(x) + center(v) + poly(v, 2)",
    "standardize": "standardize(np.exp(x))",
    "splines": "bs(x, df=5)",
    "categories": "C(c) + S(g)",
    "groups": "x + (1 + x|g) + (1|g:c)",
    "calls by group": "(scale(x) + v|g)",
    "smooth": "s(x, k=5) + (1|c)",
    "smooth by group": "s(x, k=4, by=c)",
    "smooth times a number": "s(x, k=4, by=v)",
    "random walk": "rw(d)",
    "memberships": "(x|mm(g, h))",
    "offset": "x + offset(0.1 * v) + (1|g)",
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    n = 90
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n).round(1),
            "v": rng.gamma(2, size=n).round(1),
            "c": rng.choice(["u", "w"], n),
            "d": rng.integers(1, 5, n),
            "g": rng.choice(list("ABCD"), n),
            "h": rng.choice(list("ABCD"), n),
            "b": rng.integers(0, 2, n),
            "n": rng.integers(4, 9, n),
            "k": rng.integers(0, 4, n),
            "z": rng.normal(2, 3, n).round(2),
            "a": rng.gamma(3, size=n).round(2) + 0.01,
            "times": rng.integers(0, 4, n),
        }
    )
    # rows of no weight that would change whatever is learned from them
    frame.loc[:3, ["x", "v", "d", "times"]] = [50.0, 90.0, 9, 0]
    frame.loc[:3, ["c", "g", "h"]] = ["z", "Z", "Y"]
    frame.loc[:1, ["z", "a"]] = [1e6, 1e6]
    frame.loc[2:3, "v"] = np.nan
    return frame


def _parts(model):
    glmm = model.glmm
    common = glmm.common
    yield "columns", common.columns
    yield "center", common.center
    yield "prior_mean", common.prior_mean
    yield "prior_sd", common.prior_sd
    for group in glmm.groups:
        yield f"codes of {group.name}", group.codes
        yield f"values of {group.name}", group.values
    for i, statistic in enumerate(_arrays(glmm.response.statistics)):
        yield f"statistic {i}", statistic


def _arrays(value):
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from _arrays(one)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    elif hasattr(value, "__dataclass_fields__"):
        yield from _arrays([getattr(value, name) for name in value.__dataclass_fields__])
    elif value is not None and not isinstance(value, str):
        yield np.asarray(value)


def _same(one, other):
    for (name, a), (_, b) in zip(_parts(one), _parts(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)
    for a, b in zip(one.glmm.groups, other.glmm.groups, strict=True):
        assert a.levels == b.levels
        np.testing.assert_allclose(
            list(_arrays(a.prior)), list(_arrays(b.prior)), rtol=1e-9, err_msg=a.name
        )
    for a, b in zip(one.glmm.parameters, other.glmm.parameters, strict=True):
        np.testing.assert_allclose(a.span, b.span)
        np.testing.assert_allclose(list(_arrays(a.prior)), list(_arrays(b.prior)))


def _repeated(data):
    return data.loc[data.index.repeat(data["times"])].reset_index(drop=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())
def test_a_weight_is_a_number_of_rows(data, family, terms):
    formula = f"{FAMILIES[family]} ~ {terms}"
    weighted = vmrp.Model(formula, data, family, weights="times")
    _same(weighted, vmrp.Model(formula, _repeated(data), family))


@pytest.mark.parametrize("response", ["se(z, a)", "scale(z)", "center(z)", "np.log(a)"])
def test_responses_that_are_computed(data, response):
    formula = f"{response} ~ x + (1|g)"
    weighted = vmrp.Model(formula, data, "gaussian", weights="times")
    _same(weighted, vmrp.Model(formula, _repeated(data), "gaussian"))


@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())
def test_a_trial_is_a_row(data, terms):
    counted = _repeated(data)
    single = counted.loc[counted.index.repeat(counted["n"])]
    within = single.groupby(level=0).cumcount()
    single = single.assign(one=(within < single["k"]).astype(int), n=1).reset_index(drop=True)
    one = vmrp.Model(f"p(k, n) ~ {terms}", counted, "binomial")
    other = vmrp.Model(f"p(one, n) ~ {terms}", single, "binomial")
    for (name, a), (_, b) in zip(_parts(one), _parts(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("family", ["bernoulli", "gaussian", "gamma"])
def test_fits_agree(data, family):
    formula = f"{FAMILIES[family]} ~ scale(x) + (1|g) + (1|c)"
    fits = [
        vmrp.Model(formula, frame, family, weights=weights).approximate(
            hyperparameters="mean_field", tol=1e-6
        )
        for frame, weights in ((data, "times"), (_repeated(data), None))
    ]
    np.testing.assert_allclose(fits[0].elbo, fits[1].elbo, rtol=1e-8)


def test_predictions_are_of_the_rows_that_count(data):
    model = vmrp.Model("b ~ scale(x) + (1|g)", data, weights="times")
    idata = model.fit(10, random_seed=1, hyperparameters="mean_field")
    predicted = model.predict(idata, inplace=False)["posterior"]["p"]
    assert list(predicted["__obs__"].values) == list(data.index[data["times"] > 0])


def test_quantiles_of_weighted_values():
    from pymc_vmrp.frontends.expressions.transforms import weighted_quantiles

    rng = np.random.default_rng(5)
    x, w, at = rng.normal(size=30), rng.integers(0, 5, 30).astype(float), np.linspace(0, 1, 11)
    np.testing.assert_allclose(
        weighted_quantiles(x, at, w), np.quantile(np.repeat(x, w.astype(int)), at)
    )
    np.testing.assert_allclose(weighted_quantiles(x, at, None), np.quantile(x, at))
    fractions = weighted_quantiles(x, at, w / 100)
    assert (np.diff(fractions) >= 0).all()
    assert fractions[0] == x[w > 0].min()


@pytest.mark.parametrize("family", ["binomial", "beta_binomial"])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())
def test_rows_without_trials_are_no_rows(data, family, weights, terms):
    # rows that would change whatever is learned from them
    data = data.fillna({"v": 90.0}).assign(w=1.0 + data["times"])
    data.loc[:3, ["n", "k"]] = 0
    formula = f"p(k, n) ~ {terms}"
    one = vmrp.Model(formula, data, family, weights=weights)
    other = vmrp.Model(formula, data.loc[data["n"] > 0], family, weights=weights)
    _same(one, other)
    assert len(one.observations.cell) == len(data) - 4
