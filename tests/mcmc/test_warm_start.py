"""Warm-started NUTS: the same posterior as from a cold start, in fewer steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from benchmarks.simulated_families import simulate
from pymc_vmrp.mcmc.build_whitened import WHITENED
from pymc_vmrp.mcmc.warm_start import sampler_options, warm_start, whitening_pays

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def cavi(slopes_model):
    return slopes_model.fit(300, random_seed=1)


@pytest.fixture(scope="module")
def draws(slopes_model, cavi):
    return slopes_model.read_model.reports.draws(cavi).flat()


@pytest.mark.parametrize("kind", ["tree", "mean_field", "integrated"])
def test_any_fit_gives_starts_where_the_density_is_not_small(slopes_model, draws, kind):
    hyperparameters = {"hyperparameters": kind} if kind != "tree" else {}
    fit = draws if kind == "tree" else slopes_model.approximate(**hyperparameters)
    start = warm_start(slopes_model.glmm, fit, whiten=True, random_seed=2)
    starts = start.of_chains(3, random_seed=2)
    assert len({float(s["1|age_sigma"]) for s in starts}) == 3
    xi = np.array([s[WHITENED] for s in starts])
    assert xi.shape == (3, slopes_model.glmm.n_coefficients)
    assert xi.std() == pytest.approx(1, abs=0.3)
    assert set(starts[0]) == {variable.name for variable in start.model.free_RVs}


def test_starts_are_repeatable_for_a_seed(slopes_model, draws):
    one, two = (warm_start(slopes_model.glmm, draws, True, 5).of_chains(2, 5) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_whitening_is_for_models_of_moderate_size():
    survey = vmrp.simulate(4000, 50, random_seed=1).survey
    small = vmrp.Model("support ~ male + (1|state) + (1|age)", survey)
    assert whitening_pays(small.glmm)
    survey["person"] = np.arange(4000) // 2
    assert not whitening_pays(vmrp.Model("support ~ male + (1|person)", survey).glmm)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"initvals": {}}, "initvals="),
        ({"step": None}, "step="),
        ({"nuts_sampler": "numpyro"}, "needs jax"),
    ],
)
def test_what_does_not_go_together_with_a_warm_start(slopes_model, draws, arguments, match):
    start = warm_start(slopes_model.glmm, draws, whiten=True, random_seed=1)
    with pytest.raises(vmrp.VmrpError, match=match):
        sampler_options(start, 2, 2, 1, arguments)


def test_whitening_needs_a_fit(slopes_model):
    with pytest.raises(vmrp.VmrpError, match="warm_start="):
        slopes_model.fit(inference_method="nuts", whiten=True)


def close(warm, cold, shift=0.2, ratio=0.25):
    table = vmrp.compare(warm, cold)
    assert table["shift"].abs().max() < shift
    assert (table["sd_ratio"] - 1).abs().quantile(0.9) < ratio


OPTIONS = {"inference_method": "nuts", "chains": 2, "cores": 2, "progressbar": False}


@pytest.mark.slow
def test_the_posterior_is_that_of_cold_chains(slopes_model, cavi):
    cold = slopes_model.fit(1500, random_seed=1, target_accept=0.97, **OPTIONS)
    warm = slopes_model.fit(1500, random_seed=2, warm_start=cavi, **OPTIONS)
    assert warm.attrs["coordinates"] == "whitened"
    assert warm.attrs["max_rhat"] < 1.02
    assert warm.attrs["n_steps"] < cold.attrs["n_steps"]
    assert warm.attrs["tune"] == 200
    close(warm, cold)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "link"),
    [("gaussian", "identity"), ("poisson", "log"), ("t", "identity"), ("bernoulli", "probit")],
)
def test_families_agree_with_cold_chains(family, link):
    simulated = simulate(family, link, 300, seed=2, continuous=False)
    model = vmrp.Model(simulated.formula, simulated.data, family, link=link)
    cold = model.fit(1500, random_seed=1, target_accept=0.95, **OPTIONS)
    warm = model.fit(1500, random_seed=2, warm_start=model.approximate(), **OPTIONS)
    assert warm.attrs["max_rhat"] < 1.02
    close(warm, cold)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{"whiten": False}, {"nuts_sampler": "pymc"}])
def test_other_ways_to_use_a_fit(slopes_model, cavi, arguments):
    nuts = slopes_model.fit(
        600, random_seed=1, warm_start=cavi, target_accept=0.95, log_likelihood=True,
        **OPTIONS, **arguments,
    )  # fmt: skip
    assert nuts.attrs["max_rhat"] < 1.05
    assert nuts["log_likelihood"]["y"].shape == (2, 600, 600)


@pytest.mark.slow
def test_pymcs_sampler_gets_the_variances_of_q(slopes_model, draws):
    start = warm_start(slopes_model.glmm, draws, whiten=False, random_seed=1)
    options = sampler_options(start, 2, 2, 1, {"nuts_sampler": "pymc", "target_accept": 0.9})
    assert options["step"].target_accept == 0.9
    variances = options["step"].potential._var
    assert variances.shape == (sum(v.size for v in start.model.initial_point().values()),)
    assert (variances > 0).all()


@pytest.mark.slow
def test_a_known_posterior_of_a_gaussian_model():
    """σ known and one σ of groups, by sums over a grid of it."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(6), 5)
    y = rng.normal(size=6)[g] * 0.7 + rng.normal(size=30)
    data = pd.DataFrame({"y": y, "g": g.astype(str)})
    priors = {"sigma": 1.0, "Intercept": vmrp.Normal(0, 2), "1|g": vmrp.HalfNormal(1)}
    model = vmrp.Model("y ~ 1 + (1|g)", data, family="gaussian", priors=priors)
    tau = np.linspace(1e-3, 5, 4000)
    z = (g[:, None] == np.arange(6)).astype(float)
    log_p = np.empty(len(tau))
    for i, t in enumerate(tau):
        covariance = np.eye(30) + 4 * np.ones((30, 30)) + t**2 * z @ z.T
        log_p[i] = -0.5 * (np.linalg.slogdet(covariance)[1] + y @ np.linalg.solve(covariance, y))
    log_p -= 0.5 * tau**2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = p @ tau
    sd = np.sqrt(p @ (tau - mean) ** 2)
    nuts = model.fit(4000, random_seed=1, warm_start=model.approximate(), **OPTIONS)
    drawn = nuts["posterior"]["1|g_sigma"].to_numpy().ravel()
    assert drawn.mean() == pytest.approx(mean, abs=0.06 * sd)
    assert drawn.std() == pytest.approx(sd, rel=0.06)
