"""What chains say of themselves, from whichever sampler they come."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pymc_vmrp.errors import SamplingWarning
from pymc_vmrp.results.diagnostics import (
    chain_diagnostics,
    judge_chains,
    sampler_attributes,
)


def tree(chains=4, draws=1000, shift=0.0, seed=1):
    rng = np.random.default_rng(seed)
    dims = ("chain", "draw")
    x = rng.normal(size=(chains, draws)) + shift * np.arange(chains)[:, None]
    table = rng.normal(size=(chains, draws, 3))
    diverging = np.zeros((chains, draws), dtype=bool)
    diverging[0, :2] = True
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"x": (dims, x), "table": ((*dims, "k"), table)}),
            "sample_stats": xr.Dataset(
                {"diverging": (dims, diverging), "n_steps": (dims, np.full_like(diverging, 3, int))}
            ),
        }
    )


def test_the_worst_variable_counts():
    good, bad = tree(), tree(shift=0.5)
    assert chain_diagnostics(good)["max_rhat"] < 1.01
    assert chain_diagnostics(good)["min_ess"] > 3000
    assert chain_diagnostics(bad)["max_rhat"] > 1.05
    assert chain_diagnostics(bad, ["table"]) == chain_diagnostics(good, ["table"])
    assert chain_diagnostics(bad, ["x", "none such"]) == chain_diagnostics(bad)


def test_what_nuts_tells():
    found = tree()
    assert sampler_attributes(found) == {"divergences": 2, "n_steps": 12_000}
    del found["sample_stats"]["n_steps"]
    assert sampler_attributes(found) == {"divergences": 2}
    found["posterior"].attrs["sampling_time"] = 1.5
    assert sampler_attributes(found)["sampling_seconds"] == 1.5


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # ArviZ's 0 / 0
def test_what_does_not_vary_says_nothing():
    found = tree()
    found["posterior"]["constant"] = xr.ones_like(found["posterior"]["x"])
    assert chain_diagnostics(found)["max_rhat"] == chain_diagnostics(tree())["max_rhat"]
    assert np.isnan(chain_diagnostics(found, ["constant"])["max_rhat"])
    assert np.isnan(chain_diagnostics(found, [])["min_ess"])
    assert np.isnan(chain_diagnostics(tree(chains=1))["max_rhat"])


def test_attributes_and_the_warning():
    found = tree(shift=0.5)
    with pytest.warns(SamplingWarning, match=r"2 divergences.*R-hat up to 1\.\d+.*sample size"):
        judge_chains(found, "NUTS", {"divergences": 2})
    assert set(found.attrs) == {"divergences", "max_rhat", "min_ess"}
