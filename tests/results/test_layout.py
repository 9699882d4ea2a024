"""Layouts: stacked blocks, and levels without rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pymc_vmrp.results.layout import (
    Layout,
    Levels,
    Reported,
    draw_unseen,
    relabelled,
    unseen_log_density,
    unseen_moments,
)

LAYOUT = Layout(
    (
        Reported("b", (), ("x",)),
        Reported("c|g_sd", ("c",), ("c[1]|g_sigma", "c[2]|g_sigma"), -1),
        Reported("c|g", ("c", "g"), ("c[1]|g", "c[2]|g"), -2),
    ),
    {"c": ["1", "2"], "g": ["p", "q", "r"]},
    {name: Levels(np.array([0, 2]), 3) for name in ("c[1]|g", "c[2]|g")},
)


def named(draws):
    return {
        "x": ((), np.arange(draws) + 0.5),
        "c[1]|g": (("g",), np.full((draws, 2), 1.0)),
        "c[2]|g": (("g",), np.full((draws, 2), 2.0)),
        "c[1]|g_sigma": ((), np.full(draws, 0.1)),
        "c[2]|g_sigma": ((), np.full(draws, 3.0)),
    }


def test_blocks_are_stacked_and_levels_completed():
    values = named(4)
    unseen = draw_unseen(LAYOUT, values, np.random.default_rng(0))
    out = relabelled(LAYOUT, values, unseen)
    assert {name: (dims, v.shape) for name, (dims, v) in out.items()} == {
        "b": ((), (4,)),
        "c|g_sd": (("c",), (4, 2)),
        "c|g": (("c", "g"), (4, 2, 3)),
    }
    effects = out["c|g"][1]
    np.testing.assert_array_equal(effects[:, :, [0, 2]], [[[1, 1], [2, 2]]] * 4)
    np.testing.assert_array_equal(effects[:, 1, 1], unseen["c[2]|g"][:, 0])
    np.testing.assert_array_equal(out["c|g_sd"][1], [[0.1, 3.0]] * 4)


def test_effects_without_rows_have_their_sd_and_density():
    values = named(20_000)
    unseen = draw_unseen(LAYOUT, values, np.random.default_rng(1))
    assert abs(unseen["c[2]|g"].std() / 3 - 1) < 0.03
    assert abs(unseen["c[1]|g"].std() / 0.1 - 1) < 0.03
    expected = norm.logpdf(unseen["c[1]|g"][:, 0], 0, 0.1)
    expected += norm.logpdf(unseen["c[2]|g"][:, 0], 0, 3.0)
    np.testing.assert_allclose(unseen_log_density(LAYOUT, values, unseen), expected)


def test_their_moments():
    mean = {"c[1]|g_sigma": ((), np.array(3.0)), "c[2]|g_sigma": ((), np.array(0.0))}
    sd = {"c[1]|g_sigma": ((), np.array(4.0)), "c[2]|g_sigma": ((), np.array(2.0))}
    means, sds = unseen_moments(LAYOUT, mean, sd)
    assert means["c[1]|g"] == 0
    assert (sds["c[1]|g"], sds["c[2]|g"]) == (5.0, 2.0)


@given(st.integers(1, 12), st.data())
def test_completing_puts_every_level_in_its_place(size, data):
    known = np.array(sorted(data.draw(st.sets(st.integers(0, size - 1)))), dtype=np.int64)
    levels = Levels(known, size)
    out = levels.complete(known.astype(float), levels.unseen.astype(float))
    np.testing.assert_array_equal(out, np.arange(size))
