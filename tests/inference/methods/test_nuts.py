"""PyMC's methods on the same model, under the same names."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.mcmc.warm_start import warm_start
from pymc_vmrp.results.idata import read_draws

pytestmark = pytest.mark.filterwarnings("ignore")


def _draws(model, tree):
    return model.read_model.reports.draws(tree).flat()


@pytest.fixture(scope="module")
def cavi(slopes_model):
    return slopes_model.fit(1000, random_seed=1)


@pytest.mark.slow
def test_nuts_agrees_with_cavi_and_with_its_names(slopes_model, cavi, survey):
    nuts = slopes_model.fit(
        1000, inference_method="nuts", chains=2, cores=2, random_seed=1, target_accept=0.95
    )
    assert {
        name: (variable.dims, variable.shape[2:])
        for name, variable in nuts["posterior"].data_vars.items()
    } == {name: (v.dims, v.shape[2:]) for name, v in cavi["posterior"].data_vars.items()}
    assert nuts["posterior"].sizes["chain"] == 2
    assert "diverging" in nuts["sample_stats"]
    assert nuts.attrs["inference_method"] == "nuts"
    assert nuts.attrs["max_rhat"] < 1.05
    assert nuts.attrs["min_ess"] > 100
    np.testing.assert_array_equal(nuts["observed_data"]["y"], cavi["observed_data"]["y"])
    # with 3 and 6 levels q(u)q(Σ) understates the effects' sds, but not those of the estimates
    estimates = [
        vmrp.poststratify(slopes_model, tree, survey.assign(n=1), by="state")
        for tree in (cavi, nuts)
    ]
    table = vmrp.compare(*estimates)
    assert table["shift"].abs().mean() < 0.1
    assert table["sd_ratio"].mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    "priors",
    [
        {},
        {"1+x|state": vmrp.InverseWishart(4, 2.0), "1|age": vmrp.InverseWishart()},
        {"1|age": vmrp.HalfNormal(1.0)},
        {"x": vmrp.StudentT(4), "male": vmrp.Horseshoe(0.5)},
        {"common": vmrp.Horseshoe()},
    ],
)
def test_start_values_are_draws_of_q(survey, priors):
    """Put through the pm.Model, the starts give back the draws they were made from."""
    model = vmrp.Model("y ~ x + male + (1 + x|state) + (1|age)", survey, priors=priors)
    tree = model.fit(20, random_seed=1)
    pm_model = model.to_pymc()
    names = [
        "Intercept",
        "x",
        "male",
        "1|state",
        "x|state",
        "1|state_sigma",
        "1+x|state_corr",
        "1|age",
    ]
    evaluate = pm_model.compile_fn(
        [pm_model[name] for name in names],
        inputs=pm_model.free_RVs,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    starts = warm_start(model.glmm, _draws(model, tree), whiten=False, random_seed=2).of_chains(
        3, 2
    )
    posterior = tree["posterior"].isel(chain=0)
    center, drawn = model.glmm.common.center, []
    for start in starts:
        values = dict(zip(names, evaluate(start), strict=True))
        (draw,) = np.flatnonzero(np.isclose(posterior["x"], values["x"], rtol=1e-10))
        reported = values["Intercept"] - center @ [values["x"], values["male"]]
        assert reported == pytest.approx(float(posterior["Intercept"][draw]))
        for name in names[2:]:
            np.testing.assert_allclose(values[name], posterior[name][draw], rtol=1e-6, atol=1e-9)
        drawn.append(float(values["x"]))
    assert len(set(drawn)) == 3


def test_start_values_of_smooths_and_walks(survey):
    model = vmrp.Model(
        "y ~ s(x, k=5) + rw(male) + (1|mm(state, next))",
        survey.assign(next=survey["state"].shift(1, fill_value="A")),
    )
    tree = model.fit(20, random_seed=1)
    pm_model = model.to_pymc()
    names = ["s(x)_linear", "s(x)", "s(x)_sigma", "rw(male)", "rw(male)_sigma", "1|mm(state, next)"]
    evaluate = pm_model.compile_fn(
        [pm_model[name] for name in names],
        inputs=pm_model.free_RVs,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    posterior = tree["posterior"].isel(chain=0)
    for start in warm_start(model.glmm, _draws(model, tree), whiten=False, random_seed=2).of_chains(
        2, 2
    ):
        values = dict(zip(names, evaluate(start), strict=True))
        (draw,) = np.flatnonzero(np.isclose(posterior["s(x)_sigma"], values["s(x)_sigma"]))
        for name in names:
            np.testing.assert_allclose(values[name], posterior[name][draw], rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_nuts_agrees_with_cavi_on_a_smooth(survey):
    model = vmrp.Model("y ~ s(x, k=6) + rw(wave)", survey.assign(wave=survey["male"]))
    nuts = model.fit(
        1000, inference_method="nuts", chains=2, cores=2, random_seed=1, target_accept=0.95
    )
    cavi = model.fit(1000, random_seed=1)
    grid = survey[["x"]].sort_values("x").iloc[::60]
    a, b = (vmrp.smooth_effects(model, tree, "s(x)", grid) for tree in (cavi, nuts))
    table = vmrp.compare(a, b)
    assert table["shift"].abs().max() < 0.35
    assert table["sd_ratio"].between(0.7, 1.2).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("advi", {"n": 500}), ("fullrank_advi", {"n": 500}), ("pathfinder", {"num_paths": 1})],
)
def test_other_methods_return_the_same_variables(survey, method, arguments):
    model = vmrp.Model("y ~ x + (1|state)", survey)
    tree = model.fit(100, inference_method=method, random_seed=1, **arguments)
    sample = read_draws(model.glmm, tree)
    assert sample.coefficients.shape == (1, 100, model.glmm.n_coefficients)
    assert np.isfinite(sample.coefficients).all()
    assert tree.attrs["inference_method"] == method
