"""Improper priors on Σ: their densities, what q makes of them, and who refuses them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import integrate

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.covariance import update_covariance
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.priors.covariance import InverseWishart, inverse_wishart_log_density
from pymc_vmrp.glmm.priors.improper import IMPROPER_NAMES, ImproperInverseWishart


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", IMPROPER_NAMES)
def test_degrees_of_freedom_are_vglmers(kind, d):
    assert ImproperInverseWishart(kind).df(d) == {
        "jeffreys": 0, "limit": d - 1, "uniform": -(d + 1),
    }[kind]  # fmt: skip


def test_an_inverse_wishart_of_vanishing_scale_has_the_density_up_to_a_constant():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(5, 2, 2))
    sigma = roots @ np.swapaxes(roots, 1, 2) + np.eye(2)
    tiny = inverse_wishart_log_density(sigma, 1.5, 1e-12 * np.eye(2))
    limit = -0.5 * (1.5 + 3) * np.linalg.slogdet(sigma)[1]
    np.testing.assert_allclose(np.diff(tiny), np.diff(limit), atol=1e-9)
    constant = ImproperInverseWishart("uniform").log_density(sigma)
    np.testing.assert_array_equal(constant, 0.0)


@pytest.mark.parametrize("kind", IMPROPER_NAMES)
def test_factor_and_its_elbo_by_integration(kind):
    """q ∝ p(σ²) Π N(u_g; 0, σ²): its E[1/σ²] and log normaliser, numerically."""
    prior, levels, s = ImproperInverseWishart(kind), 7, 2.3
    factor = update_covariance(prior, np.array([[s]]), levels)

    def kernel(v, power=0):
        log_p = -0.5 * (prior.df(1) + 2) * np.log(v)
        log_u = -0.5 * levels * np.log(2 * np.pi * v) - 0.5 * s / v
        return np.exp(log_p + log_u) * v**power

    z = integrate.quad(kernel, 0, np.inf)[0]
    precision = integrate.quad(lambda v: kernel(v, -1), 0, np.inf)[0] / z
    assert factor.elbo == pytest.approx(np.log(z), rel=1e-7)
    assert factor.expected_precision[0, 0] == pytest.approx(precision, rel=1e-6)


def test_uniform_is_that_of_the_variance_where_there_is_one_effect(survey):
    def approximate(prior):
        formula = "y ~ x + (1|state) + (1|state:age)"
        return vmrp.Model(formula, survey, priors={"1|state": prior}).approximate(
            tol=1e-7, hyperparameters="mean_field"
        )

    ours, grid = approximate("uniform"), approximate(vmrp.Uniform(1e4, on="variance"))
    np.testing.assert_allclose(ours.mean(), grid.mean(), atol=2e-3)
    np.testing.assert_allclose(ours.sd(), grid.sd(), rtol=5e-3)


@pytest.mark.parametrize("kind", IMPROPER_NAMES)
def test_the_elbo_never_falls_and_is_exact(survey, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.PriorWarning)
        model = vmrp.Model("y ~ male + (1 + x|state)", survey, priors={"1|state": kind})
    q = model.approximate(hyperparameters="mean_field")
    assert q.converged
    assert np.diff(q.fit.elbo).min() >= -1e-8 * abs(q.elbo)
    draws = q.sample(100_000, 1)
    difference = log_joint(q.glmm, draws.coefficients, draws.covariances) - q.log_density(draws)
    error = difference.std() / np.sqrt(len(draws))
    assert q.elbo == pytest.approx(difference.mean(), abs=5 * error)


def test_mean_exists_is_proper(survey):
    named = vmrp.Model("y ~ x + (1|state)", survey, priors={"group_specific": "mean_exists"})
    assert named.glmm.groups[0].prior == InverseWishart()
    assert named.glmm.groups[0].prior.parameters(1)[0] == 2


@pytest.mark.parametrize("kind", ["jeffreys", "limit"])
def test_an_improper_posterior_is_a_warning(survey, kind):
    with pytest.warns(vmrp.PriorWarning, match=r"1\|state.*improper"):
        vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": kind})


@pytest.mark.parametrize(
    ("formula", "term", "kind"),
    [
        ("y ~ x + (1|educ)", "1|educ", "uniform"),  # 2 levels: 3 are needed
        ("y ~ (1 + x|age)", "1+x|age", "uniform"),  # 3 levels: 5
        ("y ~ (1 + x + male|educ)", "1+x+male|educ", "jeffreys"),  # 2 levels: 3
    ],
)
def test_an_improper_q_is_an_error_that_names_the_term(survey, formula, term, kind):
    with pytest.raises(vmrp.PriorError, match="at least") as error:
        vmrp.Model(formula, survey, priors={term: kind})
    assert term in str(error.value)


def test_pymc_refuses_and_says_who_does_not(survey):
    model = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": "uniform"})
    with pytest.raises(vmrp.PriorError, match=r"1\|state.*cavi"):
        model.to_pymc()


@pytest.mark.parametrize("name", ["flat", "huang_wand", ""])
def test_other_names_are_errors(survey, name):
    with pytest.raises(vmrp.PriorError, match="jeffreys"):
        vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": name})
