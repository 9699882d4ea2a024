"""The likelihood after η: one of the package's families where it is one, else the graph itself.

Which family it is, and with which link, is decided by values: the parameters of the observed
variable's distribution are evaluated at random η and compared with what the family says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.logprob.utils import ParameterValueError
from pytensor.tensor.random import basic

from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.pymc.graph import is_random, named_input, numeric, substitute
from pymc_vmrp.frontends.pymc.graph_family import graph_likelihood
from pymc_vmrp.frontends.pymc.predictor import Predictor
from pymc_vmrp.frontends.pymc.reading import Parts
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import Scale, Trials, prior_of, recognise
from pymc_vmrp.frontends.pymc.view import FreeParameter, Likelihood, View
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.families.family import Rows
from pymc_vmrp.glmm.spec import FamilyParameter

FloatArray = NDArray[np.float64]
Theta = tuple[FloatArray, ...]

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
            view = _view(parts, predictor, trials)
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


def _view(parts: Parts, predictor: Predictor, trials: Trials) -> View | None:
    """The likelihood as a function of a predictor; None where rows depend on several elements.

    Raises
    ------
    ModelError
        Where it cannot be evaluated.
    """
    shape = predictor.shape
    eta = named_input("eta", shape)
    (observed,) = substitute([predictor.observed], {predictor.node: eta})
    log_density = pm.logp(observed, parts.data)
    theta = [hyper.value for hyper in parts.hypers]
    name = parts.observed.name
    if is_random(log_density):
        raise refuse(name, "depends on a random variable that is not part of the model")
    if log_density.type.ndim != parts.y.ndim:
        return None
    of_rows = numeric([eta, *theta], [log_density])

    def rows(value: FloatArray) -> FloatArray:
        try:
            with np.errstate(all="ignore"):
                found = of_rows(value, *trials.base)[0]
        except ParameterValueError:  # this is no value that the node may have
            found = np.array(np.nan)
        return np.broadcast_to(found, parts.y.shape).ravel()

    if any(np.isnan(rows(np.full(shape, everywhere))).all() for everywhere in (-0.5, 1.5)):
        raise refuse(name, "has parameters outside of their support for ordinary values of the "
                     "linear predictor: a link function is missing")  # fmt: skip
    element = element_of_rows(rows, shape, parts.y.size)
    if element is None:
        return None
    op = observed.owner.op
    inner: Callable[..., list[Any]] | None = None
    if type(op) in FAMILY_MATCHES:
        inner = numeric([eta, *theta], op.dist_params(observed.owner))

    def arguments(value: FloatArray, at: Theta) -> list[FloatArray]:
        assert inner is not None
        with np.errstate(all="ignore"):
            found = [np.asarray(p, dtype=float) for p in inner(value, *at)]
        out = []
        for p in found:
            out.append(p.ravel() if p.size == 1 else np.broadcast_to(p, parts.y.shape).ravel())
        return out

    return View(parts, trials, eta, observed, element, arguments)


def element_of_rows(
    function: Callable[[FloatArray], FloatArray], shape: tuple[int, ...], rows: int
) -> NDArray[np.int64] | None:
    """Which element of its argument each row of a function depends on; None where on several.

    Element for element where that is so; else the binary digits of the number of the element are
    found one by one, by moving all elements whose number has that digit.

    Parameters
    ----------
    function : callable
        An array of ``shape`` → rows.
    shape : tuple of int
    rows : int
    """
    size = int(np.prod(shape))
    rng = np.random.default_rng(1)
    start = rng.uniform(-0.5, 0.5, shape)
    at_start = function(start)

    def moves(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return function(start + 0.37 * members.reshape(shape)) != at_start

    # rows that say nothing of η, such as a binomial one without trials, may be said to have any
    silent = ~moves(np.ones(size, dtype=bool))
    half = rng.random(size) < 0.5
    if size == rows and ((moves(half) == half) | silent).all():
        return np.arange(rows)
    element = np.zeros(rows, dtype=np.int64)
    numbers = np.arange(size)
    for digit in range(max(size - 1, 0).bit_length()):
        element += moves((numbers >> digit) % 2 == 1).astype(np.int64) << digit
    if (element >= size).any():
        return None
    if not ((moves(half) == half[element]) | silent).all():
        return None
    return element


# --- the package's families ------------------------------------------------------------------


def _same(left: Any, right: Any) -> bool:
    return bool(np.allclose(left, right, rtol=_SMALL, atol=_SMALL))


def _bernoulli(view: View) -> Likelihood | None:
    return _of_share(view, "bernoulli", lambda args: None)


def _binomial(view: View) -> Likelihood | None:
    return _of_share(view, "binomial", lambda args: args[0])


def _of_share(
    view: View, name: str, read_trials: Callable[[list[FloatArray]], FloatArray | None]
) -> Likelihood | None:
    trials = read_trials(view.arguments(view.random_eta(2), view.trials.base))
    for link in ("logit", "probit", "cloglog"):
        family = get_family(name, link)
        if all(_same(_mean(view, eta), family.inverse_link(view.rows(eta))) for eta in view.etas()):
            n = None if trials is None else np.broadcast_to(trials, len(view.y)).astype(np.int64)
            return Likelihood(family, Rows(view.y.astype(np.int64, copy=False), n), view.element)
    return None


def _mean(view: View, eta: FloatArray) -> FloatArray:
    of = MEANS[type(view.observed.owner.op)]
    return of(view.arguments(eta, view.trials.base))


def _log_ratio(view: View) -> FloatArray | None:
    """Log of mean/e^η of each row where it does not depend on η; None where it does."""

    def ratio(eta: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return np.log(_mean(view, eta)) - view.rows(eta)

    return _if_constant(view, ratio)


def _if_constant(view: View, function: Callable[[FloatArray], FloatArray]) -> FloatArray | None:
    """A function's value where it is the same for all η, and finite; else None."""
    first: FloatArray | None = None
    for eta in view.etas():
        value = function(eta)
        if first is None:
            first = value
        if not np.isfinite(value).all() or not _same(first, value):
            return None
    return first


def _known(offset: FloatArray) -> FloatArray | None:
    return None if np.abs(offset).max(initial=0.0) < _SMALL else offset


def _poisson(view: View) -> Likelihood | None:
    offset = _log_ratio(view)
    if offset is None:
        return None
    rows = Rows(view.y.astype(np.int64, copy=False), offset=_known(offset))
    return Likelihood(get_family("poisson"), rows, view.element)


def _negative_binomial(view: View) -> Likelihood | None:
    offset = _log_ratio(view)
    alpha = _parameter(view, "negativebinomial", 0, lambda args: args[0])
    if offset is None or alpha is None:
        return None
    rows = Rows(view.y.astype(np.int64, copy=False), offset=_known(offset))
    return _with(view, "negativebinomial", rows, [alpha])


def _gamma(view: View) -> Likelihood | None:
    offset = _log_ratio(view)
    alpha = _parameter(view, "gamma", 0, lambda args: args[0])
    if offset is None or alpha is None:
        return None
    return _with(
        view, "gamma", Rows(view.y.astype(float, copy=False), offset=_known(offset)), [alpha]
    )


def _beta_binomial(view: View) -> Likelihood | None:
    family = get_family("beta_binomial")
    kappa = _parameter(view, "beta_binomial", 0, lambda args: args[1] + args[2])
    for eta in view.etas():
        if kappa is None or not _same(_mean(view, eta), family.inverse_link(view.rows(eta))):
            return None
    assert kappa is not None
    n = view.arguments(view.random_eta(2), view.trials.base)[0]
    trials = np.broadcast_to(n, len(view.y)).astype(np.int64)
    return _with(view, "beta_binomial", Rows(view.y.astype(np.int64, copy=False), trials), [kappa])


def _shift(view: View) -> FloatArray | None:
    """What is added to η in the argument of a location."""
    return _if_constant(view, lambda eta: _mean(view, eta) - view.rows(eta))


def _student(view: View) -> Likelihood | None:
    offset = _shift(view)
    sigma = _parameter(view, "t", 0, lambda args: args[2])
    nu = _parameter(view, "t", 1, lambda args: args[0])
    if offset is None or sigma is None or nu is None:
        return None
    return _with(
        view, "t", Rows(view.y.astype(float, copy=False), offset=_known(offset)), [sigma, nu]
    )


def _normal(view: View) -> Likelihood | None:
    offset = _shift(view)
    if offset is None:
        return None
    y = view.y.astype(float, copy=False)
    sds = _of_hypers(view, lambda args: args[1])
    if sds is None:
        return None
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
    found = _with(view, "gaussian", rows, [made], float(np.std(y / divisor)))
    return Likelihood(
        found.family, rows, view.element, found.parameters, found.free, divisor=divisor
    )


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


def _with(
    view: View, name: str, rows: Rows, made: list[_Made], sd: float | None = None
) -> Likelihood:
    """The family, with the spans of its parameters on the scale of the response."""
    family = get_family(name)
    log_sd = np.log(max(float(np.std(rows.y)) if sd is None else sd, 1e-12))
    parameters = []
    for (parameter, _), of_family in zip(made, family.parameters, strict=True):
        low, high = parameter.span
        shift = log_sd if of_family.relative else 0.0
        parameters.append(
            FamilyParameter(parameter.name, parameter.prior, (low + shift, high + shift))
        )
    free = tuple(one for _, one in made if one is not None)
    return Likelihood(family, rows, view.element, tuple(parameters), free)


# mean response, or the share of it in trials, from the parameters of PyMC's distribution
MEANS: dict[type, Callable[[list[Any]], Any]] = {
    basic.BernoulliRV: lambda args: args[0],
    basic.BinomialRV: lambda args: args[1],
    basic.PoissonRV: lambda args: args[0],
    basic.NegBinomialRV: lambda args: args[0] * (1 - args[1]) / args[1],
    basic.GammaRV: lambda args: args[0] * args[1],
    basic.BetaBinomialRV: lambda args: args[1] / (args[1] + args[2]),
    basic.StudentTRV: lambda args: args[1],
    basic.NormalRV: lambda args: args[0],
}
FAMILY_MATCHES: dict[type, Callable[[View], Likelihood | None]] = {
    basic.BernoulliRV: _bernoulli,
    basic.BinomialRV: _binomial,
    basic.PoissonRV: _poisson,
    basic.NegBinomialRV: _negative_binomial,
    basic.GammaRV: _gamma,
    basic.BetaBinomialRV: _beta_binomial,
    basic.StudentTRV: _student,
    basic.NormalRV: _normal,
}
