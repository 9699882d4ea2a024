"""Points as vectors, and how far a sweep moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.cavi.coordinates import Coordinates
from pymc_vmrp.cavi.sweep import Setup, starts, sweep
from pymc_vmrp.solvers.dense import DenseSolver
from tests.cavi.designs import BOUNDS, random_glmm, with_mixtures


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(BOUNDS)))
def test_round_trip(seed, bound):
    glmm, bound = with_mixtures(random_glmm(seed), seed), BOUNDS[bound]
    setup = Setup(glmm, DenseSolver(glmm), bound)
    state = sweep(setup, starts(setup)[0])
    coordinates = Coordinates(glmm, bound, np.sqrt(state.variance))
    z = coordinates.encode(state.image)
    assert z.shape == (coordinates.size,)
    back = coordinates.decode(z, state.image)
    for a, b in zip(state.image.precisions, back.precisions, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    np.testing.assert_allclose(state.image.scales, back.scales, rtol=1e-10)
    np.testing.assert_allclose(state.image.sites.precision, back.sites.precision, atol=1e-200)
    np.testing.assert_allclose(state.image.sites.shift, back.sites.shift, atol=1e-12)


@pytest.mark.parametrize("bound", sorted(BOUNDS))
def test_change_predicts_what_the_next_sweep_does_to_the_mean(bound):
    """With the covariances held, the mean of η moves as V X'δ says, to first order."""
    glmm, bound = random_glmm(5), BOUNDS[bound]
    setup = Setup(glmm, DenseSolver(glmm), bound)
    state = sweep(setup, starts(setup)[0])
    for _ in range(4):
        state = sweep(setup, state.target)
    held = type(state.point)(state.point.precisions, state.target.sites)
    after = sweep(setup, held)
    moved = np.abs(after.mean - state.mean) / np.sqrt(state.variance)
    delta = state.target.sites.shift - state.point.sites.shift
    delta -= (state.target.sites.precision - state.point.sites.precision) * state.mean
    predicted = np.abs(state.gaussian.row_response(delta)) / np.sqrt(state.variance)
    np.testing.assert_allclose(moved.max(), predicted.max(), rtol=0.1)
    change = Coordinates(glmm, bound, np.sqrt(state.variance)).change(state)
    assert change >= predicted.max()
