from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(7)
    n, levels = 240, 12
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "c": rng.choice(["a", "b", "d"], n),
            "g": rng.integers(0, levels, n),
        }
    )
    slope = rng.normal(0, 0.5, levels)[frame["g"]]
    frame["y"] = 0.7 * frame["x"] * (1 + slope) + (frame["c"] == "b") + rng.normal(0, 0.5, n)
    frame["k"] = (frame["y"] > 0.3).astype(int)
    frame["g"] = "g" + frame["g"].astype(str).str.zfill(2)
    return frame


FORMULAS = [
    "y ~ x + (x|g)",
    "y ~ x*z + (x|g)",
    "y ~ x*c + (x + c|g)",
    "y ~ 0 + c + x + (0 + c + x|g)",
    "y ~ x + I(x**2) + (x + I(x**2)|g)",
    "y ~ x + (x*z|g)",
    "y ~ x + (c + x:c|g)",
    "y ~ s(x) + (x|c/g)",
    "y ~ poly(x, 2) + (poly(x, 2)|g)",
    "y ~ c/x + (c/x|g)",
    "y ~ poly(x, 3, raw=True) + (poly(x, 2, raw=True)|g)",
    "y ~ x + {x**2} + {x**3} + (1|g)",
]


def fitted(formula, data, **options):
    """Means of η and their posterior sds, in the order of the rows."""
    family = options.pop("family", "gaussian")
    model = vmrp.Model(formula, data, family=family, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        q = model.approximate(hyperparameters="mean_field", tol=1e-7)
    mean, variance = q.fit.state.gaussian.row_moments()
    return mean[model.observations.cell], np.sqrt(variance)[model.observations.cell]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(("shift", "scale"), [(40.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (3e3, 1e6)])
def test_results_do_not_depend_on_where_zero_lies_nor_on_units(data, formula, shift, scale):
    mean, sd = fitted(formula, data)
    moved = fitted(formula, data.assign(x=(data["x"] + shift) * scale))
    assert np.max(np.abs(moved[0] - mean) / sd) < 0.02
    np.testing.assert_allclose(moved[1], sd, rtol=0.02)


@pytest.mark.parametrize("formula", ["y ~ x + (x|g)", "y ~ s(x) + (x|c/g)", "k ~ x*z + (x|g)"])
def test_a_shift_of_a_million_sds_changes_nothing(data, formula):
    family = "bernoulli" if formula.startswith("k") else "gaussian"
    mean, sd = fitted(formula, data, family=family)
    moved = fitted(formula, data.assign(x=data["x"] + 1e6), family=family)
    assert np.max(np.abs(moved[0] - mean) / sd) < 0.02
    np.testing.assert_allclose(moved[1], sd, rtol=0.02)


# the columns of a smooth's basis are what they are up to their sign
@pytest.mark.parametrize("formula", [f for f in FORMULAS if "s(" not in f])
def test_every_engine_reads_the_same_model_wherever_zero_lies(data, formula):
    """CAVI, Gibbs, and the pm.Model are functions of the GLMM: so it must not move."""
    one = vmrp.Model(formula, data, family="gaussian").glmm
    other = vmrp.Model(formula, data.assign(x=data["x"] - 300), family="gaussian").glmm
    np.testing.assert_allclose(other.rows.values, one.rows.values, atol=1e-7)
    np.testing.assert_allclose(other.common.prior_sd, one.common.prior_sd, rtol=1e-7)
    for moved, group in zip(other.groups, one.groups, strict=True):
        if isinstance(group.prior, vmrp.HuangWand):
            scales = moved.prior.scales(group.d), group.prior.scales(group.d)
            np.testing.assert_allclose(*scales, rtol=1e-7)


def test_what_is_reported_is_what_the_formula_writes(data):
    """u_0 + u_x·x and Σ in the formula's coordinates, by hand from the centred ones."""
    far = data.assign(x=data["x"] + 20)
    model = vmrp.Model("y ~ x + (x|g)", far, family="gaussian")
    q = model.approximate(hyperparameters="mean_field")
    idata = model.fit(hyperparameters="mean_field", draws=200, random_seed=1)
    posterior = idata.posterior.dataset
    eta = (
        posterior["Intercept"].to_numpy()[0][:, None]
        + posterior["x"].to_numpy()[0][:, None] * far["x"].to_numpy()
        + posterior["1|g"].sel(g__factor_dim=far["g"].to_numpy()).to_numpy()[0]
        + posterior["x|g"].sel(g__factor_dim=far["g"].to_numpy()).to_numpy()[0]
        * far["x"].to_numpy()
    )
    predicted = model.predict(idata, inplace=False).posterior["mu"].to_numpy()[0]
    np.testing.assert_allclose(predicted, eta, atol=1e-9)
    new = model.predict(idata, data=far, inplace=False).posterior["mu"].to_numpy()[0]
    np.testing.assert_allclose(new, eta, atol=1e-9)

    draws = q.sample(4000, 2)
    u = draws.coefficients[:, model.glmm.group_slice(0)].reshape(4000, -1, 2)
    slopes = u[..., 1] / far["x"].std(ddof=0)
    intercepts = u[..., 0] - far["x"].mean() * slopes
    sd = idata["fit/sd"].dataset
    np.testing.assert_allclose(sd["1|g"], intercepts.std(0), rtol=0.06)
    np.testing.assert_allclose(sd["x|g"], slopes.std(0), rtol=0.06)
    contrast = np.array([1.0, -far["x"].mean() / far["x"].std(ddof=0)])
    sigma = np.sqrt(contrast @ draws.covariances[0] @ contrast)
    assert float(idata["fit/mean"].dataset["1|g_sigma"]) == pytest.approx(sigma.mean(), rel=0.05)
    assert float(posterior["1|g_sigma"].mean()) == pytest.approx(sigma.mean(), rel=0.1)


def test_priors_that_were_given_for_slopes_hold_as_written(data):
    """x·z is measured from its margins only where no one has stated a prior of one of them."""
    free = vmrp.Model("y ~ x*z", data, family="gaussian")
    stated = vmrp.Model("y ~ x*z", data, family="gaussian", priors={"x": vmrp.Normal(0, 1)})
    assert free.glmm.common.basis is not None
    assert stated.glmm.common.basis is None


def test_models_stay_as_written_where_that_is_asked_for(data):
    model = vmrp.Model("y ~ x*z + (x|g)", data, family="gaussian", center_predictors=False)
    assert model.glmm.common.basis is None
    assert model.glmm.groups[0].basis is None
    np.testing.assert_array_equal(model.glmm.common.center, 0)


def test_a_varying_slope_has_a_prior_in_units_of_its_predictor(data):
    one = vmrp.Model("y ~ x + (0 + x|g)", data, family="gaussian").glmm.groups[0].prior
    other = vmrp.Model("y ~ x + (0 + x|g)", data.assign(x=data["x"] * 1e-6), family="gaussian")
    np.testing.assert_allclose(other.glmm.groups[0].prior.A, one.A * 1e6, rtol=1e-9)


def test_independent_slopes_far_from_zero_are_warned_of(data):
    far = data.assign(x=data["x"] + 50)
    with pytest.warns(vmrp.PriorWarning, match="'x|g'.*sds away"):
        vmrp.Model("y ~ x + (x||g)", far, family="gaussian")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vmrp.Model("y ~ x + (x|g)", far, family="gaussian")
        vmrp.Model("y ~ x + (x||g)", data, family="gaussian")


@pytest.mark.parametrize("formula", ["y ~ x + (x|g)", "k ~ x*z + (x|g)"])
@pytest.mark.parametrize(("shift", "scale"), [(1e4, 1.0), (-300.0, 1e-6)])
def test_integrated_means_stay_too(data, formula, shift, scale):
    family = "bernoulli" if formula.startswith("k") else "gaussian"
    _, sd = fitted(formula, data, family=family)

    def mean(frame):
        model = vmrp.Model(formula, frame, family=family)
        beta = model.approximate(hyperparameters="integrated").mean()
        rows = model.glmm.rows
        return np.einsum("ik,ik->i", rows.values, beta[rows.columns])[model.observations.cell]

    moved = data.assign(x=(data["x"] + shift) * scale)
    assert np.max(np.abs(mean(moved) - mean(data)) / sd) < 0.02


@pytest.mark.parametrize("scale", [1e-200, 1e150])
@pytest.mark.parametrize("term", ["(x|g)", "(0 + x|g)", "(x||g)"])
def test_predictors_whose_slopes_no_number_can_hold_are_refused(data, scale, term):
    with pytest.raises(vmrp.DataError, match=r"'x'.*extreme scale"):
        vmrp.Model(f"y ~ {term}", data.assign(x=data["x"] * scale), family="gaussian")
