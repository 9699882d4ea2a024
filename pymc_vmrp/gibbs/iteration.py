"""One iteration of the sampler: from a state to the next.

Every step leaves the posterior invariant, given auxiliary variables ω of the cells under which the
likelihood is quadratic in η:

1. φ given η, with ω integrated out;
2. ω given η and φ, which makes the sites;
3. the variances of common effects whose priors are normals of random variance, given β;
4. (β, u) given all of these and Σ, in one block;
5. each Σ_j given u_j;
6. each u_j and Σ_j together, along the paths of ``paths.py``, given ω.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.expand import mean_shifts
from pymc_vmrp.cavi.inverse_wishart import inverse
from pymc_vmrp.gibbs.coefficients import draw_prior_precisions
from pymc_vmrp.gibbs.covariances import draw_covariance
from pymc_vmrp.gibbs.kernels import move_predictors, path_direction
from pymc_vmrp.gibbs.paths import LogDensity, log_prior_along
from pymc_vmrp.gibbs.slices import slice_sample
from pymc_vmrp.glmm.priors.scales import ScalePrior, log_density_at
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.choose import choose_solver
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.factor import SingularPrecision
from pymc_vmrp.solvers.gaussian import Solver
from pymc_vmrp.solvers.sites import Sites

_WIDTH = 1.0  # of slices in log σ, and in shears in units of the effects' sds
_PARAMETER_WIDTH = 0.5  # of slices in log φ


@dataclass(frozen=True)
class State:
    """Everything unknown, and what follows from it.

    Attributes
    ----------
    coefficients : ndarray, shape (p,)
    covariances : tuple of ndarray, each of shape (d, d)
    parameters : ndarray, shape (k,)
        The free parameters φ.
    eta : ndarray, shape (N,)
        Linear predictor of each cell, its offset left out.
    """

    coefficients: FloatArray
    covariances: tuple[FloatArray, ...]
    parameters: FloatArray
    eta: FloatArray


@dataclass(frozen=True)
class Counterpart:
    """The common effects that a shift of an effect in all levels can be made up for by.

    Attributes
    ----------
    coefficients : ndarray, shape (common coefficients,)
        By how much each changes; zeros where there is no counterpart.
    predictor : ndarray, shape (N,) or (0,)
        By how much η does; empty where there is none.
    """

    coefficients: FloatArray
    predictor: FloatArray


@dataclass(frozen=True)
class Setup:
    """A model and the solver of its Gaussian block."""

    glmm: GLMM
    solver: Solver

    @cached_property
    def design(self) -> DenseSolver:
        """Products with X."""
        return DenseSolver(self.glmm)

    @cached_property
    def first_entries(self) -> tuple[int, ...]:
        """Where the entries of each block start in a design row."""
        widths = [self.glmm.common.size, *(group.m * group.d for group in self.glmm.groups)]
        return tuple(int(first) for first in np.cumsum(widths)[:-1])

    @cached_property
    def counterparts(self) -> tuple[tuple[Counterpart, ...], ...]:
        """Those of each effect of each block."""
        shifts, free = mean_shifts(self.glmm)
        made: dict[bytes, Counterpart] = {}  # most are the intercept

        def counterpart(column: int) -> Counterpart:
            beta = shifts[:, column]
            if beta.tobytes() not in made:
                whole = np.concatenate([beta, np.zeros(self.glmm.n_coefficients - len(beta))])
                eta = self.design.row_products(whole) if column in free else np.empty(0)
                made[beta.tobytes()] = Counterpart(beta, eta)
            return made[beta.tobytes()]

        first = np.cumsum([0, *(group.d for group in self.glmm.groups)])
        return tuple(
            tuple(counterpart(first[j] + a) for a in range(group.d))
            for j, group in enumerate(self.glmm.groups)
        )

    def state(
        self, coefficients: FloatArray, covariances: Sequence[FloatArray], parameters: FloatArray
    ) -> State:
        """The state at these values."""
        eta = self.design.row_products(np.ascontiguousarray(coefficients))
        return State(coefficients, tuple(covariances), parameters, eta)


def set_up(glmm: GLMM) -> Setup:
    """The model with the cheapest solver."""
    return Setup(glmm, choose_solver(glmm))


def iterate(setup: Setup, state: State, rng: np.random.Generator) -> State:
    """The next state; see the head of the file."""
    glmm = setup.glmm
    parameters = _draw_parameters(glmm, state, rng)
    sites = draw_sites(glmm, state.eta, parameters, rng)
    common = draw_prior_precisions(glmm.common, state.coefficients[: glmm.common.size], rng)
    try:
        precisions = [inverse(covariance) for covariance in state.covariances]
        gaussian = setup.solver.solve(sites, precisions, common)
    except (SingularPrecision, np.linalg.LinAlgError) as error:
        raise _degenerate(glmm, parameters, state.covariances) from error
    coefficients = gaussian.sample(rng, 1)[0]
    if not np.isfinite(coefficients).all():
        raise _degenerate(glmm, parameters, state.covariances)
    covariances = []
    for j, group in enumerate(glmm.groups):
        u = coefficients[glmm.group_slice(j)].reshape(-1, group.d)
        covariances.append(draw_covariance(rng, group.prior, state.covariances[j], u.T @ u, len(u)))
    moved = setup.state(coefficients, covariances, parameters)
    return move_along_paths(setup, moved, sites, common, rng)


def _degenerate(
    glmm: GLMM, parameters: FloatArray, covariances: Sequence[FloatArray]
) -> SingularPrecision:
    """What to raise where a chain has reached values at which β and u cannot be solved for."""
    values = {p.name: float(v) for p, v in zip(glmm.free_parameters, parameters, strict=True)}
    for group, covariance in zip(glmm.groups, covariances, strict=True):
        values[f"{group.name}_sigma"] = float(np.sqrt(np.diag(covariance)).max())
    where = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
    return SingularPrecision(
        f"A chain of the Gibbs sampler reached values at which the coefficients cannot be solved "
        f"for ({where}). Where a standard deviation is near zero or huge there, the data do not "
        "bound it: the terms can fit every row exactly (few rows a level, large weights), or "
        "coefficients cannot be told apart. Give it a prior that keeps it away from there, such as "
        "vmrp.LogNormal, leave out terms, or rescale the weights."
    )


def draw_sites(
    glmm: GLMM, eta: FloatArray, parameters: FloatArray, rng: np.random.Generator
) -> Sites:
    """Draw ω, and write the likelihood given it as sites of η without its offset."""
    response, augment = glmm.response, glmm.family.augment
    assert augment is not None
    phi = glmm.family_arguments(parameters)
    precision, shift = augment(rng, response.with_offset(eta), response.statistics, phi)
    if response.offset is not None:
        shift = shift - precision * response.offset
    return Sites(precision, shift)


def _draw_parameters(glmm: GLMM, state: State, rng: np.random.Generator) -> FloatArray:
    """Slice steps in each log φ, given η and with the exact likelihood."""
    if not len(state.parameters):
        return state.parameters
    eta = glmm.response.with_offset(state.eta)
    parameters = state.parameters.copy()
    for k, prior in enumerate(glmm.parameter_priors):

        def log_density(t: float, k: int = k, prior: ScalePrior = prior) -> float:
            phi = parameters.copy()
            phi[k] = np.exp(t)
            log_prior = log_density_at(prior, phi[k]) + t
            if not log_prior > -math.inf:
                return -math.inf
            arguments = glmm.family_arguments(phi)
            statistics = glmm.response.statistics
            return log_prior + float(glmm.family.log_likelihood(eta, statistics, arguments).sum())

        t = slice_sample(rng, log_density, math.log(parameters[k]), _PARAMETER_WIDTH)
        parameters[k] = math.exp(t)
    return parameters


def move_along_paths(
    setup: Setup, state: State, sites: Sites, prior: FloatArray, rng: np.random.Generator
) -> State:
    """Scale each effect with its covariances, and add multiples of the term's effects to it.

    ``prior`` holds the prior precision of each common effect.
    """
    glmm, rows = setup.glmm, setup.glmm.rows
    coefficients, eta = state.coefficients.copy(), state.eta.copy()
    beta = coefficients[: glmm.common.size]  # a view, as the effects are: moved in place
    residual = sites.shift - sites.precision * eta
    direction = np.empty_like(eta)
    covariances = []
    for j, group in enumerate(glmm.groups):
        covariance, first, d = state.covariances[j], setup.first_entries[j], group.d
        u = coefficients[glmm.group_slice(j)].reshape(-1, d)
        for a, b in np.ndindex(d, d):
            counterpart = setup.counterparts[j][a]
            c, slope, curvature = path_direction(
                rows.columns, rows.values, first, group.m, d, a, b,
                coefficients, sites.precision, counterpart.predictor, residual, direction,
            )  # fmt: skip
            shift = c * counterpart.coefficients  # what β moves by, with the other sign
            slope += float(shift @ (prior * (beta - glmm.common.prior_mean)))
            curvature += float(shift @ (prior * shift))
            precision = inverse(covariance)
            log_prior = log_prior_along(group.prior, covariance, precision, a, b)
            t = _slice_along(rng, covariance, precision, a, b, slope, curvature, log_prior)
            amount = math.expm1(t) if a == b else t
            move_predictors(amount, direction, sites.precision, eta, residual)
            u[:, a] += amount * u[:, b]
            beta -= amount * shift
            covariance = transformed(covariance, a, b, amount)
        covariances.append(covariance)
    return State(coefficients, tuple(covariances), state.parameters, eta)


def _slice_along(
    rng: np.random.Generator,
    covariance: FloatArray,
    precision: FloatArray,
    a: int,
    b: int,
    slope: float,
    curvature: float,
    log_prior: LogDensity,
) -> float:
    """A slice step of t from 0; the sites add slope·x − ½ curvature·x², x being e^t − 1 or t."""

    def log_density(t: float) -> float:
        amount = math.expm1(t) if a == b else t
        return amount * (slope - 0.5 * amount * curvature) + log_prior(t)

    if a == b:
        return slice_sample(rng, log_density, 0.0, _WIDTH)
    # the sd of effect a given the others, over that of b: neither changes along the path
    width = 1 / math.sqrt(abs(precision[a, a] * covariance[b, b]))
    return slice_sample(rng, log_density, 0.0, _WIDTH * width)


def transformed(covariance: FloatArray, a: int, b: int, amount: float) -> FloatArray:
    """AΣA', where A adds ``amount`` times effect b to effect a."""
    out = covariance.copy()
    out[a] += amount * out[b]
    out[:, a] += amount * out[:, b]
    return out
