"""The intercept and the common effects in PyMC, each under its own prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, StudentT
from pymc_vmrp.glmm.spec import CommonEffects, Mixture
from pymc_vmrp.glmm.variables import common_dim

# PyMC calls their arguments as scale_mixtures.py does
_DISTRIBUTIONS = {Cauchy: pm.Cauchy, Laplace: pm.Laplace, StudentT: pm.StudentT}


def coefficients(common: CommonEffects) -> dict[str, Any]:
    """Every coefficient of β in the pm.Model of the context, by name: scalars and vectors.

    Student t, Laplace and Cauchy priors are PyMC's own: the scale is integrated out. A horseshoe
    keeps its scales, as its density has a pole at 0, and is non-centred: β = τ·λ·z.
    """
    taus = _taus(common)
    out = {}
    for name, own, dims in _slots(common):
        mean, sd, mixture = common.prior_mean[own], common.prior_sd[own], _mixture(common, own)
        if dims is None:
            mean, sd = mean[0], sd[0]
        if mixture is None:
            out[name] = _normal_or_flat(name, mean, sd, dims)
        elif isinstance(mixture.prior, Horseshoe):
            local = pm.HalfCauchy(f"{name}_lambda", beta=1.0, dims=dims)
            offset = pm.Normal(f"{name}_offset", 0, 1, dims=dims)
            out[name] = pm.Deterministic(name, taus[mixture.name] * local * offset, dims=dims)
        else:
            out[name] = _marginal(name, mixture.prior, dims)
    return out


def horseshoe_scales(common: CommonEffects) -> dict[str, Any]:
    """The sd τλ of every term with a horseshoe prior, in the pm.Model of the context, by name."""
    taus, out = _taus(common), {}
    for name, own, dims in _slots(common):
        mixture = _mixture(common, own)
        if mixture is not None and isinstance(mixture.prior, Horseshoe):
            local = pm.HalfCauchy(f"{name}_lambda", beta=1.0, dims=dims)
            out[name] = taus[mixture.name] * local
    return out


def named_coefficients(
    common: CommonEffects, beta: Any, scales: Mapping[str, Any]
) -> tuple[dict[str, Any], Any]:
    """Coefficients that are functions of other variables, by name, and their log prior density.

    Parameters
    ----------
    common : CommonEffects
    beta : TensorVariable, shape (intercept + k,)
    scales : mapping of str
        What :func:`horseshoe_scales` returned.
    """
    out, log_prior = {}, pt.as_tensor(np.zeros(()))
    for name, own, dims in _slots(common):
        value = beta[own] if dims is not None else beta[own.start]
        out[name] = pm.Deterministic(name, value, dims=dims)
        prior = _distribution(common, own, dims, scales.get(name))
        if prior is not None:
            log_prior = log_prior + pm.logp(prior, value).sum()
    return out, log_prior


def _distribution(common: CommonEffects, own: slice, dims: str | None, scale: Any) -> Any:
    """The prior of a term's coefficients; None where it is flat."""
    mixture = _mixture(common, own)
    if scale is not None:
        return pm.Normal.dist(np.zeros(()), scale)
    if mixture is not None:
        return _DISTRIBUTIONS[type(mixture.prior)].dist(**_arguments(mixture.prior, dims))
    mean, sd = common.prior_mean[own], common.prior_sd[own]
    if not np.isfinite(sd).all():
        return None
    return pm.Normal.dist(mean, sd) if dims is not None else pm.Normal.dist(mean[0], sd[0])


def free_coefficients(
    common: CommonEffects, beta: FloatArray, named: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Values of the free variables that give β; scales of a horseshoe where they are likely.

    Parameters
    ----------
    common : CommonEffects
    beta : ndarray, shape (intercept + k,)
    named : mapping of str to ndarray
        The same coefficients by name, the intercept the centred one.
    """
    values = dict(named)
    local, sd = np.ones(common.size), np.ones(common.size)
    for mixture in common.mixtures:
        if isinstance(mixture.prior, Horseshoe):
            index = list(mixture.index)
            local[index], tau = mixture.prior.likely_scales(beta[index])
            sd[index] = tau * local[index]
            if mixture.prior.tau is None:
                values[f"{mixture.name}_tau"] = np.asarray(tau)
    for name, own, _ in _slots(common):
        of_term = _mixture(common, own)
        if of_term is not None and isinstance(of_term.prior, Horseshoe):
            value = values.pop(name)
            values[f"{name}_lambda"] = local[own].reshape(value.shape)
            values[f"{name}_offset"] = value / sd[own].reshape(value.shape)
    return values


def _slots(common: CommonEffects) -> Sequence[tuple[str, slice, str | None]]:
    """Name, place in β and dimension of the intercept and of every term."""
    first = int(common.intercept)
    out: list[tuple[str, slice, str | None]] = []
    if common.intercept:
        out.append(("Intercept", slice(0, 1), None))
    for term in common.terms:
        dims = None if term.labels is None else common_dim(term)
        out.append((term.name, slice(first + term.start, first + term.stop), dims))
    return out


def _mixture(common: CommonEffects, own: slice) -> Mixture | None:
    """The mixture that a term belongs to; a term does as a whole or not at all."""
    return next((m for m in common.mixtures if own.start in m.index), None)


def _taus(common: CommonEffects) -> dict[str, Any]:
    return {
        m.name: _tau(m.name, m.prior) for m in common.mixtures if isinstance(m.prior, Horseshoe)
    }


def _tau(name: str, prior: Horseshoe) -> Any:
    return pm.HalfCauchy(f"{name}_tau", beta=1.0) if prior.tau is None else float64(prior.tau)


def _normal_or_flat(name: str, mean: Any, sd: Any, dims: str | None) -> Any:
    if not np.isfinite(sd).all():  # a term is flat as a whole or not at all
        return pm.Flat(name, dims=dims)
    return pm.Normal(name, mu=mean, sigma=sd, dims=dims)


def _marginal(name: str, prior: Any, dims: str | None) -> Any:
    return _DISTRIBUTIONS[type(prior)](name, **_arguments(prior, dims), dims=dims)


def _arguments(prior: Any, dims: str | None) -> dict[str, FloatArray]:
    arguments = {key: float64(value) for key, value in vars(prior).items()}
    if dims is None:  # one value may be written as a sequence
        arguments = {key: value.reshape(()) for key, value in arguments.items()}
    return arguments


def float64(value: Any) -> FloatArray:
    """As an array: PyTensor keeps Python floats, and their reciprocals, in single precision."""
    return np.asarray(value, dtype=np.float64)
