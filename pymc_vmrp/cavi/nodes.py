"""Bounds for likelihoods with free parameters: q(φ) in closed form, or on nodes in t = log φ.

On fixed nodes t_k with weights h, q is discrete: q_k ∝ h p(t_k) exp(E ℓ(η, φ_k)), the sites average
over it, and the ELBO's share of the likelihood is log Σ_k h p(t_k) exp(E ℓ(η, φ_k)). So every sweep
is coordinate ascent of one objective. As the trapezoid rule's error for a Gaussian falls like
exp(−2π²sd²/h²), nodes 1.3 sds apart are exact to five digits (Trefethen & Weideman 2014). Nodes are
placed anew when the iterations have settled: first far apart, then around the mode.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.bounds import Bound, Evaluation, PolyaGamma, Quadrature, sites_of
from pymc_vmrp.cavi.covariance import update_covariance
from pymc_vmrp.cavi.expectations import expectations, expected_log_likelihood
from pymc_vmrp.cavi.parameters import SigmaFactor, TabulatedFactor
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.families.family import Expected
from pymc_vmrp.glmm.priors.covariance import InverseWishart
from pymc_vmrp.glmm.priors.scales import InverseGamma, log_density_at
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.sites import Sites

_COARSE = 1.0  # distance of the first nodes in log φ
_SPACING = 1.3  # distance of the last nodes in sds
_DROP = 11.0  # log density, relative to the mode, where the nodes end
_LEAST_CURVATURE = 0.7  # of the log density of log φ: priors have tails, which fall like 1/φ
_MOST_NODES = 40  # along an axis, on each side of the mode
_OUTSIDE = 1e6  # below the mode, where log densities are no such
_NEGLIGIBLE = 1e-7  # mass of a node that sites need not average over
_EDGE = 1e-5  # most mass of the outermost nodes
_MOVED = 1.0  # distance of the mode, in sds, from where it was when nodes were placed

BOUNDS = ("quadrature", "polya-gamma")


def first_bound(glmm: GLMM, name: str) -> Bound:
    """The bound to start the iterations with, for the ``bound=`` that was asked for.

    Raises
    ------
    VmrpError
        Where the family has no Pólya–Gamma representation.
    """
    family = glmm.family
    logistic = family.form == "logistic"
    if name == "polya-gamma" and not logistic:
        raise VmrpError(
            f"bound='polya-gamma' is for Bernoulli and binomial families with logit link, not for "
            f"{family!r}: use bound='quadrature'."
        )
    if logistic:
        return PolyaGamma(last=name == "polya-gamma")
    if not glmm.free_parameters:
        return Quadrature()
    if family.form == "gaussian":
        return GaussianBound()
    return NodeBound(_coarse_nodes(glmm), placed=0)


@dataclass(frozen=True)
class GaussianBound:
    """A Gaussian likelihood with unknown σ: w = nE[σ⁻²], and q(σ) as that of a term's sd."""

    name: str = "quadrature"
    last: bool = True

    def evaluate(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`."""
        y, n, squares = glmm.response.statistics
        distance = float(squares.sum() + n @ ((y - mean) ** 2 + variance))
        prior = glmm.parameter_priors[0]
        if isinstance(prior, InverseGamma) and prior.on == "variance":  # conjugate
            conjugate = InverseWishart(2 * prior.alpha, 2 * prior.beta)
            factor = update_covariance(conjugate, np.array([[distance]]), float(n.sum()))
        else:
            factor = update_covariance(prior, np.array([[distance]]), float(n.sum()))
        precision = n * float(factor.expected_precision[0, 0])
        value = factor.elbo + glmm.response.log_base
        return Evaluation(Sites(precision, precision * y), value, SigmaFactor(factor))

    def refined(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Bound | None:
        """See :class:`Bound`."""
        return None


@dataclass(frozen=True)
class Nodes:
    """A grid of t = centre + axes @ z; ``z`` holds evenly spaced coordinates along each axis."""

    centre: FloatArray
    axes: FloatArray
    z: tuple[FloatArray, ...]

    @property
    def t(self) -> FloatArray:
        """All nodes, shape (nodes, k)."""
        return self.centre + np.array(list(itertools.product(*self.z))) @ self.axes.T

    @property
    def log_volume(self) -> float:
        """Log of the volume each node stands for."""
        steps = [z[1] - z[0] for z in self.z]
        return float(np.log(steps).sum() + np.log(abs(np.linalg.det(self.axes))))


@dataclass(frozen=True)
class NodeBound:
    """The exact expectation over q(η) and a q(φ) on nodes.

    Attributes
    ----------
    nodes : Nodes
    placed : int
        How often nodes were placed around the mode of q(φ); at first they lie far apart.
    """

    nodes: Nodes
    placed: int
    name: str = "quadrature"

    @property
    def last(self) -> bool:
        """See :class:`Bound`; the mode moves once more after the first placing."""
        return self.placed >= 2

    def evaluate(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`."""
        total, nodes = glmm.response.with_offset(mean), self.nodes
        log_q = self._log_densities(glmm, total, variance)
        top = log_q.max()
        mass = np.exp(log_q - top)
        value = float(top + np.log(mass.sum())) + nodes.log_volume + glmm.response.log_base
        averaged = _averaged(glmm, total, variance, nodes.t, (mass / mass.sum()).ravel())
        factor = TabulatedFactor(nodes.centre, nodes.axes, nodes.z, log_q)
        return Evaluation(sites_of(averaged, mean), value, factor)

    def refined(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Bound | None:
        """See :class:`Bound`: new nodes while the mode still moves, or mass reaches the edge."""
        total = glmm.response.with_offset(mean)
        log_q = self._log_densities(glmm, total, variance)
        placed = _place(glmm, total, variance, self.nodes.t[np.argmax(log_q)])
        if self.last:
            moved = np.linalg.solve(placed.axes, placed.centre - self.nodes.centre)
            if np.abs(moved).max() < _MOVED and not _reaches_edge(log_q):
                return None
        return NodeBound(placed, self.placed + 1)

    def _log_densities(self, glmm: GLMM, total: FloatArray, variance: FloatArray) -> FloatArray:
        """Log q(t) at the nodes, up to a constant, with one dimension per axis."""
        values = [_log_density(glmm, total, variance, at) for at in self.nodes.t]
        return np.array(values).reshape([len(z) for z in self.nodes.z])


def _reaches_edge(log_q: FloatArray) -> bool:
    """Whether the outermost nodes hold mass to speak of."""
    mass = np.exp(log_q - log_q.max())
    mass /= mass.sum()
    edges = [np.take(mass, end, axis=a).sum() for a in range(mass.ndim) for end in (0, -1)]
    return bool(max(edges) > _EDGE)


def _log_density(glmm: GLMM, mean: FloatArray, variance: FloatArray, t: FloatArray) -> float:
    """E ℓ(η, φ) + log p(t), with p(t) = p(φ)φ."""
    phi = np.exp(t)
    expected = expected_log_likelihood(glmm, mean, variance, glmm.family_arguments(phi))
    pairs = zip(glmm.parameter_priors, phi, strict=True)
    return expected + sum(log_density_at(prior, value) for prior, value in pairs) + float(t.sum())


def _averaged(
    glmm: GLMM, mean: FloatArray, variance: FloatArray, t: FloatArray, mass: FloatArray
) -> Expected:
    """Expectations over q(η)q(φ)."""
    sums = [np.zeros(len(mean)) for _ in range(3)]
    for k in np.flatnonzero(mass > _NEGLIGIBLE):
        part = expectations(glmm, mean, variance, glmm.family_arguments(np.exp(t[k])))
        for total, values in zip(sums, part, strict=True):
            total += mass[k] * values
    return Expected(*sums)


def _coarse_nodes(glmm: GLMM) -> Nodes:
    spans = np.array([parameter.span for parameter in glmm.free_parameters])
    z = tuple(np.arange(0.0, high - low + 0.5 * _COARSE, _COARSE) for low, high in spans)
    return Nodes(spans[:, 0], np.eye(len(spans)), z)


def _place(glmm: GLMM, mean: FloatArray, variance: FloatArray, start: FloatArray) -> Nodes:
    """Nodes around the mode of q(t), along the principal axes of its curvature."""

    def log_density(t: FloatArray) -> float:
        value = _log_density(glmm, mean, variance, t)
        return value if np.isfinite(value) else -1e300

    found = minimize(
        lambda t: -log_density(t),
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-2, "fatol": 1e-2, "maxiter": 200, "initial_simplex": _simplex(start)},
    )
    mode, top = found.x, -found.fun
    scales, directions = np.linalg.eigh(_curvature(log_density, mode, top))
    axes = directions * (_SPACING / np.sqrt(np.maximum(scales, _LEAST_CURVATURE)))
    z = []
    for axis in axes.T:
        ends = []
        for sign in (-1, 1):
            steps = 1
            while steps < _MOST_NODES and top - log_density(mode + sign * steps * axis) < _DROP:
                steps += 1
            ends.append(sign * steps)
        z.append(np.arange(ends[0], ends[1] + 1.0))
    return Nodes(mode, axes, tuple(z))


def _simplex(start: FloatArray) -> FloatArray:
    return np.vstack([start, start + 0.3 * np.eye(len(start))])


def _curvature(
    log_density: Callable[[FloatArray], float], mode: FloatArray, top: float
) -> FloatArray:
    """Negative Hessian by central differences, over steps that lower the density by about 1."""
    k = len(mode)
    steps = np.empty(k)
    for a in range(k):
        step = 0.5
        for _ in range(30):
            drop = top - log_density(mode + step * np.eye(k)[a])
            if 0.02 < drop < 1.0:
                break
            step *= min(max(np.sqrt(0.3 / max(drop, 1e-6)), 0.1), 4.0)
            step = min(step, 3.0)
        steps[a] = step
    hessian = np.empty((k, k))
    for a in range(k):
        for b in range(a + 1):
            da, db = steps[a] * np.eye(k)[a], steps[b] * np.eye(k)[b]
            if a == b:
                sides = [log_density(mode + da), log_density(mode - da)]
                known = [value for value in sides if value > top - _OUTSIDE]
                second = 2 * (float(np.mean(known)) - top) if known else -1.0
            else:
                corners = [log_density(mode + s * da + t * db) for s in (1, -1) for t in (1, -1)]
                # outside of a prior's support nothing is told of the curvature
                inside = min(corners) > top - _OUTSIDE
                signs = (1, -1, -1, 1)
                second = 0.25 * float(np.dot(signs, corners)) if inside else 0.0
            hessian[a, b] = hessian[b, a] = -second / (steps[a] * steps[b])
    return hessian
