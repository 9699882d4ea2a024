from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from tests.interpret.plots.conftest import overlaps, row_labels, smallest_font


def bars(axis):
    return sum(patch.get_height() for patch in axis.patches)


def test_the_named_groups_are_those_of_extremes(many):
    below = vmrp.plot_effect_distribution(many, ci_prob=0.8).axes[1]
    table = many.extremes(ci_prob=0.8)
    (dots,) = [line for line in below.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots.get_xdata(), table["mean"])
    segments = below.collections[0].get_segments()
    np.testing.assert_allclose([s[:, 0] for s in segments], table[["eti80_lb", "eti80_ub"]])
    for label, (key, row) in zip(row_labels(below), table.iterrows(), strict=True):
        flat = label.replace("\xa0", " ").replace("\n", " ")
        levels = ", ".join(str(row[name]) for name in many.groups.names)
        assert flat.startswith(f"{key}: {levels}"[:30])
        assert flat.endswith(f"{row['mean']:z.2f} [{row['eti80_lb']:z.2f}, {row['eti80_ub']:z.2f}]")


def test_every_group_counts_once(many, twelve):
    for effects in (many, twelve):
        assert bars(vmrp.plot_effect_distribution(effects).axes[0]) == effects.groups.size
    top = vmrp.plot_effect_distribution(many, bins=7).axes[0]
    assert len(top.patches) == 7
    assert bars(top) == 128


def test_all_draws_behind(many):
    few, all_of_them = (vmrp.plot_effect_distribution(many, draws=d) for d in (False, True))
    top = all_of_them.axes[0]
    area = sum(p.get_height() * p.get_width() for p in top.patches)
    assert area == pytest.approx(2)  # two densities
    assert np.ptp(top.get_xlim()) >= np.ptp(few.axes[0].get_xlim())


@pytest.mark.parametrize("draws", [False, True])
def test_bars_do_not_hide_the_average(many, draws):
    top = vmrp.plot_effect_distribution(many, draws=draws).axes[0]
    (average,) = [line for line in top.get_lines() if line.get_linestyle() == "--"]
    assert average.get_zorder() > max(patch.get_zorder() for patch in top.patches)


@pytest.mark.parametrize(("levels", "called"), [
    ({}, ["smallest, median, largest:"]),
    ({"g": ["a"]}, ["smallest, median, largest:"]),
    ({"g": ["a", "b"]}, ["smallest, median:", "largest:"]),
])  # fmt: skip
@pytest.mark.parametrize("draws", [False, True])
def test_few_groups(make, levels, called, draws):
    figure = vmrp.plot_effect_distribution(make(**levels), draws=draws)
    assert [label.split("\n")[0] for label in row_labels(figure.axes[1])] == called
    figure.draw_without_rendering()


def test_labels_are_legible(many):
    figure = vmrp.plot_effect_distribution(many)
    assert overlaps(figure, figure.axes[1].get_yticklabels()) == []
    assert smallest_font(figure) >= 6


def test_bad_arguments(twelve):
    with pytest.raises(vmrp.VmrpError, match="draws must be True or False"):
        vmrp.plot_effect_distribution(twelve, draws="all")
    with pytest.raises(vmrp.VmrpError, match="bins must be a whole number"):
        vmrp.plot_effect_distribution(twelve, bins=0)
