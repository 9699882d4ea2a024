"""Small models of any kind: the default fit ends without an error, and its draws are finite.

Twenty rows, or groups of one or two, leave hyperparameters at which no solver can solve: a point of
that kind has no mass, and does not end the fit.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp

FAMILIES = ("poisson", "bernoulli", "gamma", "negativebinomial", "t", "beta_binomial")
EFFECTS = ("1", "1 + x", "1 + x + z")


def small_frame(seed, n, groups, size):
    """Rows with responses of each family, whose effects have sds up to ``size``."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    codes = rng.integers(0, groups, n)
    frame["g"] = [f"g{code}" for code in codes]
    u = rng.normal(0, size, (groups, 3))
    eta = np.clip(0.3 * frame["x"] + (u[codes] * [[1, 0.5, 0.5]]).sum(axis=1), -4, 4)
    frame["poisson"] = rng.poisson(np.exp(eta))
    frame["negativebinomial"] = rng.poisson(np.exp(eta) * rng.gamma(2, 0.5, n))
    frame["bernoulli"] = rng.random(n) < 1 / (1 + np.exp(-eta))
    frame["gamma"] = rng.gamma(2, np.exp(eta) / 2)
    frame["t"] = eta + rng.standard_t(4, n)
    frame["n"] = rng.integers(1, 9, n)
    frame["beta_binomial"] = rng.binomial(frame["n"], rng.beta(2, 2, n))
    frame["w"] = rng.integers(0, 4, n)
    return frame.astype({"bernoulli": int})


def fitted(frame, family, effects, weights):
    response = "p(beta_binomial, n)" if family == "beta_binomial" else family
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", vmrp.ConvergenceWarning)
        try:
            model = vmrp.Model(
                f"{response} ~ x + z + ({effects}|g)", frame, family,
                weights="w" if weights else None,
            )  # fmt: skip
        except vmrp.DataError as error:  # more effects than rows, and repeats: no posterior
            if "exactly" in str(error) and weights and family in ("gamma", "t"):
                return None
            raise
        try:
            return model.fit(50, random_seed=1, theta_ess=30.0)
        except vmrp.VmrpError as error:
            # repeats by weights, all but a few rows of which effects meet: of a t the rest are far
            # outliers, and σ = 0 has most density; the error says so in words, and what to do
            if "stronger priors" in str(error) and weights and family == "t":
                return None
            raise


def check_finite(idata):
    if idata is None:
        return
    for name, values in idata["posterior"].data_vars.items():
        assert np.isfinite(values).all(), name
    assert np.isfinite(idata["sample_stats"]["lp"]).all()
    assert (idata["posterior"]["1|g_sigma"] >= 0).all()


CASES = {
    "seed": st.integers(0, 10_000),
    "n": st.integers(20, 90),
    "groups": st.integers(3, 10),
    "size": st.sampled_from([0.0, 0.5, 2.0]),
    "family": st.sampled_from(FAMILIES),
    "effects": st.sampled_from(EFFECTS),
    "weights": st.booleans(),
}


@settings(max_examples=6, deadline=None, derandomize=True)
@given(**CASES)
def test_a_small_model_is_fitted(seed, n, groups, size, family, effects, weights):
    check_finite(fitted(small_frame(seed, n, groups, size), family, effects, weights))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True)
@given(**CASES)
def test_many_small_models_are_fitted(seed, n, groups, size, family, effects, weights):
    check_finite(fitted(small_frame(seed, n, groups, size), family, effects, weights))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_three_correlated_effects_of_six_groups(seed):
    """Nine of these ended in a solver's error once."""
    n = int(np.random.default_rng(seed).integers(30, 91))
    check_finite(fitted(small_frame(seed, n, 6, 0.5), "poisson", "1 + x + z", False))
