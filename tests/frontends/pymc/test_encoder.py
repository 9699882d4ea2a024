"""New rows of pm.Models with pm.Data: what is predicted is what PyMC computes itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore")
N, LEVELS, KINDS = 40, 7, 3
X = ["X[a]", "X[b]"]
COORDS = {"level": list("pqrstuv"), "kind": list("abc"), "column": ["a", "b"]}


def frame(n, seed=0, levels=LEVELS):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "g": rng.integers(0, levels, n), "h": rng.integers(0, KINDS, n),
            "x": rng.normal(size=n), "w": rng.normal(size=n), "known": rng.normal(size=n),
            "X[a]": rng.normal(size=n), "X[b]": rng.normal(size=n),
            "exposure": rng.uniform(0.5, 2, n), "trials": rng.integers(1, 9, n),
        }
    )  # fmt: skip


OWN = frame(N, levels=LEVELS - 2)  # two levels have no rows


def values(name, data):
    return data[X].to_numpy() if name == "X" else data[name].to_numpy()


def data(name, **kwargs):
    return pm.Data(name, values(name, OWN), **kwargs)


def intercept_and_slopes():
    return pm.Normal("a", 1, 2) + pm.Normal("b", 2, 1) * data("x") - pm.Normal("c") * data("w")


def matrix():
    return pm.Normal("a") + data("X", dims=("row", "column")) @ pm.Normal(
        "beta", 1, 2, dims="column"
    )


def centred():
    u = pm.Normal("u", pm.Normal("m", 1, 2), pm.HalfNormal("s"), dims="level")
    return u[data("g")] + data("x") * pm.Normal("b")


def non_centred():
    u = pm.Normal("z", dims="level") * pm.HalfNormal("s")
    return pm.Normal("a") + pm.Deterministic("u", u)[data("g")]


def levels_of_a_predictor():
    g, income = data("g"), pm.Data("income", np.linspace(-1, 1, LEVELS))
    u = pm.Normal("u", pm.Normal("m") + pm.Normal("k") * income, pm.HalfNormal("s"), dims="level")
    return u[g] + pm.Normal("b") * data("x")


def varying_slopes():
    g, x = data("g"), data("x")
    u = pm.Normal("u", 0, pm.HalfNormal("s"), dims="level")
    v = pm.Normal("v", 0, pm.Exponential("t", 1), dims="level")
    return pm.Normal("a") + u[g] + (pm.Normal("b") + v[g]) * x


def crossed():
    u = pm.Normal("u", 0, pm.HalfNormal("s"), dims="level")
    v = pm.Normal("v", 0, pm.HalfNormal("t"), dims="kind")
    return pm.Normal("a") + u[data("g")] + v[data("h")]


def one_sd_for_both():
    s = pm.HalfNormal("s")
    u, v = pm.Normal("u", 0, s, dims="level"), pm.Normal("v", 0, s, dims="kind")
    return pm.Normal("a") + u[data("g")] + v[data("h")] * data("x")


def correlated():
    sd = pm.HalfNormal.dist(1, shape=2)
    chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sd)
    z, g = pm.Normal("z", shape=(LEVELS, 2)), data("g")
    u = pm.Deterministic("u", z @ chol.T)
    return pm.Normal("a") + u[g, 0] + u[g, 1] * data("x")


def correlated_centred():
    sd = pm.HalfNormal.dist(1, shape=2)
    chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sd)
    u = pm.MvNormal("u", np.array([1.0, 0.0]), chol=chol, shape=(LEVELS, 2))
    g = data("g")
    return u[g, 0] + u[g, 1] * data("x")


def zero_sum():
    u = pm.ZeroSumNormal("u", pm.HalfNormal("s"), dims="level")
    return pm.Normal("a") + u[data("g")]


def fixed_levels():
    return pm.Normal("u", 1, 2, dims="level")[data("g")] + pm.Normal("b") * data("x")


def table_of_effects():
    u = pm.Normal("u", 0, pm.HalfNormal("s"), dims=("level", "kind"))
    return pm.Normal("a") + u[data("g"), data("h")]


def walk():
    steps = pm.Normal("steps", 0, pm.HalfNormal("s"), shape=LEVELS)
    return pm.Normal("a") + steps.cumsum()[data("g")]


def transformed():
    x = data("x")
    return pm.Normal("a") + pm.Normal("b") * pt.exp(x / 3) + pm.Normal("c") * x**2


def offset():
    u = pm.Normal("u", 0, pm.HalfNormal("s"), dims="level")
    return pm.Normal("a", 1, 1) + u[data("g")] + 2 * data("known")


SHAPES = [
    intercept_and_slopes, matrix, centred, non_centred, levels_of_a_predictor, varying_slopes,
    crossed, one_sd_for_both, correlated, correlated_centred, zero_sum, fixed_levels,
    table_of_effects, walk, transformed, offset,
]  # fmt: skip


def bernoulli(eta):
    pm.Bernoulli("y", pm.Deterministic("mean", pm.math.invlogit(eta)), observed=OWN["h"] % 2)


def probit(eta):
    pm.Bernoulli("y", pm.Deterministic("mean", pm.math.invprobit(eta)), observed=OWN["h"] % 2)


def binomial(eta):
    p = pm.Deterministic("mean", pm.math.invlogit(eta))
    pm.Binomial("y", n=data("trials"), p=p, observed=np.minimum(OWN["g"], OWN["trials"]))


def poisson(eta):
    mean = pm.Deterministic("mean", data("exposure") * pm.math.exp(eta))
    pm.Poisson("y", mean, observed=OWN["g"])


def negative_binomial(eta):
    mean = pm.Deterministic("mean", pm.math.exp(eta + pm.math.log(data("exposure"))))
    pm.NegativeBinomial("y", mu=mean, alpha=pm.HalfNormal("alpha"), observed=OWN["g"])


def normal(eta):
    pm.Normal(
        "y", pm.Deterministic("mean", eta), pm.HalfNormal("sigma"), observed=np.sin(9 * OWN["w"])
    )


FAMILIES = [bernoulli, probit, binomial, poisson, negative_binomial, normal]


def build(shape, family=normal):
    with pm.Model(coords=COORDS) as model:
        family(shape())
    return model


def some_draws(model):
    prior = vmrp.prior_predictive(model, 6, random_seed=1)["prior"].to_dataset()
    return xr.DataTree.from_dict({"posterior": prior.drop_vars("mean")})


def by_pymc(model, idata, new):
    """The Deterministic ``mean`` of new data, and the model as it was."""
    names = [name for name in ("g", "h", "x", "w", "known", "X", "exposure", "trials")
             if name in model.named_vars]  # fmt: skip
    before = {name: model[name].get_value() for name in names}
    with model:
        pm.set_data({name: values(name, new) for name in names})
        out = pm.compute_deterministics(
            idata["posterior"].to_dataset(), var_names=["mean"], progressbar=False,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )["mean"].to_numpy()  # fmt: skip
        pm.set_data(before)
    return out


def check(model, idata, new):
    expected = by_pymc(model, idata, new)
    before = {k: v.get_value() for k, v in model.named_vars.items() if hasattr(v, "get_value")}
    found = vmrp.predict(model, idata, data=new, inplace=False)["posterior"]["y_mean"]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
    for name, value in before.items():
        np.testing.assert_array_equal(model[name].get_value(), value)
    return expected


@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_every_shape_of_predictor(shape):
    model = build(shape)
    idata = some_draws(model)
    for n in (N + 15, 9, 1):
        check(model, idata, frame(n, seed=n))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_every_family(family):
    model = build(centred, family)
    idata = some_draws(model)
    new = frame(60, seed=2)
    expected = check(model, idata, new)
    own = vmrp.predict(model, idata, data=OWN, inplace=False)["posterior"]["y_mean"]
    same = vmrp.predict(model, idata, inplace=False)["posterior"]["y_mean"]
    np.testing.assert_allclose(own, same, rtol=1e-9)
    weights = np.arange(1.0, 61)
    estimate = vmrp.poststratify(model, idata, new.assign(weight=weights), "weight", "h",
                                 chunk_size=17)["posterior"]["estimate"]  # fmt: skip
    for h in range(KINDS):
        mean = np.average(expected[..., new["h"] == h], -1, weights[new["h"] == h])
        np.testing.assert_allclose(estimate.sel(h=h), mean, rtol=1e-8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(SHAPES[:3] + SHAPES[5:7] + [offset]), min_size=1, max_size=1),
       st.integers(1, 70), st.integers(0, 1000), st.integers(1, 40))  # fmt: skip
def test_estimates_do_not_depend_on_the_order_or_number_of_chunks(shapes, n, seed, size):
    model = _cached(shapes[0])
    idata = some_draws(model)
    cells = frame(n, seed).assign(n=np.random.default_rng(seed).integers(1, 9, n))
    every = vmrp.poststratify(model, idata, cells)["posterior"]["estimate"]
    mixed = vmrp.poststratify(
        model, idata, cells.sample(frac=1, random_state=seed), chunk_size=size
    )["posterior"]["estimate"]
    np.testing.assert_allclose(mixed, every, rtol=1e-9)


_MODELS = {}


def _cached(shape):
    if shape not in _MODELS:
        _MODELS[shape] = build(shape, bernoulli)
    return _MODELS[shape]


def test_contributions_and_what_is_left_out():
    model = build(offset)
    idata = some_draws(model)
    new = frame(20, seed=5)
    own = {"exclude": "u"}, {"include_group_specific": False}
    full = vmrp.predict(model, idata, data=new, terms=True, inplace=False)
    terms = full["terms"]
    assert set(terms.data_vars) == {"Intercept", "u", "offset", "linear_predictor"}
    parts = terms["Intercept"] + terms["u"] + terms["offset"]
    np.testing.assert_allclose(parts, full["posterior"]["y_mean"], rtol=1e-10)
    np.testing.assert_allclose(terms["offset"][0, 0], 2 * new["known"], rtol=1e-10)
    for options in own:
        found = vmrp.predict(model, idata, data=new.drop(columns="g"), inplace=False, **options)
        rest = terms["Intercept"] + terms["offset"]
        np.testing.assert_allclose(found["posterior"]["y_mean"], rest, rtol=1e-10)


def test_new_responses():
    model = build(centred, binomial)
    idata = some_draws(model)
    new = frame(30, seed=1).assign(trials=7)
    drawn = vmrp.predict(model, idata, "response", new, inplace=False, random_seed=1)
    y = drawn["posterior_predictive"]["y"].to_numpy()
    assert y.min() >= 0
    assert 5 <= y.max() <= 7
    with pytest.raises(DataError, match="'trials'"):
        vmrp.predict(model, idata, "response", new.drop(columns="trials"))
    vmrp.predict(model, idata, data=new.drop(columns="trials"))
    with pm.Model(coords=COORDS) as fixed:
        p = pm.Deterministic("mean", pm.math.invlogit(centred()))
        pm.Binomial("y", n=OWN["trials"].to_numpy(), p=p, observed=np.minimum(OWN["g"], 1))
    with pytest.raises(DataError, match="trials or sds"):
        vmrp.predict(fixed, some_draws(fixed), "response", OWN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop(columns="x"), "'x'"),
        (lambda d: d.drop(columns="g"), "'g'"),
        (lambda d: d.assign(x=d["x"].where(d["x"] < 0.5)), "missing values in 'x'"),
        (lambda d: d.assign(x="one"), "'x' of .* must hold numbers"),
        (lambda d: d.assign(g="p"), "'g' of .* must hold numbers.*position"),
        (lambda d: d.assign(x=np.inf), "'x' of .* infinite"),
        (lambda d: d.assign(g=d["g"] + 0.5), "'g' of .* whole numbers"),
        (lambda d: d.assign(g=LEVELS), "level 7 in 'g'.*0 to 6"),
        (lambda d: d.assign(g=-1), "level -1 in 'g'"),
        (lambda d: d.assign(g=2**40), "'g'"),
    ],
)
def test_columns_that_will_not_do(change, message):
    model = _cached(centred)
    idata = some_draws(model)
    before = model["g"].get_value()
    for call in (
        lambda d: vmrp.predict(model, idata, data=d),
        lambda d: vmrp.poststratify(model, idata, d, "weight"),
    ):
        with pytest.raises(DataError, match=message):
            call(change(frame(10)).assign(weight=1))
    np.testing.assert_array_equal(model["g"].get_value(), before)


def test_columns_of_a_table_by_label_or_position():
    model = build(matrix)
    idata = some_draws(model)
    new = frame(10, seed=1)
    labelled = vmrp.predict(model, idata, data=new, inplace=False)["posterior"]["y_mean"]
    renamed = new.rename(columns={"X[a]": "X[0]", "X[b]": "X[1]"})
    numbered = vmrp.predict(model, idata, data=renamed, inplace=False)["posterior"]["y_mean"]
    np.testing.assert_array_equal(labelled, numbered)
    with pytest.raises(DataError, match=r"X\[b\]"):
        vmrp.predict(model, idata, data=new.drop(columns="X[b]"))


def test_numbers_of_other_kinds_are_taken():
    model = _cached(centred)
    idata = some_draws(model)
    new = frame(10)
    expected = vmrp.predict(model, idata, data=new, inplace=False)["posterior"]["y_mean"]
    for g in (new["g"].astype(float), new["g"].astype("Int8"), new["g"].astype(object)):
        found = vmrp.predict(model, idata, data=new.assign(g=g), inplace=False)
        np.testing.assert_array_equal(found["posterior"]["y_mean"], expected)
