import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.selection.training import training

PRIORS = {
    "Intercept": vmrp.Normal(0, 1),
    "common": vmrp.Normal(0, 1),
    "group_specific": vmrp.HuangWand(2, 1),
}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    n = 120
    out = pd.DataFrame(
        {
            "g": rng.choice(list("abcdef"), n),
            "h": rng.choice(list("xyz"), n),
            "x": rng.integers(-1, 2, n) * 1.0,
            "e": rng.choice([0.5, 1.0, 2.0], n),
        }
    )
    return out.assign(y=rng.poisson(1, n), b=rng.integers(0, 2, n), r=rng.normal(size=n))


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("b ~ x + (1 + x|g) + (1|g:h)", "bernoulli"),
        ("r ~ x + (1|g)", "gaussian"),
        ("y ~ x + (1|g) + (1|h) + offset(np.log(e))", "negativebinomial"),
    ],
)
def test_it_is_the_model_of_those_rows(frame, formula, family):
    def model(data):
        priors = {**PRIORS, "sigma": vmrp.HalfNormal(1)} if family == "gaussian" else PRIORS
        return vmrp.Model(formula, data, family, priors=priors, center_predictors=False)

    whole = model(frame)
    rows = np.flatnonzero((frame["g"] != "c") & (np.arange(120) % 3 > 0))
    part = training(whole.glmm, whole.observations, rows)
    direct = model(frame.iloc[rows]).glmm
    assert [g.levels for g in part.glmm.groups] == [g.levels for g in direct.groups]
    rng = np.random.default_rng(2)
    theta = rng.normal(0, 0.3, (4, direct.n_coefficients))
    covariances = tuple(np.broadcast_to(0.3 * np.eye(g.d), (4, g.d, g.d)) for g in direct.groups)
    phi = np.full((4, len(direct.free_parameters)), 1.4)
    np.testing.assert_allclose(
        log_joint(part.glmm, theta, covariances, parameters=phi),
        log_joint(direct, theta, covariances, parameters=phi),
    )


def test_draws_are_put_in_their_place_and_new_levels_drawn(frame):
    model = vmrp.Model("b ~ x + (1 + x|g) + (1|h)", frame, priors=PRIORS)
    rows = np.flatnonzero(~frame["g"].isin(["b", "e"]))
    part = training(model.glmm, model.observations, rows)
    rng = np.random.default_rng(3)
    n = 4000
    sigma = np.array([[1.0, 0.8], [0.8, 4.0]])
    draws = Draws(
        rng.normal(size=(n, part.glmm.n_coefficients)),
        (np.broadcast_to(sigma, (n, 2, 2)), np.ones((n, 1, 1))),
        np.empty((n, 0)),
    )
    out = part.extend(draws, rng)
    whole = out.coefficients[:, model.glmm.group_slice(0)].reshape(n, 6, 2)
    own = draws.coefficients[:, part.glmm.group_slice(0)].reshape(n, 4, 2)
    np.testing.assert_array_equal(whole[:, [0, 2, 3, 5]], own)
    np.testing.assert_allclose(np.cov(whole[:, 1].T), sigma, atol=0.3)
    np.testing.assert_allclose(np.corrcoef(whole[:, 1, 0], whole[:, 4, 0])[0, 1], 0, atol=0.06)
    np.testing.assert_array_equal(
        out.coefficients[:, model.glmm.group_slice(1)],
        draws.coefficients[:, part.glmm.group_slice(1)],
    )


def test_smooths_and_memberships_keep_all_levels(frame):
    data = frame.assign(x=np.linspace(0, 1, len(frame)), h2=np.roll(frame["h"], 1))
    model = vmrp.Model("b ~ s(x, k=6) + (1|mm(h, h2))", data)
    part = training(model.glmm, model.observations, np.arange(40))
    for own, whole in zip(part.glmm.groups, model.glmm.groups, strict=True):
        assert own.levels == whole.levels
