"""Bambi models: which options reach which fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

bmb = pytest.importorskip("bambi")


@pytest.fixture
def model():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=40), "g": np.tile(list("abcde"), 8)})
    data["y"] = data["x"] + rng.normal(size=40)
    return bmb.Model("y ~ x + (1|g)", data)


@pytest.fixture
def asked(model, monkeypatch):
    """What ``bambi_model.fit()`` is called with, in place of sampling."""
    monkeypatch.setattr(model, "fit", lambda **options: options)
    return lambda **options: vmrp.fit(model, method="nuts", random_seed=1, **options)


def test_the_name_of_the_sampler_is_bambis(asked):
    assert asked(nuts_sampler="nutpie") == {
        "draws": 1000,
        "random_seed": 1,
        "inference_method": "nutpie",
    }
    assert asked(inference_method="nutpie")["inference_method"] == "nutpie"
    with pytest.raises(vmrp.VmrpError, match="nuts_sampler= and inference_method="):
        asked(nuts_sampler="nutpie", inference_method="pymc")


@pytest.mark.parametrize("sampler", ["pymc", "nutpie"])
def test_a_warm_start_sets_starts_and_tuning(model, asked, sampler):
    earlier = vmrp.fit(model, draws=30, random_seed=1, hyperparameters="mean_field")
    options = asked(warm_start=earlier, nuts_sampler=sampler, chains=3, tune=7, cores=1)
    assert options["inference_method"] == sampler
    assert (options["chains"], options["tune"], options["draws"]) == (3, 7, 1000)
    assert "nuts_sampler" not in options
    assert asked(warm_start=earlier, cores=1)["tune"] == 500
    starts = options["initvals"]
    names = {"sigma", "Intercept", "x", "1|g_sigma", "1|g_offset"}
    if sampler == "pymc":
        assert [set(start) for start in starts] == [names] * 3
        draws = earlier["posterior"]["sigma"].to_numpy()
        assert all(np.any(start["sigma"] == draws) for start in starts)
    else:
        assert set(starts) == names


def test_what_a_warm_start_is_not_for(model, asked):
    earlier = vmrp.fit(model, draws=5, random_seed=1, hyperparameters="mean_field")
    with pytest.raises(vmrp.VmrpError, match="inference_method='vi'"):
        asked(warm_start=earlier, inference_method="vi")
    with pytest.raises(vmrp.VmrpError, match="initvals="):
        asked(warm_start=earlier, initvals={})
    with pytest.raises(vmrp.DataError, match="group 'posterior'"):
        asked(warm_start="yes")


def test_rows_that_bambi_leaves_out_play_no_part():
    """With ``dropna`` what follows a fit is that of the model of the complete rows."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=90), "t": rng.integers(0, 2, 90)})
    data["g"] = np.tile(list("abc"), 30)
    data["h"] = np.where(np.arange(90) < 30, "p", "q")
    data["y"] = data["x"] + data["t"] + rng.normal(size=90)
    data["other"] = np.nan  # of no concern
    data.loc[::7, "x"] = np.nan
    data.loc[5, "y"] = np.nan
    data.loc[[8, 9], "g"] = None
    whole = data[["x", "y", "g", "t"]].dropna().index
    found = []
    for rows, dropna in ((data, True), (data.loc[whole], False)):
        model = bmb.Model("y ~ x + t + (1 + t|g)", rows, dropna=dropna)
        idata = vmrp.fit(model, draws=20, random_seed=1, hyperparameters="mean_field")
        new = vmrp.predict(model, idata, data=data.loc[whole[:5]], inplace=False)
        effects = vmrp.effects(model, idata, "t", "g")
        found.append((effects.values, effects.arms.to_numpy(), new["posterior"]["mu"].to_numpy()))
        assert len(vmrp.comparisons(model, idata, "t").summary) == len(whole)
        assert not effects.compare().isna()["estimate"].any()
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
