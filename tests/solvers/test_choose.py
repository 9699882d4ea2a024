"""The choice of a solver."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.solvers import choose as module
from pymc_vmrp.solvers.choose import choose_solver
from tests.cavi.designs import random_glmm


def crossed(n, levels):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, levels, n), "b": rng.integers(0, levels, n)})
    return vmrp.Model("y ~ 1 + (1|a) + (1|b)", frame.assign(y=np.arange(n) % 2)).glmm


def test_small_models_are_dense_and_large_ones_are_partitioned():
    assert choose_solver(random_glmm(2)).name == "dense"
    large = choose_solver(crossed(5_000, 700))
    assert large.name.startswith("partitioned by")
    assert "border 7" in large.name


def test_the_choice_can_be_forced_and_is_reported(slopes_model):
    for solver in ("dense", "partitioned"):
        q = slopes_model.approximate(solver=solver, hyperparameters="mean_field")
        assert q.fit.solver.startswith(solver)
    assert slopes_model.fit(2, solver="partitioned")["fit"].attrs["solver"].startswith("part")


def test_partitioned_needs_a_group_specific_term(survey):
    with pytest.raises(vmrp.VmrpError, match=r"group-specific term.*'auto'"):
        vmrp.Model("y ~ x", survey).approximate(solver="partitioned", hyperparameters="mean_field")


def test_memory_decides_where_speed_would_not(monkeypatch):
    glmm = crossed(2_000, 300)
    monkeypatch.setattr(module, "_DENSE_SECONDS", 1e-14)
    monkeypatch.setattr(module, "_BLOCK_SECONDS", 1e-5)
    assert choose_solver(glmm).name == "dense"
    monkeypatch.setattr(module, "physical_memory", lambda: 8e6)
    assert choose_solver(glmm).name.startswith("partitioned")
    monkeypatch.setattr(module, "physical_memory", lambda: 1e5)
    with pytest.raises(vmrp.VmrpError, match=r"599 coefficients.*GB"):
        choose_solver(glmm)
