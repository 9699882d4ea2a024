"""Coordinate ascent as a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.nodes import BOUNDS
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.log_joint import log_joint

FORMULAS = [
    "y ~ male + educ + (1|state) + (1|age) + (1|state:age)",
    "y ~ x + male + (1 + x|state) + (1|age)",
    "y ~ x + (1 + x||state)",
    "y ~ 0 + x + (1 + educ|state)",
    "y ~ x + male",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("bound", BOUNDS)
def test_elbo_never_falls_and_acceleration_does_not_move_the_optimum(survey, formula, bound):
    glmm = vmrp.Model(formula, survey).glmm
    plain = run(
        glmm, Options(bound=bound, tol=1e-7, max_iter=5000, accelerate="none", expansion="none")
    )
    fast = run(glmm, Options(bound=bound, tol=1e-7))
    for fit in (plain, fast):
        assert fit.converged
        assert np.diff(fit.elbo).min(initial=0) >= -1e-8 * abs(fit.elbo[-1])
    assert fast.iterations <= plain.iterations
    assert fast.state.elbo == pytest.approx(plain.state.elbo, abs=1e-5)
    np.testing.assert_allclose(fast.state.gaussian.mean, plain.state.gaussian.mean, atol=1e-4)
    np.testing.assert_allclose(
        fast.state.gaussian.variances(), plain.state.gaussian.variances(), rtol=1e-3
    )


@pytest.mark.parametrize("bound", BOUNDS)
def test_elbo_is_its_monte_carlo_estimate(survey, bound):
    """ELBO = E_q[log p − log q]; exact under quadrature, a lower bound of it under Pólya–Gamma."""
    priors = {"group_specific": vmrp.HalfStudentT(3, 2)}  # no auxiliaries: every factor has draws
    model = vmrp.Model("y ~ x + (1|state) + (0 + x|state)", survey, priors=priors)
    q = model.approximate(bound=bound, hyperparameters="mean_field")
    draws = q.sample(100_000, 1)
    difference = log_joint(q.glmm, draws.coefficients, draws.covariances) - q.log_density(draws)
    error = difference.std() / np.sqrt(len(draws))
    if bound == "quadrature":
        assert q.elbo == pytest.approx(difference.mean(), abs=4 * error)
    else:
        assert q.elbo < difference.mean() + 4 * error
        assert q.elbo > difference.mean() - 5


def test_elbo_is_below_the_evidence_and_close():
    """Two groups, one intercept: the evidence is a three-dimensional integral."""
    frame = pd.DataFrame({"g": ["a"] * 9 + ["b"] * 8, "y": [1, 0, 1] * 3 + [0, 1, 0, 0] * 2})
    priors = {"1|g": vmrp.HalfNormal(0.7), "Intercept": vmrp.Normal(0, 1)}
    model = vmrp.Model("y ~ 1 + (1|g)", frame, priors=priors)
    z = np.linspace(-5, 5, 41)
    t = np.linspace(-6, 2, 41)
    b, u, v, log_sigma = (m.ravel() for m in np.meshgrid(z, z, z, t, indexing="ij"))
    sigma = np.exp(log_sigma)
    theta = np.column_stack([b, u * sigma, v * sigma])
    log_p = log_joint(model.glmm, theta, [(sigma**2)[:, None, None]])
    log_p += 2 * log_sigma + np.log(2) + 2 * log_sigma  # u = zσ twice, σ² from log σ
    step = (z[1] - z[0]) ** 3 * (t[1] - t[0])
    evidence = np.log(np.exp(log_p - log_p.max()).sum() * step) + log_p.max()
    elbo = model.approximate(hyperparameters="mean_field").elbo
    assert evidence - 1 < elbo < evidence + 1e-3  # the gap is what q(u)q(σ) costs


def test_without_groups_quadrature_is_the_optimal_gaussian(survey):
    """Minimise KL(q ‖ p) over all Gaussians by brute force, in two dimensions."""
    model = vmrp.Model("y ~ x", survey, priors={"common": vmrp.Normal(0, 1)})
    glmm = model.glmm
    q = model.approximate(tol=1e-9, hyperparameters="mean_field")
    x = glmm.rows.dense(2)
    nodes = np.linspace(-8, 8, 201)
    weights = np.exp(-0.5 * nodes**2) / np.exp(-0.5 * nodes**2).sum()

    def negative_elbo(parameters):
        mean = parameters[:2]
        root = np.array([[np.exp(parameters[2]), 0], [parameters[4], np.exp(parameters[3])]])
        covariance = root @ root.T
        m = x @ mean
        v = np.einsum("ij,jk,ik->i", x, covariance, x)
        softplus = np.logaddexp(0, m[:, None] + np.sqrt(v)[:, None] * nodes) @ weights
        likelihood = glmm.response.statistics[0] @ m - glmm.response.statistics[1] @ softplus
        prior = -0.5 * ((mean**2 + np.diag(covariance)) / glmm.common.prior_sd**2).sum()
        return -(likelihood + prior + parameters[2] + parameters[3])

    best = optimize.minimize(negative_elbo, [0, 0, -2, -2, 0], method="BFGS", tol=1e-8).x
    root = np.array([[np.exp(best[2]), 0], [best[4], np.exp(best[3])]])
    np.testing.assert_allclose(q.mean(), best[:2], atol=1e-5)
    np.testing.assert_allclose(q.sd() ** 2, np.diag(root @ root.T), rtol=1e-4)


def test_without_groups_means_agree_with_a_logistic_regression(survey):
    model = vmrp.Model("y ~ x + male", survey, priors={"common": "flat", "Intercept": "flat"})
    x = np.column_stack([np.ones(len(survey)), survey[["x", "male"]]])
    y = survey["y"].to_numpy()
    nll = lambda b: np.logaddexp(0, x @ b).sum() - y @ (x @ b)  # noqa: E731
    mle = optimize.minimize(nll, np.zeros(3), tol=1e-10).x
    idata = model.fit(10)
    mean = idata["fit/mean"]
    actual = [float(mean["Intercept"]), float(mean["x"]), float(mean["male"])]
    np.testing.assert_allclose(actual, mle, atol=0.02)


def test_not_converged_warns_and_says_so(slopes_model):
    with pytest.warns(vmrp.ConvergenceWarning, match="max_iter=3"):
        idata = slopes_model.fit(10, max_iter=3, hyperparameters="mean_field")
    assert idata["fit"].attrs["converged"] == 0
    assert idata["fit"].attrs["iterations"] <= 3


def test_where_the_system_does_not_tell_its_memory(slopes_model, monkeypatch):
    from pymc_vmrp.solvers import choose as module

    monkeypatch.delattr(module.os, "sysconf")
    assert slopes_model.approximate(hyperparameters="mean_field").converged


def test_interruption_returns_the_state_reached(slopes_model):
    seen = []

    def interrupt(step, elbo, change):
        seen.append(elbo)
        if step >= 4:
            raise KeyboardInterrupt

    fit = run(slopes_model.glmm, Options(tol=1e-12), interrupt)
    assert fit.interrupted
    assert not fit.converged
    assert fit.state.elbo == seen[-1]


def test_a_model_beyond_memory_is_refused():
    n = 200_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.integers(0, n // 2, n) for name in "ab"})
    with pytest.raises(vmrp.VmrpError, match=r"\d{3},\d{3} coefficients.*1\|[ab].*GB"):
        vmrp.Model("y ~ 1 + (1|a) + (1|b)", frame.assign(y=np.arange(n) % 2)).approximate(
            hyperparameters="mean_field"
        )


def test_a_hundred_thousand_levels_fit_where_dense_matrices_would_not():
    n = 100_000
    rng = np.random.default_rng(0)
    u = rng.normal(0, 1.5, n)
    g = np.repeat(np.arange(n), 3)
    frame = pd.DataFrame({"g": g, "y": (rng.random(3 * n) < 1 / (1 + np.exp(-u[g]))).astype(int)})
    q = vmrp.Model("y ~ 1 + (1|g)", frame).approximate(hyperparameters="mean_field")
    assert q.converged
    assert q.fit.state.factors[0].sigma_moments()[0][0] == pytest.approx(1.5, rel=0.15)


def test_interruption_at_the_first_quadrature_sweep_keeps_the_polya_gamma_state(
    slopes_model, monkeypatch
):
    from pymc_vmrp.cavi import run as module

    original = module.sweep

    def interrupted(setup, point):
        if setup.bound.name == "quadrature":
            raise KeyboardInterrupt
        return original(setup, point)

    monkeypatch.setattr(module, "sweep", interrupted)
    fit = module.run(slopes_model.glmm, Options())
    assert fit.interrupted
    assert np.isfinite(fit.state.elbo)


def test_interruption_between_the_bounds_keeps_the_polya_gamma_state(slopes_model, monkeypatch):
    from pymc_vmrp.cavi import run as module

    def interrupted(setup, state):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "under_bound", interrupted)
    fit = module.run(slopes_model.glmm, Options())
    assert fit.interrupted
    assert fit.bound == "polya-gamma"


def test_the_switch_to_quadrature_does_not_lower_the_elbo():
    """A case that hypothesis found: all answers equal, two groups."""
    rng = np.random.default_rng(4407)
    g = np.concatenate([np.arange(2), rng.integers(0, 2, 40)])
    frame = pd.DataFrame({"g": g, "h": rng.integers(0, 3, 42), "x": rng.normal(size=42).round(1)})
    q = vmrp.Model("y ~ x + (1 + x|g) + (1|h)", frame.assign(y=1)).approximate(
        hyperparameters="mean_field"
    )
    assert q.converged
    assert np.diff(q.fit.elbo).min() >= -1e-8 * abs(q.elbo)


def test_extreme_scales_are_an_error_and_not_nan():
    frame = pd.DataFrame({"x": [1e200, 2e200, 3e200, 4e200], "y": [0, 1, 0, 1], "g": list("aabb")})
    for priors in ({}, {"x": vmrp.Normal(0, 1)}):
        with np.errstate(all="ignore"), pytest.raises(vmrp.VmrpError, match="scale"):
            vmrp.Model("y ~ x + (1|g)", frame, priors=priors).approximate(
                hyperparameters="mean_field"
            )


def test_repeated_fits_are_identical(slopes_model):
    a, b = (
        slopes_model.approximate(hyperparameters="mean_field"),
        slopes_model.approximate(hyperparameters="mean_field"),
    )
    np.testing.assert_array_equal(a.mean(), b.mean())
    assert a.elbo == b.elbo


@pytest.mark.parametrize(
    "arguments",
    [
        {"bound": "laplace"},
        {"tol": 0},
        {"tol": True},
        {"tol": float("inf")},
        {"max_iter": 0},
        {"solver": "sparse"},
        {"accelerate": True},
        {"expansion": "px"},
    ],
)
def test_bad_options(slopes_model, arguments):
    with pytest.raises(vmrp.VmrpError, match=next(iter(arguments))):
        slopes_model.approximate(**arguments)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from([0.0, 0.01, 1.0, 4.0]))
def test_any_small_survey_converges(seed, levels, sd):
    """Tiny and huge group variances, separated groups, all-equal responses."""
    rng = np.random.default_rng(seed)
    g = np.concatenate([np.arange(levels), rng.integers(0, levels, 40)])
    eta = rng.normal(0, sd, levels)[g] + (3 if seed % 3 == 0 else 0)
    frame = pd.DataFrame(
        {"g": g, "h": rng.integers(0, 3, len(g)), "x": rng.normal(size=len(g)).round(1)}
    )
    frame["y"] = (rng.random(len(g)) < 1 / (1 + np.exp(-eta))).astype(int)
    for bound in BOUNDS:
        q = vmrp.Model("y ~ x + (1 + x|g) + (1|h)", frame).approximate(
            bound, hyperparameters="mean_field"
        )
        assert q.converged
        assert np.diff(q.fit.elbo).min(initial=0) >= -1e-8 * abs(q.elbo)
        assert np.isfinite(q.sd()).all()


def test_gauss_hermite_is_not_needed_for_the_evidence_of_one_row():
    """One Bernoulli row, one coefficient: the ELBO against the integral it bounds."""
    frame = pd.DataFrame({"y": [1, 1, 0]})
    model = vmrp.Model("y ~ 1", frame, priors={"Intercept": vmrp.Normal(0, 1)})

    def density(b):
        return np.exp(-0.5 * b**2 + 2 * b - 3 * np.logaddexp(0, b)) / np.sqrt(2 * np.pi)

    evidence = np.log(integrate.quad(density, -10, 10)[0])
    assert evidence - 0.01 < model.approximate(hyperparameters="mean_field").elbo < evidence
