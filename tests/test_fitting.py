"""`vmrp.fit`: which models it takes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp import fitting
from pymc_vmrp.read_model import Door


def test_a_model_of_the_package_is_fitted_as_by_its_own_fit(intercepts_model):
    own = intercepts_model.fit(20, random_seed=5, hyperparameters="mean_field")
    other = vmrp.fit(intercepts_model, draws=20, random_seed=5, hyperparameters="mean_field")
    assert own["posterior"].to_dataset().identical(other["posterior"].to_dataset())


def test_other_methods_reach_the_model(intercepts_model):
    with pytest.raises(vmrp.VmrpError, match="method='stan'"):
        vmrp.fit(intercepts_model, method="stan")


def test_without_a_model():
    with pytest.raises(vmrp.VmrpError, match="needs a model"):
        vmrp.fit()


def test_anything_else_is_refused_by_name():
    with pytest.raises(vmrp.VmrpError, match="not a str"):
        vmrp.fit("y ~ x")


def test_a_plain_pymc_model_is_taken_from_the_context():
    pm = pytest.importorskip("pymc")
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("s", 1), shape=3)
        pm.Normal("y", u[[0, 0, 1, 2]], 1.0, observed=[0.1, 0.2, 0.9, -1.0])
        inside = vmrp.fit(draws=30, random_seed=1)
    outside = vmrp.fit(model, draws=30, random_seed=1)
    assert inside["posterior"].to_dataset().equals(outside["posterior"].to_dataset())
    assert set(inside["posterior"].data_vars) == {"s", "u"}


def test_ctrl_c_after_the_librarys_own_sampler_keeps_its_draws(monkeypatch):
    draws = xr.Dataset({"x": (("chain", "draw"), np.random.default_rng(0).normal(size=(2, 50)))})
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((2, 50), dtype=bool))})
    tree = xr.DataTree.from_dict({"posterior": draws, "sample_stats": stats})
    door = Door("a model", lambda: None, lambda *arguments: tree)
    monkeypatch.setattr(fitting, "door_of", lambda model, call: door)
    calls = []

    def interrupted_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {"max_rhat": 1.0, "min_ess": 100.0}

    monkeypatch.setattr(fitting, "chain_diagnostics", interrupted_once)
    assert fitting.fit(object(), method="nuts") is tree
    assert tree.attrs["max_rhat"] == 1.0
