"""The points of all rounds, weighted together.

A point weighs p/m, with m the mixture of all proposals in the shares in which they were drawn from
("deterministic mixture" weights: Owen & Zhou 2000; Cornuet et al. 2012). So what one proposal does
not reach and another does has the weight that it should, and rounds that disagree make weights
uneven.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.weights import agreed, effective_size, importance_weights
from pymc_vmrp.integration.proposal import Proposal
from pymc_vmrp.integration.survey import Evaluation

_SHARE_KEPT = 0.8  # of the effective size, by calibrated weights


@dataclass(frozen=True)
class Pool:
    """Draws from several proposals, evaluated.

    Attributes
    ----------
    proposals : tuple of Proposal
        At least one.
    rounds : tuple of list of Evaluation
        The draws of each.
    """

    proposals: tuple[Proposal, ...] = ()
    rounds: tuple[list[Evaluation], ...] = ()

    def extended(self, proposal: Proposal, points: list[Evaluation]) -> Pool:
        """With more draws, from the last proposal or from a new one."""
        if self.proposals and proposal is self.proposals[-1]:
            return Pool(self.proposals, (*self.rounds[:-1], self.rounds[-1] + points))
        return Pool((*self.proposals, proposal), (*self.rounds, points))

    @property
    def points(self) -> list[Evaluation]:
        """All of them, in the order of ``weights``."""
        return [point for points in self.rounds for point in points]

    @cached_property
    def psi(self) -> FloatArray:
        """Shape (n, d)."""
        return np.array([e.psi for e in self.points])

    @cached_property
    def values(self) -> FloatArray:
        """Log densities, shape (n,)."""
        return np.array([e.value for e in self.points])

    @cached_property
    def _log_proposals(self) -> FloatArray:
        """Log density of each proposal at every point, shape (proposals, n)."""
        return np.array([proposal.log_density(self.psi) for proposal in self.proposals])

    @cached_property
    def _offsets(self) -> FloatArray:
        """What to add to ``_log_proposals``, shape (proposals,), so that they agree.

        A surrogate may have mass that its chains have not found, and its normaliser count it.
        """
        shares = np.array([len(points) for points in self.rounds]) / len(self.values)
        return agreed(self._log_proposals, shares)

    @cached_property
    def _log_mixture(self) -> FloatArray:
        """Log density of the mixture that the points are drawn from."""
        shares = np.array([len(points) for points in self.rounds]) / len(self.values)
        logs = self._log_proposals + self._offsets[:, None]
        return np.asarray(logsumexp(logs, b=shares[:, None], axis=0))

    @cached_property
    def _log_ratio(self) -> FloatArray:
        """Log p/m of each point over their number, whose sum estimates p's integral."""
        return np.asarray(self.values - self._log_mixture - np.log(len(self.values)))

    @cached_property
    def _log_calibrated(self) -> FloatArray:
        """The same, of points that have the last surrogate's moments but for its errors."""
        surrogate = self.proposals[-1].log_surrogate(self.psi)
        reached = np.isfinite(surrogate)
        psi, log_base = self.psi[reached], (surrogate - self._log_mixture)[reached]
        base = np.exp(log_base - logsumexp(log_base))
        calibrated = np.log(self.proposals[-1].calibrated(psi, base))
        out = np.full(len(reached), -np.inf)
        out[reached] = calibrated + (self.values - surrogate)[reached]
        return out + self.proposals[-1].log_normaliser - self._offsets[-1]

    @cached_property
    def _log_weights(self) -> FloatArray:
        """Calibrated, but where that makes them much more uneven: the last surrogate errs then."""
        kept = _SHARE_KEPT * _size(self._log_ratio)
        return self._log_calibrated if _size(self._log_calibrated) >= kept else self._log_ratio

    @cached_property
    def weights(self) -> FloatArray:
        """Sum to 1."""
        return importance_weights(self._log_weights)

    @cached_property
    def ess(self) -> float:
        """How many independent draws the weights are worth, calibrated or not."""
        return min(_size(self._log_ratio), _size(self._log_weights))

    @property
    def log_evidence(self) -> float:
        """Log of the density's integral over ψ."""
        return float(logsumexp(self._log_weights))

    @property
    def efficiency(self) -> float:
        """What a draw of the last proposal is worth."""
        n = len(self.rounds[-1])
        return _size(self.values[-n:] - self._log_proposals[-1, -n:]) / n

    @property
    def disagreement(self) -> float:
        """Share of the weight that lies in other rounds than the proposals' densities say."""
        sizes = np.array([len(points) for points in self.rounds])
        logs = self._log_proposals + self._offsets[:, None] - self._log_mixture
        expected = (np.exp(logs) * sizes[:, None] / sizes.sum()) @ self.weights
        found = np.add.reduceat(self.weights, np.cumsum(sizes) - sizes)
        return float(np.abs(found - expected).sum() / 2)

    @property
    def missed(self) -> float:
        """By how much the last surrogate errs where the mass is: sd over its own draws."""
        if not np.isfinite(self.values[-len(self.rounds[-1]) :]).any():
            return float("inf")
        n = len(self.rounds[-1])
        psi, values = self.psi[-n:], self.values[-n:]
        weights = importance_weights(values - self._log_proposals[-1, -n:])
        errors = (values - self.proposals[-1].log_surrogate(psi))[weights > 0]
        weights = weights[weights > 0]
        return float(np.sqrt(weights @ (errors - weights @ errors) ** 2))


def _size(log_weights: FloatArray) -> float:
    if not np.isfinite(log_weights).any():
        return 0.0
    return effective_size(np.exp(log_weights - log_weights.max()))
