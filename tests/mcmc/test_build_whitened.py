"""Whitened coordinates: the joint density up to the Jacobian; normal where the fit is exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.mcmc.build_whitened import WHITENED, build_whitened
from pymc_vmrp.mcmc.whitening import Whitening, whitening
from tests.mcmc.test_build import (
    MODE,
    covariance_block,
    log_density_in_pymc_coordinates,
    model,
    random_points,
)

__all__ = ["model"]  # the fixture: every kind of term and of prior


def log_jacobian_of_offsets(glmm: GLMM, named) -> float:
    """Log |∂(β, u)/∂z| of the non-centred model."""
    total = 0.0
    for mixture in glmm.common.mixtures:
        if isinstance(mixture.prior, vmrp.Horseshoe):
            terms = [t.name for t in glmm.common.terms]
            terms = terms if mixture.name == "common" else [mixture.name]
            tau = named.get(f"{mixture.name}_tau", mixture.prior.tau)
            total += sum(np.log(named[f"{name}_lambda"] * tau).sum() for name in terms)
    for group in glmm.groups:
        if group.d == 1:
            total += group.size * np.log(np.ravel(named[f"{group.name}_sigma"])[0])
        else:
            covariance = covariance_block(group, named)[0]
            total += 0.5 * len(group.levels) * np.linalg.slogdet(covariance)[1]
    return total


def entries_of(glmm: GLMM, named):
    """The entries of D(θ), from the variables' names."""
    out = []
    taus = {
        m.name: named.get(f"{m.name}_tau", m.prior.tau)
        for m in glmm.common.mixtures
        if isinstance(m.prior, vmrp.Horseshoe)
    }
    for term in glmm.common.terms:
        for name in (term.name, "common"):
            if name in taus and f"{term.name}_lambda" in named:
                out.append(np.ravel((taus[name] * named[f"{term.name}_lambda"]) ** -2.0))
    for group in glmm.groups:
        if group.d == 1:
            out.append(np.ravel(named[f"{group.name}_sigma"]) ** -2.0)
        else:
            out.append(np.linalg.inv(covariance_block(group, named)[0]).ravel())
    return np.concatenate(out) if out else np.empty(0)


def whitened(glmm: GLMM, scale: float = 0.4) -> tuple[Whitening, object]:
    gaussian = whitening(glmm, run(glmm, Options(tol=0.1)))
    return gaussian, build_whitened(glmm, gaussian, [scale] * len(glmm.groups))


def test_names_and_joint_density_are_those_of_the_other_model_up_to_the_jacobian(model):
    glmm = model.glmm
    gaussian, pm_model = whitened(glmm)
    names = {v.name for v in pm_model.unobserved_RVs} - {WHITENED}
    others = {v.name for v in model.to_pymc().unobserved_RVs}
    assert names == {name for name in others if not name.endswith("_offset")}
    log_p = pm_model.compile_logp(jacobian=False, mode=MODE)
    differences = []
    for point, named in random_points(pm_model, 8, seed=1):
        sign, log_det = np.linalg.slogdet(gaussian.precision(entries_of(glmm, named)))
        assert sign == 1
        expected = log_density_in_pymc_coordinates(glmm, named)
        expected += -log_jacobian_of_offsets(glmm, named) - 0.5 * log_det
        differences.append(log_p(point) - expected)
    np.testing.assert_allclose(differences, np.mean(differences), rtol=0, atol=1e-7)


def gaussian_model(n: int = 80) -> vmrp.Model:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 7, n).astype(str)})
    data["y"] = data["x"] + rng.normal(size=n) + data["g"].astype(int) / 3
    return vmrp.Model("y ~ x + (1 + x|g)", data, family="gaussian", priors={"sigma": 0.8})


def test_a_gaussian_likelihood_is_exactly_normal_given_the_hyperparameters():
    _, pm_model = whitened(gaussian_model().glmm)
    log_p = pm_model.compile_logp(mode=MODE)
    rng = np.random.default_rng(2)
    for point, _ in random_points(pm_model, 3, seed=3):
        values = []
        for _ in range(4):
            xi = rng.normal(size=point[WHITENED].shape)
            values.append(log_p({**point, WHITENED: xi}) + 0.5 * (xi**2).sum())
        np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_gradient_is_that_of_the_density():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=60), "g": rng.integers(0, 5, 60).astype(str)})
    data["h"] = rng.permutation(data["g"].to_numpy())
    data["y"] = rng.integers(0, 2, 60)
    priors = {"x": vmrp.Horseshoe(0.5)}
    _, pm_model = whitened(vmrp.Model("y ~ x + (1 + x|g) + (1|h)", data, priors=priors).glmm)
    log_p = pm_model.compile_logp(mode=MODE)
    gradient = pm_model.compile_dlogp(mode="NUMBA")  # the other backend
    for point, _ in random_points(pm_model, 1, seed=5):
        numbers = []
        for variable in pm_model.value_vars:
            value = np.array(point[variable.name], dtype=float)
            for i in np.ndindex(*value.shape):
                ends = []
                for step in (-1e-5, 1e-5):
                    moved = value.copy()
                    moved[i] += step
                    ends.append(log_p({**point, variable.name: moved}))
                numbers.append((ends[1] - ends[0]) / 2e-5)
        np.testing.assert_allclose(gradient(point), numbers, rtol=1e-5, atol=1e-4)


def test_flat_priors_and_no_group_at_all(survey):
    model = vmrp.Model("y ~ x + male", survey, priors={"common": "flat", "Intercept": "flat"})
    _, pm_model = whitened(model.glmm)
    log_p = pm_model.compile_logp(mode=MODE)
    assert np.isfinite(log_p({WHITENED: np.ones(3)}))


@pytest.mark.parametrize("prior", [vmrp.LogNormal(), vmrp.Uniform(3.0), vmrp.Gamma(2, 1)])
def test_priors_that_are_not_finite_and_positive_at_zero_keep_their_coordinate(survey, prior):
    model = vmrp.Model("y ~ x + (1|age)", survey, priors={"1|age": prior})
    _, pm_model = whitened(model.glmm)
    assert not any("folded" in v.name for v in pm_model.value_vars)
