"""Marginally augmented variational Bayes against the log joint density itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.augment import augment, conditional_shifts
from pymc_vmrp.glmm.log_joint import log_joint

CASES = [
    ("y ~ x + male + (1 + x|state) + (1|age)", {}),
    ("y ~ x + (1 + x + educ|state) + (0 + x|age)", {"Intercept": "flat"}),
    ("y ~ 1 + (1 + x|state)", {"1|state": vmrp.InverseWishart()}),
    ("y ~ educ + (1 + educ|state)", {"common": vmrp.Normal(0.3, 0.5)}),
]


@pytest.mark.parametrize(("formula", "priors"), CASES)
def test_shifts_have_their_full_conditional(survey, formula, priors):
    """Along the shifts, the log joint is the log density of c up to a constant."""
    q = vmrp.Model(formula, survey, priors=priors).approximate(hyperparameters="mean_field")
    draws = q.sample(4, 1)
    shifts = conditional_shifts(q.glmm, draws.coefficients, draws.covariances)
    k = len(shifts.directions)
    assert k > 0
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(5):
        c = shifts.mean + rng.normal(size=(4, k))
        moved = draws.coefficients + c @ shifts.directions
        density = [
            stats.multivariate_normal(m, np.linalg.inv(p)).logpdf(x)
            for m, p, x in zip(shifts.mean, shifts.precision, c, strict=True)
        ]
        ratios.append(log_joint(q.glmm, moved, draws.covariances) - density)
    np.testing.assert_allclose(ratios, np.tile(ratios[0], (5, 1)), atol=1e-7)


@pytest.mark.parametrize(("formula", "priors"), CASES)
def test_no_linear_predictor_changes(survey, formula, priors):
    q = vmrp.Model(formula, survey, priors=priors).approximate(
        factorization="strong", hyperparameters="mean_field"
    )
    before = q.sample(50, 3)
    after = q.augment(before, 4)
    x = q.glmm.rows.dense(q.glmm.n_coefficients)
    np.testing.assert_allclose(after.coefficients @ x.T, before.coefficients @ x.T, atol=1e-10)
    assert np.abs(after.coefficients - before.coefficients).max() > 0.01
    assert after.covariances is before.covariances


def test_shifts_are_drawn_from_their_conditional(survey):
    q = vmrp.Model("y ~ x + (1 + x|state) + (1|age)", survey).approximate(
        hyperparameters="mean_field"
    )
    one = q.sample(1, 2)
    many = np.repeat(one.coefficients, 40_000, axis=0)
    covariances = [np.repeat(c, 40_000, axis=0) for c in one.covariances]
    moved = augment(q.glmm, many, covariances, np.random.default_rng(0))
    shifts = conditional_shifts(q.glmm, one.coefficients, one.covariances)
    covariance = np.linalg.inv(shifts.precision[0])
    expected = one.coefficients[0] + shifts.mean[0] @ shifts.directions
    spread = shifts.directions.T @ covariance @ shifts.directions
    sd = np.sqrt(np.diag(spread)) + 1e-12
    assert np.abs((moved.mean(0) - expected) / sd).max() < 5 / 200
    assert np.abs((np.cov(moved.T) - spread) / np.outer(sd, sd)).max() < 0.05


def test_it_restores_the_sd_of_the_intercept(survey):
    """Under the strong factorization q(intercept) has a fraction of its sd."""
    model = vmrp.Model("y ~ x + (1|state) + (1|age)", survey)
    joint, strong = (
        model.approximate(factorization=f, hyperparameters="mean_field")
        for f in ("joint", "strong")
    )
    before, after = strong.sample(4000, 1), strong.augment(4000, 1)
    sd = joint.sample(4000, 1).coefficients[:, 0].std()
    assert before.coefficients[:, 0].std() < 0.6 * sd
    assert after.coefficients[:, 0].std() > 0.8 * sd


def test_terms_without_a_common_counterpart_stay(survey):
    q = vmrp.Model("y ~ 0 + x + (1|state)", survey).approximate(hyperparameters="mean_field")
    before = q.sample(10, 1)
    np.testing.assert_array_equal(q.augment(before, 2).coefficients, before.coefficients)


def test_weights_that_do_not_sum_to_one_are_no_shift(survey):
    q = vmrp.Model("y ~ x + (1|state) + (1|age)", survey).approximate(hyperparameters="mean_field")
    group = q.glmm.groups[0]
    half = replace(q.glmm, groups=(replace(group, values=0.5 * group.values), q.glmm.groups[1]))
    draws = q.sample(3, 1)
    shifts = conditional_shifts(half, draws.coefficients, draws.covariances)
    assert len(shifts.directions) == 1
    assert not shifts.directions[:, half.group_slice(0)].any()


def test_draws_repeat(slopes_model):
    q = slopes_model.approximate(hyperparameters="mean_field")
    a, b = q.augment(20, 5), q.augment(20, 5)
    np.testing.assert_array_equal(a.coefficients, b.coefficients)
    assert len(a) == 20
