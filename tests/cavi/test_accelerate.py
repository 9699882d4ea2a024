"""Anderson acceleration on linear maps, where it is known what it must do."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.cavi.accelerate import Anderson, Plain


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


def test_restart_forgets():
    accelerator = Anderson(np.ones(1), np.zeros(1, dtype=bool))
    accelerator.propose(np.zeros(1), np.ones(1))
    accelerator.restart()
    image = np.array([5.0])
    assert accelerator.propose(np.ones(1), image) is image
