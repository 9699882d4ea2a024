"""Points of several rounds, weighted together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pymc_vmrp.integration.pool import Pool


@dataclass(frozen=True)
class Normal:
    """Stands in for a proposal: a normal distribution in one coordinate."""

    mean: float
    sd: float
    claims: float = 0.0  # by which its log density is off
    log_normaliser: float = 0.0

    def log_density(self, psi):
        z = (psi[:, 0] - self.mean) / self.sd
        return -0.5 * z**2 - np.log(self.sd * np.sqrt(2 * np.pi)) + self.claims

    def log_surrogate(self, psi):
        return self.log_density(psi)

    def calibrated(self, psi, base):
        return base


@dataclass(frozen=True)
class Point:
    psi: np.ndarray
    value: float


def log_p(x):
    return -0.5 * x**2 - 0.5 * np.log(2 * np.pi) + 5.0


def drawn(proposal, n, seed):
    x = np.random.default_rng(seed).normal(proposal.mean, proposal.sd, n)
    return [Point(np.array([v]), float(log_p(v))) for v in x]


def pooled(*proposals, n=3000):
    pool = Pool()
    for seed, proposal in enumerate(proposals):
        pool = pool.extended(proposal, drawn(proposal, n, seed))
    return pool


def test_moments_and_integral_of_the_density():
    """Whatever constants the proposals' densities are off by, but for the median of them."""
    pool = pooled(Normal(1.5, 0.8), Normal(-1.0, 1.0, claims=3.0), Normal(0.2, 1.2))
    mean = pool.weights @ pool.psi[:, 0]
    assert mean == pytest.approx(0, abs=0.05)
    assert pool.weights @ pool.psi[:, 0] ** 2 == pytest.approx(1, abs=0.07)
    assert pool.log_evidence == pytest.approx(5, abs=0.1)
    assert pool.disagreement < 0.05


def test_a_round_that_misses_half_of_the_mass_lowers_the_ess():
    """Alone it looks even; together with a round that finds the rest it does not."""
    narrow = Normal(1.2, 0.5)
    alone, both = pooled(narrow), pooled(narrow, Normal(0.0, 1.3))
    assert both.weights[:3000].sum() < 0.5
    assert both.ess < 0.85 * 6000
    assert abs(both.weights @ both.psi[:, 0]) < abs(alone.weights @ alone.psi[:, 0])


def test_what_the_last_proposal_missed():
    assert pooled(Normal(0.0, 1.0)).missed == pytest.approx(0, abs=1e-6)
    assert pooled(Normal(1.0, 1.0)).missed == pytest.approx(1, abs=0.15)


def test_points_without_density_weigh_nothing():
    proposal = Normal(0.0, 1.0)
    points = drawn(proposal, 200, 1)
    points[::2] = [Point(p.psi, -np.inf) for p in points[::2]]
    pool = Pool().extended(proposal, points)
    assert (pool.weights[::2] == 0).all()
    assert pool.ess == pytest.approx(100)
    assert pool.log_evidence == pytest.approx(5 - np.log(2))
    assert np.isfinite(pool.missed)
    nothing = Pool().extended(proposal, [Point(p.psi, -np.inf) for p in points])
    assert nothing.ess == 0
    assert nothing.missed == np.inf
