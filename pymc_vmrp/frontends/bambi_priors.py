"""``bambi.Prior`` objects as the package's own priors, without importing Bambi."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors import scales
from pymc_vmrp.glmm.priors.arguments import numbers
from pymc_vmrp.glmm.priors.covariance import CoefficientPrior, Flat, Normal
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, StudentT
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.priors.support import refuse_unknown


@dataclass(frozen=True)
class _Form:
    """Our class for one of PyMC's distributions, the arguments it takes, and PyMC's defaults."""

    make: Any
    arguments: tuple[str, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


COEFFICIENT_PRIORS = {
    "Normal": _Form(Normal, ("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}),
    "Flat": _Form(Flat),
    "StudentT": _Form(StudentT, ("nu", "mu", "sigma"), {"mu": 0.0, "sigma": 1.0}),
    "Laplace": _Form(Laplace, ("mu", "b")),
    "Cauchy": _Form(Cauchy, ("alpha", "beta")),
}
# In Bambi they are priors of σ, also where ours are on the variance by default.
SCALE_PRIORS = {
    "HalfNormal": _Form(scales.HalfNormal, ("sigma",), {"sigma": 1.0}),
    "HalfCauchy": _Form(scales.HalfCauchy, ("beta",)),
    "HalfStudentT": _Form(scales.HalfStudentT, ("nu", "sigma"), {"sigma": 1.0}),
    "Exponential": _Form(scales.Exponential, ("lam",)),
    "Uniform": _Form(scales.Uniform, ("lower", "upper"), {"lower": 0.0, "upper": 1.0}),
    "Gamma": _Form(scales.Gamma, ("alpha", "beta"), fixed={"on": "sd"}),
    "InverseGamma": _Form(scales.InverseGamma, ("alpha", "beta"), {"beta": 1.0}, {"on": "sd"}),
    "LogNormal": _Form(scales.LogNormal, ("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}),
}
_NESTED = 'bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=1))'


def is_bambi_prior(prior: object) -> bool:
    """Whether ``prior`` looks like a ``bambi.Prior``: a name and a dict of arguments."""
    return isinstance(getattr(prior, "name", None), str) and isinstance(
        getattr(prior, "args", None), Mapping
    )


def coefficient_prior(prior: Any, term: str) -> CoefficientPrior:
    """The prior of a common term; PriorError where we have no such prior."""
    return _translate(prior, term, COEFFICIENT_PRIORS, "a common term")


def scale_prior(prior: Any, term: str) -> ScalePrior:
    """The prior of the sd of a group-specific term.

    Bambi's own form is a normal prior of the effects with a prior inside; its sd's prior alone will
    do as well.
    """
    if prior.name == "Normal":
        prior = _inner(prior, term)
    return _translate(prior, term, SCALE_PRIORS, "the sd of a group-specific term")


@dataclass(frozen=True)
class _Named:
    """What is read of a ``bambi.Prior``."""

    name: str
    args: Mapping[str, Any]
    dist: Any = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}: {v}' for k, v in self.args.items())})"


def effect_priors(prior: Any, term: str, size: int) -> list[ScalePrior]:
    """Priors of the sds of a term's effects, from Bambi's one prior of all of them.

    Bambi's effects are independent normals; arguments of the prior of their sd may be arrays of one
    number per effect.
    """
    if prior.name != "Normal" or getattr(prior, "dist", None) is not None:
        raise PriorError(
            f"The prior of {term!r} is {prior}, but group-specific effects are normal here: write "
            f"{_NESTED}."
        )
    inner = _inner(prior, term)
    return [
        _translate(
            _of_effect(inner, term, k, size), term, SCALE_PRIORS, "the sd of a group-specific term"
        )
        for k in range(size)
    ]


def _of_effect(prior: Any, term: str, k: int, size: int) -> _Named:
    args = {}
    for name, value in prior.args.items():
        if isinstance(value, list | tuple):
            value = np.array(value)
        if isinstance(value, np.ndarray) and value.ndim:
            if value.size != size:
                raise PriorError(
                    f"The prior of {term!r} is {prior}: {name} has {value.size} values, but the "
                    f"term has {size} effects."
                )
            value = float(value.ravel()[k])
        args[name] = value
    return _Named(prior.name, args, getattr(prior, "dist", None))


def parameter_prior(prior: Any, name: str) -> ScalePrior:
    """The prior of a positive parameter of the likelihood."""
    return _translate(prior, name, SCALE_PRIORS, "a parameter of the likelihood")


def _inner(prior: Any, term: str) -> Any:
    _check_arguments(prior, term, ("mu", "sigma"))
    mu = prior.args.get("mu", 0.0)
    if is_bambi_prior(mu) or np.any(numbers(f"The prior of {term!r}: mu", mu) != 0):
        raise PriorError(
            f"The prior of {term!r} is {prior}, but group-specific effects have mean 0: their mean "
            f"is a common term. Write {_NESTED} and give the common term its prior."
        )
    sigma = prior.args.get("sigma")
    if not is_bambi_prior(sigma):
        raise PriorError(
            f"The prior of {term!r} is {prior}, which fixes the sd of the effects; it is estimated "
            f"here, so give it a prior: {_NESTED}."
        )
    return sigma


def _translate(prior: Any, term: str, forms: Mapping[str, _Form], what: str) -> Any:
    if getattr(prior, "dist", None) is not None:
        raise PriorError(
            f"The prior of {term!r} has a distribution of its own (dist=), whose density is not "
            f"known here. Name one of {', '.join(forms)} instead."
        )
    if prior.name not in forms:
        refuse_unknown(prior.name, term, what, tuple(forms))
    form = forms[prior.name]
    _check_arguments(prior, term, form.arguments)
    for argument, value in prior.args.items():
        if is_bambi_prior(value):
            raise PriorError(
                f"The prior of {term!r} is {prior}, whose {argument} has a prior of its own. Give "
                f"{argument} a number."
            )
    values = {**form.defaults, **prior.args}
    missing = [argument for argument in form.arguments if argument not in values]
    if missing:
        raise PriorError(f"The prior of {term!r} is {prior}: give {missing[0]} a value.")
    lower = numbers(f"The prior of {term!r}: lower", values.pop("lower", 0.0))
    if np.any(lower != 0):
        raise PriorError(
            f"The prior of {term!r} is {prior}: lower must be 0 for the prior of a sd."
        )
    plain = {key: _plain(value) for key, value in values.items()}
    try:
        return form.make(**plain, **form.fixed)
    except PriorError as error:
        raise PriorError(f"The prior of {term!r} is {prior}. {error}") from None


def _check_arguments(prior: Any, term: str, allowed: tuple[str, ...]) -> None:
    unknown = sorted(set(prior.args) - set(allowed))
    if unknown:
        takes = f"takes {' and '.join(allowed)}" if allowed else "takes no arguments"
        raise PriorError(
            f"The prior of {term!r} is {prior}, whose {unknown[0]} is not read here: {prior.name} "
            f"{takes}."
        )


def _plain(value: Any) -> Any:
    """Numbers instead of the 0-d arrays that Bambi holds."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
