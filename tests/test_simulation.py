"""The simulated survey."""

from __future__ import annotations

import pandas as pd
import pytest

import pymc_vmrp as vmrp


def test_shapes_and_truth():
    simulation = vmrp.simulate(300, n_states=8, random_seed=1)
    assert len(simulation.survey) == 300
    assert len(simulation.cells) == 8 * 240
    assert simulation.truth["truth"].between(0, 1).all()
    assert simulation.survey["support"].isin([0, 1]).all()
    again = vmrp.simulate(300, n_states=8, random_seed=1)
    pd.testing.assert_frame_equal(simulation.survey, again.survey)


def test_respondents_are_not_representative():
    simulation = vmrp.simulate(5000, random_seed=1)
    cells, survey = simulation.cells, simulation.survey
    old = cells.loc[cells["age"] == "70+", "n"].sum() / cells["n"].sum()
    assert (survey["age"] == "70+").mean() > 1.5 * old


def test_mrp_recovers_the_truth_better_than_raw_means():
    simulation = vmrp.simulate(4000, random_seed=2)
    model = vmrp.Model(simulation.formula, simulation.survey)
    estimates = vmrp.poststratify(
        model, model.fit(500, random_seed=0), simulation.cells, by="state"
    )
    mean = estimates["posterior"]["estimate"].mean(("chain", "draw")).to_series()
    truth = simulation.truth.set_index("state")["truth"]
    raw = simulation.survey.groupby("state")["support"].mean().reindex(truth.index)
    assert (mean - truth).abs().mean() < 0.8 * (raw - truth).abs().mean()


def test_bad_sizes():
    with pytest.raises(vmrp.VmrpError, match="n_states"):
        vmrp.simulate(10, n_states=2)
