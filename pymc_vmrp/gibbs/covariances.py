"""Draws of Σ of a group-specific term given its effects."""

from __future__ import annotations

import math

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.inverse_wishart import inverse, inverse_wishart_draws
from pymc_vmrp.errors import PriorError
from pymc_vmrp.gibbs.slices import slice_sample
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import ScalePrior, log_density_at

_WIDTH = 1.0  # of slices in log σ


def draw_covariance(
    rng: np.random.Generator,
    prior: CovariancePrior,
    covariance: FloatArray,
    second_moment: FloatArray,
    levels: int,
) -> FloatArray:
    """Σ given u, shape (d, d), from its full conditional or by a step that leaves it invariant.

    Under HuangWand the auxiliaries a_k are drawn given the present Σ, and Σ given them and u: both
    are conjugate (Huang & Wand 2013, section 2). InverseWishart is conjugate itself. Other priors
    of one σ: a slice step in log σ.

    Parameters
    ----------
    rng : Generator
    prior : CovariancePrior
    covariance : ndarray, shape (d, d)
        The present Σ.
    second_moment : ndarray, shape (d, d)
        Σ_g u_g u_g'.
    levels : int
        Number of levels L.
    """
    if isinstance(prior, ScalePrior):
        return _draw_variance(rng, prior, covariance, float(second_moment[0, 0]), levels)
    d = len(covariance)
    if isinstance(prior, HuangWand):
        df = prior.nu + d - 1
        rate = prior.scales(d) ** -2 + prior.nu * np.diag(inverse(covariance))
        # 1/a_k is gamma with shape (ν + d)/2 and this rate
        scale = np.diag(2 * prior.nu * rng.standard_gamma(0.5 * (prior.nu + d), d) / rate)
    elif isinstance(prior, InverseWishart):
        df, scale = prior.parameters(d)
    else:
        raise improper(prior)
    return inverse_wishart_draws(rng, df + levels, scale + second_moment, 1)[0]


def improper(prior: ImproperInverseWishart | LKJ) -> PriorError:
    """What to raise where a posterior would be improper, or there is no step for the prior."""
    if isinstance(prior, LKJ):
        return PriorError("A Gibbs sampler does not take LKJ priors.")
    return PriorError(
        f"The prior {prior.kind!r} is improper, and a Gibbs sampler cannot honour it. Give the "
        "term a proper prior, such as HuangWand()."
    )


def _draw_variance(
    rng: np.random.Generator,
    prior: ScalePrior,
    covariance: FloatArray,
    squares: float,
    levels: int,
) -> FloatArray:
    def log_density(t: float) -> float:
        fit = -levels * t - 0.5 * squares * math.exp(-2 * t)
        return fit + t + log_density_at(prior, math.exp(t))

    t = slice_sample(rng, log_density, 0.5 * math.log(covariance[0, 0]), _WIDTH)
    return np.array([[math.exp(2 * t)]])
