"""One sweep of coordinate ascent: from a point to q, its ELBO and the next point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.bounds import Bound
from pymc_vmrp.cavi.covariance import CovarianceFactor, update_covariance
from pymc_vmrp.cavi.elbo import evidence_lower_bound
from pymc_vmrp.cavi.expand import recentre, translate
from pymc_vmrp.cavi.first_precisions import first_precisions
from pymc_vmrp.cavi.mixtures import expected_scales, prior_precision, starting_scales
from pymc_vmrp.cavi.parameters import ParameterFactor
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.gaussian import Gaussian, Solver
from pymc_vmrp.solvers.sites import Sites

_START_HOLD = 0.25  # precision that the sites of a log link have at least at the start
_START_SD = 0.5  # of group-specific effects, in units of the linear predictor


@dataclass(frozen=True)
class Setup:
    """What stays the same from sweep to sweep; see :class:`pymc_vmrp.cavi.run.Options`."""

    glmm: GLMM
    solver: Solver
    bound: Bound
    expansion: str = "none"


@dataclass(frozen=True)
class Point:
    """What a sweep starts from: E[Σ_j⁻¹] of each block and the sites of the likelihood.

    Together with the priors of β, and E[1/λ²] of those that are mixtures, these are the natural
    parameters of q(β, u).
    """

    precisions: tuple[FloatArray, ...]
    sites: Sites
    scales: FloatArray = field(default_factory=lambda: np.empty(0))

    def towards(self, other: Point, step: float) -> Point:
        """The natural parameters a fraction ``step`` of the way to ``other``."""
        precisions = tuple(
            (1 - step) * mine + step * others
            for mine, others in zip(self.precisions, other.precisions, strict=True)
        )
        scales = (1 - step) * self.scales + step * other.scales
        return Point(precisions, self.sites.towards(other.sites, step), scales)


@dataclass(frozen=True)
class State:
    """q after a sweep.

    Attributes
    ----------
    point : Point
        What q(β, u) was computed from.
    gaussian : Gaussian
    factors : tuple of CovarianceFactor
        The optimal q(Σ_j) for this q(β, u).
    parameters : ParameterFactor or None
        The optimal q(φ) of the likelihood's free parameters for this q(β, u).
    mean, variance : ndarray, shape (N,)
        Marginals of η in each cell, its offset left out.
    target : Point
        The optimal E[Σ_j⁻¹] and sites for this q: where a plain sweep would go next. The way there
        is the natural gradient of the ELBO (Khan & Lin 2017), so that a short step always climbs.
    image : Point
        Where the next sweep goes: the same after parameter expansion.
    elbo : float
    """

    point: Point
    gaussian: Gaussian
    factors: tuple[CovarianceFactor, ...]
    parameters: ParameterFactor | None
    mean: FloatArray
    variance: FloatArray
    target: Point
    image: Point
    elbo: float


def starts(setup: Setup, mean: FloatArray | None = None) -> list[Point]:
    """Where first sweeps start: moderate effects, and marginals of η as the family likes.

    ``mean`` of η, its offset included, takes the place of the family's. There are several where
    optima are known to lie apart.
    """
    glmm = setup.glmm
    liked, variance = glmm.family.start(glmm.response.statistics)
    mean = liked if mean is None else mean
    scale = float(np.sqrt(variance.mean())) if glmm.family.scaled else 1.0
    precisions = first_precisions(glmm, _START_SD * scale)
    if glmm.response.offset is not None:
        mean = mean - glmm.response.offset
    sites = setup.bound.evaluate(glmm, mean, variance).sites
    if glmm.family.link == "log":  # a cell that knows nothing would have e^(v/2) as its rate
        hold = np.where(sites.precision > 0, _START_HOLD, 0.0)
        sites = Sites(sites.precision + hold, sites.shift + hold * mean)
    if not glmm.family.log_concave:  # far from the data such sites would leave q improper
        sites = sites.log_concave(mean)
    scales = starting_scales(glmm.common)
    return [Point(start, sites, scales) for start in precisions]


def sweep(setup: Setup, point: Point) -> State:
    """q(β, u) at ``point``, then every q(Σ_j) and q(λ), then the next sites."""
    glmm = setup.glmm
    prior = prior_precision(glmm.common, point.scales)
    gaussian = setup.solver.solve(point.sites, point.precisions, prior)
    factors = tuple(
        update_covariance(group.prior, gaussian.second_moment(j), len(group.levels))
        for j, group in enumerate(glmm.groups)
    )
    mean, variance = gaussian.row_moments()
    evaluation = setup.bound.evaluate(glmm, mean, variance)
    target = Point(
        tuple(factor.expected_precision for factor in factors),
        evaluation.sites,
        expected_scales(glmm.common, gaussian),
    )
    expanded = _expanded_precisions(setup, gaussian, factors, target.scales)
    return State(
        point=point,
        gaussian=gaussian,
        factors=factors,
        parameters=evaluation.parameters,
        mean=mean,
        variance=variance,
        target=target,
        image=target if expanded is None else replace(target, precisions=expanded),
        elbo=evidence_lower_bound(glmm, evaluation.expected_log_likelihood, gaussian, factors),
    )


def _expanded_precisions(
    setup: Setup, gaussian: Gaussian, factors: tuple[CovarianceFactor, ...], scales: FloatArray
) -> tuple[FloatArray, ...] | None:
    if not factors or setup.expansion == "none":
        return None
    if setup.expansion == "mean":
        prior = prior_precision(setup.glmm.common, scales)
        return recentre(setup.glmm, gaussian, factors, prior)
    return translate(gaussian.quadratic(), factors)


def under_bound(setup: Setup, state: State) -> State:
    """The same q under the bound of ``setup``."""
    glmm = setup.glmm
    evaluation = setup.bound.evaluate(glmm, state.mean, state.variance)
    target = replace(state.target, sites=evaluation.sites)
    expanded = state.image is not state.target
    return replace(
        state,
        parameters=evaluation.parameters,
        target=target,
        image=replace(state.image, sites=evaluation.sites) if expanded else target,
        elbo=evidence_lower_bound(
            glmm, evaluation.expected_log_likelihood, state.gaussian, state.factors
        ),
    )
