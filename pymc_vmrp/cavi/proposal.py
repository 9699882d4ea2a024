"""Proposals of θ: a surrogate, draws from it, and the weights of those that were evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from pymc_vmrp.cavi.conditional import Conditional
from pymc_vmrp.cavi.features import Features
from pymc_vmrp.cavi.hyper import HyperCoordinates
from pymc_vmrp.cavi.surrogate import Surrogate, Table, fit_surrogate
from pymc_vmrp.cavi.survey import Evaluation, Frame
from pymc_vmrp.cavi.warm_start import Predictor, fit_predictor
from pymc_vmrp.cavi.weights import calibrate, effective_size, importance_weights, log_normaliser

FloatArray = NDArray[np.float64]

_CHAINS, _STATES = 256, 32  # that draw from the surrogate, and what is kept of each
_BATCH = 64  # draws that are evaluated at a time
_BURN_IN = 30
_APART = 16  # states of a chain between two that are evaluated
_TAIL = 0.999  # of the draws, beyond which σ² is cut off when moments are matched
_NEAR = 3.0  # log density below what draws have, beyond which marginals are not regressed
_FARTHEST, _GRID = 25.0, 2501  # grid of x on which priors are tabulated
_INSIDE = 0.1  # distance of chains' starts from the end of a prior's support
_ROUNDING = 1e-7
_REFERENCE = 4000  # draws of the Gaussian that the surrogate's normaliser is measured with
_LARGEST = 20.0  # of ψ of a standard deviation


@dataclass(frozen=True)
class Proposal:
    """A surrogate, draws from it, and where fits at them start.

    Attributes
    ----------
    surrogate : Surrogate
    temperature : float
        The density drawn from is the surrogate's to the power 1/temperature.
    draws : ndarray, shape (kept, chains, d)
        States of chains.
    log_normaliser : float
        Log of the surrogate's integral; NaN for a proposal with one state of each chain.
    predictor : Predictor
    """

    surrogate: Surrogate
    temperature: float
    draws: FloatArray
    log_normaliser: float
    predictor: Predictor

    @property
    def batches(self) -> list[FloatArray]:
        """Draws that are far enough apart to be evaluated, some at a time, shape (n, d) each."""
        states = self.draws[::-_APART]
        return [s[at : at + _BATCH] for s in states for at in range(0, s.shape[0], _BATCH)]

    def log_tilt(self, x: FloatArray) -> FloatArray:
        """Log weights that turn the draws into ones from the surrogate."""
        return np.asarray((1 - 1 / self.temperature) * self.surrogate.log_density(x)[0])

    def calibrated(self, x: FloatArray) -> FloatArray:
        """Weights of some of the draws under which they have the moments of all."""
        return calibrate(self._moments(x), self._target, _normalised(self.log_tilt(x)))

    @cached_property
    def _flat(self) -> FloatArray:
        return self.draws.reshape(-1, self.draws.shape[-1])

    @cached_property
    def _target(self) -> FloatArray:
        return np.asarray(_normalised(self.log_tilt(self._flat)) @ self._moments(self._flat))

    @cached_property
    def _most(self) -> FloatArray:
        return np.asarray(np.quantile(self._sizes(self._flat), _TAIL, axis=0))

    def _moments(self, x: FloatArray) -> FloatArray:
        return np.hstack([x, x**2, np.minimum(self._sizes(x), self._most)])

    def _sizes(self, x: FloatArray) -> FloatArray:
        """Variances σ² in units of c², of which most coefficients' variances are functions."""
        features = self.surrogate.features
        psi = features.mode + features.sd * x
        return np.asarray(np.sinh(np.minimum(psi[:, features.folded], _LARGEST)) ** 2)


@dataclass(frozen=True)
class Sample:
    """Some of the draws from a surrogate, evaluated."""

    proposal: Proposal
    x: FloatArray
    points: list[Evaluation]

    def extended(self, x: FloatArray, points: list[Evaluation]) -> Sample:
        """With more draws."""
        return Sample(self.proposal, np.concatenate([self.x, x]), self.points + points)

    @cached_property
    def _base(self) -> FloatArray:
        """Weights that make the draws ones from the surrogate."""
        return self.proposal.calibrated(self.x)

    @cached_property
    def _errors(self) -> FloatArray:
        """What the surrogate missed."""
        values = np.array([e.value for e in self.points])
        return np.asarray(values - self.proposal.surrogate.log_density(self.x)[0])

    @property
    def _log_ratio(self) -> FloatArray:
        return np.asarray(np.log(self._base) + self._errors)

    @cached_property
    def weights(self) -> FloatArray:
        """Sum to 1."""
        return importance_weights(self._log_ratio)

    @property
    def ess(self) -> float:
        """How many independent draws the weights are worth."""
        return effective_size(self.weights)

    @property
    def log_evidence(self) -> float:
        """Log of the density's integral over x."""
        return self.proposal.log_normaliser + float(logsumexp(self._log_ratio))

    @property
    def missed(self) -> float:
        """By how much the surrogate errs: standard deviation over its draws."""
        errors = self._errors - self._base @ self._errors
        return float(np.sqrt(self._base @ errors**2))


def propose(
    rng: np.random.Generator,
    coordinates: HyperCoordinates,
    frame: Frame,
    known: Sequence[Evaluation],
    before: Proposal | None,
    flatter: float,
) -> Proposal:
    """Fit a surrogate to what is known, and draw from it.

    Parameters
    ----------
    rng : Generator
    coordinates : HyperCoordinates
    frame : Frame
    known : sequence of Evaluation
        That at the frame's mode among them.
    before : Proposal or None
        Where the chains go on from. Without it there is one state of each chain.
    flatter : float
        The temperature is 1 + flatter/√d, so that what reweighting costs hardly depends on d.
    """
    finite = [e for e in known if np.isfinite(e.value)]
    x = np.array([frame.to_x(e.psi) for e in finite])
    values = np.array([e.value for e in finite])
    gradients = np.array([e.gradient for e in finite]) * frame.sd
    mirror, limit = frame.to_x(np.zeros(coordinates.size)), frame.to_x(coordinates.upper)
    floor = np.where(coordinates.ends_below, frame.to_x(coordinates.lower), -np.inf)
    features = Features(frame.mode, frame.sd, coordinates.folded)
    prior = _prior_table(coordinates, frame)
    surrogate = fit_surrogate(features, prior, x, values, gradients, mirror)
    temperature = 1 + flatter / np.sqrt(len(mirror))
    if before is None:
        begin = rng.standard_normal((_CHAINS, len(mirror))) @ frame.factor.T
        kept, burn_in = 1, _BURN_IN
    else:
        begin, kept, burn_in = before.draws[-1], _STATES, _BURN_IN // 2
    draws = surrogate.sample(
        rng,
        np.clip(surrogate.fold(begin), floor + _INSIDE, limit - _INSIDE),
        frame.factor,
        kept,
        burn_in,
        temperature,
    )
    predictor = _predictor(x, values, [e.conditional for e in finite])
    log_normaliser = _normaliser(rng, surrogate, draws, temperature) if kept > 1 else np.nan
    return Proposal(surrogate, temperature, draws, log_normaliser, predictor)


def _predictor(x: FloatArray, values: FloatArray, fits: Sequence[Conditional]) -> Predictor:
    centre = fits[int(np.argmin((x**2).sum(1)))].marginals
    assert centre is not None
    near = values > values.max() - _NEAR - 2 * x.shape[1]
    chosen = [i for i, fit in enumerate(fits) if near[i] and fit.marginals is not None]
    return fit_predictor(centre, x[chosen], [fits[i] for i in chosen])


def _prior_table(coordinates: HyperCoordinates, frame: Frame) -> Table:
    """The priors of what has one coordinate, on a grid."""
    low = np.where(coordinates.folded, frame.to_x(np.zeros(coordinates.size)), -_FARTHEST)
    # a grid that ends where the prior does
    high = np.minimum(frame.to_x(coordinates.upper) - _ROUNDING, _FARTHEST)
    step = (high - low) / (_GRID - 1)
    x = low[:, None] + step[:, None] * np.arange(_GRID)
    psi = frame.mode[:, None] + frame.sd[:, None] * x
    psi = np.where(coordinates.folded[:, None], np.maximum(psi, 1e-3), psi)
    return Table(low, step, coordinates.separate_log_priors(psi)[None])


def _normaliser(
    rng: np.random.Generator, surrogate: Surrogate, draws: FloatArray, temperature: float
) -> float:
    """Log of the surrogate's integral, by way of the Gaussian with the moments of its draws."""
    flat = draws.reshape(-1, draws.shape[-1])
    mean, d = flat.mean(0), flat.shape[1]
    factor = np.linalg.cholesky(np.atleast_2d(np.cov(flat.T)) + 1e-9 * np.eye(d))
    reference = mean + rng.standard_normal((_REFERENCE, d)) @ factor.T
    values = surrogate.log_density(flat)[0]
    outside = (surrogate.features.folded & (reference < surrogate.mirror)).any(1)
    others = np.where(outside, -np.inf, surrogate.log_density(reference)[0])

    def log_g(x: FloatArray) -> FloatArray:
        z = solve_triangular(factor, (x - mean).T, lower=True)
        constant = np.log(np.diag(factor)).sum() + 0.5 * d * np.log(2 * np.pi)
        return np.asarray(-0.5 * (z**2).sum(0) - constant)

    own, reference_pair = (
        (values / temperature, log_g(flat)),
        (others / temperature, log_g(reference)),
    )
    tilted = log_normaliser(own, reference_pair)
    return tilted + float(logsumexp((1 - 1 / temperature) * values) - np.log(len(values)))


def _normalised(log_weights: FloatArray) -> FloatArray:
    return np.asarray(np.exp(log_weights - logsumexp(log_weights)))
