from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pymc_vmrp as vmrp

AGES = [30, 2.5, 80, 45]


def band(collection):
    """Lower and upper edge by x, of a filled area."""
    points = np.unique(collection.get_paths()[0].vertices, axis=0)
    return {x: sorted(points[points[:, 0] == x][:, 1]) for x in np.unique(points[:, 0])}


def curves(axis):
    return [line for line in axis.get_lines() if not line.get_label().startswith("_")]


def test_a_line_and_a_band_along_the_moderator(make):
    effects = make(age=AGES)
    axis = vmrp.plot_effect_slope(effects, ci_prob=0.6).axes[0]
    table = effects.table(0.6).sort_index()
    line = axis.get_lines()[-1]
    np.testing.assert_allclose(line.get_xdata(), sorted(AGES))
    np.testing.assert_allclose(line.get_ydata(), table["mean"])
    edges = band(axis.collections[0])
    for age, row in table.iterrows():
        np.testing.assert_allclose(edges[age], row[["eti60_lb", "eti60_ub"]].astype(float))
    assert axis.get_xlabel() == "age"
    assert axis.get_ylabel() == "effect of t (1 - 0)"


def test_a_line_for_each_combination_of_the_others(make):
    effects = make(g=["a", "b"], k=[0, 1], age=AGES)
    figure = vmrp.plot_effect_slope(effects, level_names={"k": {1: "one"}})
    axis, table = figure.axes[0], effects.table()["mean"]
    lines = {line.get_label(): line for line in curves(axis)}
    assert list(lines) == ["a, k=0", "a, one", "b, k=0", "b, one"]
    np.testing.assert_allclose(lines["b, k=0"].get_ydata(), table.loc["b", 0].sort_index())
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(lines)


def test_lines_are_in_the_order_of_the_levels(make):
    effects = make(g=["a", "b"], age=AGES)
    low_high = replace(effects.groups, levels=(["low", "high"], effects.groups.levels[1]))
    figure = vmrp.plot_effect_slope(replace(effects, groups=low_high))
    drawn = curves(figure.axes[0])
    assert [line.get_label() for line in drawn] == ["low", "high"]
    expected = effects.table()["mean"]
    for line, g in zip(drawn, "ab", strict=True):
        np.testing.assert_array_equal(line.get_ydata(), expected.loc[g].sort_index())


def test_a_table_is_drawn_as_the_effects_are(make):
    effects = make(g=["a", "b"], age=AGES)
    shuffled = effects.table().sample(frac=1, random_state=2)
    ours, theirs = (vmrp.plot_effect_slope(e, x="age").axes[0] for e in (effects, shuffled))
    for a, b in zip(curves(ours), curves(theirs), strict=True):
        assert a.get_label() == b.get_label()
        np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())


def test_one_value(make):
    vmrp.plot_effect_slope(make(age=[4])).draw_without_rendering()


@pytest.mark.parametrize(
    ("levels", "arguments", "message"),
    [
        ({"g": ["a"], "age": AGES}, {"x": "g"}, "'g', whose levels are not numbers"),
        ({"g": ["a"], "age": AGES}, {"x": "z"}, "'z', which is no column"),
        ({"g": ["a"]}, {}, "must name the moderator.* it may be none"),
        ({}, {}, "must name the moderator.* it may be none"),
        ({"age": AGES, "size": AGES}, {}, "it may be 'age' and 'size'"),
        ({"g": list("abcdefghi"), "age": AGES}, {}, "at most 8 lines, not 9"),
        ({"b": [True, False]}, {"x": "b"}, "not numbers"),
    ],
)
def test_bad_arguments(make, levels, arguments, message):
    with pytest.raises(vmrp.DataError, match=message):
        vmrp.plot_effect_slope(make(**levels), **arguments)


def test_a_table_with_a_group_twice(make):
    table = make(age=AGES).table()
    with pytest.raises(vmrp.DataError, match="a group twice"):
        vmrp.plot_effect_slope(table.loc[[30, 30]])


@pytest.mark.parametrize("kind", ["comparisons", "slopes"])
def test_an_interpretation_is_drawn_as_its_table_says(binary, kind):
    model, idata = binary
    grid = {"x": [-1.0, 0.0, 2.0], "region": ["N", "S"]}
    if kind == "slopes":
        grid = {"treat": [0, 1], "region": ["N", "S"]}
        found = vmrp.slopes(model, idata, "x", conditional=grid, prob=[0.5, 0.8])
    else:
        found = vmrp.comparisons(model, idata, "treat", conditional=grid, prob=[0.5, 0.8])
    along = next(iter(grid))
    axis = vmrp.plot_effect_slope(found, x=along).axes[0]
    lines = {line.get_label(): line for line in curves(axis)}
    table = found.summary
    for k, level in enumerate(["N", "S"]):
        own = table[table["region"] == level]
        np.testing.assert_allclose(lines[level].get_xydata(), own[[along, "estimate"]])
        edges = band(axis.collections[k])
        for _, row in own.iterrows():
            wide = [row["lower_10.0%"], row["upper_90.0%"]]
            np.testing.assert_allclose(edges[row[along]], wide)
    assert "80% interval" in axis.get_title(loc="right")


def test_an_interpretation_of_several_values(binary):
    model, idata = binary
    found = vmrp.comparisons(model, idata, {"x": [0, 1, 2]}, conditional=["treat", "region"])
    with pytest.raises(vmrp.DataError, match="contrast=, one of '0_vs_1', '0_vs_2', '1_vs_2'"):
        vmrp.plot_effect_slope(found)
    axis = vmrp.plot_effect_slope(found, "treat", contrast="0_vs_2").axes[0]
    assert axis.get_ylabel() == "diff of x (0_vs_2)"


def test_predictors_may_be_called_as_ends_of_intervals(frame):
    renamed = frame.rename(columns={"x": "lower_x", "region": "upper_region"})
    model = vmrp.Model("normal ~ lower_x * treat + (1 + treat|upper_region)", renamed,
                       family="gaussian")  # fmt: skip
    idata = model.fit(30, random_seed=1, hyperparameters="mean_field", tol=0.1)
    grid = {"lower_x": [-1.0, 0.0, 2.0], "upper_region": ["N", "S"]}
    found = vmrp.comparisons(model, idata, "treat", conditional=grid)
    axis = vmrp.plot_effect_slope(found, x="lower_x").axes[0]
    assert [line.get_label() for line in curves(axis)] == ["N", "S"]
