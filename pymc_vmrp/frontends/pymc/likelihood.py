"""The likelihood after η: one of the package's families where it is one, else the graph itself.

Which family it is, and with which link, is decided by values: the parameters of the observed
variable's distribution are evaluated at random η and compared with what the family says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from pytensor.tensor.random import basic

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.pymc.graph_family import graph_likelihood
from pymc_vmrp.frontends.pymc.predictor import Predictor
from pymc_vmrp.frontends.pymc.reading import Parts, Theta
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import Scale, Trials, prior_of, recognise
from pymc_vmrp.frontends.pymc.view import FreeParameter, Likelihood, View, make_view
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.spec import FamilyParameter

_SMALL = 1e-7  # relative difference of two parameters that are the same


def find_likelihood(
    parts: Parts, predictors: list[Predictor], trials: Trials
) -> tuple[Predictor, Likelihood]:
    """The likelihood, and the predictor it is a function of.

    Raises
    ------
    ModelError
        Where the rows' log densities are not functions of one element of η each.
    """
    views: list[tuple[Predictor, View]] = []
    refusal: ModelError | None = None
    for predictor in predictors:
        try:
            view = make_view(parts, predictor, trials)
            if view is None:
                continue
            views.append((predictor, view))
            match = FAMILY_MATCHES.get(type(view.observed.owner.op))
            found = None if match is None else match(view)
        except ModelError as error:
            refusal = refusal or error
            continue
        if found is not None:
            return predictor, found
    for predictor, view in views:
        try:
            return predictor, graph_likelihood(view)
        except ModelError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    raise refuse(
        parts.observed.name,
        "has rows that depend on several elements of the linear predictor, or is multivariate",
    )


def _same(left: Any, right: Any) -> bool:
    return bool(np.allclose(left, right, rtol=_SMALL, atol=_SMALL))


def _of_share(
    view: View, name: str, read_trials: Callable[[list[FloatArray]], FloatArray] | None
) -> Likelihood | None:
    """A binary response, or counted successes, with whichever link it has."""
    for link in ("logit", "probit", "cloglog"):
        family = get_family(name, link)
        if _has_inverse_link(view, family):
            return Likelihood(family, Rows(_counts(view), _trials(view, read_trials)), view.element)
    return None


def _beta_binomial(view: View) -> Likelihood | None:
    kappa = _parameter(view, "beta_binomial", 0, lambda args: args[1] + args[2])
    if kappa is None or not _has_inverse_link(view, get_family("beta_binomial")):
        return None
    rows = Rows(_counts(view), _trials(view, lambda args: args[0]))
    return _with(view, "beta_binomial", rows, [kappa])


def _counts(view: View) -> IntArray:
    return view.y.astype(np.int64, copy=False)


def _trials(view: View, read: Callable[[list[FloatArray]], FloatArray] | None) -> IntArray | None:
    """Trials of each row, read from the distribution's parameters."""
    if read is None:
        return None
    found = read(view.arguments(view.random_eta(2), view.trials.base))
    return np.broadcast_to(found, len(view.y)).astype(np.int64)


def _has_inverse_link(view: View, family: Family) -> bool:
    """Whether the mean, or the share of it in trials, is what the family's link says."""
    return all(_same(view.mean(eta), family.inverse_link(view.rows(eta))) for eta in view.etas())


def _offset(view: View, link: str) -> FloatArray | None:
    """What is added to η in the argument of a mean; None where that depends on η."""
    first: FloatArray | None = None
    for eta in view.etas():
        with np.errstate(all="ignore"):
            mean = view.mean(eta)
            added = (np.log(mean) if link == "log" else mean) - view.rows(eta)
        first = added if first is None else first
        if not np.isfinite(added).all() or not _same(first, added):
            return None
    return first


def _known(offset: FloatArray) -> FloatArray | None:
    return None if np.abs(offset).max(initial=0.0) < _SMALL else offset


def _of_mean(
    view: View, name: str, *parameters: Callable[[list[FloatArray]], FloatArray]
) -> Likelihood | None:
    """A response whose mean is η or e^η; ``parameters`` reads those of the family from PyMC's."""
    family = get_family(name)
    offset = _offset(view, family.link)
    found = [_parameter(view, name, at, read) for at, read in enumerate(parameters)]
    made = [one for one in found if one is not None]
    if offset is None or len(made) < len(found):
        return None
    y = _counts(view) if family.response == "count" else view.y.astype(float, copy=False)
    return _with(view, name, Rows(y, offset=_known(offset)), made)


def _normal(view: View) -> Likelihood | None:
    """As the others, but sds may be known, or known multiples of one σ."""
    offset = _offset(view, "identity")
    sds = None if offset is None else _of_hypers(view, lambda args: args[1])
    if offset is None or sds is None:
        return None
    y = view.y.astype(float, copy=False)
    scale, values = sds
    if scale is None:  # known
        family = get_family("gaussian")
        parameters = (FamilyParameter("sigma", 1.0, (-4.0, 2.0)),)
        rows = Rows(y, offset=_known(offset), sd=np.broadcast_to(values, len(y)))
        return Likelihood(family, rows, view.element, parameters)
    if _same(values, values[0]):
        made = _made(view, "gaussian", 0, scale, float(values[0]))
        return _with(view, "gaussian", Rows(y, offset=_known(offset)), [made])
    divisor = np.asarray(values)
    made = _made(view, "gaussian", 0, scale, 1.0)
    rows = Rows(y / divisor, offset=_known(offset / divisor))
    return replace(_with(view, "gaussian", rows, [made]), divisor=divisor)


_Made = tuple[FamilyParameter, FreeParameter | None]


def _parameter(
    view: View, family: str, at: int, read: Callable[[list[FloatArray]], FloatArray]
) -> _Made | None:
    """A parameter that all rows share; None where they do not, or it depends on η."""
    found = _of_hypers(view, read)
    if found is None or not _same(found[1], found[1][0]):
        return None
    scale, values = found
    return _made(view, family, at, scale, float(values[0]))


def _of_hypers(
    view: View, read: Callable[[list[FloatArray]], FloatArray]
) -> tuple[Scale | None, FloatArray] | None:
    """A parameter as one function of the hyperparameters, times a number for each row."""
    eta = view.random_eta(2)
    base = read(view.arguments(eta, view.trials.base))
    if not all(_same(base, read(view.arguments(o, view.trials.base))) for o in view.etas()):
        return None
    for moved in view.trials.theta:
        ratio = read(view.arguments(eta, moved[0])) / base
        if not _same(ratio, ratio[0]):
            return None  # different hyperparameters in different rows

    def first(theta: Theta) -> FloatArray:
        return read(view.arguments(eta, theta))[:1]

    name = view.parts.observed.name
    (scale,) = recognise(view.parts, view.trials, name, "a parameter", first)
    return scale, base if scale is None else base / scale.value(view.trials.base)


def _made(view: View, family: str, at: int, scale: Scale | None, factor: float) -> _Made:
    parameter = get_family(family).parameters[at]
    if scale is None:
        return FamilyParameter(parameter.name, factor, parameter.span), None
    prior = prior_of(view.parts, scale, factor)
    free = FreeParameter(scale, factor)
    return FamilyParameter(parameter.name, prior, parameter.span), free


def _with(view: View, name: str, rows: Rows, made: list[_Made]) -> Likelihood:
    """The family, with the spans of its parameters on the scale of the response."""
    family = get_family(name)
    log_sd = np.log(max(float(np.std(rows.y)), 1e-12))
    parameters = []
    for (parameter, _), of_family in zip(made, family.parameters, strict=True):
        low, high = parameter.span
        shift = log_sd if of_family.relative else 0.0
        parameters.append(
            FamilyParameter(parameter.name, parameter.prior, (low + shift, high + shift))
        )
    free = tuple(one for _, one in made if one is not None)
    return Likelihood(family, rows, view.element, tuple(parameters), free)


FAMILY_MATCHES: dict[type, Callable[[View], Likelihood | None]] = {
    basic.BernoulliRV: lambda view: _of_share(view, "bernoulli", None),
    basic.BinomialRV: lambda view: _of_share(view, "binomial", lambda args: args[0]),
    basic.PoissonRV: lambda view: _of_mean(view, "poisson"),
    basic.NegBinomialRV: lambda view: _of_mean(view, "negativebinomial", lambda args: args[0]),
    basic.GammaRV: lambda view: _of_mean(view, "gamma", lambda args: args[0]),
    basic.BetaBinomialRV: _beta_binomial,
    basic.StudentTRV: lambda view: _of_mean(view, "t", lambda args: args[2], lambda args: args[0]),
    basic.NormalRV: _normal,
}
