"""Comparison of posteriors."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.summaries.compare import overlap


def tree(mean, sd, seed, n=4000, levels=("a", "b")):
    rng = np.random.default_rng(seed)
    posterior = xr.Dataset(
        {
            "b": (("chain", "draw"), rng.normal(mean, sd, (2, n // 2))),
            "u": (("chain", "draw", "g"), rng.normal(mean, sd, (2, n // 2, len(levels)))),
        },
        coords={"g": list(levels)},
    )
    return xr.DataTree.from_dict({"posterior": posterior})


def test_statistics():
    table = vmrp.compare(tree(1.0, 0.5, 0), tree(0.0, 1.0, 1))
    assert list(table.index) == ["b", "u[a]", "u[b]"]
    assert list(table["variable"]) == ["b", "u", "u"]
    np.testing.assert_allclose(table["shift"], 1, atol=0.1)
    np.testing.assert_allclose(table["sd_ratio"], 0.5, rtol=0.1)
    np.testing.assert_allclose(table["width_ratio"], 0.5, rtol=0.1)
    x = np.linspace(-8, 8, 4001)
    density = np.abs(stats.norm.pdf(x, 1, 0.5) - stats.norm.pdf(x, 0, 1))
    np.testing.assert_allclose(table["overlap"], 1 - 0.5 * np.trapezoid(density, x), atol=0.03)


def test_equal_samples_overlap_fully_and_distant_ones_not_at_all():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    assert overlap(x, x) == pytest.approx(1)
    assert overlap(x, rng.normal(size=1000)) > 0.93
    equal = [overlap(rng.normal(size=1000), rng.normal(size=1000)) for _ in range(40)]
    assert np.mean(equal) == pytest.approx(0.96, abs=0.01)  # what the documentation says
    assert overlap(x, x + 100) < 0.01
    assert overlap(np.ones(10), np.ones(10)) == 1.0


def test_levels_are_matched_by_name():
    table = vmrp.compare(tree(0, 1, 0, levels=("a", "b", "c")), tree(0, 1, 1, levels=("c", "a")))
    assert list(table.index) == ["b", "u[a]", "u[c]"]


def test_var_names():
    assert list(vmrp.compare(tree(0, 1, 0), tree(0, 1, 1), "b").index) == ["b"]
    with pytest.raises(vmrp.DataError, match="zz"):
        vmrp.compare(tree(0, 1, 0), tree(0, 1, 1), ["zz"])


def test_nothing_in_common():
    other = tree(0, 1, 0)
    renamed = xr.DataTree.from_dict(
        {"posterior": other["posterior"].to_dataset().rename(b="c", u="v")}
    )
    with pytest.raises(vmrp.DataError, match="in common"):
        vmrp.compare(other, renamed)
    with pytest.raises(vmrp.DataError, match="posterior"):
        vmrp.compare(other, xr.DataTree())
    with pytest.raises(vmrp.DataError, match="not a dict"):
        vmrp.compare(other, {"posterior": 1})


def test_diagnostics_of_the_fit_compared_with_are_in_the_attributes(slopes_model):
    a, b = (slopes_model.fit(20, random_seed=seed) for seed in (1, 2))
    assert vmrp.compare(a, b).attrs == {}
    b.attrs |= {"divergences": 3, "max_rhat": 1.02, "min_ess": 240.0, "n_steps": 5}
    expected = {"divergences": 3, "max_rhat": 1.02, "min_ess": 240.0}
    assert vmrp.compare(a, b).attrs == expected


def only(draws):
    return xr.DataTree.from_dict({"posterior": xr.Dataset({"b": (("chain", "draw"), draws)})})


@pytest.mark.parametrize("far", [1e9, 1e15])
def test_draws_whose_spread_is_next_to_rounding(far):
    """Their distance from zero, over which the grid of densities is laid, does not matter."""
    rng = np.random.default_rng(2)
    a, b = (only(far * (1 + 1e-15 * rng.normal(0, 30, (1, 400)))) for _ in range(2))
    assert vmrp.compare(a, b)["overlap"].between(0.8, 1.0).all()


def test_overlap_does_not_depend_on_where_zero_is_or_on_units():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=500), rng.normal(0.5, 1, 500)
    expected = overlap(x, y)
    for scale, shift in ((1e-12, 0.0), (1e12, 0.0), (1.0, 1e6), (1e-200, 0.0), (1e200, 0.0)):
        assert overlap(x * scale + shift, y * scale + shift) == pytest.approx(expected, rel=1e-6)


def test_one_draw_has_no_spread_to_compare():
    with pytest.raises(vmrp.DataError, match=r"one draw.*at least two"):
        vmrp.compare(only(np.ones((1, 1))), only(np.ones((1, 5))))


def test_constants_are_like_themselves_and_unlike_others():
    same = vmrp.compare(only(np.full((1, 9), 3.0)), only(np.full((1, 9), 3.0))).loc["b"]
    assert same[["shift", "sd_ratio", "width_ratio", "overlap"]].tolist() == [0.0, 1.0, 1.0, 1.0]
    other = vmrp.compare(only(np.full((1, 9), 3.0)), only(np.full((1, 9), 4.0))).loc["b"]
    assert other["shift"] == -np.inf
    assert other["overlap"] == 0.0
