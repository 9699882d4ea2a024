"""Coordinate ascent: sweeps, acceleration, the ELBO safeguard and the convergence test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.cavi.accelerate import ACCELERATORS, Accelerator
from pymc_vmrp.cavi.blas import one_blas_thread
from pymc_vmrp.cavi.coordinates import Coordinates
from pymc_vmrp.cavi.factorize import factorized_solver
from pymc_vmrp.cavi.sites import BOUNDS, PolyaGamma
from pymc_vmrp.cavi.sweep import Setup, State, start, sweep, under_bound
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM

FloatArray = NDArray[np.float64]
Callback = Callable[[int, float, float], None]

_LOOSE_TOL = 0.2  # where the Pólya–Gamma iterations hand over to quadrature
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
        ELBO after each accepted sweep. Under quadrature the first ``warmup`` entries belong to the
        Pólya–Gamma bound, which is where the iterations start.
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


def run(glmm: GLMM, options: Options, callback: Callback | None = None) -> Fit:
    """Fit q(β, u) Π q(Σ_j) q(a_j) to the posterior of ``glmm``; q(β, u) as factorized."""
    began = time.perf_counter()
    expand = options.expansion == "translation"
    solver = factorized_solver(glmm, options.factorization, options.kept, options.solver, expand)
    bound = BOUNDS[options.bound]
    setup = Setup(glmm, solver, bound, options.expansion)
    first = setup if isinstance(bound, PolyaGamma) else replace(setup, bound=PolyaGamma())
    with one_blas_thread():
        state = sweep(first, start(first))
        if not np.isfinite(state.elbo):
            raise VmrpError(
                "The ELBO is not a number at the start: some predictors or priors are of an "
                "extreme scale. Rescale them, for example with scale(x)."
            )
        if first is setup:
            fit = _iterate(setup, state, options, callback)
        else:
            loose = replace(options, tol=max(_LOOSE_TOL, options.tol))
            fit = _iterate(first, state, loose, callback)
            if fit.converged:
                try:
                    fit = _continue(setup, fit, options, callback)
                except KeyboardInterrupt:  # between the sweeps of the two bounds
                    fit = replace(fit, stopped="interrupted")
    return replace(fit, seconds=time.perf_counter() - began, factorization=options.factorization)


def _continue(setup: Setup, first: Fit, options: Options, callback: Callback | None) -> Fit:
    """Go on from the q that another bound reached; the tighter bound can only raise its ELBO."""
    fit = _iterate(setup, under_bound(setup, first.state), options, callback, first.iterations)
    return replace(fit, elbo=first.elbo + fit.elbo, warmup=len(first.elbo))


def _iterate(
    setup: Setup,
    state: State,
    options: Options,
    callback: Callback | None,
    iterations: int = 1,
) -> Fit:
    """Sweep from ``state`` until convergence; ``iterations`` counts what was done before."""
    coordinates = Coordinates(setup.glmm, setup.bound, np.sqrt(state.variance))
    accelerator = _accelerator(options.accelerate, coordinates)
    z = coordinates.encode(state.point)
    trace = [state.elbo]
    stopped, change = "", np.inf
    try:
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
                candidate = sweep(setup, coordinates.decode(z, state.image))
                iterations += 1
                if candidate.elbo >= state.elbo - slack:
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
        accelerator=accelerator.name,
        expansion=setup.expansion,
    )


def _accelerator(name: str, coordinates: Coordinates) -> Accelerator:
    hyper = np.arange(coordinates.size) < coordinates.n_hyper
    site_weight = 1 / np.sqrt(max(coordinates.size - coordinates.n_hyper, 1))
    return ACCELERATORS[name](np.where(hyper, 1.0, site_weight), hyper)


def _damped(setup: Setup, state: State, slack: float, most: int) -> tuple[State | None, int]:
    """Halve the step on the natural parameters of q(β, u) until the ELBO climbs."""
    # the image is where the whole step was tried, unless expansion moved it
    step, tried = (0.5 if state.image is state.target else 1.0), 0
    while step >= _SMALLEST_STEP and tried < most:
        candidate = sweep(setup, state.point.towards(state.target, step))
        tried += 1
        if candidate.elbo >= state.elbo - slack:
            return candidate, tried
        step /= 2
    return None, tried
