import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.glmm.families import families
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.responses import (
    draw_responses,
    one_row_each,
    pooled,
    row_predictors,
    take_rows,
)


def random_point(glmm, seed=0, draws=3):
    rng = np.random.default_rng(seed)
    covariances = tuple(np.broadcast_to(0.5 * np.eye(g.d), (draws, g.d, g.d)) for g in glmm.groups)
    coefficients = rng.normal(0, 0.3, (draws, glmm.n_coefficients))
    return coefficients, covariances, np.full((draws, len(glmm.free_parameters)), 1.3)


def same_density(one, other):
    theta, sigma, phi = random_point(one)
    np.testing.assert_allclose(
        log_joint(one, theta, sigma, parameters=phi), log_joint(other, theta, sigma, parameters=phi)
    )


@pytest.mark.parametrize(("family", "link"), CASES)
@pytest.mark.parametrize("continuous", [True, False])
def test_pooling_new_responses_is_building_the_model_of_them(family, link, continuous):
    simulated = simulate(family, link, 80, 1, continuous=continuous)
    model = vmrp.Model(simulated.formula, simulated.data, family, link=link)
    same_density(pooled(model.glmm, model.observations), model.glmm)
    theta, _, phi = random_point(model.glmm)
    rng = np.random.default_rng(2)
    y = draw_responses(model.glmm, model.observations, theta[0], phi[0], rng)
    changed = replace(model.observations, rows=replace(model.observations.rows, y=y))
    name = simulated.formula.split("~")[0].strip()
    column = name.removeprefix("p(").split(",")[0]
    frame = simulated.data.assign(**{column: y})
    rebuilt = vmrp.Model(simulated.formula, frame, family, link=link)
    # priors may depend on the response: those of the first model hold
    rebuilt_glmm = replace(
        rebuilt.glmm,
        common=replace(
            rebuilt.glmm.common,
            prior_mean=model.glmm.common.prior_mean,
            prior_sd=model.glmm.common.prior_sd,
        ),
        groups=tuple(
            replace(new, prior=old.prior)
            for new, old in zip(rebuilt.glmm.groups, model.glmm.groups, strict=True)
        ),
        parameters=model.glmm.parameters,
    )
    same_density(pooled(model.glmm, changed), rebuilt_glmm)


def test_known_sds_offsets_and_smooths():
    rng = np.random.default_rng(3)
    n = 90
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "sd": rng.choice([0.1, 2.0], n),
            "x": rng.uniform(size=n).round(2),
            "o": rng.choice([0.0, 50.0], n),
            "g": rng.choice(list("abc"), n),
        }
    )
    model = vmrp.Model("se(y, sd) ~ s(x, k=5) + offset(o) + (1|g)", frame, "gaussian")
    theta, _, _ = random_point(model.glmm)
    draws = np.array(
        [draw_responses(model.glmm, model.observations, theta[0], np.empty(0), rng)
         for _ in range(400)]
    )  # fmt: skip
    eta = row_predictors(model.glmm, model.observations, theta[:1])[:, 0]
    assert np.abs(eta - frame["o"]).max() < 10
    np.testing.assert_allclose((draws - eta).std(0), frame["sd"], rtol=0.2)
    part = take_rows(model.observations, np.flatnonzero(frame["g"] == "a"))
    smaller = pooled(model.glmm, part)
    assert smaller.n_cells < model.glmm.n_cells
    assert smaller.groups[1].codes.strides[0] == 0  # still one row in memory
    assert part.index.tolist() == frame.index[frame["g"] == "a"].tolist()


def test_whole_weights_are_repetitions():
    frame = pd.DataFrame({"y": [0, 1, 1, 0], "g": list("aabb"), "w": [2.0, 0.0, 1.0, 3.0]})
    model = vmrp.Model("y ~ (1|g)", frame, weights="w")
    single = one_row_each(model.observations)
    assert single.rows.weights is None
    assert single.rows.y.tolist() == [0, 0, 1, 0, 0, 0]
    same_density(pooled(model.glmm, single), model.glmm)
    fractional = vmrp.Model("y ~ (1|g)", frame.assign(w=[1.5, 1, 1, 1]), weights="w")
    with pytest.raises(vmrp.DataError, match="fractional weights"):
        one_row_each(fractional.observations)


def test_means_beyond_all_numbers_are_an_error():
    frame = pd.DataFrame({"y": [0, 3, 1, 2], "x": [0.0, 1, 2, 3]})
    model = vmrp.Model("y ~ x", frame, "poisson")
    with pytest.raises(vmrp.DataError, match="linear predictors reach"):
        draw_responses(
            model.glmm, model.observations, np.array([900.0, 0.0]), np.empty(0),
            np.random.default_rng(1),
        )  # fmt: skip


def test_families_pickle_by_name():
    for family in families().values():
        assert pickle.loads(pickle.dumps(family)) is family
    own = replace(families()["poisson", "log"], name="own", start=len)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(own)
    copied = pickle.loads(pickle.dumps(replace(own, centre=None)))
    assert copied.name == "own"
    assert copied.draw is own.draw
