"""The Model class: methods, arguments, representation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp


def test_representation(slopes_model):
    text = repr(slopes_model)
    assert "600 rows" in text
    assert "(1+x|state): 6 levels" in text
    assert "P(y = 1)" in text
    assert "21 - 3" not in text
    assert "converged" in repr(slopes_model.approximate(hyperparameters="mean_field"))
    assert "GLMM(bernoulli" in repr(slopes_model.glmm)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inference_method": "mcmc"}, "'mcmc'.*nuts"),
        ({"draws": 0}, "draws"),
        ({"draws": 1.5}, "draws"),
        ({"draws": True}, "draws"),
        ({"random_seed": -1}, "random_seed"),
        ({"tol": "a"}, "tol"),
        ({"drws": 10}, "has no argument 'drws'"),
        ({"max_iter": "a"}, "max_iter"),
        ({"warm_start": object()}, "warm_start"),
    ],
)
def test_bad_arguments(slopes_model, arguments, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        slopes_model.fit(**arguments)


def test_progress_bar(slopes_model, capsys):
    slopes_model.approximate(hyperparameters="mean_field")
    assert capsys.readouterr().out == ""  # not for a moment's work
    slopes_model.approximate(progressbar=True, hyperparameters="mean_field")
    assert "ELBO" in capsys.readouterr().out


def test_a_column_may_have_any_name(survey):
    data = survey.rename(columns={"state": "home state", "x": "x:|", "educ": "1st"})
    model = vmrp.Model("y ~ `x:|` + (1|`home state`) + (1|`1st`)", data)
    assert "1|home state" in model.fit(5)["posterior"]


@pytest.mark.parametrize("name", ["chain", "draw", "Intercept"])
def test_but_not_one_that_results_need(survey, name):
    data = survey.rename(columns={"x": name})
    with pytest.raises(vmrp.FormulaError, match=name):
        vmrp.Model(f"y ~ {name}", data)


def test_more_levels_than_rows_per_level():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.arange(400) // 2, "y": rng.integers(0, 2, 400)})
    assert vmrp.Model("y ~ (1|g)", data).approximate(hyperparameters="mean_field").converged


def test_draws_beyond_memory_are_refused_before_the_fit(slopes_model, monkeypatch):
    from pymc_vmrp.solvers import choose

    monkeypatch.setattr(choose, "physical_memory", lambda: 1e9)
    monkeypatch.setattr(type(slopes_model), "approximate", lambda *a, **k: pytest.fail("fitted"))
    with pytest.raises(vmrp.VmrpError, match=r"10,000,000 draws.*GB.*Lower draws="):
        slopes_model.fit(10_000_000)
    with pytest.raises(vmrp.VmrpError, match=r"log likelihoods of 600 rows"):
        slopes_model.fit(1_000_000, log_likelihood=True)
