"""The pure parts of the benchmark of methods; its tables are measured by the benchmark alone."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from benchmarks import agreement, approximations, data, methods
from benchmarks.fitted import Fitted, Unavailable, need
from benchmarks.results_files import Measured
from benchmarks.unconstrained import Gaussian, ToTree, layout, log_density, points
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.results.idata import read_draws

LEVELS = np.array([0.025, 0.05, 0.5, 0.95, 0.975])


@given(st.floats(-3, 3), st.floats(0.1, 5), st.floats(-4, 4), st.floats(0, 4))
def test_quantile_probability_is_exact_for_a_normal(mean, sd, low, width):
    low, high = mean + sd * low, mean + sd * (low + width)
    found = agreement.quantile_probability(low, high, norm.ppf(LEVELS, mean, sd), LEVELS)
    assert found == pytest.approx(norm.cdf(high, mean, sd) - norm.cdf(low, mean, sd), abs=1e-9)


def test_quantile_probability_meets_the_quantiles_of_a_skewed_reference():
    knots = np.exp(norm.ppf(LEVELS))
    found = agreement.quantile_probability(knots[1], knots[3], knots, LEVELS)
    assert found == pytest.approx(0.9)


def test_distances_of_a_posterior_from_itself_and_from_a_narrower_one():
    rng = np.random.default_rng(1)
    draws = rng.normal([1.0, -2.0], [0.5, 3.0], (40_000, 2))
    reference = pd.DataFrame({"mean": [1.0, -2.0], "sd": [0.5, 3.0]})
    same = agreement.distances(agreement.summarise(draws), reference)
    assert (same["shift"] < 0.02).all()
    assert same["sd_ratio"].to_numpy() == pytest.approx(1, abs=0.02)
    assert same["covered"].to_numpy() == pytest.approx(0.9, abs=0.01)
    # half as wide, moved by one sd of the reference
    narrow = 1.0 + 0.5 + 0.5 * (draws[:, :1] - 1.0)
    far = agreement.distances(agreement.summarise(narrow), reference.iloc[:1])
    half = norm.ppf(0.95) / 2
    assert far["shift"].item() == pytest.approx(1, abs=0.02)
    assert far["sd_ratio"].item() == pytest.approx(0.5, abs=0.01)
    assert far["covered"].item() == pytest.approx(norm.cdf(1 + half) - norm.cdf(1 - half), abs=0.01)


@pytest.mark.parametrize("sd", [0.5, 0.7, 1.5])
def test_k_hat_of_two_normals(sd):
    # p = N(0, 1), q = N(0, s²): log ratio = x²(1 − s²)/(2s²), where x²/s² is χ²(1); its tail is
    # exponential with mean 1 − s², so that k = 1 − s², and bounded where q is wider
    x = sd * np.random.default_rng(2).standard_normal(100_000)
    found = methods.of_ratios(norm.logpdf(x) - norm.logpdf(x, scale=sd))
    assert found["k_hat"] < 0 if sd > 1 else found["k_hat"] == pytest.approx(1 - sd**2, abs=0.12)
    divergence = np.log(1 / sd) + (sd**2 - 1) / 2  # KL(q || p), and log p normalised
    assert found["elbo"] == pytest.approx(-divergence, abs=0.01)


def test_ratios_that_underflow_have_an_infinite_k_hat():
    assert methods.of_ratios(-1e5 * np.arange(1000.0))["k_hat"] == np.inf


def test_gaussian_density_is_that_of_scipy():
    rng = np.random.default_rng(3)
    root = np.tril(rng.normal(size=(3, 3)), -1) + np.diag([0.5, 1.0, 2.0])
    gaussian = Gaussian(np.array([1.0, 2.0, 3.0]), root)
    x = gaussian.sample(50_000, 4)
    expected = multivariate_normal(gaussian.mean, root @ root.T).logpdf(x[:20])
    np.testing.assert_allclose(gaussian.log_density(x[:20]), expected)
    np.testing.assert_allclose(np.cov(x.T), root @ root.T, atol=0.1)


@pytest.mark.slow  # compiles a pm.Model
def test_unconstrained_draws_have_the_density_of_the_glmm(intercepts_model):
    """Log p(x) is log p(β, u, Σ) times the Jacobian: σ^L of u = σz, and 2σ² of Σ = exp(2 log σ)."""
    glmm, pm_model = intercepts_model.glmm, intercepts_model.to_pymc()
    parts = layout(pm_model)
    flat = np.random.default_rng(5).normal(0, 0.5, (7, parts[-1].stop))
    draws = points(flat, parts)
    tree = ToTree(glmm, intercepts_model.observations, pm_model)(draws)
    read = read_draws(glmm, tree).flat()
    jacobian = sum(
        np.log(2) + (len(group.levels) / 2 + 1) * np.log(covariance[:, 0, 0])
        for group, covariance in zip(glmm.groups, read.covariances, strict=True)
    )
    expected = log_joint(glmm, read.coefficients, read.covariances) + jacobian
    np.testing.assert_allclose(log_density(glmm, pm_model, draws), expected, rtol=1e-9)


def test_resampling_prefers_draws_of_large_weight(intercepts_model):
    tree = intercepts_model.fit(400, random_seed=6, hyperparameters="mean_field")
    male = tree["posterior"]["male"].to_numpy().ravel()
    again, distinct = approximations.resample(tree, 0.3 * (male - male.mean()) / male.std(), 7)
    moved = again["posterior"]["male"].to_numpy().ravel()
    # tilting a normal by exp(0.3 z) moves its mean by 0.3 sd
    assert (moved.mean() - male.mean()) / male.std() == pytest.approx(0.3, abs=0.06)
    assert distinct == len(np.unique(moved)) < 400


def test_drift_is_the_gain_of_the_last_quarter():
    assert approximations.drift(np.arange(100.0)) == pytest.approx(25)


def test_a_missing_module_is_named_with_its_remedy():
    with pytest.raises(Unavailable, match=r"no_such_module.*do this"):
        need("no_such_module", "do this")


def test_rows_merge_into_the_file(tmp_path):
    first = Measured("m", ("answers", "method"), folder=tmp_path)
    first.add({"answers": 5000, "method": "nuts", "seconds": 9.0})
    first.add({"answers": 5000, "method": "advi", "seconds": 3.0})
    second = Measured("m", ("answers", "method"), folder=tmp_path)
    second.add({"answers": 5000, "method": "nuts", "seconds": 8.0})
    table = methods.ordered(pd.read_csv(tmp_path / "m.csv"), 5000)
    assert table["method"].tolist() == ["advi", "nuts"]
    assert table["seconds"].tolist() == [3.0, 8.0]


def test_coefficients_are_matched_by_name(shared):
    """A fit whose draws are the reference's own means and sds is at no distance from them."""
    case = next(c for c in methods.accuracy.nuts_cases(shared) if c.name == "CCES 5,000")
    reference = pd.read_csv(case.terms)
    model = case.model()
    tree = model.fit(200, random_seed=8, hyperparameters="mean_field")
    posterior = tree["posterior"].to_dataset().copy(deep=True)
    z = norm.ppf((np.arange(200) + 0.5) / 200)
    for _, row in reference.iterrows():
        values = methods.accuracy.element(posterior, row)
        values[...] = row["mean"] + row["sd"] * z
    found = methods.of_coefficients({"posterior": _Group(posterior)}, reference)
    assert found["coef_shift_max"] < 1e-8
    assert found["coef_sd_min"] == pytest.approx(1, abs=0.02)
    assert found["sigma_sd_max"] == pytest.approx(1, abs=0.02)
    states = methods.of_states(model, tree, case, seed=9)
    assert states["states_sd"] == pytest.approx(1, abs=0.1)
    assert 1 < states["mae_pp"] < 5
    assert json.dumps(states)
    reference_states = data.nuts_states(case.states)
    covered = agreement.normal_probability(
        *(reference_states[name].to_numpy() for name in ("q05", "q95", "mean", "sd"))
    )
    assert covered.mean() == pytest.approx(0.9, abs=0.005)  # states are near enough to normal


class _Group:
    def __init__(self, dataset):
        self._dataset = dataset

    def to_dataset(self):
        return self._dataset


def test_chains_tell_how_well_they_mix(intercepts_model):
    tree = intercepts_model.fit(300, random_seed=8, hyperparameters="mean_field")
    posterior = tree["posterior"].to_dataset().isel(chain=0, drop=True)
    halves = [posterior.isel(draw=slice(i, i + 150)).drop_vars("draw") for i in (0, 150)]
    two = type(tree).from_dict({"posterior": xr.concat(halves, dim="chain")})
    found = methods.of_chains(Fitted(two, seconds=2.0))
    assert found["rhat"] < 1.1
    assert found["ess_per_s"] == found["min_ess"] / 2
    assert "divergences" not in found
