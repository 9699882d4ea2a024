"""Prior predictive draws, against PyMC's on the same model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats

import pymc_vmrp as vmrp

PRIORS = {
    "Intercept": vmrp.Normal(0.5, 0.7),
    "common": vmrp.Normal(0.2, 0.5),
    "group_specific": vmrp.HalfNormal(0.4),
    "sigma": vmrp.HalfNormal(1.5),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    n = 40
    return pd.DataFrame(
        {
            "x": rng.normal(3, 1, n),
            "g": rng.choice(list("abcd"), n),
            "y": rng.normal(size=n),
            "k": rng.poisson(2, n),
            "n": rng.integers(3, 9, n),
            "s": rng.integers(0, 3, n),
        }
    )


CASES = {
    "gaussian": "y ~ x + (1|g)",
    "poisson": "k ~ x + (1|g)",
    "binomial": "p(s, n) ~ x + (1|g)",
}


@pytest.fixture(scope="module", params=CASES)
def model(request, data):
    priors = {k: v for k, v in PRIORS.items() if k != "sigma" or request.param == "gaussian"}
    return vmrp.Model(CASES[request.param], data, family=request.param, priors=priors)


def test_layout_is_that_of_bambi(model, data):
    tree = model.prior_predictive(7, random_seed=1)
    assert list(tree.children) == ["prior", "prior_predictive", "observed_data"]
    (name,) = tree["prior_predictive"].data_vars
    assert tree["prior_predictive"][name].shape == (1, 7, len(data))
    assert list(tree["observed_data"].data_vars) == [name]
    prior = tree["prior"]
    assert {"Intercept", "x", "1|g", "1|g_sigma"} <= set(prior.data_vars)
    eta = prior["Intercept"] + prior["x"] * data["x"].to_numpy()[3]
    eta = eta + prior["1|g"].sel(g__factor_dim=data["g"][3])
    parent = model.glmm.family.parent
    np.testing.assert_allclose(
        model.glmm.family.inverse_link(eta.to_numpy()), prior[parent].isel(__obs__=3)
    )


def test_distributions_are_those_of_pymc(model):
    """Of each parameter, and of the mean response of all rows."""
    ours = model.prior_predictive(4000, random_seed=1)
    pymc_model = model.to_pymc()
    with pymc_model:
        theirs = pm.sample_prior_predictive(4000, random_seed=2)
    for name in ("x", "1|g_sigma", "1|g"):
        a, b = (tree["prior"][name].to_numpy().reshape(4000, -1) for tree in (ours, theirs))
        for x, y in zip(a.T, b.T, strict=True):
            assert stats.ks_2samp(x, y).pvalue > 1e-4, name
    # responses of cells are sums of those of rows, or with a normal likelihood their means
    a = ours["prior_predictive"].to_dataset().to_dataarray().to_numpy()[0, 0].mean(1)
    (name,) = theirs["prior_predictive"].data_vars
    b = theirs["prior_predictive"][name].to_numpy()[0].mean(1)
    quantiles = [0.1, 0.25, 0.5, 0.75, 0.9]
    spread = np.subtract(*np.quantile(b, [0.75, 0.25]))
    np.testing.assert_allclose(
        np.quantile(a, quantiles), np.quantile(b, quantiles), atol=0.15 * spread
    )


def test_seeds(model):
    one, two, other = (model.prior_predictive(5, random_seed=s) for s in (1, 1, 2))
    assert one["prior_predictive"].to_dataset().equals(two["prior_predictive"].to_dataset())
    assert not one["prior_predictive"].to_dataset().equals(other["prior_predictive"].to_dataset())


def test_flat_priors_are_named(data):
    model = vmrp.Model("y ~ x + (1|g)", data, family="gaussian", priors={"common": "flat"})
    with pytest.raises(vmrp.PriorError, match=r"prior_predictive\(\).*'x' is improper"):
        model.prior_predictive()


def test_priors_too_wide_for_counts(data):
    model = vmrp.Model("k ~ x", data, family="poisson", priors={"x": vmrp.Normal(0, 1e4)})
    with pytest.raises(vmrp.PriorError, match=r"beyond the largest number.*Narrower"):
        model.prior_predictive(20, random_seed=1)


def test_lkj_priors_are_drawn_from(data):
    prior = vmrp.LKJ(2, vmrp.HalfNormal(1))
    as_written, centred = (
        vmrp.Model(
            "y ~ x + (x|g)",
            data,
            family="gaussian",
            priors={"1+x|g": prior},
            center_predictors=center,
        ).prior_predictive(300, random_seed=1)["prior"]
        for center in (False, True)
    )
    assert float(as_written["1+x|g_corr"].mean()) == pytest.approx(0, abs=0.1)
    assert float(centred["1+x|g_corr"].mean()) < -0.5  # 0 at the mean of x, which is 3


def test_memory_is_asked_for_first(model):
    with pytest.raises(vmrp.DataError, match="GB of memory"):
        model.prior_predictive(10**9)
