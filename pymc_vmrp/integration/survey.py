"""The log posterior of θ: its evaluations, the way to its mode, and its shape around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.threads import map_tasks
from pymc_vmrp.integration.conditional import Conditional, ConditionalModel, Marginals, Theta
from pymc_vmrp.integration.hyper import HyperCoordinates
from pymc_vmrp.integration.warm_start import fit_predictor
from pymc_vmrp.solvers.factor import SingularPrecision
from pymc_vmrp.solvers.gaussian import Gaussian

_WORST = 1e12  # in place of infinity, for the optimizer
_MOST_STEPS, _GRADIENT_TOL, _VALUE_TOL = 80, 0.05, 1e-7
_AXIS_STEP = 1.5  # of the points along the axes, in conditional sds
_TOWARDS_LIMIT = 0.9  # most of the way to the end of a prior's support
_LEAST_CURVATURE = 0.1  # along any direction, where each coordinate's own is 1
_DECIMALS = 4  # of what surrogates are made from
_LITTLE_ROOM = 0.1  # in steps
_LEAST_PRECISION = 0.2  # of a coordinate of ψ
_SHARE_OF_SUPPORT = 0.3  # most sd of a coordinate whose prior ends somewhere
_LEAST_INFORMATION = 0.01  # of the data about an effect, relative to its prior's precision


@dataclass(frozen=True)
class Evaluation:
    """The fit at one ψ.

    Attributes
    ----------
    psi : ndarray, shape (d,)
        Folded: standard deviations have ψ ≥ 0.
    value : float
        Log p̂(y | θ)p(θ) + log |dθ/dψ|; −inf where no q(β, u | θ) could be solved for.
    gradient : ndarray, shape (d,)
        Zero there.
    conditional : Conditional
        Empty there.
    """

    psi: FloatArray
    value: float
    gradient: FloatArray
    conditional: Conditional


# where q(β, u | θ) cannot be solved for
_NOTHING = Conditional(None, None, (), -np.inf, 0.0, 0)


@dataclass(frozen=True)
class Target:
    """The log density of ψ.

    Attributes
    ----------
    model : ConditionalModel
    coordinates : HyperCoordinates
    first : Marginals
        Of η, where the first fit starts.
    on_evaluation : callable
        Called with each evaluation's number of sweeps and its value.
    """

    model: ConditionalModel
    coordinates: HyperCoordinates
    first: Marginals
    on_evaluation: Callable[[int, float], None]

    def evaluate(
        self,
        psi: FloatArray,
        starts: Callable[[FloatArray], Marginals],
        slim: Callable[[Conditional], Conditional] = lambda fit: replace(fit, gaussian=None),
    ) -> list[Evaluation]:
        """Evaluate at ``psi`` of shape (n, d).

        Parameters
        ----------
        psi : ndarray, shape (n, d)
        starts : callable
            ψ → marginals from which its fit starts.
        slim : callable
            What is kept of a fit.
        """
        coordinates = self.coordinates
        psi = np.where(coordinates.folded, np.abs(psi), psi)
        prior, slopes = coordinates.log_prior(psi), coordinates.log_prior_gradient(psi)
        theta = coordinates.decode(psi)
        conditionals, by_covariance, by_log_phi = [], [], []

        def fit(i: int) -> tuple[Conditional, tuple[tuple[FloatArray, ...], FloatArray]]:
            return self._fit(theta[i], starts(psi[i]))

        for i, (conditional, gradient) in enumerate(
            map_tasks(fit, range(len(psi)), self.model.solver.operations)
        ):
            self.on_evaluation(conditional.sweeps, conditional.log_evidence + float(prior[i]))
            conditionals.append(slim(conditional))
            by_covariance.append(gradient[0])
            by_log_phi.append(gradient[1])
        stacked = tuple(np.array(part) for part in zip(*by_covariance, strict=True))
        slopes = slopes + coordinates.pull_back(psi, stacked, np.array(by_log_phi))
        values = np.array([c.log_evidence for c in conditionals]) + prior
        found = np.isfinite(values) & np.isfinite(slopes).all(1)
        return [
            Evaluation(psi[i], float(values[i]), slopes[i], c)
            if found[i]
            else Evaluation(psi[i], -np.inf, np.zeros(psi.shape[1]), _NOTHING)
            for i, c in enumerate(conditionals)
        ]

    def _fit(
        self, theta: Theta, start: Marginals
    ) -> tuple[Conditional, tuple[tuple[FloatArray, ...], FloatArray]]:
        """The fit and its gradient; where it fails, also from where the first fit starts."""
        for begin in (start, self.first):
            try:
                conditional = self.model.fit(theta, begin)
                return conditional, self.model.gradient(theta, conditional)
            except (SingularPrecision, np.linalg.LinAlgError):
                continue
        zeros = tuple(np.zeros(covariance.shape) for covariance in theta.covariances)
        return _NOTHING, (zeros, np.zeros(len(theta.parameters)))


@dataclass(frozen=True)
class Frame:
    """Coordinates x = (ψ − mode)/sd, in which the posterior has about unit sds.

    Attributes
    ----------
    mode, sd : ndarray, shape (d,)
    factor : ndarray, shape (d, d)
        Cholesky factor of roughly the covariance of x.
    """

    mode: FloatArray
    sd: FloatArray
    factor: FloatArray

    def to_x(self, psi: FloatArray) -> FloatArray:
        """From ψ to x."""
        return np.asarray((psi - self.mode) / self.sd)

    def to_psi(self, x: FloatArray) -> FloatArray:
        """From x to ψ."""
        return np.asarray(self.mode + self.sd * x)


def coarse(values: FloatArray) -> FloatArray:
    """Rounded to what tells draws apart.

    Chains of the surrogate amplify rounding errors; without them a model in other units, or with
    another zero of a predictor, gets the same points.
    """
    return np.asarray(np.round(values, _DECIMALS) + 0.0)


def coarse_frame(mode: FloatArray, sd: FloatArray, factor: FloatArray) -> Frame:
    """A frame of rounded numbers, which may be anything near what they are."""
    digits = 10.0 ** (_DECIMALS - 1 - np.floor(np.log10(sd)))  # as many for a narrow coordinate
    return Frame(coarse(mode * digits) / digits, np.round(sd * digits) / digits, coarse(factor))


def scales(
    glmm: GLMM, gaussian: Gaussian, covariances: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """The c of each standard deviation: about where the data cannot tell it from zero any more.

    With s the sd that the data alone leave to a level's effect, the likelihood of σ is flat below
    about s/L^¼.

    Parameters
    ----------
    glmm : GLMM
    gaussian : Gaussian
        A fit near the mode.
    covariances : sequence of ndarray
        Its Σ_j.
    """
    variances, out = gaussian.variances(), []
    for j, (group, covariance) in enumerate(zip(glmm.groups, covariances, strict=True)):
        of_effects = variances[glmm.group_slice(j)].reshape(-1, group.d).mean(0)
        prior = np.diag(covariance)
        information = np.maximum(1 / of_effects - 1 / prior, _LEAST_INFORMATION / prior)
        out.append(information**-0.5 * len(group.levels) ** -0.25)
    return tuple(out)


def climb(target: Target, start: FloatArray) -> list[Evaluation]:
    """Evaluations on the way from ``start`` to the mode, L-BFGS; none where it cannot start."""
    coordinates = target.coordinates
    trace: list[Evaluation] = []
    unit = _first_sds(coordinates, start)

    def negative(z: FloatArray) -> tuple[float, FloatArray]:
        last = trace[-1].conditional.marginals if trace else None
        psi = z * unit
        (found,) = target.evaluate(psi[None], lambda _: last or target.first)
        if not np.isfinite(found.value):
            return _WORST, np.zeros(len(z))
        trace.append(found)
        # behind a mirror the gradient is that of the image, reversed
        behind = coordinates.folded & (psi < 0)
        return -found.value, -np.where(behind, -found.gradient, found.gradient) * unit

    lower = np.where(coordinates.ends_below, coordinates.lower, -np.inf)
    bounds = [
        (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
        for low, high in zip(lower / unit, coordinates.upper / unit, strict=True)
    ]
    options = {"maxiter": _MOST_STEPS, "ftol": _VALUE_TOL, "gtol": _GRADIENT_TOL}
    minimize(negative, start / unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return trace


def survey(target: Target, mode: Evaluation) -> tuple[Frame, list[Evaluation]]:
    """The curvature at the mode by differences of gradients, then points along the axes."""
    coordinates = target.coordinates
    d = len(mode.psi)
    room = _TOWARDS_LIMIT * (coordinates.upper - mode.psi)
    wanted = 0.5 * _first_sds(coordinates, mode.psi)
    down = np.minimum(wanted, _TOWARDS_LIMIT * (mode.psi - coordinates.lower))
    # a mode at the upper end of its support has room below only
    unit = np.where(room < _LITTLE_ROOM * wanted, -down, np.minimum(wanted, room))
    centre = mode.conditional.marginals
    assert centre is not None
    first = target.evaluate(mode.psi + np.diag(unit), lambda _: centre)
    hessian = np.array([e.gradient - mode.gradient for e in first]) / unit[:, None]
    # no wider than the support, which starts at zero but for log φ
    width = np.where(coordinates.folded, _SHARE_OF_SUPPORT * coordinates.upper, np.inf)
    least = np.maximum(_LEAST_PRECISION, width**-2.0)
    covariance, conditional = _covariance(-0.5 * (hessian + hessian.T), least)
    sd = np.sqrt(np.diag(covariance))
    frame = coarse_frame(mode.psi, sd, np.linalg.cholesky(covariance / np.outer(sd, sd)))
    solved = [e for e in first if np.isfinite(e.value)]
    at = frame.to_x(np.array([e.psi for e in solved]).reshape(-1, d))
    predictor = fit_predictor(centre, at, [e.conditional for e in solved])
    steps = np.concatenate([np.eye(d), -np.eye(d)]) * _AXIS_STEP * conditional
    below = np.where(coordinates.ends_below, mode.psi - coordinates.lower, np.inf)
    steps = np.clip(steps, -_TOWARDS_LIMIT * below, room)
    axes = target.evaluate(mode.psi + steps, lambda psi: predictor(frame.to_x(psi)))
    return frame, [*first, *axes]


def _first_sds(coordinates: HyperCoordinates, psi: FloatArray) -> FloatArray:
    """Guesses of sds of ψ: L levels tell a standard deviation to about σ/√(2L)."""
    parts = []
    at = 0
    for group in coordinates.glmm.groups:
        d, levels = group.d, len(group.levels)
        relative = np.tanh(np.maximum(psi[at : at + d], 0.3))
        parts.append(np.clip(relative / np.sqrt(levels), 0.02, 1.0))
        correlations = d * (d - 1) // 2
        parts.append(np.full(correlations, np.clip(2 / np.sqrt(levels), 0.1, 1.0)))
        at += d + correlations
    return np.concatenate([*parts, np.full(coordinates.size - at, 0.1)])


def _covariance(precision: FloatArray, least: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse of a precision made definite, and the conditional sd of each coordinate."""
    scale = np.sqrt(np.maximum(np.diag(precision), least))
    values, vectors = np.linalg.eigh(precision / np.outer(scale, scale))
    inverse = (vectors / np.maximum(values, _LEAST_CURVATURE)) @ vectors.T
    return inverse / np.outer(scale, scale), 1 / scale
