"""The surrogate: what it can represent it finds, with its mirror, its limits and its draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from pymc_vmrp.integration.features import Features
from pymc_vmrp.integration.surrogate import Table, fit_surrogate

MODE = np.array([1.0, 0.5, 0.0])
FOLDED = np.array([True, True, False])
MIRROR = np.array([-1.0, -0.5, -np.inf])


def log_density(x):
    """Of two standard deviations like those of a hierarchical model, and one other coordinate."""
    a, b = np.sinh(MODE[0] + x[:, 0]) ** 2, np.sinh(MODE[1] + x[:, 1]) ** 2
    value = -2.5 * np.log(2 + a) - 4 / (2 + a) - 2 * np.log(1 + b) - 0.5 * x[:, 2] ** 2
    return value + 0.8 * x[:, 2] / (1 + a) - 1 / ((1 + a) * (1 + b))


def gradient(x):
    step = 1e-6
    ends = [[log_density(x + sign * step * np.eye(3)[j]) for sign in (1, -1)] for j in range(3)]
    return np.array([(up - down) / (2 * step) for up, down in ends]).T


def table(values=0.0):
    low = np.where(FOLDED, MIRROR, -20.0)
    return Table(low, (20 - low) / 2000, np.full((1, 3, 2001), values))


def fold(x):
    return np.where(FOLDED & (x < MIRROR), 2 * MIRROR - x, x)


@pytest.fixture(scope="module")
def surrogate():
    x = fold(np.random.default_rng(0).normal(size=(80, 3)) * 1.2)
    features = Features(MODE, np.ones(3), FOLDED)
    return fit_surrogate(features, table(), x, log_density(x), gradient(x), MIRROR)


def test_it_finds_a_density_of_its_kind(surrogate):
    x = fold(np.random.default_rng(1).normal(size=(200, 3)) * 0.8)
    found, slopes = surrogate.log_density(x)
    error = found - log_density(x)
    assert np.std(error) < 0.03, np.std(error)
    np.testing.assert_allclose(slopes, gradient(x), atol=0.3)


def test_far_away_it_declines(surrogate):
    far = np.array([[8.0, 0, 0], [0, 8.0, 0], [0, 0, 12.0], [0, 0, -12.0]])
    assert (surrogate.log_density(far)[0] < surrogate.log_density(np.zeros((1, 3)))[0] - 3).all()


def test_no_mass_where_the_prior_has_none():
    low = np.array([-5.0])
    x = np.linspace(-2, 2, 30)[:, None]
    prior = Table(low, np.array([0.01]), np.where(np.arange(1001) > 700, -np.inf, 0)[None, None])
    features = Features(np.zeros(1), np.ones(1), np.array([False]))
    surrogate = fit_surrogate(features, prior, x, -0.5 * x[:, 0] ** 2, -x, np.array([-np.inf]))
    assert surrogate.log_density(np.array([[2.5]]))[0] == -np.inf
    start = np.zeros((200, 1))
    draws = surrogate.sample(np.random.default_rng(0), start, np.eye(1), 20, 20)
    assert draws.max() <= 2.0 + 0.01
    assert draws.std() == pytest.approx(0.94, abs=0.05)


def test_draws_are_those_of_the_density(surrogate):
    start = np.zeros((400, 3))
    draws = surrogate.sample(np.random.default_rng(2), start, np.eye(3), 40, 40).reshape(-1, 3)
    assert (draws[:, :2] >= MIRROR[:2]).all()
    grid = [np.linspace(low, high, 81) for low, high in ((-1, 6), (-0.5, 6), (-6, 6))]
    mesh = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 3)
    mass = np.exp(surrogate.log_density(mesh)[0]).reshape(81, 81, 81)
    for j in range(3):
        others = tuple(k for k in range(3) if k != j)
        marginal = mass.sum(others)
        marginal = marginal / integrate.trapezoid(marginal, grid[j])
        mean = integrate.trapezoid(marginal * grid[j], grid[j])
        sd = np.sqrt(integrate.trapezoid(marginal * (grid[j] - mean) ** 2, grid[j]))
        assert draws[:, j].mean() == pytest.approx(mean, abs=0.08 * sd)
        assert draws[:, j].std() == pytest.approx(sd, rel=0.08)
