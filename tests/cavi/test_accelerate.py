"""Acceleration of linear maps, where it is known what it must do."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.cavi.accelerate import Anderson, Plain, Squarem


def iterate(accelerator, f, z, steps):
    for _ in range(steps):
        z = accelerator.propose(z, f(z))
    return z


def test_solves_a_linear_map_in_as_many_steps_as_dimensions():
    rng = np.random.default_rng(0)
    matrix = np.diag([0.99, 0.9, 0.5, -0.4]) + 0.01 * rng.normal(size=(4, 4))
    target = np.linalg.solve(np.eye(4) - matrix, np.ones(4))
    accelerator = Anderson(np.ones(4), np.zeros(4, dtype=bool))
    z = iterate(accelerator, lambda z: matrix @ z + 1, np.zeros(4), 8)
    np.testing.assert_allclose(z, target, rtol=1e-6)
    plain = iterate(Plain(), lambda z: matrix @ z + 1, np.zeros(4), 8)
    assert np.abs(plain - target).max() > 1


def test_clips_only_what_it_is_told_to():
    accelerator = Anderson(np.ones(2), np.array([True, False]), clip=3.0)
    z = np.zeros(2)
    z = accelerator.propose(z, np.array([1.0, 1.0]))
    proposal = accelerator.propose(z, z + 0.999)  # extrapolates about a thousandfold
    assert proposal[0] - z[0] == 3.0
    assert proposal[1] - z[1] > 100


def test_rejection_forgets_all_but_the_last_accepted_pair():
    rng = np.random.default_rng(2)
    pairs = [(rng.normal(size=3), rng.normal(size=3)) for _ in range(6)]
    fresh, rejected = (Anderson(np.ones(3), np.zeros(3, dtype=bool)) for _ in range(2))
    for pair in pairs[:4]:
        rejected.propose(*pair)
    rejected.reject()
    fresh.propose(*pairs[3])
    for pair in pairs[4:]:
        np.testing.assert_array_equal(rejected.propose(*pair), fresh.propose(*pair))


def test_many_coordinates_are_sketched_to_the_same_end():
    """Beyond the sketch only every k-th coordinate decides: the map is still solved."""
    rng = np.random.default_rng(1)
    rates = np.tile([0.95, 0.7, -0.5], 60_000)
    target = rng.normal(size=rates.size)
    accelerator = Anderson(np.ones(rates.size), np.arange(rates.size) < 3)
    z = iterate(accelerator, lambda z: target + rates * (z - target), np.zeros(rates.size), 9)
    np.testing.assert_allclose(z, target, atol=1e-5)


def test_squarem_is_exact_where_one_rate_governs():
    """z − 2αr + α²v with α = −1/(1 − rate) lands on the fixed point of z ← rate·z + c."""
    accelerator = Squarem(np.ones(3), np.zeros(3, dtype=bool))
    rate, target = 0.9, np.array([1.0, -2.0, 5.0])
    z = iterate(accelerator, lambda z: target + rate * (z - target), np.zeros(3), 2)
    np.testing.assert_allclose(z, target, rtol=1e-10)


def test_squarem_takes_a_plain_step_after_an_extrapolation_and_clips():
    accelerator = Squarem(np.ones(2), np.array([True, False]), clip=3.0)
    f = lambda z: 100.0 + 0.99 * (z - 100.0)  # noqa: E731
    z0 = np.zeros(2)
    z1 = accelerator.propose(z0, f(z0))
    np.testing.assert_array_equal(z1, f(z0))
    z2 = accelerator.propose(z1, f(z1))
    assert z2[0] == z0[0] + 3.0
    assert z2[1] > 90
    np.testing.assert_array_equal(accelerator.propose(z2, f(z2)), f(z2))
