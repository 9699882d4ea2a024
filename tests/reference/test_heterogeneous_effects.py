"""The benchmarks of effects by group: their baseline, their truths, and the alliance experiment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from benchmarks import alliances, effects_speed, heterogeneous_effects, planted_effects
from benchmarks.crossed_ols import crossed_ols

BY = ["a", "b", "c", "d"]


@pytest.mark.parametrize(("robust", "kind"), [(False, "nonrobust"), (True, "HC2")])
def test_crossed_ols_is_that_of_statsmodels(robust, kind):
    data = heterogeneous_effects.draw(1000, 0.25, 0).data
    fit = smf.ols("y ~ treat * a * b * c * d", data).fit(cov_type=kind, use_t=True)
    table = crossed_ols(data, "y", "treat", BY, robust=robust)
    assert len(table) == 16
    for group in ((0, 0, 0, 0), (1, 0, 1, 1), (1, 1, 1, 1)):
        levels = dict(zip(BY, group, strict=True))
        names = fit.params.index
        holds = [
            float(name.startswith("treat") and all(levels[c] for c in name.split(":")[1:]))
            for name in names
        ]
        theirs = fit.t_test(np.array(holds))
        ours = table.loc[group]
        assert ours["mean"] == pytest.approx(theirs.effect[0], abs=1e-10)
        assert ours["se"] == pytest.approx(theirs.sd[0, 0], rel=1e-8)
        assert [ours["low"], ours["high"]] == pytest.approx(theirs.conf_int(0.1)[0], abs=1e-8)


def test_crossed_ols_has_no_estimate_where_an_arm_is_missing():
    data = heterogeneous_effects.draw(1000, 0.25, 0).data
    lacking = (data[BY] == 1).all(axis=1) & (data["treat"] == 1)
    table = crossed_ols(data[~lacking], "y", "treat", BY)
    assert table["mean"].isna().sum() == 1
    assert np.isnan(table.loc[(1, 1, 1, 1), "mean"])


def test_simulated_effects_are_those_of_the_data():
    drawn = heterogeneous_effects.draw(5000, 0.75, 3)
    assert drawn.effects.loc[(0, 0, 0, 0)] == pytest.approx(0.5)
    table = crossed_ols(drawn.data, "y", "treat", BY)
    z = (table["mean"] - drawn.effects) / table["se"]
    assert z.abs().max() < 4.5
    new = crossed_ols(drawn.new, "y", "treat", BY)
    assert not np.allclose(new["mean"], table["mean"])


@pytest.mark.parametrize("name", planted_effects.PLANTS)
def test_planted_shares_are_as_asked(name):
    design = planted_effects.PLANTS[name]
    _, parts = planted_effects.planted_parts(design, np.random.default_rng(1))
    total = np.sum(list(parts.values()), axis=0)
    for term, share in design.shares.items():
        assert np.cov(parts[term], total, bias=True)[0, 1] / total.var() == pytest.approx(share)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_planted_effects_are_differences_of_mean_responses(family):
    found = []
    for seed in range(40):
        data, truth = planted_effects.draw_responses(family, seed)
        means = data.groupby(["g", "treat"])["y"].mean()
        found.append(means.xs(1, level="treat") - means.xs(0, level="treat") - truth)
    errors = pd.concat(found).dropna()
    assert len(errors) > 1000
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(len(errors))


@pytest.mark.slow
def test_every_part_runs():
    rows = list(heterogeneous_effects.simulation(1, [(1000, 0.25)], show=lambda _: None))
    assert [row["method"] for row in rows] == [
        heterogeneous_effects.OLS,
        heterogeneous_effects.OURS,
    ]
    assert rows[1]["rmse_effects"] < 1.2 * rows[0]["rmse_effects"]
    shares = list(planted_effects.shares("a common moderator", 20, 1, show=lambda _: None))
    assert {row["term"] for row in shares} == {"treat:x", "treat|g"}
    timed = list(effects_speed.measure(5000, 1, show=lambda _: None))
    assert {row["groups"] for row in timed} == {128, 180}


@pytest.mark.slow
def test_alliances_by_condition(shared):
    """Alley (2024): 0.33 on average; OLS has wider intervals, and effects that differ more."""
    data = alliances.load(shared)
    answer = alliances.answer(alliances.STUDIES["conditions"], data)
    row = alliances.summary("conditions", answer)
    assert row["groups"] == 32
    assert row["average"] == pytest.approx(0.33, abs=0.03)
    assert row["narrower_than_ols"] == 32
    assert row["sd_of_means"] < row["ols_sd_of_means"]
