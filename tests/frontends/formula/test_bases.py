"""Bases of smooths against their definitions, and against independent ways to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_smoothing_spline

from pymc_vmrp.frontends.formula import bases as module
from pymc_vmrp.frontends.formula.bases import (
    BASES,
    SMALLEST,
    cubic_regression,
    fit_basis,
    random_walk,
)

KINDS = sorted(BASES)


@pytest.fixture
def x():
    return np.random.default_rng(3).gamma(2.0, 3.0, 150)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.integers(3, 14), st.booleans())
def test_functions_are_centred_orthogonal_and_scaled(seed, kind, k, centred):
    rng = np.random.default_rng(seed)
    k = max(k, SMALLEST[kind])
    x = rng.normal(rng.normal(0, 50), np.exp(rng.normal(0, 3)), int(rng.integers(40, 120)))
    weights = rng.integers(0, 4, len(x)).astype(float)
    basis = fit_basis(x, weights, kind, k, 2, centred)
    free, z = basis.evaluate(x)
    assert z.shape == (len(x), k - 2)
    assert free.shape == (len(x), 1 if centred else 2)
    share = weights / weights.sum()
    line = np.column_stack([np.ones(len(x)), (x - x.mean()) / x.std()])
    np.testing.assert_allclose((share[:, None] * line).T @ z, 0, atol=1e-8)
    gram = z.T @ (share[:, None] * z)
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9)
    assert np.trace(gram) == pytest.approx(1.0)
    if centred:
        assert share @ free[:, 0] == pytest.approx(0, abs=1e-9 * np.abs(x).max())
        np.testing.assert_allclose(np.diff(free[:, 0]), np.diff(x), atol=1e-9 * np.abs(x).max())


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_rows_count_like_weights(kind, x):
    counts = np.arange(len(x)) % 4
    a = fit_basis(x, counts.astype(float), kind, 8, 2, True)
    b = fit_basis(np.repeat(x, counts + 1), np.ones((counts + 1).sum()), kind, 8, 2, True)
    c = fit_basis(x, counts + 1.0, kind, 8, 2, True)
    np.testing.assert_allclose(b.evaluate(x)[1], c.evaluate(x)[1], atol=1e-9)
    assert np.abs(a.evaluate(x)[1] - c.evaluate(x)[1]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_beyond_the_data_functions_go_on_along_their_tangents(kind, x):
    basis = fit_basis(x, np.ones(len(x)), kind, 9, 2, True)
    for edge, sign in ((x.min(), -1), (x.max(), 1)):
        away = edge + sign * np.array([1e-5, 0.0, 1.0, 2.0, 5.0]) * np.array([-1, 1, 1, 1, 1])
        z = basis.evaluate(away)[1]
        slope = z[2] - z[1]
        np.testing.assert_allclose(z[3] - z[1], 2 * slope, atol=1e-9)
        np.testing.assert_allclose(z[4] - z[1], 5 * slope, atol=1e-9)
        np.testing.assert_allclose((z[1] - z[0]) / 1e-5, slope, atol=1e-3)


def roughness(basis):
    """∫f″g″ of each pair of functions, whose second derivatives are piecewise linear."""
    knots = basis.functions.x
    left, right = (basis.functions(t, nu=2) for t in (knots[:-1], knots[1:]))
    step = np.diff(knots)[:, None] / 6
    cross = left.T @ (step * right)
    return 2 * (left.T @ (step * left) + right.T @ (step * right)) + cross + cross.T


def test_u_has_the_roughness_of_the_function(x):
    """u'u is ∫f″², up to the scale."""
    for kind in ("tp", "cr"):
        basis = fit_basis(x, np.ones(len(x)), kind, 7, 2, True)
        gram = roughness(basis)
        np.testing.assert_allclose(gram / gram[0, 0], np.eye(5), atol=1e-6)


def test_full_thin_plate_and_cubic_splines_are_the_smoothing_spline():
    """With a knot at each value, tp and cr are one model, whose fit is scipy's spline."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(25))
    y = np.sin(6 * x) + rng.normal(0, 0.1, 25)
    kernels = []
    for kind in ("tp", "cr"):
        basis = fit_basis(x, np.ones(25), kind, 25, 2, True)
        z = basis.evaluate(x)[1]
        kernels.append(z @ z.T)
        # λ of ∫f″² in x, from that in the scaled predictor and the scale of the functions
        lam = 1e-3
        ridge = lam * roughness(basis)[0, 0] / basis.half**3
        design = np.column_stack([np.ones(25), x, z])
        penalty = np.diag([0.0, 0.0] + [ridge] * basis.size)
        fit = design @ np.linalg.solve(design.T @ design + penalty, design.T @ y)
        np.testing.assert_allclose(fit, make_smoothing_spline(x, y, lam=lam)(x), atol=1e-5)
    np.testing.assert_allclose(kernels[0], kernels[1], atol=1e-9)


def test_thin_plate_takes_few_knots_of_many_values(monkeypatch):
    x = np.random.default_rng(1).normal(size=3000)
    full = fit_basis(x, np.ones(3000), "tp", 8, 2, True).evaluate(x)[1]
    monkeypatch.setattr(module, "_MOST_KNOTS", 400)
    few = fit_basis(x, np.ones(3000), "tp", 8, 2, True)
    assert len(few.functions.x) == 400
    z = few.evaluate(x)[1]
    difference = full @ full.T - z @ z.T
    assert np.abs(difference).max() < 0.05 * np.abs(full @ full.T).max()


def test_cubic_regression_interpolates_at_its_knots():
    t = np.linspace(-1, 1, 30)
    raw = cubic_regression(t, 6, 2)
    np.testing.assert_allclose(
        raw.functions(np.quantile(t, np.linspace(0, 1, 6))), np.eye(6), atol=1e-12
    )
    line = np.array([2.0, -1.0]) @ np.vander(np.linspace(-1, 1, 6), 2).T
    np.testing.assert_allclose(raw.penalty @ line, 0, atol=1e-10)


def test_first_differences_leave_a_constant_free(x):
    basis = fit_basis(x, np.ones(len(x)), "bs", 8, 1, True)
    free, z = basis.evaluate(x)
    assert free.shape[1] == 0
    assert z.shape[1] == 7
    assert fit_basis(x, np.ones(len(x)), "bs", 8, 1, False).evaluate(x)[0].shape[1] == 1


@pytest.mark.parametrize("n", [2, 5, 9])
def test_a_random_walk_is_its_steps(n):
    forward, backward = random_walk(n)
    np.testing.assert_allclose(backward @ forward, np.eye(n - 1), atol=1e-12)
    np.testing.assert_allclose(forward.sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(forward, axis=0), np.eye(n - 1), atol=1e-12)
