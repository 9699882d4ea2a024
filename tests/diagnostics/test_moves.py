"""Moments of short chains against those of q."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.diagnostics.moves import SURELY, in_blocks, moves


def _chains(rng, chains, draws, k, rho):
    """Autoregressive chains with standard normal margins."""
    x = np.empty((chains, draws, k))
    x[:, 0] = rng.standard_normal((chains, k))
    for t in range(1, draws):
        noise = np.sqrt(1 - rho**2) * rng.standard_normal((chains, k))
        x[:, t] = rho * x[:, t - 1] + noise
    return x


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rho=st.floats(0, 0.95))
def test_standard_errors_are_those_of_repetition(seed, rho):
    """200 estimands are 200 repetitions: their z scores have unit sd."""
    rng = np.random.default_rng(seed)
    table = moves(rng.standard_normal((1000, 200)), _chains(rng, 40, 20, 200, rho))
    for z in (
        table["shift"] / table["shift_se"],
        np.log(table["sd_ratio"]) / table["log_ratio_se"],
    ):
        assert 0.75 < z.std() < 1.3
        assert (np.abs(z) > SURELY).mean() < 0.05


@pytest.mark.parametrize(("shift", "ratio"), [(0.5, 1.0), (0.0, 0.6), (-1.0, 1.5)])
def test_finds_what_q_has_wrong(shift, ratio):
    rng = np.random.default_rng(3)
    q = shift + ratio * rng.standard_normal((2000, 50))
    table = moves(q, _chains(rng, 40, 50, 50, 0.5))
    assert table["shift"].mean() == pytest.approx(shift, abs=0.03)
    assert np.log(table["sd_ratio"]).mean() == pytest.approx(np.log(ratio), abs=0.03)
    if shift:
        assert (np.sign(table["sure_shift"]) == np.sign(shift)).all()
    if ratio != 1:
        assert (np.sign(table["sure_log_ratio"]) == np.sign(np.log(ratio))).all()


def test_a_constant_estimand_has_not_moved():
    table = moves(np.full((100, 1), 2.0), np.full((4, 10, 1), 2.0))
    assert table.loc[0, "shift"] == 0
    assert table.loc[0, "sd_ratio"] == 1
    assert table.loc[0, ["sure_shift", "sure_log_ratio"]].eq(0).all()


def test_pieces_of_chains_are_blocks():
    values = np.arange(24.0).reshape(2, 6, 2)
    blocks = in_blocks(values, pieces=3)
    assert blocks.first.shape == (6, 2)
    mean, log_sd = blocks.mean_and_log_sd()
    np.testing.assert_allclose(mean, values.mean((0, 1)))
    np.testing.assert_allclose(np.exp(log_sd), values.reshape(-1, 2).std(0))
