"""Posterior predictive checks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.diagnostics import predictive
from pymc_vmrp.diagnostics.predictive import predictive_checks
from pymc_vmrp.results.idata import read_draws


def _checks(model, seed=1):
    draws = read_draws(model.glmm, model.fit(400, random_seed=seed)).flat()
    table = predictive_checks(model.glmm, model.observations, draws, np.random.default_rng(seed))
    return table.set_index("what")


def _frame(rng, noise):
    g, x = rng.integers(0, 12, len(noise)), rng.normal(size=len(noise))
    y = 1 + 0.5 * x + 0.5 * rng.normal(size=12)[g] + noise
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})


def test_heavy_tails_show_under_a_gaussian():
    rng = np.random.default_rng(1)
    sound = _checks(vmrp.Model("y ~ x + (1|g)", _frame(rng, rng.normal(size=400)), "gaussian"))
    bad = _checks(vmrp.Model("y ~ x + (1|g)", _frame(rng, rng.standard_t(2, 400)), "gaussian"))
    assert sound.loc["tails of responses", "p"] > 0.05
    assert bad.loc["tails of responses", "p"] < 0.006
    assert bad.loc["tails of responses", "z"] > 5


def test_overdispersed_counts_show_under_a_poisson():
    rng = np.random.default_rng(2)
    frame = _frame(rng, np.zeros(500))
    mean = np.exp(1 + 0.3 * frame["x"])
    frame["y"] = rng.negative_binomial(1, 1 / (1 + mean))
    bad = _checks(vmrp.Model("y ~ x + (1|g)", frame, family="poisson"))
    assert bad.loc["spread of responses", "z"] > 5
    assert bad.loc["share of zeros", "z"] > 5
    frame["y"] = rng.poisson(mean)
    sound = _checks(vmrp.Model("y ~ x + (1|g)", frame, family="poisson"))
    assert (sound["p"] > 0.02).all()


def test_a_group_the_model_gets_wrong_shows():
    """A tight prior keeps the effects of groups that differ away from their data."""
    rng = np.random.default_rng(3)
    frame = _frame(rng, 0.1 * rng.normal(size=400))
    model = vmrp.Model(
        "y ~ x + (1|g)", frame, family="gaussian",
        priors={"1|g": vmrp.HalfNormal(1e-3), "sigma": 0.1},
    )  # fmt: skip
    table = _checks(model)
    assert table.loc["means by g", "p"] < 0.006
    assert table.loc["means by g", "z"] > 5


def test_zeros_and_ones_have_no_spread_of_their_own():
    simulation = vmrp.simulate(400, n_states=6, random_seed=3)
    table = _checks(vmrp.Model("support ~ male + (1|state)", simulation.survey))
    assert list(table.index) == ["means by state"]


def test_trials_offsets_and_known_sds():
    rng = np.random.default_rng(4)
    frame = _frame(rng, np.zeros(200)).assign(n=rng.integers(1, 20, 200), sd=0.7, one=1.0)
    p = 1 / (1 + np.exp(-0.5 * frame["x"]))
    frame["k"] = rng.binomial(frame["n"], p)
    binomial = vmrp.Model("p(k, n) ~ x + (1|g)", frame, family="binomial")
    frame["z"] = 0.5 * frame["x"] + 5 + 0.7 * rng.normal(size=200)
    known = vmrp.Model("se(z, sd) ~ x + (1|g)", frame, family="gaussian")
    frame["c"] = rng.poisson(frame["n"] * np.exp(0.2 * frame["x"]))
    offset = vmrp.Model("c ~ x + offset(np.log(n)) + (1|g)", frame, family="poisson")
    for model in (binomial, known, offset):
        assert (_checks(model)["p"] > 0.01).all()


def test_a_sample_of_many_rows(monkeypatch):
    monkeypatch.setattr(predictive, "_MOST_ROWS", 100)
    rng = np.random.default_rng(5)
    table = _checks(vmrp.Model("y ~ x + (1|g)", _frame(rng, rng.standard_t(2, 3000)), "gaussian"))
    assert table.loc["tails of responses", "z"] > 3


@pytest.mark.slow
def test_p_values_of_the_right_model_are_not_small():
    """Posterior predictive p-values are conservative: few are below 0.05."""
    small = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        model = vmrp.Model("y ~ x + (1|g)", _frame(rng, rng.normal(size=100)), "gaussian")
        small += int((_checks(model, seed)["p"] < 0.05).sum())
    assert small <= 8  # of 45


@pytest.mark.parametrize("one_sided", [False, True])
def test_p_is_never_zero(one_sided):
    found = predictive._compare(10.0, np.zeros(99), one_sided)
    assert found["p"] == pytest.approx(0.01 if one_sided else 0.02)
