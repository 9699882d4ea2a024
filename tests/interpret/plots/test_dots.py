from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import pymc_vmrp as vmrp
from pymc_vmrp.interpret.estimate import effects
from tests.interpret.plots.conftest import overlaps, row_labels, smallest_font


def points(axis, marker="o"):
    """Places of all points with a marker, from the top row down."""
    lines = [line for line in axis.get_lines() if line.get_marker() == marker]
    found = np.concatenate([np.stack(line.get_data(), axis=1) for line in lines])
    return found[np.argsort(found[:, 1], kind="stable")]


def test_rows_by_effect_and_by_levels(twelve):
    table = twelve.table()
    names = [f"{g}, k={k}" for g, k in table.index]
    axis = vmrp.plot_effects(twelve, order="levels").axes[0]
    assert row_labels(axis) == names
    np.testing.assert_allclose(points(axis), np.stack([table["mean"], np.arange(12)], axis=1))
    (segments,) = [c.get_segments() for c in axis.collections]
    np.testing.assert_allclose(
        [s[:, 0] for s in segments], table[["eti90_lb", "eti90_ub"]].to_numpy()
    )

    axis = vmrp.plot_effects(twelve).axes[0]
    order = np.argsort(table["mean"].to_numpy())
    assert row_labels(axis) == [names[i] for i in order]
    np.testing.assert_allclose(points(axis)[:, 0], np.sort(table["mean"]))
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the smallest on top


def test_lines_at_zero_and_at_the_average(twelve):
    axis = vmrp.plot_effects(twelve).axes[0]
    lines = {line.get_linestyle(): line.get_xdata()[0] for line in axis.get_lines()[-2:]}
    average = float(twelve.average().loc["finite population", "mean"])
    assert lines["--"] == pytest.approx(average)
    assert any(list(line.get_xdata()) == [0, 0] for line in axis.get_lines())


def test_facets_have_the_groups_of_their_level(make):
    twelve = make(leave_out=[("b", 2)], g=["a", "b", "c", "d"], k=[0, 1, 2])
    figure = vmrp.plot_effects(twelve, facet="g", order="levels")
    table = twelve.table()
    assert [axis.get_title() for axis in figure.axes] == list("abcd")
    assert row_labels(figure.axes[0]) == ["k=0", "k=1", "k=2"]
    for axis, g in zip(figure.axes, "abcd", strict=True):
        mean = table.loc[g]["mean"]
        np.testing.assert_allclose(points(axis), np.stack([mean, mean.index], axis=1))
    by_effect = vmrp.plot_effects(twelve, facet="g")
    means = table["mean"].groupby("k").mean().sort_values()
    assert row_labels(by_effect.axes[0]) == [f"k={k}" for k in means.index]


def test_more_facets_than_fit_side_by_side(make):
    figure = vmrp.plot_effects(make(g=list("abcdefg"), h=["x", "y"]), facet="g")
    shown = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in shown] == list("abcdefg")
    assert sum(row_labels(axis)[0] != "" for axis in shown) == 2


def test_a_second_method_beside(twelve):
    table = twelve.table()
    other = pd.DataFrame(
        {"estimate": table["mean"] * 2, "lower": -1.0, "upper": 2.0, "method": "ols"}
    )
    other.iloc[4, :3] = np.nan
    other.iloc[5, 1] = -np.inf
    figure = vmrp.plot_effects(twelve, other, order="levels")
    axis = figure.axes[0]
    first, second = points(axis), points(axis, "s")
    np.testing.assert_allclose(second[:, 0], table["mean"] * 2 + 0 * other["estimate"])
    assert (second[:, 1] > first[:, 1]).all()
    assert (np.round(second[:, 1]) == np.round(first[:, 1])).all()
    assert [len(c.get_segments()) for c in axis.collections] == [12, 10]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[:2] == ["model, 90% interval", "ols, interval"]
    named = vmrp.plot_effects(twelve, twelve, labels=("a", "b"), ci_prob=0.5)
    entries = [text.get_text() for text in named.legends[0].get_texts()]
    assert entries[:2] == ["a, 50% interval", "b, 50% interval"]


def test_groups_that_lack_an_arm_are_hollow(make):
    figure = vmrp.plot_effects(make(lacking=[1, 3], g=list("abcd")), order="levels")
    (hollow,) = [
        line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"
    ]
    assert hollow.get_ydata().tolist() == [1, 3]
    assert "lacks an arm" in "".join(text.get_text() for text in figure.legends[0].get_texts())


@pytest.mark.parametrize("levels", [{}, {"g": ["a"]}, {"g": list("abcdefgh")}])
def test_few_groups(make, levels):
    effects = make(**levels)
    figure = vmrp.plot_effects(effects)
    assert len(points(figure.axes[0])) == effects.groups.size
    figure.draw_without_rendering()


def test_labels_of_128_groups_are_legible(many):
    figure = vmrp.plot_effects(many)
    labels = figure.axes[0].get_yticklabels()
    assert len({text.get_text() for text in labels}) == 128
    assert smallest_font(figure) >= 6
    assert overlaps(figure, labels[:20]) == []
    facets = vmrp.plot_effects(many, many, facet="region")
    assert overlaps(facets, facets.axes[0].get_yticklabels()) == []
    assert facets.get_figheight() < figure.get_figheight()


def test_markup_in_names_is_shown_as_it_is(make):
    odd = ["$x$", r"$\frac{", "a_b", "\x1b[2J"]
    figure = vmrp.plot_effects(make(**{"$g$": odd, "h": odd}), facet="h", labels=["$m$"])
    figure.draw_without_rendering()
    dollars = [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert len(dollars) > 4
    assert not any(text.get_parse_math() for text in dollars)
    assert not any("\x1b" in text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"facet": "z"}, "facet= names 'z', which is no column that the effects are by: g, k"),
        ({"order": "size"}, "order='size' is not known"),
        ({"labels": ["a", "b"]}, "labels has 2 names, but 1 method is shown"),
        ({"labels": 3}, "labels must be names"),
        ({"other": 3}, "other must be a DataFrame"),
        ({"level_names": {"z": {}}}, "level_names= has the column 'z'"),
    ],
)
def test_bad_arguments(twelve, arguments, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.plot_effects(twelve, **arguments)


def test_more_rows_than_a_picture_holds(make):
    with pytest.raises(vmrp.DataError, match=r"at most 500 rows, not 501: facet="):
        vmrp.plot_effects(make(g=list(range(501))))


def test_effects_of_a_fit():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": rng.choice(list("abcde"), 300), "t": rng.choice([0, 1], 300)})
    data["y"] = rng.normal(size=300) + data["t"] * (data["g"] > "c")
    model = vmrp.Model("y ~ 1 + t + (1 + t|g)", data, family="gaussian")
    found = effects(model, model.fit(100, random_seed=1, progressbar=False), "t", by="g")
    axis = vmrp.plot_effects(found).axes[0]
    assert sorted(row_labels(axis)) == list("abcde")
    assert set(row_labels(axis)[-2:]) == {"d", "e"}


def test_methods_of_compare_beside():
    """As it gives them: a crossing without rows, and groups without an estimate, included."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({name: rng.choice(list("abc"), 200) for name in ("g", "h")})
    data = data[(data["g"] != "a") | (data["h"] != "a")].assign(t=lambda d: np.arange(len(d)) % 2)
    data.loc[(data["g"] == "b") & (data["h"] == "b"), "t"] = 1
    data["y"] = rng.normal(size=len(data))
    model = vmrp.Model("y ~ 1 + t + (1 + t|g:h)", data, family="gaussian")
    fit = model.fit(50, random_seed=1, hyperparameters="mean_field", tol=0.05)
    found = effects(model, fit, "t", by=["g", "h"])
    compared = found.compare(ci_prob=0.5)
    for method in ("crossed", "constant"):
        other = compared[compared.index.get_level_values("method") == method]
        figure = vmrp.plot_effects(found, other, order="levels")
        drawn = points(figure.axes[0], "s")[:, 0]
        expected = other.droplevel("method").reindex(found.table().index)["estimate"]
        np.testing.assert_allclose(drawn, expected)
        assert np.isnan(drawn).sum() == (method == "crossed")
        entries = [text.get_text() for text in figure.legends[0].get_texts()]
        assert f"{method}, 50% interval" in entries
