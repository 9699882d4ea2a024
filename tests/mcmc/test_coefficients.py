"""Priors on common effects in both engines: what coordinate ascent says against NUTS."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NAMES = [f"x{i}" for i in range(8)]


@pytest.fixture(scope="module")
def sparse():
    """400 answers, 12 groups, eight standard predictors of which three have an effect."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 8))
    g, u = rng.integers(0, 12, 400), rng.normal(0, 0.6, 12)
    eta = -0.3 + x @ [1.5, -1, 0.4, 0, 0, 0, 0, 0] + u[g]
    y = rng.random(400) < 1 / (1 + np.exp(-eta))
    return pd.DataFrame(x, columns=NAMES).assign(g=g, y=y.astype(int))


def comparison(frame, priors):
    model = vmrp.Model(f"y ~ {' + '.join(NAMES)} + (1|g)", frame, priors=priors)
    cavi = model.fit(4000, random_seed=1)
    nuts = model.fit(
        3000, tune=2000, inference_method="nuts", chains=2, cores=2, random_seed=1,
        target_accept=0.95, progressbar=False,
    )  # fmt: skip
    assert nuts.attrs["max_rhat"] < 1.02
    return vmrp.compare(cavi, nuts, var_names=NAMES)


@pytest.mark.slow
def test_heavy_tails_and_the_lasso_agree_with_nuts(sparse):
    laplace, student, cauchy = vmrp.Laplace(0, 0.3), vmrp.StudentT(4, 0, 1), vmrp.Cauchy(0, 0.5)
    kinds = [student, cauchy, laplace, laplace, student, cauchy, laplace, cauchy]
    table = comparison(sparse, dict(zip(NAMES, kinds, strict=True)))
    assert table["shift"].abs().max() < 0.1
    assert table["sd_ratio"].between(0.87, 1.1).all()  # single sds have Monte Carlo error
    assert table["sd_ratio"].mean() == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_a_horseshoe_agrees_in_the_means_and_understates_the_sds(sparse):
    """q(β)q(λ, τ) cannot hold that a coefficient is either near zero or not."""
    table = comparison(sparse, {"common": vmrp.Horseshoe()})
    assert table["shift"].abs().mean() < 0.1
    assert table["shift"].abs().max() < 0.25
    assert table["sd_ratio"].between(0.75, 1.05).all()
    assert table["sd_ratio"].mean() == pytest.approx(0.9, abs=0.08)
