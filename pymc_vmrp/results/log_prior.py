"""Log prior densities of single parameters, which power-scaling of the prior needs (ArviZ psense).

Power-scaling asks how the posterior changes with the prior that was chosen: that of the common
effects and of the hyperparameters. Group effects given their hyperparameters are part of the model,
and are left out (Kallioinen et al. 2024, section 2.4.3).
"""

from __future__ import annotations

import math

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.glmm.priors.mixtures import ElementwiseMixture
from pymc_vmrp.glmm.spec import GLMM, CommonEffects, GroupEffects
from pymc_vmrp.glmm.variables import Variables, common_part, effect_variables


def log_prior_variables(glmm: GLMM, draws: Draws) -> Variables:
    """Log density of each common effect, each Σ and each parameter of the likelihood.

    Names and dims are those of the posterior's variables, and densities those that
    ``pm.compute_log_prior`` finds on ``model.to_pymc()``, where the two have a variable in common:
    of the intercept at the centre of the predictors, and of standard deviations. Flat priors count
    as 0. Of correlated effects the density is one number, of all sds and correlations together,
    under the name of the correlations. A horseshoe's is one number, under the name of its term.

    Parameters
    ----------
    glmm : GLMM
    draws : Draws
        With leading dimensions (chain, draw).
    """
    shape = draws.coefficients.shape[:2]
    flat = draws.flat()
    out = _common(glmm.common, flat.coefficients[:, : glmm.common.size])
    for group, covariance in zip(glmm.groups, flat.covariances, strict=True):
        out |= _covariance(glmm, group, covariance)
    of_parameters = [
        prior.log_density_sigma(values)
        for prior, values in zip(glmm.parameter_priors, flat.parameters.T, strict=True)
    ]
    out |= {p.name: ((), d) for p, d in zip(glmm.free_parameters, of_parameters, strict=True)}
    return {
        name: (dims, values.reshape(*shape, *values.shape[1:]))
        for name, (dims, values) in out.items()
    }


def _common(common: CommonEffects, beta: FloatArray) -> Variables:
    density = np.zeros_like(beta)
    proper = np.isfinite(common.prior_sd)
    sd = common.prior_sd[proper]
    z = (beta - common.prior_mean)[:, proper] / sd
    density[:, proper] = -0.5 * z**2 - np.log(sd) - 0.5 * math.log(2 * math.pi)
    joint: Variables = {}
    for mixture in common.mixtures:
        index = list(mixture.index)
        squares = (beta[:, index] - common.prior_mean[index]) ** 2
        if isinstance(mixture.prior, ElementwiseMixture):
            density[:, index] = mixture.prior.log_densities_of_squares(squares)
        else:
            density[:, index] = 0.0
            joint_density = mixture.prior.log_density_of_squares(squares)
            joint[f"{mixture.name}_horseshoe"] = ((), joint_density)
    first = int(common.intercept)
    out: Variables = {"Intercept": ((), density[:, 0])} if first else {}
    for term in common.terms:
        out[term.name] = common_part(term, density[:, first:])
    return out | joint


def _covariance(glmm: GLMM, group: GroupEffects, covariance: FloatArray) -> Variables:
    """Density in terms of σ, or of every σ and correlation."""
    sigma = np.sqrt(np.einsum("skk->sk", covariance))
    # |dΣ/d(σ, R)| = 2^d Π σ_k^d
    jacobian = group.d * (math.log(2) + np.log(sigma).sum(1))
    density = covariance_log_density(group.prior, covariance) + jacobian
    if group.d > 1:
        return {f"{group.name}_corr": ((), density)}
    (variable,) = effect_variables(glmm, group)
    return {f"{variable.name}_sigma": variable.part(density[:, None])}
