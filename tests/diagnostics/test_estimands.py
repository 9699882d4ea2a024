"""Estimands of draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.diagnostics.estimands import Estimands
from pymc_vmrp.results.idata import read_draws


@pytest.fixture(scope="module")
def fitted():
    simulation = vmrp.simulate(400, n_states=6, random_seed=3)
    model = vmrp.Model("support ~ male + (1|state) + (1 + male|eth)", simulation.survey)
    return model, model.fit(200, random_seed=1), simulation


def _values(model, idata, chosen=None):
    return Estimands(model.read_model, chosen)(read_draws(model.glmm, idata))


def test_group_means_are_means_of_predictions(fitted):
    model, idata, simulation = fitted
    values = _values(model, idata)
    p = model.predict(idata, inplace=False)["posterior"]["p"].to_numpy()
    survey = simulation.survey
    assert values.names[0] == "all rows"
    np.testing.assert_allclose(values.draws[..., 0], p.mean(-1))
    for i, name in enumerate(values.names):
        if values.kinds[i] != "mean responses by group" or i == 0:
            continue
        factor, level = name.split("=", 1)
        rows = (survey[factor].astype(str) == level).to_numpy()
        np.testing.assert_allclose(values.draws[..., i], p[..., rows].mean(-1))


def test_effects_and_hyperparameters_are_the_posteriors(fitted):
    model, idata, _ = fitted
    values = _values(model, idata)
    posterior = idata["posterior"]
    found = dict(zip(values.names, np.moveaxis(values.draws, -1, 0), strict=True))
    np.testing.assert_allclose(found["Intercept"], posterior["Intercept"])
    np.testing.assert_allclose(found["male"], posterior["male"])
    state = posterior["1|state"].isel(state__factor_dim=0)
    np.testing.assert_allclose(found[f"1|state={state['state__factor_dim'].item()}"], state)
    slope = posterior["male|eth"].isel(eth__factor_dim=0)
    np.testing.assert_allclose(found[f"male|eth={slope['eth__factor_dim'].item()}"], slope)
    np.testing.assert_allclose(found["log 1|state_sigma"], np.log(posterior["1|state_sigma"]))
    correlation = next(name for name in found if name.startswith("z "))
    np.testing.assert_allclose(
        found[correlation], np.arctanh(posterior["1+male|eth_corr"][..., 0]), rtol=1e-6
    )


def test_weights_and_trials_count():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"y": rng.integers(0, 5, 60), "n": 5, "w": rng.integers(1, 4, 60), "g": list("abc") * 20}
    )
    frame["x"] = rng.normal(size=60)
    model = vmrp.Model("p(y, n) ~ x + (1|g)", frame, family="binomial", weights="w")
    idata = model.fit(100, random_seed=1)
    values = _values(model, idata)
    p = model.predict(idata, inplace=False)["posterior"]["p"].to_numpy()
    np.testing.assert_allclose(values.draws[..., 0], np.average(p, axis=-1, weights=frame["w"]))


def test_many_levels_are_thinned_to_those_with_the_most_and_the_least_data():
    rng = np.random.default_rng(0)
    codes = rng.choice(300, 3000, p=np.arange(1, 301) / np.arange(1, 301).sum())
    frame = pd.DataFrame({"y": rng.normal(size=3000), "g": [f"g{i:03d}" for i in codes]})
    model = vmrp.Model("y ~ 1 + (1|g)", frame, family="gaussian")
    names = _values(model, model.fit(100, random_seed=1)).names
    assert sum(name.startswith("g=") for name in names) == 100
    assert sum(name.startswith("1|g=") for name in names) == 100
    assert f"g={frame['g'].value_counts().index[0]}" in names


def test_the_users_own(fitted):
    model, idata, simulation = fitted
    values = _values(
        model, idata, lambda draws: vmrp.poststratify(model, draws, simulation.cells, by="state")
    )
    expected = vmrp.poststratify(model, idata, simulation.cells, by="state")["posterior"][
        "estimate"
    ]
    chosen = [i for i, kind in enumerate(values.kinds) if kind == "chosen estimands"]
    np.testing.assert_allclose(values.draws[..., chosen], expected)
    assert values.names[0] == "estimate[S01]"
    assert values.kinds[-1] == "hyperparameters"


def test_what_is_no_draws_is_an_error(fitted):
    model, idata, _ = fitted
    with pytest.raises(vmrp.DataError, match="estimands= must be a function"):
        _values(model, idata, lambda draws: 3.0)
