"""q(β, u | θ) at fixed θ: its bound against exact integrals, its gradient against differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.integration.conditional import ConditionalModel, Marginals, Theta
from pymc_vmrp.solvers.choose import choose_solver
from pymc_vmrp.solvers.sites import Sites

EVERY = pytest.mark.parametrize(("family", "link"), CASES)


def conditional_model(glmm, solver="dense", tol=1e-10):
    return ConditionalModel(glmm, choose_solver(glmm, solver), tol)


def start(glmm):
    mean, variance = glmm.family.start(glmm.response.statistics)
    if glmm.response.offset is not None:
        mean = mean - glmm.response.offset
    return Marginals(mean, variance)


def random_theta(glmm, seed=0):
    rng = np.random.default_rng(seed)
    covariances = []
    for group in glmm.groups:
        factor = 0.5 * np.eye(group.d) + 0.2 * rng.normal(size=(group.d, group.d))
        covariances.append(factor @ factor.T)
    return Theta(tuple(covariances), rng.uniform(0.8, 1.5, len(glmm.free_parameters)))


def test_gaussian_evidence_is_the_exact_marginal_likelihood(survey):
    data = survey.assign(z=survey["y"] + 0.3 * survey["x"])
    model = vmrp.Model("z ~ male + (1 + x|state) + (1|age)", data, family="gaussian")
    glmm, theta = model.glmm, random_theta(model.glmm)
    fit = conditional_model(glmm).fit(theta, start(glmm))
    assert fit.sweeps == 1
    x = glmm.rows.dense(glmm.n_coefficients)[model.observations.cell]
    prior = np.zeros((glmm.n_coefficients, glmm.n_coefficients))
    k = glmm.common.size
    prior[:k, :k] = np.diag(glmm.common.prior_sd**2)
    for j, group in enumerate(glmm.groups):
        at = glmm.group_slice(j)
        prior[at, at] = np.kron(np.eye(len(group.levels)), theta.covariances[j])
    mean = x[:, :k] @ glmm.common.prior_mean
    covariance = x @ prior @ x.T + theta.parameters[0] ** 2 * np.eye(len(x))
    exact = stats.multivariate_normal(mean, covariance).logpdf(data["z"])
    assert fit.log_evidence == pytest.approx(exact, abs=1e-6)


@EVERY
def test_gradient_is_that_of_the_log_evidence(family, link):
    simulated = simulate(family, link, 120, 5, groups=5, continuous=False)
    glmm = vmrp.Model(simulated.formula, simulated.data, family, link=link).glmm
    model, theta = conditional_model(glmm), random_theta(glmm)
    fit = model.fit(theta, start(glmm))
    by_covariance, by_log_phi = model.gradient(theta, fit)
    step = 1e-3

    def value(covariances, parameters):
        return model.fit(Theta(covariances, parameters), fit.marginals).log_evidence

    for j in range(len(glmm.groups)):
        ends = []
        for sign in (1, -1):
            moved = list(theta.covariances)
            moved[j] = moved[j] * np.exp(sign * step)
            ends.append(value(tuple(moved), theta.parameters))
        slope = (ends[0] - ends[1]) / (2 * step)
        expected = float(by_covariance[j][0, 0] * theta.covariances[j][0, 0])
        assert slope == pytest.approx(expected, abs=2e-4, rel=1e-3)
    for k in range(len(theta.parameters)):
        unit = step * np.eye(len(theta.parameters))[k]
        ends = [
            value(theta.covariances, theta.parameters * np.exp(sign * unit)) for sign in (1, -1)
        ]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(by_log_phi[k], abs=1e-3, rel=1e-3)


def test_solvers_agree_and_the_gap_is_what_sweeps_gain(slopes_model):
    glmm, theta = slopes_model.glmm, random_theta(slopes_model.glmm, 3)
    tight = conditional_model(glmm).fit(theta, start(glmm))
    other = conditional_model(glmm, "partitioned").fit(theta, start(glmm))
    assert other.log_evidence == pytest.approx(tight.log_evidence, abs=1e-8)
    np.testing.assert_allclose(other.gaussian.mean, tight.gaussian.mean, atol=1e-6)
    moved = Marginals(tight.marginals.mean + 0.3, tight.marginals.variance)
    rough = conditional_model(glmm, tol=np.inf).fit(theta, moved)
    gained = tight.log_evidence - rough.log_evidence
    assert rough.sweeps == 1
    assert 0 <= gained <= 3 * rough.gap + 1e-9


def test_evidence_of_logistic_intercepts_is_close_to_the_integral():
    data = pd.DataFrame({"y": [7, 2], "n": [10, 12], "g": ["a", "b"]})
    model = vmrp.Model(
        "p(y, n) ~ 0 + (1|g)", data, family="binomial", priors={"1|g": vmrp.HalfNormal(1)}
    )
    theta = Theta((np.array([[0.5**2]]),), np.empty(0))
    fit = conditional_model(model.glmm).fit(theta, start(model.glmm))
    u = np.linspace(-5, 5, 20001)
    exact = 0.0
    for y, n in zip(data["y"], data["n"], strict=True):
        density = stats.binom.pmf(y, n, 1 / (1 + np.exp(-u))) * stats.norm.pdf(u, 0, 0.5)
        exact += np.log(np.trapezoid(density, u))
    assert exact - 0.01 < fit.log_evidence < exact


def test_starts_between_two_clusters_do_not_leave_q_improper():
    """A Student t is convex half-way between clusters: the optimal sites there are negative."""
    rng = np.random.default_rng(0)
    y = np.where(np.arange(40) < 20, -4.0, 4.0) + rng.normal(0, 0.3, 40)
    frame = pd.DataFrame({"y": y, "g": list("abcde") * 8})
    priors = {"nu": 3.0, "sigma": 0.3, "1|g": vmrp.HalfNormal(0.3), "Intercept": vmrp.Normal(0, 10)}
    model = vmrp.Model("y ~ 1 + (1|g)", frame, family="t", priors=priors)
    theta = Theta((np.array([[0.3**2]]),), np.empty(0))
    between = Marginals(np.zeros(model.glmm.n_cells), np.full(model.glmm.n_cells, 1e-4))
    conditional = conditional_model(model.glmm)
    sites = conditional._evaluate(theta, between)[0]
    assert (sites.precision < 0).all()
    assert np.isfinite(conditional.fit(theta, between).log_evidence)


def test_sites_without_negative_precisions_keep_their_slopes():
    sites = Sites(np.array([-1.0, 2.0]), np.array([0.5, 0.3]))
    mean = np.array([0.7, -0.4])
    positive = sites.log_concave(mean)
    np.testing.assert_array_equal(positive.precision, [0, 2])
    np.testing.assert_allclose(
        positive.shift - positive.precision * mean, sites.shift - sites.precision * mean
    )
