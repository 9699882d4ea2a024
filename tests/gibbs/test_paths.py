"""Densities along paths against the priors' own densities, and paths against η."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.gibbs.iteration import set_up, transformed
from pymc_vmrp.gibbs.kernels import move_predictors, path_direction
from pymc_vmrp.gibbs.paths import log_prior_along
from pymc_vmrp.glmm.priors.covariance import covariance_log_density

PRIORS = {
    1: [
        vmrp.HuangWand(2, 5),
        vmrp.InverseWishart(3, 0.7),
        vmrp.HalfStudentT(4, 2.5),
        vmrp.Exponential(2),
        vmrp.Gamma(2, 3, on="variance"),
        vmrp.InverseGamma(2, 1),
        vmrp.LogNormal(0, 1),
    ],
    2: [vmrp.HuangWand(2, (1, 5)), vmrp.InverseWishart(5, ((1, 0.4), (0.4, 2)))],
    3: [vmrp.HuangWand(1.5, 2), vmrp.InverseWishart(4.5, 0.3)],
}
CASES = [(d, prior) for d, priors in PRIORS.items() for prior in priors]


def matrix(d, a, b, amount):
    out = np.eye(d)
    out[a, b] += amount
    return out


@pytest.mark.parametrize(("d", "prior"), CASES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), t=st.floats(-2, 2))
def test_log_prior(d, prior, seed, t):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d)) + 2 * np.eye(d)
    covariance = root @ root.T
    for a, b in np.ndindex(d, d):
        amount = np.expm1(t) if a == b else t
        move = matrix(d, a, b, amount)
        moved = move @ covariance @ move.T
        np.testing.assert_allclose(transformed(covariance, a, b, amount), moved, rtol=1e-9)
        along = log_prior_along(prior, covariance, np.linalg.inv(covariance), a, b)
        expected = (
            covariance_log_density(prior, moved)
            - covariance_log_density(prior, covariance)
            + (d + 1) * np.linalg.slogdet(move)[1]
        )
        assert along(t) - along(0.0) == pytest.approx(float(expected), rel=1e-6, abs=1e-7)


def test_beyond_the_limit_of_a_uniform():
    along = log_prior_along(vmrp.Uniform(2), np.eye(1), np.eye(1), 0, 0)
    assert along(np.log(1.9)) == pytest.approx(along(0) + np.log(1.9))
    assert along(np.log(2.1)) == -np.inf


def test_improper_priors_are_refused():
    from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart

    with pytest.raises(vmrp.PriorError, match="uniform"):
        log_prior_along(ImproperInverseWishart("uniform"), np.eye(1), np.eye(1), 0, 0)


@pytest.mark.parametrize(
    ("formula", "with_counterpart"),
    [("y ~ x + (1 + x|state) + (1|age)", 5), ("y ~ s(x, k=5) + (x|age)", 2)],
)
def test_sums_over_cells_and_moves(survey, formula, with_counterpart):
    glmm = vmrp.Model(formula, survey).glmm
    setup, rng = set_up(glmm), np.random.default_rng(0)
    coefficients = rng.normal(size=glmm.n_coefficients)
    precision, shift = rng.random(glmm.n_cells), rng.normal(size=glmm.n_cells)
    eta = setup.design.row_products(coefficients)
    residual, direction = shift - precision * eta, np.empty(glmm.n_cells)
    rows, made_up = glmm.rows, 0
    for j, group in enumerate(glmm.groups):
        for a, b in np.ndindex(group.d, group.d):
            counterpart = setup.counterparts[j][a]
            c, slope, curvature = path_direction(
                rows.columns, rows.values, setup.first_entries[j], group.m, group.d, a, b,
                coefficients, precision, counterpart.predictor, residual, direction,
            )  # fmt: skip
            moved = coefficients.copy()
            u = moved[glmm.group_slice(j)].reshape(-1, group.d)
            u[:, a] += u[:, b]
            moved[: glmm.common.size] -= c * counterpart.coefficients
            change = setup.design.row_products(moved) - eta
            np.testing.assert_allclose(direction, change, atol=1e-12)
            assert slope == pytest.approx(change @ (shift - precision * eta))
            assert curvature == pytest.approx(change @ (precision * change))
            if len(counterpart.predictor):  # no other c would leave less of the change
                made_up += 1
                assert abs(counterpart.predictor @ (precision * change)) < 1e-9
            else:
                assert c == 0
    assert made_up == with_counterpart  # paths
    before = eta.copy()
    move_predictors(0.3, direction, precision, eta, residual)
    np.testing.assert_allclose(eta, before + 0.3 * direction)
    np.testing.assert_allclose(residual, shift - precision * eta, atol=1e-12)
