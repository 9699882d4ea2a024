"""Responses that are met exactly have no posterior of σ or α, and are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import pymc_vmrp as vmrp


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    n = 48
    frame = pd.DataFrame({"x": rng.normal(size=n), "row": [f"r{i}" for i in range(n)]})
    frame["g"] = np.repeat(list("abcdef"), n // 6)
    frame["z"] = rng.normal(size=n)
    frame["p"] = rng.gamma(2, 1, n)
    frame["w"] = rng.integers(1, 5, n)
    frame["share"] = rng.uniform(0.1, 1.0, n)
    frame["of_g"] = frame.groupby("g")["z"].transform("mean")
    frame["pos"] = np.exp(frame["of_g"])
    frame["line"] = 2 * frame["x"] + 1
    frame["both"] = 3 * frame["x"] + frame["of_g"]
    frame["pair"] = np.repeat([f"p{i}" for i in range(n // 2)], 2)
    frame["h"] = rng.choice(list("abcdef"), n)
    values = dict(zip("abcdef", rng.normal(size=6), strict=True))
    frame["sum"] = frame["g"].map(values) + frame["h"].map(values)
    frame["far"] = 1e6 + frame["z"] / 1e3
    return frame


EXACT = {
    "weights repeat rows that are levels": ("p ~ x + (1|row)", "gamma", "w", "'row'.*'alpha'"),
    "the same, gaussian": ("z ~ x + (x|row)", "gaussian", "w", "'row'.*'sigma'"),
    "the same, t": ("z ~ x + (1|row)", "t", "w", "'row'.*'sigma'"),
    "constant within groups": ("of_g ~ x + (1|g)", "gaussian", None, "'g'.*'sigma'"),
    "constant within groups, gamma": ("pos ~ x + (1|g)", "gamma", None, "'g'.*'alpha'"),
    "a line": ("line ~ x", "gaussian", None, "its terms.*'sigma'"),
    "a line without an intercept": ("line ~ 0 + x + {x + 1}", "t", None, "its terms.*'sigma'"),
    "slopes of pairs of rows": ("z ~ x + (x|pair)", "gaussian", "w", "its terms.*'sigma'"),
    "two factors": ("sum ~ (1|g) + (1|h)", "gaussian", None, "its terms.*'sigma'"),
    "several memberships": ("sum ~ (1|mm(g, h))", "t", None, "its terms.*'sigma'"),
    "a line and groups": ("both ~ x + (1|g)", "gaussian", None, "its terms.*'sigma'"),
    "known groups": ("of_g ~ g", "gaussian", None, "its terms.*'sigma'"),
    "an offset": ("line ~ (1|g) + offset(2 * x)", "gaussian", None, "'g'.*'sigma'"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_what_is_met_exactly_is_refused(frame, name):
    formula, family, weights, message = EXACT[name]
    with pytest.raises(vmrp.DataError, match=message):
        vmrp.Model(formula, frame, family, weights=weights)


SOUND = {
    "pairs of rows once": ("z ~ x + (x|pair)", "gaussian", None, None),
    "residuals": ("z ~ x + (1|g)", "gaussian", "w", None),
    "no row twice": ("z ~ x + (1|row)", "gaussian", None, None),
    "shares of rows": ("z ~ x + (1|row)", "gaussian", "share", None),
    "a prior that ends it": (
        "z ~ x + (1|row)", "gaussian", "w", {"sigma": vmrp.InverseGamma(2, 1)},
    ),
    "a prior that ends alpha": ("p ~ x + (1|row)", "gamma", "w", {"alpha": vmrp.Gamma(2, 0.1)}),
    "a sigma that is known": ("of_g ~ x + (1|g)", "gaussian", None, {"sigma": 0.5}),
    "far from zero": ("far ~ x + (1|g)", "gaussian", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_all_else_is_built(frame, name):
    formula, family, weights, priors = SOUND[name]
    vmrp.Model(formula, frame, family, weights=weights, priors=priors)


@pytest.mark.parametrize("family", ["gamma", "gaussian"])
def test_the_remedy_is_one(frame, family):
    response, prior = {
        "gamma": ("p", {"alpha": vmrp.Gamma(2, 0.1)}),
        "gaussian": ("z", {"sigma": vmrp.InverseGamma(2, 1)}),
    }[family]
    model = vmrp.Model(f"{response} ~ x + (1|row)", frame, family, weights="w", priors=prior)
    idata = model.fit(100, random_seed=1)
    assert idata["fit"].attrs["converged"]
    assert np.isfinite(idata["posterior"][next(iter(prior))]).all()


def test_a_bambi_model(frame):
    bmb = pytest.importorskip("bambi")
    with pytest.raises(vmrp.DataError, match="'sigma'"):
        vmrp.fit(bmb.Model("of_g ~ x + (1|g)", frame), draws=5)


def test_a_pymc_model(frame):
    codes = pd.factorize(frame["g"])[0]
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("sd", 1), shape=6)
        pm.Normal("y", u[codes], pm.HalfNormal("sigma", 1), observed=frame["of_g"].to_numpy())
    with pytest.raises(vmrp.DataError, match="'u'"):
        vmrp.fit(model, draws=5)
