"""Integration over the hyperparameters against brute force, and what a user may do to it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.errors import ConvergenceWarning, VmrpError
from pymc_vmrp.glmm.priors.scales import ScaleDensity
from pymc_vmrp.integration import integrate
from pymc_vmrp.integration.conditional import ConditionalModel, Theta
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior
from pymc_vmrp.solvers.choose import choose_solver
from pymc_vmrp.solvers.factor import SingularPrecision

SCHOOLS = pd.DataFrame(
    {
        "y": [28.0, 8, -3, 7, -1, 1, 18, 12],
        "sd": [15.0, 10, 16, 11, 9, 11, 10, 18],
        "school": list("ABCDEFGH"),
    }
)


def integrated(model, **kwargs):
    return model.approximate(hyperparameters="integrated", **kwargs)


def brute_force(model, grids):
    """Moments of q, of its Σ and φ, and log evidence, by summing over a grid of σ's and φ's."""
    glmm = model.glmm
    conditional = ConditionalModel(glmm, choose_solver(glmm, "dense"), 1e-8)
    start = integrated(model).fit.exploration.starts
    psi = np.zeros(len(grids))
    logs, means, variances, values = [], [], [], []
    for point in np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(grids)):
        sigmas, phi = point[: len(glmm.groups)], point[len(glmm.groups) :]
        theta = Theta(tuple(np.array([[s**2]]) for s in sigmas), phi)
        fit = conditional.fit(theta, start(psi))
        prior = sum(
            float(group.prior.log_density_sigma(np.array(s)))
            for group, s in zip(glmm.groups, sigmas, strict=True)
        ) + sum(
            float(parameter.prior.log_density_sigma(np.array(value)))
            for parameter, value in zip(glmm.free_parameters, phi, strict=True)
        )
        # an even grid of log σ and log φ
        logs.append(fit.log_evidence + prior + np.log(point).sum())
        means.append(fit.gaussian.mean)
        variances.append(fit.gaussian.variances())
        values.append(point)
    volume = sum(np.log(np.log(grid[1] / grid[0])) for grid in grids)
    weights = np.exp(np.array(logs) - max(logs))
    log_evidence = max(logs) + np.log(weights.sum()) + volume
    weights /= weights.sum()
    means, variances, values = map(np.array, (means, variances, values))
    mean = weights @ means
    sd = np.sqrt(weights @ (variances + means**2) - mean**2)
    theta_mean = weights @ values
    theta_sd = np.sqrt(weights @ (values - theta_mean) ** 2)
    return mean, sd, theta_mean, theta_sd, log_evidence


def assert_like_brute_force(model, grids, shift=0.05, ratio=0.05):
    q = integrated(model, theta_ess=400)
    mean, sd, theta_mean, theta_sd, log_evidence = brute_force(model, grids)
    np.testing.assert_allclose((q.mean() - mean) / sd, 0, atol=shift)
    np.testing.assert_allclose(q.sd() / sd, 1, atol=ratio)
    moments = [(m[0], s[0]) for m, s in q.sigma_moments()]
    if q.parameter_moments() is not None:
        moments += list(zip(*q.parameter_moments(), strict=True))
    found = np.array(moments).T
    np.testing.assert_allclose((found[0] - theta_mean) / theta_sd, 0, atol=2 * shift)
    np.testing.assert_allclose(found[1] / theta_sd, 1, atol=2 * ratio)
    assert q.elbo == pytest.approx(log_evidence, abs=0.1)


def test_one_sigma_near_zero():
    """Eight schools under a half-normal: much of the mass of σ is at zero."""
    model = vmrp.Model(
        "se(y, sd) ~ 1 + (1|school)",
        SCHOOLS,
        family="gaussian",
        priors={"Intercept": vmrp.Normal(0, 10), "1|school": vmrp.HalfNormal(10)},
    )
    assert_like_brute_force(model, [np.geomspace(0.003, 60, 400)])


@pytest.mark.slow
def test_two_sigmas_of_a_logistic_model(survey):
    model = vmrp.Model(
        "y ~ x + (1|state) + (1|age)", survey, priors={"group_specific": vmrp.HalfNormal(1)}
    )
    assert_like_brute_force(model, [np.geomspace(0.05, 4, 50), np.geomspace(0.002, 4, 60)])


def test_a_sigma_of_the_likelihood_and_one_of_a_term(survey):
    data = survey.assign(z=survey["x"] + survey["y"]).iloc[:60]
    model = vmrp.Model(
        "z ~ 1 + (1|state)", data, family="gaussian", priors={"1|state": vmrp.Exponential(1)}
    )
    assert_like_brute_force(model, [np.geomspace(0.002, 4, 70), np.geomspace(0.4, 2.5, 60)])


def test_a_mode_at_the_upper_end_of_a_prior(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": vmrp.Uniform(0.1)})
    assert_like_brute_force(model, [0.1 * np.exp(0.0125 * (np.arange(-320, 0) + 0.5))])


@pytest.mark.parametrize("smallest", [0.3, 1.5])
def test_a_prior_that_starts_above_zero(survey, smallest):
    """Its density is cut off below, where the likelihood has its mode or where it has none."""

    def cut(sigma):
        return np.where(sigma > smallest, -sigma, -np.inf)

    model = vmrp.Model("y ~ x + (1|state)", survey)
    group = replace(model.glmm.groups[0], prior=ScaleDensity("cut", cut, smallest=smallest))
    glmm = replace(model.glmm, groups=(group,))
    model.read_model = replace(model.read_model, glmm=glmm)
    assert_like_brute_force(model, [smallest * np.exp(0.0125 * (np.arange(320) + 0.5))])


@pytest.mark.parametrize("largest", [0.8, 1.0])
def test_a_limit_of_the_likelihoods_parameter_at_or_below_one(survey, largest):
    """Its coordinate is log φ, whose limit is then zero or less."""
    data = survey.assign(
        z=0.4 * survey["x"] + 0.3 * np.random.default_rng(1).normal(size=len(survey))
    )
    model = vmrp.Model(
        "z ~ x + (1|state)", data, family="gaussian", priors={"sigma": vmrp.Uniform(largest)}
    )
    posterior = model.approximate(hyperparameters="integrated")
    sigma = posterior.sample(500, 1).parameters[:, 0]
    assert sigma.max() < largest
    assert sigma.mean() == pytest.approx(0.3, abs=0.05)


def test_a_limit_of_the_prior_is_kept(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": vmrp.Uniform(0.6)})
    assert_like_brute_force(model, [0.6 * np.exp(0.0125 * (np.arange(-320, 0) + 0.5))])


@pytest.mark.parametrize(("family", "link"), CASES)
def test_log_joint_less_log_q_hardly_varies(family, link):
    """Its mean bounds log p(y), and it is constant where q is exact."""
    simulated = simulate(family, link, 150, 3, groups=6, continuous=False)
    model = vmrp.Model(simulated.formula, simulated.data, family, link=link)
    q = integrated(model, theta_ess=100)
    assert q.converged
    draws = q.sample(300, 1)
    difference = q.log_joint(draws) - q.log_density(draws)
    assert difference.std() < 0.4
    field = model.approximate(hyperparameters="mean_field")
    draws = field.sample(300, 1)
    assert difference.std() < (field.log_joint(draws) - field.log_density(draws)).std()
    assert q.elbo > field.elbo


def test_correlated_effects_and_both_solvers(slopes_model):
    dense, blocks = (integrated(slopes_model, solver=s) for s in ("dense", "partitioned"))
    assert dense.fit.model.solver.name == "dense"
    assert blocks.fit.model.solver.name.startswith("partitioned")
    np.testing.assert_allclose(dense.mean(), blocks.mean(), atol=0.1 * dense.sd().min())
    # the last digits decide which θ are drawn: what is left is the noise of θ
    np.testing.assert_allclose(dense.sd(), blocks.sd(), rtol=0.12)
    assert dense.elbo == pytest.approx(blocks.elbo, abs=0.1)
    draws = dense.sample(1000, 0)
    difference = dense.log_joint(draws) - dense.log_density(draws)
    assert difference.std() < 0.5
    assert (np.linalg.eigvalsh(draws.covariances[0]) > 0).all()


def test_fits_are_reproducible(intercepts_model):
    a, b = (integrated(intercepts_model) for _ in range(2))
    np.testing.assert_array_equal(a.mean(), b.mean())
    one, other = (q.sample(50, 3).coefficients for q in (a, b))
    np.testing.assert_array_equal(one, other)
    assert (one != a.sample(50, 4).coefficients).any()


def test_more_draws_of_theta_on_request(intercepts_model):
    few, many = (integrated(intercepts_model, theta_ess=n) for n in (50, 500))
    assert 50 <= few.fit.exploration.ess < many.fit.exploration.ess
    assert many.fit.exploration.ess >= 500
    assert len(few.weights) < len(many.weights)


def test_without_hyperparameters_there_is_nothing_to_integrate(survey):
    model = vmrp.Model("y ~ x", survey)
    assert isinstance(integrated(model), VariationalPosterior)


def test_arguments_are_checked(intercepts_model):
    with pytest.raises(VmrpError, match="hyperparameters='inla'"):
        intercepts_model.approximate(hyperparameters="inla")
    with pytest.raises(VmrpError, match="theta_ess must be a positive number"):
        integrated(intercepts_model, theta_ess=0)
    with pytest.raises(VmrpError, match="needs bound='quadrature'"):
        integrated(intercepts_model, bound="polya-gamma")


def interrupt_after(monkeypatch, evaluations):
    fit, count = ConditionalModel.fit, [0]

    def interrupted(self, theta, start):
        count[0] += 1
        if count[0] > evaluations:
            raise KeyboardInterrupt
        return fit(self, theta, start)

    monkeypatch.setattr(ConditionalModel, "fit", interrupted)


def test_ctrl_c_keeps_the_rounds_that_are_complete(intercepts_model, monkeypatch):
    interrupt_after(monkeypatch, 200)
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        q = integrated(intercepts_model, theta_ess=1000)
    assert isinstance(q, MixturePosterior)
    assert q.fit.stopped == "interrupted"
    assert not q.converged
    assert q.weights.sum() == pytest.approx(1)


def test_ctrl_c_before_that_leaves_a_mean_field_fit(intercepts_model, monkeypatch):
    interrupt_after(monkeypatch, 5)
    with pytest.warns(ConvergenceWarning, match="interrupted before"):
        q = integrated(intercepts_model)
    assert isinstance(q, VariationalPosterior)
    assert q.attributes()["stopped"] == "interrupted"


def test_too_few_rounds_are_admitted(intercepts_model, monkeypatch):
    monkeypatch.setattr(integrate, "_MOST_ROUNDS", 1)
    monkeypatch.setattr(integrate, "_ROUNDS_BY_DRAW", 0.0)
    with pytest.warns(ConvergenceWarning, match="independent draws"):
        q = integrated(intercepts_model, theta_ess=500)
    assert q.fit.stopped == "max_points"


def test_a_density_that_the_surrogate_cannot_follow_is_admitted(intercepts_model, monkeypatch):
    """Rough by several nats on a scale much below the posterior's."""
    fit = ConditionalModel.fit

    def rough(self, theta, start):
        found = fit(self, theta, start)
        wave = sum(np.sin(300 * np.log(c[0, 0])) for c in theta.covariances)
        return replace(found, log_evidence=found.log_evidence + 3 * float(wave))

    monkeypatch.setattr(ConditionalModel, "fit", rough)
    with pytest.warns(ConvergenceWarning, match="errs by"):
        q = integrated(intercepts_model, theta_ess=50)
    assert not q.converged
    assert q.attributes()["theta_error"] > integrate.MOST_MISSED


def simulated_slopes(seed, rows, groups=6):
    """Counts in a few groups with three correlated effects."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, groups, rows)
    x, z = rng.normal(size=(2, rows))
    u = rng.normal(size=(groups, 3)) * [0.5, 0.4, 0.3]
    eta = 0.5 + 0.3 * x - 0.2 * z + u[g, 0] + u[g, 1] * x + u[g, 2] * z
    frame = pd.DataFrame({"x": x, "z": z, "g": g.astype(str)})
    return frame.assign(c=rng.poisson(np.exp(eta)))


@pytest.mark.parametrize(("seed", "rows"), [(100, 30), (102, 30), (107, 45)])
def test_small_models_with_three_correlated_effects(seed, rows):
    """Some θ of the exploration cannot be solved: they have density zero, and end nothing."""
    model = vmrp.Model("c ~ x + z + (1 + x + z|g)", simulated_slopes(seed, rows), family="poisson")
    q = integrated(model)
    assert q.converged
    assert q.fit.exploration.missed < integrate.MOST_MISSED
    assert np.isfinite(q.mean()).all()
    assert (q.sd() > 0).all()


def test_theta_that_cannot_be_solved_has_density_zero(intercepts_model, monkeypatch):
    """Here where the first σ is above a bound: as if its prior ended there."""
    fit = ConditionalModel.fit
    bound = float(np.quantile(integrated(intercepts_model).sample(400, 1).covariances[0], 0.9))

    def fails(self, theta, start):
        if theta.covariances[0][0, 0] > bound:
            raise SingularPrecision("no")
        return fit(self, theta, start)

    monkeypatch.setattr(ConditionalModel, "fit", fails)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        q = integrated(intercepts_model)
    assert q.sample(400, 1).covariances[0].max() <= bound
    assert len(q.weights) == len(q.fit.exploration.conditionals)
    assert np.isfinite(q.mean()).all()


def test_where_no_theta_can_be_solved_the_error_says_so(intercepts_model, monkeypatch):
    def fails(self, theta, start):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(ConditionalModel, "fit", fails)
    with pytest.raises(VmrpError, match="hyperparameters='mean_field'"):
        integrated(intercepts_model)


def test_gaussians_that_are_not_kept_are_solved_for_again(intercepts_model, monkeypatch):
    kept = integrated(intercepts_model)
    monkeypatch.setattr(integrate, "_MEMORY_SHARE", 0.0)
    again = integrated(intercepts_model)
    assert all(c.gaussian is None for c in again.fit.exploration.conditionals)
    np.testing.assert_allclose(again.mean(), kept.mean(), atol=0.02 * kept.sd().min())
    np.testing.assert_allclose(again.sd(), kept.sd(), rtol=0.01)
