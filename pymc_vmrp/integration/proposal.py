"""Proposals of θ: a surrogate of its log density, and draws from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.weights import calibrate, log_normaliser
from pymc_vmrp.integration.conditional import Conditional, Marginals
from pymc_vmrp.integration.features import Features
from pymc_vmrp.integration.hyper import HyperCoordinates
from pymc_vmrp.integration.surrogate import Surrogate, Table, fit_surrogate
from pymc_vmrp.integration.survey import Evaluation, Frame, coarse, coarse_frame
from pymc_vmrp.integration.warm_start import Predictor, fit_predictor

_CHAINS, STATES = 256, 32  # that draw from the surrogate, and what is kept of each
_BATCH = 64  # draws that are evaluated at a time
_BURN_IN = 30
_LEAST_SD = 0.02  # of x in a frame before
_SHRUNK = 0.95  # of correlations, towards 0
_APART = 16  # states of a chain between two that are evaluated
_TAIL = 0.999  # of the draws, beyond which σ² is cut off when moments are matched
_NEAR = 3.0  # log density below what draws have, beyond which marginals are not regressed
_FARTHEST, _GRID = 25.0, 2501  # grid of x on which priors are tabulated
_INSIDE = 0.1  # distance of chains' starts from the end of a prior's support
_ROUNDING = 1e-7
_FINE = 2.0**20  # steps of the table are multiples of its inverse
_REFERENCE = 4000  # draws of the Gaussian that the surrogate's normaliser is measured with
_LARGEST = 20.0  # of ψ of a standard deviation


@dataclass(frozen=True)
class Proposal:
    """A surrogate, draws from it, and where fits at them start.

    Attributes
    ----------
    frame : Frame
        Of the surrogate's coordinates x.
    surrogate : Surrogate
    temperature : float
        The density drawn from is the surrogate's to the power 1/temperature.
    draws : ndarray, shape (kept, chains, d)
        States of chains.
    log_tempered : float
        Log of the integral, over x, of the density drawn from.
    predictor : Predictor
    """

    frame: Frame
    surrogate: Surrogate
    temperature: float
    draws: FloatArray
    log_tempered: float
    predictor: Predictor

    def reframed(self) -> Frame:
        """The frame in which the draws, but for the temperature, have unit sds."""
        sd = np.maximum(self._flat.std(0), _LEAST_SD)
        correlation = np.atleast_2d(np.corrcoef(self._flat.T))
        correlation = _SHRUNK * correlation + (1 - _SHRUNK) * np.eye(len(sd))
        width = self.frame.sd * sd / np.sqrt(self.temperature)
        return coarse_frame(self.frame.mode, width, np.linalg.cholesky(correlation))

    def starts(self, psi: FloatArray) -> Marginals:
        """Where a fit at ψ may start."""
        return self.predictor(self.frame.to_x(psi))

    @property
    def batches(self) -> list[FloatArray]:
        """Draws that are far enough apart to be evaluated, some at a time, shape (n, d) each."""
        states = self.draws[::-_APART]
        return [s[at : at + _BATCH] for s in states for at in range(0, s.shape[0], _BATCH)]

    def log_surrogate(self, psi: FloatArray) -> FloatArray:
        """The surrogate, which stands in for the log density, at ``psi`` of shape (n, d)."""
        return self.surrogate.log_density(self.frame.to_x(psi))[0]

    def log_density(self, psi: FloatArray) -> FloatArray:
        """Log density, over ψ, of the draws; shape (n,)."""
        constant = self.log_tempered + np.log(self.frame.sd).sum()
        return np.asarray(self.log_surrogate(psi) / self.temperature - constant)

    @cached_property
    def log_normaliser(self) -> float:
        """Log of the surrogate's integral over ψ."""
        log_mean = logsumexp(self._log_tilt) - np.log(len(self._flat))
        return float(self.log_tempered + np.log(self.frame.sd).sum() + log_mean)

    def calibrated(self, psi: FloatArray, base: FloatArray) -> FloatArray:
        """Weights near ``base`` under which points have the moments of the surrogate."""
        return calibrate(self._moments(self.frame.to_x(psi)), self._target, base)

    @cached_property
    def _log_tilt(self) -> FloatArray:
        """Log weights that turn the draws into ones from the surrogate."""
        values = self.surrogate.log_density(self._flat)[0]
        return np.asarray((1 - 1 / self.temperature) * values)

    @cached_property
    def _flat(self) -> FloatArray:
        return self.draws.reshape(-1, self.draws.shape[-1])

    @cached_property
    def _target(self) -> FloatArray:
        return np.asarray(_normalised(self._log_tilt) @ self._moments(self._flat))

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


def propose(
    rng: np.random.Generator,
    coordinates: HyperCoordinates,
    frame: Frame,
    known: Sequence[Evaluation],
    before: Proposal | None,
    flatter: float,
    kept: int = STATES,
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
        Where the chains go on from.
    flatter : float
        The temperature is 1 + flatter/√d, so that what reweighting costs hardly depends on d.
    kept : int
        States kept of each chain.
    """
    finite = [e for e in known if np.isfinite(e.value)]
    x = coarse(np.array([frame.to_x(e.psi) for e in finite]))
    values = np.array([e.value for e in finite])
    gradients = coarse(np.array([e.gradient for e in finite]) * frame.sd)
    mirror, limit = frame.to_x(np.zeros(coordinates.size)), coarse(frame.to_x(coordinates.upper))
    floor = np.where(coordinates.ends_below, coarse(frame.to_x(coordinates.lower)), -np.inf)
    features = Features(frame.mode, frame.sd, coordinates.folded)
    prior = _prior_table(coordinates, frame)
    surrogate = fit_surrogate(features, prior, x, coarse(values), gradients, mirror)
    temperature = 1 + flatter / np.sqrt(len(mirror))
    if before is None:
        begin, burn_in = rng.standard_normal((_CHAINS, len(mirror))) @ frame.factor.T, _BURN_IN
    else:
        begin, burn_in = frame.to_x(before.frame.to_psi(before.draws[-1])), _BURN_IN // 2
    draws = surrogate.sample(
        rng,
        np.clip(surrogate.fold(begin), floor + _INSIDE, limit - _INSIDE),
        frame.factor,
        kept,
        burn_in,
        temperature,
    )
    predictor = _predictor(x, values, [e.conditional for e in finite])
    log_tempered = _normaliser(rng, surrogate, draws, temperature)
    return Proposal(frame, surrogate, temperature, draws, log_tempered, predictor)


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
    # rounded as what is drawn from must be, and not beyond the prior's end
    step = np.floor((high - low) / (_GRID - 1) * _FINE) / _FINE
    x = low[:, None] + step[:, None] * np.arange(_GRID)
    psi = frame.mode[:, None] + frame.sd[:, None] * x
    psi = np.where(coordinates.folded[:, None], np.maximum(psi, 1e-3), psi)
    return Table(low, step, coarse(coordinates.separate_log_priors(psi))[None])


def _normaliser(
    rng: np.random.Generator, surrogate: Surrogate, draws: FloatArray, temperature: float
) -> float:
    """Log of the tempered integral, by way of the Gaussian with the moments of its draws."""
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
    return log_normaliser(own, reference_pair)


def _normalised(log_weights: FloatArray) -> FloatArray:
    return np.asarray(np.exp(log_weights - logsumexp(log_weights)))
