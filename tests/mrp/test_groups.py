"""Groups of cells, their weights, and the two layouts of results."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.mrp.groups import GROUP_DIM, by_group, group_cells, weigh_cells
from pymc_vmrp.solvers import choose


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model("y ~ x + (1|state)", survey)


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(30, random_seed=1, hyperparameters="mean_field", progressbar=False)


@pytest.fixture(scope="module")
def sparse_cells():
    """300 precincts, each in one state: 2% of the combinations of 150 × 300 have a cell."""
    rng = np.random.default_rng(0)
    n = 300
    return pd.DataFrame(
        {
            "state": rng.choice(list("ABCDEF"), n),
            "county": rng.integers(0, 150, n),
            "precinct": rng.permutation(n),
            "x": rng.normal(size=n).round(1),
            "n": rng.integers(1, 50, n),
        }
    )


def test_few_of_many_combinations_are_listed(model, idata, sparse_cells, tmp_path):
    by = ["county", "precinct"]
    result = vmrp.poststratify(model, idata, sparse_cells, by=by)
    estimate = result["posterior"]["estimate"]
    assert estimate.dims == ("chain", "draw", GROUP_DIM)
    assert estimate.sizes[GROUP_DIM] == len(sparse_cells)
    each = vmrp.poststratify(model, idata, sparse_cells, by="precinct")["posterior"]["estimate"]
    for i in (0, 17, 299):
        row = sparse_cells.iloc[i]
        at = (estimate["county"] == row["county"]) & (estimate["precinct"] == row["precinct"])
        found = estimate.isel({GROUP_DIM: np.flatnonzero(at)[0]})
        np.testing.assert_allclose(found, each.sel(precinct=row["precinct"]), rtol=1e-12)
    indexed = estimate.set_xindex(by)  # as the docs say
    assert indexed.sel(county=int(row["county"])).sizes["precinct"] >= 1
    result.to_netcdf(tmp_path / "estimates.nc")
    again = xr.open_datatree(tmp_path / "estimates.nc")
    assert again["posterior"].to_dataset().equals(result["posterior"].to_dataset())
    again.close()
    assert len(az.summary(result, kind="stats")) == len(sparse_cells)
    table = vmrp.compare(result, result)
    assert len(table) == len(sparse_cells)
    assert f"estimate[{row['county']}, {row['precinct']}]" in table.index
    population = result["constant_data"]["population"]
    assert population.dims == (GROUP_DIM,)
    series = by_group(population)
    assert list(series.index.names) == by
    expected = sparse_cells.set_index(by)["n"].sort_index()
    np.testing.assert_array_equal(series.sort_index(), expected)
    assert float(population.sum()) == sparse_cells["n"].sum()


def test_both_layouts_hold_the_same_numbers(model, idata, sparse_cells, monkeypatch):
    from pymc_vmrp.mrp import groups

    by = ["county", "state"]
    dense = vmrp.poststratify(model, idata, sparse_cells, by=by)["posterior"]["estimate"]
    assert dense.dims == ("chain", "draw", *by)
    monkeypatch.setattr(groups, "_SMALL_GRID", 1)
    monkeypatch.setattr(groups, "_SHARE_OF_GRID", 1.0)
    listed = vmrp.poststratify(model, idata, sparse_cells, by=by)["posterior"]["estimate"]
    laid_out = listed.set_xindex(by).unstack(GROUP_DIM).transpose(*dense.dims)
    np.testing.assert_array_equal(laid_out.sel(dense.coords), dense)


def test_two_unique_columns_of_many_rows_do_not_outgrow_memory(model, idata):
    """The grid of all combinations would take 20,000² × 30 numbers, 90 GB."""
    n = 20_000
    cells = pd.DataFrame({"state": "A", "x": 0.0, "n": 1, "a": range(n), "b": range(n)})
    result = vmrp.poststratify(model, idata, cells, by=["a", "b"])
    assert result["posterior"]["estimate"].sizes[GROUP_DIM] == n
    five = cells.assign(c=range(n), d=range(n), e=range(n))  # 20,000⁵ exceeds any integer
    assert group_cells(five, list("abcde")).size == n


def test_memory_is_asked_for_first(model, idata, sparse_cells, monkeypatch):
    monkeypatch.setattr(choose, "physical_memory", lambda: 1e4)
    with pytest.raises(vmrp.DataError, match=r"300 groups \(by= precinct\) with 30 draws.*coarser"):
        vmrp.poststratify(model, idata, sparse_cells, by="precinct")


@pytest.mark.parametrize("scale", [1e308, 1e-308, 1e-300, 1e200, 3.0])
def test_weights_of_any_size_are_shares(model, idata, sparse_cells, scale):
    """Multiplied by any number, cells have the same estimates."""
    weights = sparse_cells["n"] / 50
    plain = vmrp.poststratify(model, idata, sparse_cells.assign(n=weights), by="state")
    cells = sparse_cells.assign(n=weights * scale)
    if scale == 1e308:
        with pytest.warns(UserWarning, match="'n' sum to more than the largest number"):
            result = vmrp.poststratify(model, idata, cells, by="state")
    else:
        result = vmrp.poststratify(model, idata, cells, by="state")
    xr.testing.assert_allclose(
        result["posterior"]["estimate"], plain["posterior"]["estimate"], rtol=1e-10
    )
    population = result["constant_data"]["population"]
    assert np.isfinite(population).all()
    expected = plain["constant_data"]["population"] / population.attrs["unit"]
    np.testing.assert_allclose(population / scale, expected, rtol=1e-10)


def test_groups_of_different_size_do_not_lose_each_other():
    frame = pd.DataFrame({"g": ["a", "a", "b", "b"]})
    weights = np.array([1e308, 1e308, 1e-308, 3e-308])
    shares = weigh_cells(group_cells(frame, ["g"]), weights)
    np.testing.assert_allclose(shares.weights / shares.total[[0, 0, 1, 1]], [0.5, 0.5, 0.25, 0.75])


def test_ordinary_weights_are_the_same_bits():
    rng = np.random.default_rng(0)
    frame, weights = pd.DataFrame({"g": rng.integers(0, 5, 100)}), rng.random(100) * 1000
    groups = group_cells(frame, ["g"])
    plain = np.bincount(groups.codes, weights=weights)
    np.testing.assert_array_equal(weigh_cells(groups, weights).population(1.0), plain)
