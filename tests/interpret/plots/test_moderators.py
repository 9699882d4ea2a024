from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.interpret.plots.moderators import spread_out
from tests.interpret.plots.conftest import overlaps, row_labels, smallest_font


def lines(axis, marker):
    return [line for line in axis.get_lines() if line.get_marker() == marker]


def test_panels_rows_points_and_boxes(twelve):
    figure = vmrp.plot_effect_moderators(twelve, ci_prob=0.5)
    table, means = twelve.moderators(ci_prob=0.5), twelve.table()["mean"]
    assert [axis.get_title("left") for axis in figure.axes] == ["g", "k"]
    assert row_labels(figure.axes[0]) == list("abcd")
    assert row_labels(figure.axes[1]) == ["k=0", "k=1", "k=2"]
    for axis, column in zip(figure.axes, ("g", "k"), strict=True):
        of_column = table.loc[column]
        for row, (level, line) in enumerate(zip(of_column.index, lines(axis, "o"), strict=True)):
            np.testing.assert_allclose(line.get_xdata(), means.xs(level, level=column))
            assert (np.abs(line.get_ydata() - row) < 0.3).all()
        boxes = [patch.get_path().vertices[:, 0] for patch in axis.patches]
        np.testing.assert_allclose([b.min() for b in boxes], of_column["lower_quartile"])
        np.testing.assert_allclose([b.max() for b in boxes], of_column["upper_quartile"])
        (average,) = lines(axis, "D")
        np.testing.assert_allclose(average.get_xdata(), of_column["mean"])
        segments = [s[:, 0] for s in axis.collections[0].get_segments()]
        np.testing.assert_allclose(segments, of_column[["eti50_lb", "eti50_ub"]])


def test_points_are_spread_out():
    places = spread_out(200)
    assert len(np.unique(places)) == 200
    assert np.abs(places).max() <= 0.22
    assert spread_out(1).tolist() == [0]


@pytest.mark.parametrize("levels", [{"g": ["a"]}, {"g": ["a", "b"], "h": ["c"]}])
def test_few_groups(make, levels):
    figure = vmrp.plot_effect_moderators(make(**levels))
    assert len(figure.axes) == len(levels)
    figure.draw_without_rendering()


def test_labels_of_128_groups_are_legible(many):
    figure = vmrp.plot_effect_moderators(many)
    assert len(figure.axes) == 6
    assert sum(len(line.get_xdata()) for line in lines(figure.axes[2], "o")) == 128
    assert overlaps(figure, figure.axes[0].get_yticklabels()) == []
    assert smallest_font(figure) >= 6


def test_effects_of_no_groups(make):
    with pytest.raises(vmrp.DataError, match=r"needs groups.*by="):
        vmrp.plot_effect_moderators(make())
