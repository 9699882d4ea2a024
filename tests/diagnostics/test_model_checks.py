"""Leave-one-out as a check: what it says of the fit, and what of itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.diagnostics.model_checks import only_rows_of_a_level


def alone(frame, formula="z ~ 1 + (1|g)", **options):
    model = vmrp.Model(formula, frame, family="gaussian", **options)
    return only_rows_of_a_level(model.glmm, model.observations)


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "z": [0.3, -1.2, 0.8, 0.1, 2.0, -0.4, 0.9],
            "g": list("aabcddd"),
            "h": list("aaaabbb"),
            "k": list("ababbba"),
            "x": [1.0, 2, 3, 4, 5, 6, 7],
            "w": [1.0, 1, 2, 1, 1, 1, 1],
        }
    )


@pytest.mark.filterwarnings("ignore::pymc_vmrp.errors.PriorWarning")
def test_which_rows_are_alone(frame):
    expected = np.array([0, 0, 1, 1, 0, 0, 0], bool)
    np.testing.assert_array_equal(alone(frame), expected)
    # in any order, under any names, whichever other terms there are
    order = np.array([3, 0, 6, 2, 1, 5, 4])
    np.testing.assert_array_equal(alone(frame.iloc[order]), expected[order])
    renamed = frame.assign(g=frame["g"].map({"a": "z", "b": "y", "c": "x", "d": "w"}))
    np.testing.assert_array_equal(alone(renamed, "z ~ x + (1 + x|g) + (1|h)"), expected)
    assert not alone(frame, "z ~ x + (1|h)").any()
    # one level of an interaction
    np.testing.assert_array_equal(alone(frame, "z ~ 1 + (1|g:h)"), expected)
    # one of its several memberships
    np.testing.assert_array_equal(alone(frame, "z ~ 1 + (1|mm(g, k))"), frame["g"] == "c")


@pytest.mark.filterwarnings("ignore::pymc_vmrp.errors.PriorWarning")
def test_a_row_that_stands_for_two_is_not_alone(frame):
    np.testing.assert_array_equal(alone(frame, weights="w"), frame["g"] == "c")


def test_smooths_share_their_effects(frame):
    assert not alone(frame, "z ~ s(x, k=5) + (1|h)").any()


def plates(random_seed, rows=21):
    """Germinated seeds by plate, with an effect of each plate."""
    rng = np.random.default_rng(random_seed)
    trials = rng.integers(20, 80, rows)
    eta = -0.3 + 0.5 * rng.normal(size=rows)
    return pd.DataFrame(
        {
            "r": rng.binomial(trials, 1 / (1 + np.exp(-eta))),
            "n": trials,
            "plate": [f"p{i:02d}" for i in range(rows)],
        }
    )


@pytest.mark.slow
def test_one_effect_per_row_is_no_fault_of_the_fit():
    model = vmrp.Model("p(r, n) ~ 1 + (1|plate)", plates(1), family="binomial")
    found = vmrp.diagnose(model, model.fit(1000, random_seed=1), random_seed=1)
    assert found.verdict == "fine"
    rows = found.table[found.table["check"] == "LOO"].set_index("of")
    assert list(rows.index) == ["elpd", "the same, alone in a level"]
    note = rows.loc["the same, alone in a level"]
    assert note["verdict"] == "note"
    assert "21 of 21 rows are the only ones of a level" in note["meaning"]
    assert "kfold" in note["meaning"]


def test_rows_that_are_not_alone_are_judged_as_ever():
    """An outlier in a group of two has an effect that no other row of the model shares but one."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"g": np.repeat(np.arange(40), 2).astype(str)})
    frame["z"] = rng.normal(size=80)
    frame.loc[::10, "z"] += 12.0  # an eighth of the rows
    frame = pd.concat([frame, pd.DataFrame({"g": [f"s{i}" for i in range(10)], "z": 0.0})])
    model = vmrp.Model(
        "z ~ 1 + (1|g)", frame, family="gaussian", priors={"sigma": 0.5, "1|g": vmrp.HalfNormal(9)}
    )
    found = vmrp.diagnose(
        model, model.fit(500, random_seed=1), mcmc=False, restarts=0, random_seed=1
    )
    row = found.table.set_index("of").loc["rows with large k-hat"]
    assert row["verdict"] == "use with care"
    assert row["limit"] == "at most 0.01"
