"""What the families' PyMC likelihoods share. Imports PyMC: import it inside functions only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from pymc_vmrp.arrays import AnyArray, FloatArray


def log_odds(link: str, eta: Any) -> Any:
    """Log p − log(1 − p) at η, which keeps its digits where p is next to 1."""
    if link == "logit":
        return eta
    log_p, log_q = log_probabilities(link, eta)
    return log_p - log_q


def log_probabilities(link: str, eta: Any) -> tuple[Any, Any]:
    """Log p and log(1 − p) at η."""
    if link == "logit":
        return -pt.softplus(-eta), -pt.softplus(eta)
    if link == "probit":
        return _log_ndtr(eta), _log_ndtr(-eta)
    return pt.log(-pt.expm1(-pt.exp(eta))), -pt.exp(eta)


def _log_ndtr(x: Any) -> Any:
    """Log Φ(x); PyMC's own rounds a constant to single precision."""
    z = x / np.asarray(np.sqrt(2.0))
    far = pt.log(pt.erfcx(-pt.minimum(z, 0.0))) - np.asarray(np.log(2.0)) - z**2
    return pt.switch(pt.lt(x, -1.0), far, pt.log1p(-0.5 * pt.erfc(z)))


def observed(
    name: str, value: FloatArray, dims: str, logp: Callable[..., Any], *arguments: Any
) -> None:
    """An observed variable with any log density: ``logp(value, *arguments)``."""
    pm.CustomDist(name, *arguments, logp=logp, observed=value, dims=dims)


def weighted(
    name: str, distribution: Any, weights: FloatArray, y: AnyArray, dims: str, **arguments: Any
) -> None:
    """``distribution`` observed at ``y``, each density to the power of its weight."""
    if np.all(weights == 1):
        distribution(name, observed=y, dims=dims, **arguments)
        return
    names = list(arguments)

    def logp(value: Any, power: Any, *values: Any) -> Any:
        inner = distribution.dist(**dict(zip(names, values, strict=True)))
        return power * pm.logp(inner, value)

    observed(name, y, dims, logp, weights, *(pt.as_tensor_variable(v) for v in arguments.values()))
