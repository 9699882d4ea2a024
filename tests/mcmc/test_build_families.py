"""Families, weights and offsets: the pm.Model's joint density is that of the GLMM."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.priors.scales import ScalePrior
from tests.mcmc.test_build import MODE, random_points

WAYS = ["plain", "offset", "frequency weights", "fractional weights"]


def model_of(family, link, way):
    simulated = simulate(family, link, 60, seed=2, groups=4, continuous=False)
    data, formula = simulated.data, simulated.formula
    rng = np.random.default_rng(4)
    data["o"] = rng.choice([-0.3, 0.0, 0.4], 60)
    data["whole"], data["part"] = rng.integers(0, 4, 60), rng.uniform(0.1, 2, 60)
    formula += " + offset(o)" if way == "offset" else ""
    weights = {"frequency weights": "whole", "fractional weights": "part"}.get(way)
    priors = {"1|g": vmrp.HalfNormal(1)}
    return vmrp.Model(formula, data, family, priors, link=link, weights=weights)


def log_density(glmm, named):
    """Log joint of the GLMM at named values, as a density of the pm.Model's free variables."""
    coefficients = [np.ravel(named[name]) for name in ("Intercept", "x", "1|g", "1|h")]
    covariances, jacobian = [], 0.0
    for name, levels in (("1|g", 4), ("1|h", 5)):
        sigma = float(named[f"{name}_sigma"])
        covariances.append(np.array([[[sigma**2]]]))
        jacobian += levels * np.log(sigma) + np.log(2 * sigma)
    phi = np.array([[float(named[p.name]) for p in glmm.free_parameters]])
    theta = np.concatenate(coefficients)[None]
    return float(log_joint(glmm, theta, covariances, parameters=phi)[0]) + jacobian


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("family", "link"), CASES)
def test_joint_density_equals_glmm(family, link, way):
    model = model_of(family, link, way)
    pm_model = model.to_pymc()
    log_p = pm_model.compile_logp(jacobian=False, mode=MODE)
    differences = [
        log_p(point) - log_density(model.glmm, named)
        for point, named in random_points(pm_model, 6, seed=1)
    ]
    np.testing.assert_allclose(differences, np.mean(differences), rtol=0, atol=1e-7)


def test_known_standard_deviations():
    rng = np.random.default_rng(0)
    data = vmrp.simulate(200, 10, random_seed=1).survey.assign(sd=rng.uniform(0.5, 2, 200))
    data["y"] = rng.normal(size=200)
    model = vmrp.Model("se(y, sd) ~ 1 + (1|state)", data, family="gaussian")
    assert not any(isinstance(p.prior, ScalePrior) for p in model.glmm.parameters)
    pm_model = model.to_pymc()
    log_p = pm_model.compile_logp(jacobian=False, mode=MODE)
    differences = []
    for point, named in random_points(pm_model, 6, seed=1):
        sigma = float(named["1|state_sigma"])
        theta = np.concatenate([np.ravel(named["Intercept"]), np.ravel(named["1|state"])])[None]
        value = log_joint(model.glmm, theta, [np.array([[[sigma**2]]])])[0]
        differences.append(log_p(point) - value - 10 * np.log(sigma) - np.log(2 * sigma))
    np.testing.assert_allclose(differences, np.mean(differences), rtol=0, atol=1e-7)


def test_a_fixed_parameter_is_no_variable():
    simulated = simulate("gaussian", "identity", 60, seed=2, groups=4)
    model = vmrp.Model(simulated.formula, simulated.data, "gaussian", {"sigma": 1.5})
    assert "sigma" not in {v.name for v in model.to_pymc().free_RVs}
    assert "sigma" not in model.fit(10)["posterior"]
