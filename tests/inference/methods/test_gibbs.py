"""fit(inference_method="gibbs"): what users see."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.results.idata import read_draws

FEW = {"inference_method": "gibbs", "draws": 30, "tune": 20, "chains": 2, "random_seed": 1}
quiet = pytest.mark.filterwarnings("ignore::pymc_vmrp.SamplingWarning")


@pytest.fixture(scope="module")
def tree(slopes_model):
    with pytest.warns(vmrp.SamplingWarning, match=r"Gibbs: .*effective sample size"):
        return slopes_model.fit(**FEW)


def test_a_datatree_of_chains(slopes_model, tree):
    cavi = slopes_model.fit(5)
    assert set(tree["posterior"].data_vars) == set(cavi["posterior"].data_vars)
    assert dict(tree["posterior"].sizes)["chain"] == 2
    assert tree["posterior"].sizes["draw"] == 30
    assert tree.attrs["inference_method"] == "gibbs"
    assert tree.attrs["max_rhat"] > 0.9
    assert 0 < tree.attrs["min_ess"] < 400
    assert set(tree["sample_stats"].data_vars) == {"lp"}
    assert tree["posterior"].attrs["tuning_steps"] == 20
    assert vmrp.compare(tree, cavi)["shift"].notna().all()


def test_lp_is_the_exact_log_joint(slopes_model, tree):
    draws = read_draws(slopes_model.glmm, tree).flat()
    expected = slopes_model.approximate(hyperparameters="mean_field").log_joint(draws)
    np.testing.assert_allclose(tree["sample_stats"]["lp"].to_numpy().ravel(), expected, rtol=1e-9)


@quiet
def test_seeds_and_starts(slopes_model, tree):
    again = slopes_model.fit(**FEW, cores=1)
    np.testing.assert_array_equal(again["posterior"]["x"], tree["posterior"]["x"])
    warm = slopes_model.fit(**FEW, warm_start=tree, log_likelihood=True, thin=2)
    assert not np.array_equal(warm["posterior"]["x"], tree["posterior"]["x"])
    assert warm["log_likelihood"]["y"].shape == (2, 30, 600)


@quiet
@pytest.mark.parametrize("family", ["gaussian", "t", "negativebinomial"])
def test_other_families(survey, family):
    data = survey.assign(k=survey["y"] + 1)
    response = "k" if family == "negativebinomial" else "x"
    model = vmrp.Model(f"{response} ~ male + (1|state)", data, family)
    posterior = model.fit(**FEW)["posterior"]
    names = [parameter.name for parameter in model.glmm.parameters]
    assert all((posterior[name] > 0).all() for name in names)


@quiet
def test_weights_smooths_and_offsets(survey):
    rng = np.random.default_rng(0)
    data = survey.assign(w=rng.random(len(survey)), o=0.3 * rng.normal(size=len(survey)))
    model = vmrp.Model("y ~ s(x, k=5) + offset(o) + (1|state)", data, weights="w")
    posterior = model.fit(**FEW)["posterior"]
    assert np.isfinite(posterior["s(x)"]).all()


@pytest.mark.parametrize(
    ("formula", "arguments", "error", "message"),
    [
        ("y ~ x", {"link": "probit"}, vmrp.VmrpError, r"bernoulli.*probit.*gaussian.*nuts"),
        ("y ~ x", {"priors": {"x": vmrp.Horseshoe()}}, vmrp.PriorError, r"'x' is Horseshoe.*nuts"),
        (
            "y ~ x + (1|state)",
            {"priors": {"1|state": "uniform"}},
            vmrp.PriorError,
            r"uniform.*1\|state.*HuangWand",
        ),
    ],
)
def test_models_that_it_cannot_sample(survey, formula, arguments, error, message):
    model = vmrp.Model(formula, survey, **arguments)
    with pytest.raises(error, match=message):
        model.fit(**FEW)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chains": 0}, "chains"),
        ({"cores": 0}, "cores"),
        ({"tune": -1}, "tune"),
        ({"thin": 0}, "thin"),
        ({"bound": "x"}, "has no argument 'bound'"),
    ],
)
def test_bad_arguments(slopes_model, arguments, message):
    with pytest.raises(vmrp.VmrpError, match=message):
        slopes_model.fit(**FEW | arguments)


def test_interruption_warns(slopes_model, monkeypatch):
    from pymc_vmrp.gibbs import sampler

    iterate, calls = sampler.iterate, []

    def slow(*arguments):
        calls.append(1)
        return iterate(*arguments)

    wait = sampler.wait

    def interrupted(*arguments, **keywords):
        if len(calls) > 300:
            calls.clear()
            raise KeyboardInterrupt
        return wait(*arguments, **keywords)

    monkeypatch.setattr(sampler, "iterate", slow)
    monkeypatch.setattr(sampler, "wait", interrupted)
    with (
        pytest.warns(vmrp.SamplingWarning, match=r"interrupted: each chain has \d+ draws"),
        pytest.warns(vmrp.SamplingWarning, match="Gibbs: "),
    ):
        tree = slopes_model.fit(**FEW | {"draws": 50_000})
    assert 10 < tree["posterior"].sizes["draw"] < 50_000


@pytest.mark.slow
def test_a_gibbs_fit_never_imports_pymc():
    from tests.test_package import loaded_after

    code = """
import warnings, pandas as pd, pymc_vmrp as vmrp
warnings.simplefilter("ignore")
data = pd.DataFrame({"y": [0, 1, 1, 0, 1, 0], "g": list("aabbcc")})
vmrp.Model("y ~ (1|g)", data).fit(10, 10, inference_method="gibbs")
"""
    assert "pymc" not in loaded_after(code)
