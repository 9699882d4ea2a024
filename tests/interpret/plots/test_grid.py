from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from tests.interpret.plots.conftest import overlaps, row_labels, smallest_font


def cells(axis):
    """Texts by (row, column)."""
    return {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axis.texts}


def column_labels(axis):
    return [text.get_text() for text in axis.get_xticklabels()]


def test_cells_hold_their_group(make):
    effects = make(leave_out=[("b", 1)], lacking=[3], g=["a", "b", "c"], k=[0, 1])
    axis = vmrp.plot_effect_grid(effects, rows="g", columns="k", ci_prob=0.8).axes[0]
    assert (row_labels(axis), column_labels(axis)) == (["a", "b", "c"], ["k=0", "k=1"])
    table, texts = effects.table(0.8), cells(axis)
    assert len(texts) == 5
    shown = axis.images[0].get_array()
    assert shown.mask.tolist() == [[False, False], [False, True], [False, False]]
    for number, ((g, k), row) in enumerate(table.iterrows()):
        at = ("abc".index(g), k)
        assert shown[at] == pytest.approx(row["mean"])
        star = "*" if number == 3 else ""
        interval = f"[{row['eti80_lb']:z.2f}, {row['eti80_ub']:z.2f}]"
        assert texts[at] == f"{row['mean']:z.2f}{star}\n{interval}"
    assert "* lacks an arm" in axis.get_title("right")


def test_rows_and_columns_change_places(twelve):
    first = vmrp.plot_effect_grid(twelve, rows="g").axes[0]
    second = vmrp.plot_effect_grid(twelve, columns="g").axes[0]
    assert cells(first) == {(j, i): text for (i, j), text in cells(second).items()}
    np.testing.assert_array_equal(first.images[0].get_array(), second.images[0].get_array().T)


def test_several_columns_a_side_are_joined(many):
    figure = vmrp.plot_effect_grid(many, rows=["column_0", "region"])
    axis = figure.axes[0]
    assert row_labels(axis)[1] == "no such thing, Asia"
    assert column_labels(axis)[0] == "\n".join(["no such thing"] * 4)
    assert len(axis.texts) == 128
    assert overlaps(figure, axis.get_xticklabels()) == []
    assert overlaps(figure, axis.get_yticklabels()) == []
    assert overlaps(figure, axis.texts[:20]) == []
    assert smallest_font(figure) >= 6
    default = vmrp.plot_effect_grid(many).axes[0]
    assert len(column_labels(default)) == 8


def test_colours_turn_at_zero_or_the_average(twelve):
    average = float(twelve.average().loc["finite population", "mean"])
    for centre, middle in (("zero", 0), ("average", average)):
        norm = vmrp.plot_effect_grid(twelve, centre=centre).axes[0].images[0].norm
        assert norm(middle) == pytest.approx(0.5)
        assert (norm(twelve.table()["mean"].to_numpy()) >= -1e-12).all()
        assert (norm(twelve.table()["mean"].to_numpy()) <= 1 + 1e-12).all()


@pytest.mark.parametrize("levels", [{}, {"g": ["a"]}, {"g": list("abcdefgh")}])
def test_few_groups(make, levels):
    effects = make(**levels)
    figure = vmrp.plot_effect_grid(effects)
    assert len(figure.axes[0].texts) == effects.groups.size
    figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": "z"}, "rows= names 'z', which is no column"),
        ({"rows": "g", "columns": "g"}, "rows= and columns= both have 'g'"),
        ({"rows": "g", "columns": []}, "'k', which the effects are by, is in neither"),
        ({"columns": ["k", "k"]}, "columns= has a column twice"),
        ({"rows": 1}, "rows= must be a column"),
        ({"centre": "mean"}, "centre='mean' is not known"),
    ],
)
def test_bad_arguments(twelve, arguments, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.plot_effect_grid(twelve, **arguments)


def test_grids_that_are_too_wide(make):
    effects = make(g=list(range(61)), h=["a", "b"])
    with pytest.raises(vmrp.DataError, match="at most 60 columns, not 61"):
        vmrp.plot_effect_grid(effects, columns="g")
    assert column_labels(vmrp.plot_effect_grid(effects).axes[0]) == ["a", "b"]
