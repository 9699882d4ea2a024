"""Coordinate ascent: sweeps, acceleration, the ELBO safeguard and the convergence test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.accelerate import ACCELERATORS, Accelerator
from pymc_vmrp.cavi.coordinates import Coordinates
from pymc_vmrp.cavi.nodes import first_bound
from pymc_vmrp.cavi.sweep import Point, Setup, State, starts, sweep, under_bound
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread
from pymc_vmrp.solvers.factor import SingularPrecision
from pymc_vmrp.solvers.factorize import factorized_solver

Callback = Callable[[int, float, float], None]

_LOOSE_TOL = 0.2  # where a bound that only leads up to another hands over to it
_MOST_BOUNDS = 8
_SMALLEST_STEP = 2.0**-6


@dataclass(frozen=True)
class Options:
    """How to run coordinate ascent; see :meth:`pymc_vmrp.Model.approximate`."""

    bound: str = "quadrature"
    tol: float = 1e-4
    max_iter: int = 500
    solver: str = "auto"
    accelerate: str = "anderson"
    expansion: str = "translation"
    factorization: str = "joint"
    kept: Sequence[str] | None = None


@dataclass(frozen=True)
class Fit:
    """The result of coordinate ascent.

    Attributes
    ----------
    state : State
    elbo : tuple of float
        ELBO after each accepted sweep. The first ``warmup`` entries belong to bounds that led up to
        the last one: that of Pólya and Gamma, or coarser nodes of the likelihood's parameters.
    warmup : int
    stopped : {"converged", "max_iter", "interrupted", "stalled"}
        Why the iterations ended; stalled means that no step raised the ELBO any more.
    iterations : int
        Sweeps computed, rejected ones included.
    change : float
        Last change, in the units of ``tol``.
    seconds : float
    bound, solver, accelerator, expansion, factorization : str
    """

    state: State
    elbo: tuple[float, ...]
    warmup: int
    stopped: str
    iterations: int
    change: float
    seconds: float
    bound: str
    solver: str
    accelerator: str
    expansion: str
    factorization: str = "joint"

    @property
    def converged(self) -> bool:
        """Whether the change per sweep fell below the tolerance."""
        return self.stopped == "converged"

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the iterations."""
        return self.stopped == "interrupted"


def run(
    glmm: GLMM,
    options: Options,
    callback: Callback | None = None,
    first_mean: FloatArray | None = None,
) -> Fit:
    """Fit q(β, u) Π q(Σ_j) q(a_j) q(φ) to the posterior of ``glmm``; q(β, u) as factorized.

    Parameters
    ----------
    glmm : GLMM
    options : Options
    callback : callable, optional
        Called with the number of sweeps, the ELBO and the change, after every sweep.
    first_mean : ndarray, shape (N,), optional
        Mean of η, its offset included, from which the iterations start.
    """
    began = time.perf_counter()
    expand = options.expansion == "translation"
    solver = factorized_solver(glmm, options.factorization, options.kept, options.solver, expand)
    setup = Setup(glmm, solver, first_bound(glmm, options.bound), options.expansion)
    # a step too far overflows; its ELBO is then no number, and the step is rejected
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
        fit = _best(setup, starts(setup, first_mean), options, callback)
    return replace(fit, seconds=time.perf_counter() - began, factorization=options.factorization)


def _best(
    setup: Setup, points: Sequence[Point], options: Options, callback: Callback | None
) -> Fit:
    """The fit from each start that has the highest ELBO; an interrupted one ends the search."""
    best: Fit | None = None
    for point in points:
        state = sweep(setup, point)
        if not np.isfinite(state.elbo):
            raise VmrpError(
                "The ELBO is not a number at the start: some predictors or priors are of an "
                "extreme scale. Rescale them, for example with scale(x)."
            )
        fit = _through_bounds(setup, state, options, callback)
        if best is None or fit.state.elbo > best.state.elbo:
            best = fit
        if fit.interrupted:
            break
    assert best is not None
    return best


def _through_bounds(setup: Setup, state: State, options: Options, callback: Callback | None) -> Fit:
    """Iterate under each bound until it has settled, and go on from its q with the next one."""
    fit = _iterate(setup, state, _tolerance(setup, options), callback)
    try:
        for _ in range(_MOST_BOUNDS):
            bound = setup.bound.refined(setup.glmm, fit.state.mean, fit.state.variance)
            if not fit.converged or bound is None:
                break
            setup = replace(setup, bound=bound)
            state = under_bound(setup, fit.state)
            before = fit
            fit = _iterate(setup, state, _tolerance(setup, options), callback, before.iterations)
            fit = replace(fit, elbo=before.elbo + fit.elbo, warmup=len(before.elbo))
    except KeyboardInterrupt:  # between the sweeps of two bounds
        fit = replace(fit, stopped="interrupted")
    return fit


def _tolerance(setup: Setup, options: Options) -> Options:
    if setup.bound.last:
        return options
    return replace(options, tol=max(_LOOSE_TOL, options.tol))


def _iterate(
    setup: Setup,
    state: State,
    options: Options,
    callback: Callback | None,
    iterations: int = 1,
) -> Fit:
    """Sweep from ``state`` until convergence; ``iterations`` counts what was done before."""
    trace = [state.elbo]
    stopped, change = "", np.inf
    try:
        coordinates = Coordinates(setup.glmm, setup.bound, np.sqrt(state.variance))
        accelerator = _accelerator(options.accelerate, coordinates)
        z = coordinates.encode(state.point)
        while not stopped:
            image = coordinates.encode(state.image)
            change = coordinates.change(state)
            if callback is not None:
                callback(iterations, state.elbo, change)
            if change <= options.tol:
                stopped = "converged"
                continue
            slack = 1e-10 * (1 + abs(state.elbo))
            proposal = accelerator.propose(z, image)
            while iterations < options.max_iter:
                z = proposal
                candidate = _try_sweep(setup, coordinates.decode(z, state.image))
                iterations += 1
                if candidate is not None and candidate.elbo >= state.elbo - slack:
                    state = candidate
                    trace.append(state.elbo)
                    break
                accelerator.reject()
                if not np.array_equal(proposal, image):
                    proposal = image  # again from the same state, without acceleration
                    continue
                left = options.max_iter - iterations
                damped, tried = _damped(setup, state, slack, left)
                iterations += tried
                if damped is not None:
                    state, z = damped, coordinates.encode(damped.point)
                    trace.append(state.elbo)
                elif left > tried:
                    stopped = "stalled"
                break
            else:
                stopped = "max_iter"
    except KeyboardInterrupt:
        stopped = "interrupted"
    return Fit(
        state=state,
        elbo=tuple(trace),
        warmup=0,
        stopped=stopped,
        iterations=iterations,
        change=float(change),
        seconds=0.0,
        bound=setup.bound.name,
        solver=setup.solver.name,
        accelerator=options.accelerate,
        expansion=setup.expansion,
    )


def _accelerator(name: str, coordinates: Coordinates) -> Accelerator:
    hyper = np.arange(coordinates.size) < coordinates.n_hyper
    site_weight = 1 / np.sqrt(max(coordinates.size - coordinates.n_hyper, 1))
    return ACCELERATORS[name](np.where(hyper, 1.0, site_weight), hyper)


def _try_sweep(setup: Setup, point: Point) -> State | None:
    """The sweep from ``point``; None where it leaves q improper, or is of no use as numbers.

    Sites may have negative precisions where the likelihood is not log-concave, and a step that is
    too far has sites that overflow, or are so uneven that rounding makes the precision singular.
    """
    try:
        return sweep(setup, point)
    except SingularPrecision:
        return None


def _damped(setup: Setup, state: State, slack: float, most: int) -> tuple[State | None, int]:
    """Halve the step on the natural parameters of q(β, u) until the ELBO climbs."""
    # the image is where the whole step was tried, unless expansion moved it
    step, tried = (0.5 if state.image is state.target else 1.0), 0
    while step >= _SMALLEST_STEP and tried < most:
        candidate = _try_sweep(setup, state.point.towards(state.target, step))
        tried += 1
        if candidate is not None and candidate.elbo >= state.elbo - slack:
            return candidate, tried
        step /= 2
    return None, tried
