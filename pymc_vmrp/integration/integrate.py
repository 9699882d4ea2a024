"""Integrates over the hyperparameters θ: points θ with weights that stand for q(θ).

1. The mode of log p̂(y | θ)p(θ) over ψ (:mod:`pymc_vmrp.integration.hyper`), by L-BFGS with its
   gradient, which costs nothing.
2. Points along the axes around it; their gradients determine a surrogate.
3. Pilot rounds: draws from the surrogate are evaluated and refine it, and its coordinates follow
   its draws, until it misses little: the mode may tell neither where the mass is nor its width.
4. Rounds: more draws, until the points of all, weighted by the mixture of what they were drawn from
   (:mod:`pymc_vmrp.integration.pool`), are worth the stated number of independent draws. The
   surrogate is refined where it misses much.

Rue, Martino & Chopin (2009) integrate likewise over a grid or a central composite design; adaptive
importance sampling: Cornuet et al. (2012).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.run import Callback, Fit
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.integration.conditional import Conditional, ConditionalModel, Marginals, Theta
from pymc_vmrp.integration.hyper import HyperCoordinates
from pymc_vmrp.integration.pool import Pool
from pymc_vmrp.integration.proposal import Proposal, propose
from pymc_vmrp.integration.survey import Evaluation, Target, climb, scales, survey
from pymc_vmrp.solvers.blas import one_blas_thread
from pymc_vmrp.solvers.choose import choose_solver, physical_memory
from pymc_vmrp.solvers.gaussian import Gaussian

_INSIDE = 1e-3  # of ψ, by which the search starts off the ends of its support
START_TOL = 0.02  # of the mean-field fit to start from

_SEED = 20180611  # of the exploration, so that repeated fits are equal
_PILOT, _PILOT_BY_DIMENSION = 16, 2  # points of a round that is to find where the mass is
_LEAST_PILOTS, _MOST_PILOTS = 2, 8  # such rounds, until the surrogate
_MISSED_FIRST = 1.0  # errs by less than this
_MOST_ROUNDS, _ROUNDS_BY_DRAW = 20, 0.05  # the larger of the two, in draws that are asked for
_MISSED = 0.4  # sd of the surrogate's error, above which it is fitted again
_EFFICIENCY = 0.6  # worth of a draw, below which likewise
# with which the points count as found: sd of the surrogate's error, and how far rounds disagree
MOST_MISSED, MOST_DISAGREEMENT = 1.0, 0.2
# tails weigh in the variances of effects with few levels: draws are from a density that is a little
# flatter than the surrogate; the first ones, from a rough surrogate, from one much flatter
_FLATTER, _FLATTER_FIRST = 0.65, 1.6
_MEMORY_SHARE = 0.1  # of physical memory, for Gaussians that are kept; others are solved for again


@dataclass(frozen=True)
class Exploration:
    """Points that stand for q(θ).

    Attributes
    ----------
    psi : ndarray, shape (n, d)
    weights : ndarray, shape (n,)
        Sum to 1.
    log_density : ndarray, shape (n,)
        Log p̂(y | θ)p(θ) + log |dθ/dψ|.
    log_evidence : float
        Log of its integral over ψ.
    conditionals : tuple of Conditional
        The fits, with as many of their Gaussians as memory allows.
    starts : callable
        ψ → marginals of η where a fit at ψ may start.
    ess : float
        How many independent draws of θ the weights are worth.
    missed : float
        Sd of the last surrogate's error, over its own draws, weighted as the posterior is.
    disagreement : float
        Share of the weight that lies in other rounds than their proposals say, from 0 to 1.
    drop : float
        By how much the log density of the points lies below that of the best known, on average:
        about d/2.
    sweeps, evaluations : int
    stopped : {"converged", "max_points", "interrupted"}
    """

    psi: FloatArray
    weights: FloatArray
    log_density: FloatArray
    log_evidence: float
    conditionals: tuple[Conditional, ...]
    starts: Callable[[FloatArray], Marginals]
    ess: float
    missed: float
    disagreement: float
    drop: float
    sweeps: int
    evaluations: int
    stopped: str


@dataclass(frozen=True)
class IntegratedFit:
    """The result of integrating over θ.

    Attributes
    ----------
    first : Fit
        The mean-field fit it started from.
    model : ConditionalModel
    coordinates : HyperCoordinates
    exploration : Exploration
    seconds : float
        The first fit included.
    """

    first: Fit
    model: ConditionalModel
    coordinates: HyperCoordinates
    exploration: Exploration
    seconds: float

    @property
    def elbo(self) -> float:
        """Log ∫ p̂(y | θ)p(θ)dθ, a lower bound on log p(y) but for the error of the sum over θ."""
        return self.exploration.log_evidence

    @property
    def stopped(self) -> str:
        """Why it ended; see :class:`Exploration`."""
        return self.exploration.stopped

    @property
    def converged(self) -> bool:
        """Whether the weights are worth as many draws as they were to be."""
        return self.stopped == "converged"

    @property
    def iterations(self) -> int:
        """Sweeps, those of the first fit included."""
        return self.first.iterations + self.exploration.sweeps

    @cached_property
    def theta(self) -> Theta:
        """All θ."""
        return self.coordinates.decode(self.exploration.psi)

    @cached_property
    def _points(self) -> dict[bytes, int]:
        """Which point a θ is."""
        return {_key(self.theta[i]): i for i in range(len(self.exploration.psi))}

    def gaussian(self, i: int) -> Gaussian:
        """q(β, u | θ_i), solved for again where it was not kept."""
        kept = self.exploration.conditionals[i].gaussian
        if kept is not None:
            return kept
        found = self.model.fit(self.theta[i], self.exploration.starts(self.exploration.psi[i]))
        assert found.gaussian is not None
        return found.gaussian

    def at(self, theta: Theta) -> tuple[Gaussian, float]:
        """q(β, u | θ) at any θ, and log p̂(y | θ)p(θ) in terms of Σ and φ."""
        exploration, coordinates = self.exploration, self.coordinates
        point = self._points.get(_key(theta))
        if point is not None:
            psi, value = exploration.psi[point], float(exploration.log_density[point])
            return self.gaussian(point), value - float(coordinates.log_jacobian(psi))
        psi = coordinates.encode(theta)
        found = self.model.fit(theta, exploration.starts(psi))
        assert found.gaussian is not None
        value = found.log_evidence + float(coordinates.log_prior(psi))
        return found.gaussian, value - float(coordinates.log_jacobian(psi))


def _key(theta: Theta) -> bytes:
    return b"".join(part.tobytes() for part in (*theta.covariances, theta.parameters))


def integrate(
    glmm: GLMM, first: Fit, ess: float, callback: Callback | None = None
) -> IntegratedFit:
    """Fit q(θ)q(β, u | θ), starting from a mean-field fit.

    Parameters
    ----------
    glmm : GLMM
        With at least one hyperparameter.
    first : Fit
    ess : float
        How many independent draws of θ the points are to be worth.
    callback : callable, optional
        Called with the number of sweeps, the log density of θ and NaN.
    """
    began = time.perf_counter()
    state = first.state
    covariances = tuple(np.linalg.inv(factor.expected_precision) for factor in state.factors)
    phi = np.empty(0) if state.parameters is None else state.parameters.moments()[0]
    coordinates = HyperCoordinates(glmm, scales(glmm, state.gaussian, covariances))
    start = coordinates.encode(Theta(covariances, phi))
    marginals = Marginals(state.mean, state.variance)
    model = ConditionalModel(glmm, choose_solver(glmm, _solver_choice(first)))
    target = Target(model, coordinates, marginals, _counter(first.iterations, callback))
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lower = np.where(coordinates.ends_below, coordinates.lower + _INSIDE, -np.inf)
        exploration = explore(target, np.clip(start, lower, coordinates.upper - _INSIDE), ess)
    seconds = first.seconds + time.perf_counter() - began
    return IntegratedFit(first, model, coordinates, exploration, seconds)


def _solver_choice(first: Fit) -> str:
    return "dense" if first.solver == "dense" else "partitioned"


def _counter(sweeps: int, callback: Callback | None) -> Callable[[int, float], None]:
    done = [sweeps]

    def count(more: int, value: float) -> None:
        done[0] += more
        if callback is not None:
            callback(done[0], value, float("nan"))

    return count


def explore(target: Target, start: FloatArray, ess: float) -> Exploration:
    """Find points and weights that stand for q(θ); see the module's description.

    Ctrl-C ends it with the rounds that are complete; before there is one, it goes through.

    Parameters
    ----------
    target : Target
    start : ndarray, shape (d,)
        ψ near the mode.
    ess : float
        How many independent draws the weights are to be worth.
    """
    rng = np.random.default_rng(_SEED)
    known = climb(target, start) or climb(target, _neutral(target, start))
    if not known:
        raise _unsolvable()
    mode = max(known, key=lambda e: e.value)
    frame, around = survey(target, mode)
    known += around
    proposal: Proposal | None = None
    size = max(_PILOT, _PILOT_BY_DIMENSION * len(start))
    for pilot in range(_MOST_PILOTS):
        proposal = propose(rng, target.coordinates, frame, known, proposal, _FLATTER_FIRST, kept=1)
        points = _evaluate(target, proposal, proposal.batches[0][:size])
        known += points
        frame = proposal.reframed()
        if pilot + 1 >= _LEAST_PILOTS and Pool((proposal,), (points,)).missed <= _MISSED_FIRST:
            break
    assert proposal is not None
    pool = Pool()
    batches: list[FloatArray] = []
    stopped = "max_points"
    try:
        for _ in range(max(_MOST_ROUNDS, int(_ROUNDS_BY_DRAW * ess))):
            if not batches:
                frame = proposal.reframed()
                proposal = propose(rng, target.coordinates, frame, known, proposal, _FLATTER)
                batches = proposal.batches
            points = _evaluate(target, proposal, batches.pop(0), _keeper(len(pool.points)))
            known += points
            pool = pool.extended(proposal, points)
            sound = pool.missed <= MOST_MISSED and pool.disagreement <= MOST_DISAGREEMENT
            if pool.ess >= ess and sound:
                stopped = "converged"
                break
            if pool.missed > _MISSED or pool.efficiency < _EFFICIENCY:
                batches = []
    except KeyboardInterrupt:
        if not pool.proposals:
            raise
        stopped = "interrupted"
    return _summary(pool, known, stopped)


def _neutral(target: Target, start: FloatArray) -> FloatArray:
    """Where to start instead: no correlations, and sds that the data can tell from zero."""
    coordinates = target.coordinates
    parameters = np.arange(len(start)) >= len(start) - len(coordinates.glmm.free_parameters)
    return np.where(coordinates.folded, 1.0, np.where(parameters, start, 0.0))


def _unsolvable() -> VmrpError:
    return VmrpError(
        "No hyperparameters were found at which the coefficients' posterior could be solved for: "
        "some coefficients cannot be told apart, or the response is too extreme for the family. "
        "Look at the response and its offset and weights, give the terms stronger priors, or use "
        "hyperparameters='mean_field'."
    )


def _summary(pool: Pool, known: list[Evaluation], stopped: str) -> Exploration:
    solved = np.isfinite(pool.values)
    if not solved.any():
        raise _unsolvable()
    weights, values = pool.weights[solved], pool.values[solved]
    best = max(e.value for e in known)
    return Exploration(
        psi=pool.psi[solved],
        weights=weights,
        log_density=values,
        log_evidence=pool.log_evidence,
        conditionals=tuple(e.conditional for e in pool.points if np.isfinite(e.value)),
        starts=pool.proposals[-1].starts,
        ess=pool.ess,
        missed=pool.missed,
        disagreement=pool.disagreement,
        drop=float(best - weights @ values),
        sweeps=sum(e.conditional.sweeps for e in known),
        evaluations=len(known),
        stopped=stopped,
    )


def _evaluate(
    target: Target,
    proposal: Proposal,
    x: FloatArray,
    slim: Callable[[Conditional], Conditional] = lambda fit: replace(fit, gaussian=None),
) -> list[Evaluation]:
    return target.evaluate(proposal.frame.to_psi(x), proposal.starts, slim)


def _keeper(kept: int) -> Callable[[Conditional], Conditional]:
    """Keeps Gaussians while there is memory, and no marginals: predictors have enough of them."""
    count = [kept]

    def slim(fit: Conditional) -> Conditional:
        count[0] += 1
        room = count[0] * array_bytes(fit.gaussian) <= _MEMORY_SHARE * physical_memory()
        return replace(fit, marginals=None, gaussian=fit.gaussian if room else None)

    return slim


def array_bytes(value: object) -> int:
    """Bytes of the arrays in a dataclass and in the dataclasses it holds, solvers left out."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    fields = getattr(value, "__dataclass_fields__", {})
    return sum(array_bytes(getattr(value, name)) for name in fields if name != "solver")
