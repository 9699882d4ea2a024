"""Coordinate ascent: sweeps, acceleration, the ELBO safeguard and the convergence test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pymc_vmrp.cavi.accelerate import Accelerator, Anderson, Plain
from pymc_vmrp.cavi.covariance import CovarianceFactor, update_covariance
from pymc_vmrp.cavi.elbo import evidence_lower_bound
from pymc_vmrp.cavi.gaussian import DenseSolver, Gaussian, Solver
from pymc_vmrp.cavi.sites import BOUNDS, Bound, PolyaGamma, Sites
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM

FloatArray = NDArray[np.float64]
Callback = Callable[[int, float, float], None]

_START_SD = 0.5  # of group-specific effects, in units of the linear predictor
_LOOSE_TOL = 0.05  # where the Pólya–Gamma iterations hand over to quadrature
_SMALLEST_STEP = 2.0**-6
_DENSE_MATRICES = 5  # p × p matrices alive at once in a dense sweep
_BLAS_THREADS_FROM = 800  # measured: at 129 to 589 coefficients two threads take twice the time


@dataclass(frozen=True)
class Options:
    """How to run coordinate ascent; see :meth:`pymc_vmrp.Model.approximate`."""

    bound: str = "quadrature"
    tol: float = 1e-4
    max_iter: int = 500
    accelerate: bool = True


@dataclass(frozen=True)
class Point:
    """What a sweep starts from: E[Σ_j⁻¹] of each block, and the marginals of η in each cell."""

    precisions: tuple[FloatArray, ...]
    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class State:
    """q after a sweep, and what the sweep used to get there."""

    sites: Sites
    used_precisions: tuple[FloatArray, ...]
    gaussian: Gaussian
    factors: tuple[CovarianceFactor, ...]
    mean: FloatArray
    variance: FloatArray
    elbo: float

    @property
    def point(self) -> Point:
        """Where the next plain sweep starts."""
        precisions = tuple(factor.expected_precision for factor in self.factors)
        return Point(precisions, self.mean, self.variance)


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
    bound, solver, accelerator : str
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

    @property
    def converged(self) -> bool:
        """Whether the change per sweep fell below the tolerance."""
        return self.stopped == "converged"

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped the iterations."""
        return self.stopped == "interrupted"


def run(glmm: GLMM, options: Options, callback: Callback | None = None) -> Fit:
    """Fit q(β, u) Π q(Σ_j) q(a_j) to the posterior of ``glmm``."""
    start = time.perf_counter()
    solver = choose_solver(glmm)
    bound = BOUNDS[options.bound]
    limit = 1 if glmm.n_coefficients < _BLAS_THREADS_FROM else None
    point = _start(glmm)
    with threadpool_limits(limits=limit, user_api="blas"):
        if bound.monotone:
            fit = _iterate(glmm, solver, bound, point, options, callback)
        else:
            loose = replace(options, tol=max(_LOOSE_TOL, options.tol))
            fit = _iterate(glmm, solver, PolyaGamma(), point, loose, callback)
            if fit.converged and fit.iterations < options.max_iter:
                fit = _continue(glmm, solver, bound, fit, options, callback)
            elif fit.converged:
                fit = replace(fit, stopped="max_iter")
    return replace(fit, seconds=time.perf_counter() - start)


def choose_solver(glmm: GLMM) -> Solver:
    """The solver for this model; an error where it would not fit into memory."""
    p = glmm.n_coefficients
    needed = _DENSE_MATRICES * 8 * p**2
    memory = _physical_memory()
    if needed > memory:
        sizes = {"common terms": glmm.common.size} | {f"({g.name})": g.size for g in glmm.groups}
        largest = max(sizes, key=lambda name: sizes[name])
        raise VmrpError(
            f"The model has {p:,} coefficients, {sizes[largest]:,} of them in {largest}; the "
            f"dense solver would need {needed / 2**30:,.0f} GB of memory, and this machine has "
            f"{memory / 2**30:,.0f} GB. Use a coarser grouping factor."
        )
    return DenseSolver(glmm)


def _physical_memory() -> float:
    """Bytes of memory, or infinity where the system does not say (Windows has no sysconf)."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _continue(
    glmm: GLMM,
    solver: Solver,
    bound: Bound,
    first: Fit,
    options: Options,
    callback: Callback | None,
) -> Fit:
    """Go on from the q that another bound reached; the tighter bound can only raise its ELBO."""
    state = first.state
    likelihood = bound.expected_log_likelihood(glmm.response, state.mean, state.variance)
    elbo = evidence_lower_bound(glmm, likelihood, state.gaussian, state.factors)
    start = replace(state, elbo=elbo)
    fit = _iterate(glmm, solver, bound, start, options, callback, first.iterations)
    return replace(fit, elbo=first.elbo + fit.elbo, warmup=len(first.elbo))


def _start(glmm: GLMM) -> Point:
    precisions = tuple(np.eye(group.d) / _START_SD**2 for group in glmm.groups)
    return Point(precisions, np.zeros(glmm.n_cells), np.ones(glmm.n_cells))


def _iterate(
    glmm: GLMM,
    solver: Solver,
    bound: Bound,
    start: Point | State,
    options: Options,
    callback: Callback | None,
    iterations: int = 0,
) -> Fit:
    """Sweep until convergence; ``iterations`` counts from what was done before."""
    coordinates = Coordinates(glmm, bound)
    accelerator = coordinates.accelerator() if options.accelerate else Plain()
    z: FloatArray | None = None  # the point ``state`` was computed from
    if isinstance(start, State):
        state = start
    else:
        z = coordinates.encode(start)
        state = sweep(glmm, solver, bound, start)
        iterations += 1
    if not np.isfinite(state.elbo):
        raise VmrpError(
            "The ELBO is not a number at the start: some predictors or priors are of an extreme "
            "scale. Rescale them, for example with scale(x)."
        )
    trace = [state.elbo]
    stopped, change, plain = "", np.inf, False
    try:
        while not stopped:
            image = coordinates.encode(state.point)
            if z is not None:
                change = coordinates.change(z, image, state)
                if callback is not None:
                    callback(iterations, state.elbo, change)
            if change <= options.tol:
                stopped = "converged"
                continue
            if iterations >= options.max_iter:
                stopped = "max_iter"
                continue
            proposal = image if plain or z is None else accelerator.propose(z, image)
            candidate = sweep(glmm, solver, bound, coordinates.decode(proposal))
            iterations += 1
            slack = 1e-10 * (1 + abs(state.elbo))
            if candidate.elbo >= state.elbo - slack:
                state, z, plain = candidate, proposal, False
                trace.append(state.elbo)
                continue
            accelerator.restart()
            if not np.array_equal(proposal, image):
                plain = True  # try again from the same state without acceleration
                continue
            left = options.max_iter - iterations
            damped, tried = _damped(glmm, solver, bound, state, candidate, slack, left)
            iterations += tried
            if damped is None:
                stopped = "stalled" if left > tried else "max_iter"
                continue
            state, z, plain = damped, image, False
            trace.append(state.elbo)
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
        bound=bound.name,
        solver=solver.name,
        accelerator=accelerator.name,
    )


def sweep(glmm: GLMM, solver: Solver, bound: Bound, point: Point) -> State:
    """One pass: sites, then q(β, u), then every q(Σ_j)."""
    sites = bound.sites(glmm.response, point.mean, point.variance)
    return _complete(glmm, solver, bound, sites, point.precisions)


def _complete(
    glmm: GLMM, solver: Solver, bound: Bound, sites: Sites, precisions: Sequence[FloatArray]
) -> State:
    gaussian = solver.solve(sites, precisions)
    factors = tuple(
        update_covariance(group.prior, gaussian.second_moment(j), len(group.levels))
        for j, group in enumerate(glmm.groups)
    )
    mean, variance = gaussian.row_moments()
    likelihood = bound.expected_log_likelihood(glmm.response, mean, variance)
    elbo = evidence_lower_bound(glmm, likelihood, gaussian, factors)
    return State(sites, tuple(precisions), gaussian, factors, mean, variance, elbo)


def _damped(
    glmm: GLMM,
    solver: Solver,
    bound: Bound,
    state: State,
    target: State,
    slack: float,
    most: int,
) -> tuple[State | None, int]:
    """Halve the step on the natural parameters of q(β, u) until the ELBO climbs."""
    step, tried = 0.5, 0
    while step >= _SMALLEST_STEP and tried < most:
        precisions = [
            (1 - step) * old + step * new
            for old, new in zip(state.used_precisions, target.used_precisions, strict=True)
        ]
        sites = state.sites.towards(target.sites, step)
        candidate = _complete(glmm, solver, bound, sites, precisions)
        tried += 1
        if candidate.elbo >= state.elbo - slack:
            return candidate, tried
        step /= 2
    return None, tried


@dataclass(frozen=True)
class Coordinates:
    """The point of the fixed-point iteration as one unconstrained vector.

    First the log-Cholesky coordinates of each E[Σ_j⁻¹]; then log c of each cell under the
    Pólya–Gamma bound, whose sites depend on the marginal through c² = μ² + v alone, or μ and
    log v under quadrature.
    """

    glmm: GLMM
    bound: Bound

    @property
    def _uses_c(self) -> bool:
        return isinstance(self.bound, PolyaGamma)

    @property
    def n_hyper(self) -> int:
        """How many coordinates belong to the covariances."""
        return sum(group.d * (group.d + 1) // 2 for group in self.glmm.groups)

    def accelerator(self) -> Accelerator:
        """Anderson acceleration suited to these coordinates."""
        n = self.glmm.n_cells
        n_sites = n if self._uses_c else 2 * n
        hyper = np.arange(self.n_hyper + n_sites) < self.n_hyper
        return Anderson(weights=np.where(hyper, 1.0, 1 / np.sqrt(n_sites)), clipped=hyper)

    def encode(self, point: Point) -> FloatArray:
        """Coordinates of ``point``."""
        hyper = [_log_cholesky(precision) for precision in point.precisions]
        if self._uses_c:
            sites = [0.5 * np.log(point.mean**2 + point.variance)]
        else:
            sites = [point.mean, np.log(point.variance)]
        return np.concatenate([*hyper, *sites])

    def decode(self, z: FloatArray) -> Point:
        """The point with coordinates ``z``."""
        precisions = []
        at = 0
        for group in self.glmm.groups:
            size = group.d * (group.d + 1) // 2
            precisions.append(_from_log_cholesky(z[at : at + size], group.d))
            at += size
        sites = z[at:]
        if self._uses_c:
            return Point(tuple(precisions), np.zeros(len(sites)), np.exp(2 * sites))
        n = len(sites) // 2
        return Point(tuple(precisions), sites[:n], np.exp(sites[n:]))

    def change(self, z: FloatArray, image: FloatArray, state: State) -> float:
        """Largest change of a sweep: of log σ's and correlations, and of η in posterior sds."""
        difference = np.abs(image - z)
        hyper, sites = difference[: self.n_hyper], difference[self.n_hyper :]
        sd = np.sqrt(state.variance)
        if self._uses_c:
            c = np.exp(image[self.n_hyper :])
            in_sds = sites * c / sd
        else:
            in_sds = np.maximum(sites[: len(sd)] / sd, 0.5 * sites[len(sd) :])
        return float(max(hyper.max(initial=0.0), in_sds.max(initial=0.0)))


def _log_cholesky(matrix: FloatArray) -> FloatArray:
    """Log diagonal of the Cholesky factor, then its strict lower triangle over the diagonal."""
    if len(matrix) == 1:
        return np.array([0.5 * np.log(matrix[0, 0])])
    factor = np.linalg.cholesky(matrix)
    diagonal = np.diag(factor)
    lower = np.tril_indices(len(matrix), -1)
    return np.concatenate([np.log(diagonal), (factor / diagonal[:, None])[lower]])


def _from_log_cholesky(z: FloatArray, d: int) -> FloatArray:
    if d == 1:
        return np.exp(2 * z)[:, None]
    diagonal = np.exp(z[:d])
    factor = np.zeros((d, d))
    factor[np.tril_indices(d, -1)] = z[d:]
    factor = factor * diagonal[:, None] + np.diag(diagonal)
    return np.asarray(factor @ factor.T)
