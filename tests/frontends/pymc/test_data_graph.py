"""What keeps a pm.Model from having other rows is named; what only looks like it is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.errors import ModelError

pytestmark = pytest.mark.filterwarnings("ignore")
RNG = np.random.default_rng(3)
N, LEVELS = 30, 5
G, X_ = RNG.integers(0, LEVELS, N), RNG.normal(size=N)
Y = RNG.normal(size=N)
NEW = pd.DataFrame({"g": [0, 4, 2], "x": [0.1, -1.0, 3.0], "n": 1})


def _draws(model):
    prior = vmrp.prior_predictive(model, 5, random_seed=1)["prior"].to_dataset()
    return xr.DataTree.from_dict({"posterior": prior})


def _model(g=True, x=True, more=None):
    with pm.Model() as model:
        own_g = pm.Data("g", G) if g else G
        own_x = pm.Data("x", X_) if x else X_
        u = pm.Normal("u", 0, pm.HalfNormal("s"), shape=LEVELS)
        eta = pm.Normal("a") + u[own_g] + pm.Normal("b") * own_x
        if more is not None:
            eta = eta + more()
        pm.Normal("y", eta, pm.HalfNormal("sigma"), observed=Y)
    return model


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: _model(x=False), r"numbers of shape \(30,\) that 'b' meet.*pm.Data"),
        (lambda: _model(g=False), r"positions of shape \(30,\) that 'u' meet.*pm.Data"),
        (lambda: _model(g=False, x=False), "no pm.Data at all"),
        (lambda: _model(more=lambda: np.arange(N) / 10), "of the linear predictor"),
        (lambda: _model(more=lambda: pm.Normal("e", 0, pm.HalfNormal("t"), shape=N)),
         "variable 'e', one element a row"),
    ],
)  # fmt: skip
def test_constants_along_the_rows_are_named(made, message):
    model = made()
    idata = _draws(model)
    for call in (
        lambda d: vmrp.predict(model, idata, data=d),
        lambda d: vmrp.poststratify(model, idata, d),
    ):
        with pytest.raises(ModelError, match=message):
            call(NEW)
        with pytest.raises(ModelError, match=message):  # as many rows as the model's own
            call(NEW.sample(N, replace=True, random_state=1))
    vmrp.predict(model, idata)  # its own rows


def _level_means(dims):
    """As many levels as rows, whose predictor is in a container too."""
    with pm.Model(coords={"level": np.arange(6)} if dims else {}) as model:
        g = pm.Data("g", np.array([0, 0, 1, 3, 4, 4]), dims="obs" if dims else None)
        income = pm.Data("income", np.arange(6) / 5, dims="level" if dims else None)
        u = pm.Normal("u", pm.Normal("k") * income, pm.HalfNormal("s"), shape=6)
        eta = pm.Normal("a") + u[g]
        pm.Deterministic("eta", eta)
        pm.Normal(
            "y", eta, 1.0, observed=[0.1, -2.0, 1.0, 0.3, 1.5, 0.2], dims="obs" if dims else None
        )
    return model


@pytest.mark.parametrize("dims", [True, False])
def test_a_container_of_levels_as_long_as_the_rows(dims):
    model = _level_means(dims)
    idata = _draws(model)
    new = pd.DataFrame({"g": [5, 2, 1, 0, 3, 4, 4]})  # without a column "income"
    found = vmrp.predict(model, idata, data=new, inplace=False)["posterior"]["y_mean"]
    post = idata["posterior"]
    expected = post["a"].to_numpy()[..., None] + post["u"].to_numpy()[..., new["g"]]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_intercept_alone_needs_no_columns():
    with pm.Model() as model:
        pm.Bernoulli("y", pm.math.invlogit(pm.Normal("a")), observed=[0, 1, 1, 0, 1])
    idata = _draws(model)
    estimate = vmrp.poststratify(model, idata, pd.DataFrame({"n": [1, 2]}))["posterior"]["estimate"]
    np.testing.assert_allclose(estimate, 1 / (1 + np.exp(-idata["posterior"]["a"])), rtol=1e-10)


def test_a_mean_by_group_whose_index_comes_after_the_link():
    with pm.Model() as model:
        g = pm.Data("g", G)
        u = pm.Normal("u", pm.Normal("m"), pm.HalfNormal("s"), shape=LEVELS)
        pm.Bernoulli("y", pm.math.invlogit(u)[g], observed=(Y > 0).astype(int))
    idata = _draws(model)
    found = vmrp.predict(model, idata, data=NEW, inplace=False)["posterior"]["y_mean"]
    expected = 1 / (1 + np.exp(-idata["posterior"]["u"].to_numpy()[..., NEW["g"]]))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_index_that_is_computed():
    with pm.Model() as model:
        g = pm.Data("g", G + 1)
        u = pm.Normal("u", 0, pm.HalfNormal("s"), shape=LEVELS)
        pm.Normal("y", pm.Normal("a") + u[g - 1], 1.0, observed=Y)
    idata = _draws(model)
    found = vmrp.predict(model, idata, data=NEW.assign(g=[1, 5, 2]), inplace=False)
    post = idata["posterior"]
    expected = post["a"].to_numpy()[..., None] + post["u"].to_numpy()[..., [0, 4, 1]]
    np.testing.assert_allclose(found["posterior"]["y_mean"], expected, rtol=1e-9)
    with pytest.raises(vmrp.DataError, match="'g'"):
        vmrp.predict(model, idata, data=NEW.assign(g=6))


def test_rows_of_very_different_sizes_are_right_or_refused():
    model = _model()
    idata = _draws(model)
    new = pd.DataFrame({"g": 1, "x": [1e-3, 1e4, 1e15, 2.0]})
    post = idata["posterior"]
    expected = (post["a"] + post["u"][..., 1]).to_numpy()[..., None] + post["b"].to_numpy()[
        ..., None
    ] * new["x"].to_numpy()
    try:
        found = vmrp.predict(model, idata, data=new, inplace=False)["posterior"]["y_mean"]
    except ModelError:
        return
    np.testing.assert_allclose(found, expected, rtol=1e-7)
