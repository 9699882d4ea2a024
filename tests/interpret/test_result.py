"""What follows from draws of effects."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.interpret.variation import variance_shares
from tests.interpret.conftest import experiment

BY = ["region", "party"]


@pytest.fixture(scope="module")
def found(linear):
    return vmrp.effects(*linear, "treat", by=BY)


def test_average_weighs_groups_by_rows(found, frame):
    counts = frame.groupby(BY).size()
    by_hand = np.average(found.values[0], axis=0, weights=counts)
    table = found.average()
    assert table.loc["finite population", "mean"] == pytest.approx(by_hand.mean())
    assert table.loc["finite population", "sd"] == pytest.approx(by_hand.std(ddof=1))
    assert table.loc["superpopulation", "mean"] == pytest.approx(found.parts["treat"].mean())
    equal = found.average("equal").loc["finite population", "mean"]
    assert equal == pytest.approx(found.values[0].mean())
    given = found.average({("N", "left"): 3, ("S", "left"): 1}).loc["finite population", "mean"]
    table = found.table()["mean"]
    assert given == pytest.approx(0.75 * table["N", "left"] + 0.25 * table["S", "left"])


def test_extremes_and_ranks_agree(found):
    extremes, ranks = found.extremes(), found.ranks()
    means = found.table()["mean"]
    assert tuple(extremes.loc["smallest", BY]) == means.idxmin()
    assert tuple(extremes.loc["largest", BY]) == means.idxmax()
    smallest = ranks.loc[means.idxmin()]
    assert smallest["p_smallest"] == extremes.loc["smallest", "p"]
    assert ranks["p_smallest"].sum() == pytest.approx(1)
    assert ranks["mean"].sum() == pytest.approx(sum(range(1, len(ranks) + 1)))


def test_contrasts_of_groups(found):
    table = found.contrast(("S", "left"), ("N", "left"))
    means = found.table()["mean"]
    assert table["mean"].iloc[0] == pytest.approx(means["S", "left"] - means["N", "left"])
    of_region = found.contrast({"region": "S"}, {"region": "N"})["mean"].iloc[0]
    levels = found.moderators()["mean"]
    assert of_region == pytest.approx(levels["region", "S"] - levels["region", "N"])


def test_spread_is_the_sd_over_groups(found):
    shares = found.group_shares
    centred = found.values[0] - shares @ found.values[0]
    by_draw = np.sqrt(shares @ centred**2)
    assert found.spread().loc["finite population", "mean"] == pytest.approx(by_draw.mean())
    assert found.spread().loc["all draws", "mean"] > by_draw.mean() * 0.9


def test_shares_add_up(found, binary):
    assert found.shares()["mean"].sum() == pytest.approx(1)
    curved = vmrp.effects(*binary, "treat", by=BY).shares()["mean"]
    assert "remainder" in curved.index
    assert curved.sum() == pytest.approx(1)


def test_shares_of_uncorrelated_parts_are_their_variances():
    rng = np.random.default_rng(0)
    a, b = np.repeat([-1.0, 1.0], 4), np.tile([-2.0, 2.0], 4)
    parts = {"a": np.tile(a, (3, 1)).T, "b": np.tile(b, (3, 1)).T, "c": np.full((8, 3), 5.0)}
    shares = variance_shares(sum(parts.values()), parts, np.full(8, 1 / 8), is_linear=True)
    assert list(shares) == ["a", "b"]
    np.testing.assert_allclose(shares["a"], 1 / 5)
    np.testing.assert_allclose(shares["b"], 4 / 5)
    noise = rng.normal(size=(8, 3))
    curved = variance_shares(sum(parts.values()) + noise, parts, np.full(8, 1 / 8), is_linear=False)
    np.testing.assert_allclose(sum(curved.values()), 1)


def test_where_no_term_varies_the_remainder_is_all():
    values = np.random.default_rng(0).normal(size=(5, 7))
    found = variance_shares(values, {"offset": np.full((5, 7), 0.5)}, np.full(5, 0.2), False)
    assert list(found) == ["remainder"]
    np.testing.assert_allclose(found["remainder"], 1)


def test_moderators_have_a_row_for_each_level(found):
    table = found.moderators()
    assert table.loc["region"].index.tolist() == ["E", "N", "S", "W"]
    assert table.loc["party"].index.tolist() == ["left", "none", "right"]
    assert (table["smallest"] <= table["middle"]).all()
    assert (table["middle"] <= table["largest"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.contrast("S", "N"), "has 1"),
        (
            lambda e: e.contrast(("S", "up"), ("N", "left")),
            "a= has 'up', which is no level of",
        ),
        (lambda e: e.contrast({"age": 1}, {"region": "N"}), "'age'"),
        (lambda e: e.average({("N", "left"): -1}), "not negative"),
        (lambda e: e.average({("N", "left"): "many"}), "'many' for .*numbers"),
        (lambda e: e.average({("N", "left"): None}), "None for .*numbers"),
        (lambda e: e.average("rows"), "weights"),
        (lambda e: e.table(ci_prob=2), "ci_prob"),
        (lambda e: e.extremes(contrast="2 - 0"), "contrast"),
    ],
)
def test_bad_questions_are_named(found, call, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        call(found)


def test_it_prints_and_is_pickled(found):
    import pickle

    assert "12 groups by region, party" in repr(found)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.values, found.values)
    assert {found: 1}[found] == 1
    assert again != found  # no comparison of arrays of draws


def test_one_group_has_nothing_to_compare(linear):
    whole = vmrp.effects(*linear, "treat")
    for call in (whole.shares, whole.extremes, whole.moderators):
        with pytest.raises(vmrp.DataError, match="by="):
            call()
    with pytest.raises(vmrp.DataError, match="one group"):
        whole.contrast("N", "S")


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64", "category", "datetime64[ns]"])
def test_levels_are_named_as_the_data_have_them(binary, dtype):
    frame = experiment()
    codes = frame["party"].map({"left": 10, "right": 2, "none": 3})
    frame["code"] = codes.astype(dtype)
    values = [frame["code"][frame["party"] == party].iloc[0] for party in ("left", "right")]
    found = vmrp.effects(*binary, "treat", ["code"], data=frame)
    text = vmrp.effects(*binary, "treat", ["party"], data=frame)
    expected = text.contrast("left", "right").to_numpy()
    np.testing.assert_allclose(found.contrast(*values), expected, atol=1e-12)
    average = found.average({values[0]: 1.0, values[1]: 3.0})
    np.testing.assert_allclose(average, text.average({"left": 1, "right": 3}), atol=1e-12)


def test_groups_of_equal_effects_share_their_rank():
    """Effects vary by region alone: groups of one region are tied, whatever they are called."""
    frame = experiment()
    model = vmrp.Model(
        "normal ~ treat + (1|region:party) + (0 + treat|region)", frame, family="gaussian"
    )
    idata = model.fit(100, random_seed=1, hyperparameters="mean_field")
    effects = [vmrp.effects(model, idata, "treat", "region")]
    for mark in ("{0}{1}", "{1}{0}"):
        label = [mark.format(*pair) for pair in zip(frame["region"], frame["party"], strict=True)]
        effects.append(vmrp.effects(model, idata, "treat", "group", data=frame.assign(group=label)))
    alone, *split = (one.ranks() for one in effects)
    for table in split:
        for name, row in table.iterrows():
            region = alone.loc[next(letter for letter in name if letter in "NSWE")]
            assert row["p_smallest"] == pytest.approx(region["p_smallest"])
            assert row["p_largest"] == pytest.approx(region["p_largest"])
            assert row["mean"] == pytest.approx(3 * region["mean"] - 1)
    ends = [one.extremes().loc[["smallest", "largest"], "p"] for one in effects]
    for one in ends[1:]:
        np.testing.assert_allclose(one, ends[0], atol=1e-12)
