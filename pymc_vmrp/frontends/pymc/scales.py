"""Standard deviations as functions of one hyperparameter, and their priors.

A coefficient F(θ)z has the sd |F(θ)|. Where F is c·θ^p of one positive hyperparameter, or
c·exp(aθ), σ = F/c is a standard deviation whose density follows from that of θ:
p(σ) = p(θ)|dθ/dσ|.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
from pymc.distributions.continuous import HalfCauchyRV, HalfStudentTRV
from pytensor.graph.replace import vectorize_graph
from pytensor.tensor.random import basic

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError
from pymc_vmrp.frontends.pymc.graph import evaluate, named_input, numeric, substitute
from pymc_vmrp.frontends.pymc.reading import Hyper, Parts, Theta
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.glmm.priors import scales as ours
from pymc_vmrp.glmm.priors.scales import ScaleDensity, ScalePrior

# of a free hyperparameter, at which functions of it are looked at; far ones for limits such as
# maximum(σ, 0.001), by which a function is another one there
_STEPS = (0.7, -0.4, 2.5, -2.5, 5.0, -5.0, 8.0, -8.0)
_SMALL = 1e-9  # relative change that is rounding
_EXACT = 1e-7  # of a power
_FAR = 80.0  # a free hyperparameter at the end of its support
_ENDLESS = 1e8


@dataclass(frozen=True, order=True)
class Scale:
    """σ as a function of one element θ of one hyperparameter.

    It is θ^rate ("power"), exp(rate·θ) ("exp") or θ + rate ("shift").

    Attributes
    ----------
    hyper, element : int
        Which hyperparameter of ``Parts.hypers``, and which of its elements.
    form : {"power", "exp", "shift"}
    rate : float
    """

    hyper: int
    element: int
    form: str
    rate: float

    def sigma(self, theta: Any) -> Any:
        """σ from θ."""
        if self.form == "shift":
            return theta + self.rate
        return theta**self.rate if self.form == "power" else np.exp(self.rate * theta)

    def theta(self, sigma: Any) -> Any:
        """θ from σ."""
        if self.form == "shift":
            return sigma - self.rate
        if self.form == "power":
            return sigma if self.rate == 1 else sigma ** (1 / self.rate)
        return np.log(sigma) / self.rate

    def log_slope(self, sigma: Any) -> Any:
        """Log of the absolute value of dθ/dσ."""
        if self.form == "shift":
            return np.zeros_like(sigma)
        if self.form == "power":
            return (1 / self.rate - 1) * np.log(sigma) - math.log(abs(self.rate))
        return -np.log(sigma) - math.log(abs(self.rate))

    def value(self, theta: Sequence[FloatArray]) -> float:
        """σ from the values of all hyperparameters."""
        return float(self.sigma(theta[self.hyper].ravel()[self.element]))


@dataclass(frozen=True)
class Trials:
    """Values of the hyperparameters, of which one element at a time differs from the first.

    Attributes
    ----------
    base : tuple of ndarray
    elements : tuple of (int, int)
        Hyperparameter and element of each trial.
    theta : tuple of (tuple of ndarray)
        Several trials for each element.
    """

    base: Theta
    elements: tuple[tuple[int, int], ...]
    theta: tuple[tuple[Theta, ...], ...]


def make_trials(parts: Parts) -> Trials:
    """Trials of every hyperparameter that consists of numbers."""
    elements, trials = [], []
    zero = [np.zeros(hyper.free_shape) for hyper in parts.hypers]
    for h, hyper in enumerate(parts.hypers):
        if hyper.kind != "scalars":
            continue
        for e in range(hyper.size):
            elements.append((h, e))
            moved = []
            for step in _STEPS:
                free = [v.copy() for v in zero]
                free[h].flat[e] = step
                moved.append(parts.theta(free))
            trials.append(tuple(moved))
    return Trials(parts.base(), tuple(elements), tuple(trials))


def recognise(
    parts: Parts,
    trials: Trials,
    name: str,
    what: str,
    function: Callable[..., FloatArray],
    relevant: Collection[int] | None = None,
    rounding: float = 0.0,
) -> list[Scale | None]:
    """What a vector of positive or negative numbers F(θ) is proportional to; None for a constant.

    Parameters
    ----------
    parts : Parts
    trials : Trials
    name, what : str
        Of whom F is what, for errors.
    function : callable
        Values of all hyperparameters → F, shape (n,); nan for those that do not matter.
    relevant : collection of int, optional
        Hyperparameters that F may depend on, where it is known that it depends on no others.
    rounding : float
        Error of F's values, which makes small ones useless.

    Raises
    ------
    ModelError
        Where an element depends on several hyperparameters, or on one in another way.
    """
    base = function(trials.base)
    out: list[Scale | None] = [None] * len(base)
    unclear: dict[int, str] = {}
    for (h, e), moved in zip(trials.elements, trials.theta, strict=True):
        if relevant is not None and h not in relevant:
            continue
        with np.errstate(all="ignore"):
            at_trials = [function(theta) for theta in moved]
            ratios = [
                np.where(np.abs(v) * _EXACT > 4 * rounding, v / base, np.nan) for v in at_trials
            ]
            small = np.maximum(_SMALL, 20 * rounding / np.abs(base))
            changed = np.any([np.abs(r - 1) > small for r in ratios], axis=0)
        for i in np.flatnonzero(changed & ~np.isnan(base)):
            hyper = parts.hypers[h]
            found = out[i]
            other = unclear.get(int(i))
            if found is not None:
                other = parts.hypers[found.hyper].name
            if other is not None:
                raise refuse(name, f"has {what} that depends on both {other!r} and {hyper.name!r}")
            values = [t[h].flat[e] for t in (trials.base, *moved)]
            rule = _rule([r[i] for r in ratios], values)
            if rule is None:
                unclear[int(i)] = hyper.name
            else:
                out[i] = Scale(h, e, *rule)
    for hyper_name in unclear.values():
        raise refuse(
            name, f"has {what} that is not proportional to a power or an exponential of "
            f"{hyper_name!r}, nor to it plus a positive number",
        )  # fmt: skip
    return out


def _rule(ratios: Sequence[float], values: Sequence[float]) -> tuple[str, float] | None:
    """Form and rate of a function from its ratios to its first value."""
    ratio, theta = np.array(ratios), np.array(values)
    if not np.isfinite(ratio[:2]).all() or not (ratio[np.isfinite(ratio)] > 0).all():
        return None
    # at the ends of their supports numbers may overflow, or not differ any more
    usable = np.isfinite(ratio) & np.isfinite(theta[1:]) & (np.abs(theta[1:] - theta[0]) > 0)
    ratio, at, first = ratio[usable], theta[1:][usable], theta[0]
    logs = np.log(ratio)
    if first > 0 and at.min() > 0:
        rates = logs / np.log(at / first)
        if _alike(rates):
            return "power", _clean(float(rates[0]))
        shifts = (at - ratio * first) / (ratio - 1)
        if _alike(shifts) and shifts[0] > 0:
            return "shift", float(shifts[0])
    rates = logs / (at - first)
    return ("exp", _clean(float(rates[0]))) if _alike(rates) else None


def _alike(rates: FloatArray) -> bool:
    return bool(np.isfinite(rates).all() and np.ptp(rates) <= _EXACT * abs(rates[0]))


def _clean(rate: float) -> float:
    nearest = round(4 * rate) / 4
    return nearest if nearest and abs(nearest - rate) < _EXACT else rate


def prior_of(parts: Parts, scale: Scale, factor: float = 1.0) -> ScalePrior:
    """The prior of factor·σ."""
    hyper = parts.hypers[scale.hyper]
    potentials = [potential for h, potential in parts.potentials if h == scale.hyper]
    named = None
    if scale.form == "power" and not potentials:
        named = _named_prior(hyper.rv, hyper.shape, scale, factor)
    return named or _density(hyper, scale, factor, potentials)


def prior_of_element(rv: Any, shape: tuple[int, ...], element: int, name: str) -> ScalePrior:
    """The prior of σ that is one element of a variable of independent elements."""
    named = _named_prior(rv, shape, Scale(0, element, "power", 1.0), 1.0)
    return named or ScaleDensity(name, element_log_density(rv, shape, element))


def _density(hyper: Hyper, scale: Scale, factor: float, potentials: Sequence[Any]) -> ScaleDensity:
    log_density = element_log_density(hyper.rv, hyper.shape, scale.element, potentials)
    ends = evaluate_ends(hyper)[:, scale.element]
    with np.errstate(all="ignore"):
        sigmas = [factor * float(scale.sigma(end)) for end in ends]
    smallest, largest = min(sigmas), max(sigmas)

    def of_sigma(sigma: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            own = sigma / factor
            out = log_density(scale.theta(own)) + scale.log_slope(own) - math.log(factor)
        return np.where(np.isnan(out), -np.inf, out)

    return ScaleDensity(
        hyper.name,
        of_sigma,
        largest if largest < _ENDLESS else math.inf,
        smallest if smallest > 1 / _ENDLESS else 0.0,
    )


def evaluate_ends(hyper: Hyper) -> FloatArray:
    """The lower and the upper end of the support of each element, shape (2, size)."""
    function = numeric([hyper.free], [hyper.constrained])
    with np.errstate(all="ignore"):
        ends = [function(np.full(hyper.free_shape, end))[0].ravel() for end in (-_FAR, _FAR)]
    return np.array(ends, dtype=float)


def element_log_density(
    rv: Any, shape: tuple[int, ...], element: int, potentials: Sequence[Any] = ()
) -> Callable[[FloatArray], FloatArray]:
    """Log density of one element of a variable of independent elements: a function of arrays.

    ``potentials`` are added, where the variable is one number.
    """
    value = named_input("value", shape)
    batch = named_input("batch", (None, *shape))
    log_density = pm.logp(rv, value)
    for own in substitute(potentials, {rv: value}):
        log_density = log_density + own.sum()
    function = numeric([batch], [vectorize_graph(log_density, {value: batch})])

    def of_element(theta: FloatArray) -> FloatArray:
        flat = np.asarray(theta, dtype=float).ravel()
        alike = np.broadcast_to(flat.reshape(-1, *([1] * len(shape))), (len(flat), *shape))
        with np.errstate(all="ignore"):
            found = np.asarray(function(np.ascontiguousarray(alike))[0]).reshape(len(flat), -1)
        return found[:, element].reshape(np.shape(theta))

    return of_element


def _named_prior(rv: Any, shape: tuple[int, ...], scale: Scale, factor: float) -> ScalePrior | None:
    """The package's own prior where PyMC's is one of them: it is quicker than its graph."""
    on = {1.0: "sd", 0.5: "variance"}.get(scale.rate)
    op = rv.owner.op
    maker = NAMED_PRIORS.get(type(op))
    if on is None or maker is None or (on == "variance" and not isinstance(op, _ON_VARIANCE)):
        return None
    try:
        params = [np.broadcast_to(p, shape) for p in evaluate(op.dist_params(rv.owner))]
        values = [float(p.ravel()[scale.element]) for p in params]
        return maker(on, factor if on == "sd" else factor**2, *values)
    except (PriorError, TypeError, ValueError):
        return None


# ours from what it is on, σ or σ², the factor c of that, and the parameters of PyMC's distribution
NAMED_PRIORS: dict[type, Callable[..., ScalePrior | None]] = {
    basic.HalfNormalRV: lambda on, c, loc, sigma: ours.HalfNormal(c * sigma) if loc == 0 else None,
    HalfCauchyRV: lambda on, c, beta: ours.HalfCauchy(c * beta),
    HalfStudentTRV: lambda on, c, nu, sigma: ours.HalfStudentT(nu, c * sigma),
    basic.ExponentialRV: lambda on, c, mean: ours.Exponential(1 / (c * mean)),
    basic.LogNormalRV: lambda on, c, mu, sigma: ours.LogNormal(mu + math.log(c), sigma),
    basic.GammaRV: lambda on, c, alpha, mean: ours.Gamma(alpha, 1 / (mean * c), on),
    basic.InvGammaRV: lambda on, c, alpha, beta: ours.InverseGamma(alpha, beta * c, on),
    basic.UniformRV: lambda on, c, low, up: ours.Uniform(up * c, on) if low == 0 else None,
}
_ON_VARIANCE = (basic.GammaRV, basic.InvGammaRV, basic.UniformRV)
