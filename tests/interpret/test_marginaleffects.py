"""Average comparisons and slopes against `marginaleffects` on a fit of a model without groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

marginaleffects = pytest.importorskip("marginaleffects")


@pytest.fixture(scope="module")
def fits():
    import statsmodels.formula.api as smf

    rng = np.random.default_rng(0)
    n = 3000
    frame = pd.DataFrame({"x": rng.normal(size=n), "t": rng.integers(0, 2, n)})
    frame["c"] = np.where(rng.random(n) < 0.4, "a", "b")
    eta = (
        -0.3 + 0.6 * frame["x"] + frame["t"] * (0.8 - 0.5 * frame["x"]) + 0.4 * (frame["c"] == "b")
    )
    frame["c"] = frame["c"].astype("category")  # marginaleffects wants it
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    formula = "y ~ x + t + c + x:t"
    flat = {"common": vmrp.Flat()}  # so that the two differ by the shape of the posterior alone
    model = vmrp.Model(formula, frame, priors=flat)
    idata = model.fit(20_000, random_seed=1)
    return smf.logit(formula, frame).fit(disp=False), model, idata


def assert_close(table, reference):
    """Within 0.02 standard errors and the Monte Carlo error of 20,000 draws."""
    error = reference["std_error"].to_numpy()
    shift = (table["estimate"].to_numpy() - reference["estimate"].to_numpy()) / error
    assert np.abs(shift).max() < 0.02 + 3 / np.sqrt(20_000)


def test_average_comparisons(fits):
    reference, model, idata = fits
    theirs = marginaleffects.avg_comparisons(reference, variables="t")
    assert_close(vmrp.comparisons(model, idata, {"t": [0, 1]}, average_by="all").summary, theirs)
    by = marginaleffects.avg_comparisons(reference, variables="t", by="c").sort("c")
    assert_close(vmrp.comparisons(model, idata, "t", average_by="c").summary, by)


def test_average_slopes(fits):
    reference, model, idata = fits
    theirs = marginaleffects.avg_slopes(reference, variables="x")
    assert_close(vmrp.slopes(model, idata, "x", average_by="all").summary, theirs)


def test_average_predictions(fits):
    reference, model, idata = fits
    theirs = marginaleffects.avg_predictions(reference, by="c").sort("c")
    assert_close(vmrp.predictions(model, idata, average_by="c").summary, theirs)
