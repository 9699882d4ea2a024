"""Importance weights, k̂ and resampling."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.results.importance import (
    estimand_k,
    largest_k,
    log_ratios,
    smoothed_weights,
)


def _fit(q, p, draws=4000, seed=1):
    """A DataTree of draws from ``q`` of a target ``p``."""
    x = q.rvs(draws, random_state=np.random.default_rng(seed))
    dims = ("chain", "draw")
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"x": (dims, x[None]), "y": ((*dims, "k"), x[None, :, None])}),
            "sample_stats": xr.Dataset(
                {"lp": (dims, p.logpdf(x)[None]), "log_q": (dims, q.logpdf(x)[None])}
            ),
        }
    )


def test_the_limit_grows_with_the_draws_up_to_0_7():
    assert largest_k(100) == pytest.approx(0.5)
    assert largest_k(1000) == pytest.approx(2 / 3)
    assert largest_k(10**6) == 0.7


def test_k_of_a_known_tail():
    """Under q = exponential, ratio exp(0.4 x) has a Pareto tail of index 0.4."""
    x = stats.expon.rvs(size=50_000, random_state=np.random.default_rng(2))
    _, khat = smoothed_weights(0.4 * x)
    assert khat == pytest.approx(0.4, abs=0.1)
    _, khat = smoothed_weights(0.9 * x)
    assert khat == pytest.approx(0.9, abs=0.15)


def test_weights_correct_a_shifted_normal():
    idata = _fit(stats.norm(0, 1.2), stats.norm(0.4, 1.0), draws=20_000)
    weights, khat = smoothed_weights(log_ratios(idata))
    assert khat < 0.5
    x = idata["posterior"]["x"].to_numpy().ravel()
    assert weights @ x == pytest.approx(0.4, abs=0.03)


def test_resampling_corrects_means_and_says_what_it_did():
    idata = _fit(stats.norm(0, 1.2), stats.norm(0.4, 1.0), draws=20_000)
    out = vmrp.resample(idata, 5000, random_seed=1)
    x = out["posterior"]["x"]
    assert x.dims == ("chain", "draw")
    assert x.sizes["draw"] == 5000
    assert float(x.mean()) == pytest.approx(0.4, abs=0.05)
    assert float(x.std()) == pytest.approx(1.0, abs=0.04)
    np.testing.assert_array_equal(out["posterior"]["y"].to_numpy()[..., 0], x.to_numpy())
    assert out.attrs["pareto_k"] < 0.5
    assert 4000 < out.attrs["distinct_draws"] <= 5000
    assert "sample_stats" not in out.children  # those are q's


def test_resampling_is_refused_where_a_handful_of_draws_would_be_left():
    idata = _fit(stats.norm(0, 0.3), stats.t(3, 1.0, 1.0))
    with pytest.raises(vmrp.VmrpError, match="k-hat of the importance weights is"):
        vmrp.resample(idata)


def test_estimand_k_sees_the_tail_of_one_estimand():
    """Where the target has tails that q lacks in one coordinate alone."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4000, 2))
    ratio = stats.t(4).logpdf(x[:, 0]) - stats.norm.logpdf(x[:, 0])
    k = estimand_k(ratio, x)
    assert k[0] > k[1] + 0.1


def test_an_estimand_that_does_not_vary_has_no_k():
    assert np.isnan(estimand_k(np.zeros(200), np.ones((200, 1)))[0])


def test_fits_without_densities_are_an_error():
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (("chain", "draw"), [[1.0]])})})
    with pytest.raises(vmrp.DataError, match="importance weights need"):
        vmrp.resample(tree)


def test_few_draws_are_an_error():
    with pytest.raises(vmrp.DataError, match="at least 100 draws"):
        vmrp.resample(_fit(stats.norm(), stats.norm(), draws=50))


def test_a_q_that_is_the_posterior_has_no_tail():
    log_ratio = 3.0 + 1e-13 * np.random.default_rng(1).normal(size=400)
    weights, khat = smoothed_weights(log_ratio)
    np.testing.assert_allclose(weights, 1 / 400)
    assert khat == -np.inf
