"""Priors of covariance matrices where effects are measured in other units."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors import scales
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ


def in_units(prior: CovariancePrior, units: FloatArray) -> CovariancePrior:
    """The prior of DΣD with D = diag(units), where ``prior`` is that of Σ.

    Parameters
    ----------
    prior : CovariancePrior
    units : ndarray, shape (d,)
        What each effect is multiplied by.
    """
    if isinstance(prior, HuangWand):
        return HuangWand(prior.nu, tuple((prior.scales(len(units)) * units).tolist()))
    if isinstance(prior, InverseWishart):
        df, scale = prior.parameters(len(units))
        return InverseWishart(df, (scale * np.outer(units, units)).tolist())
    if isinstance(prior, LKJ):
        pairs = zip(prior.scales(len(units)), units.tolist(), strict=True)
        return LKJ(prior.eta, tuple(scale_prior_in_units(sd, unit) for sd, unit in pairs))
    if isinstance(prior, ImproperInverseWishart):
        return prior  # a power of |Σ|, which changes by a constant
    return scale_prior_in_units(prior, float(units[0]))


def scale_prior_in_units(prior: scales.ScalePrior, unit: float) -> scales.ScalePrior:
    """The prior of unit·σ, where ``prior`` is that of σ."""
    power = 2 if getattr(prior, "on", "sd") == "variance" else 1
    match prior:
        case scales.HalfNormal() | scales.HalfStudentT():
            return replace(prior, sigma=prior.sigma * unit)
        case scales.HalfCauchy():
            return replace(prior, beta=prior.beta * unit)
        case scales.Exponential():
            return replace(prior, lam=prior.lam / unit)
        case scales.Uniform():
            return replace(prior, upper=prior.upper * unit**power)
        case scales.Gamma():
            return replace(prior, beta=prior.beta / unit**power)
        case scales.InverseGamma():
            return replace(prior, beta=prior.beta * unit**power)
        case scales.LogNormal():
            return replace(prior, mu=prior.mu + math.log(unit))
    raise AssertionError(f"{prior} has no units")  # a function of a pm.Model, as it is there
