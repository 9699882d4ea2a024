"""Values of the free variables of the pm.Model at a draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors.covariance import HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ, partial_correlations
from pymc_vmrp.glmm.spec import GLMM, GroupEffects
from pymc_vmrp.glmm.variables import common_variables, effect_variables
from pymc_vmrp.mcmc.build import free_sigma_base
from pymc_vmrp.mcmc.coefficients import free_coefficients


def free_values(glmm: GLMM, draws: Draws, s: int) -> dict[str, FloatArray]:
    """Free variables of the pm.Model at draw ``s``; auxiliaries at their conditional mode."""
    theta = draws.coefficients[s]
    common = glmm.common
    # those of the pm.Model are those of the centred design
    slopes = theta[int(common.intercept) : common.size]
    named = common_variables(glmm, theta[0] if common.intercept else None, slopes)
    beta = {name: np.asarray(value) for name, (_, value) in named.items()}
    values = free_coefficients(common, theta[: common.size], beta)
    for i, parameter in enumerate(glmm.free_parameters):
        sigma = np.asarray(draws.parameters[s, i])
        if _on_variance(parameter.prior):
            values[f"{parameter.name}_variance"] = sigma**2
        else:
            values[parameter.name] = sigma
    for j, group in enumerate(glmm.groups):
        u = theta[glmm.group_slice(j)].reshape(-1, group.d)
        values |= _free_block(glmm, group, u, draws.covariances[j][s])
    return values


def _on_variance(prior: Any) -> bool:
    """Whether a prior of one standard deviation is stated for its square."""
    return getattr(prior, "on", "sd") == "variance"


def _free_block(
    glmm: GLMM, group: GroupEffects, u: FloatArray, covariance: FloatArray
) -> dict[str, FloatArray]:
    if group.d == 1:
        variable = effect_variables(glmm, group)[0]
        sigma = np.sqrt(covariance[0, 0])
        width = () if variable.dim is None else (1,)
        values = {f"{variable.name}_offset": u[:, 0] / sigma}
        if isinstance(group.prior, InverseWishart) or _on_variance(group.prior):
            values[f"{variable.name}_variance"] = np.full(width, sigma**2)
        else:
            values[f"{variable.name}_sigma"] = np.full(width, sigma)
        return values
    if isinstance(group.prior, LKJ):
        return _free_lkj_block(glmm, group, group.prior, u, covariance)
    precision = np.linalg.inv(covariance)
    triangle = np.linalg.cholesky(precision)
    values = {}
    if isinstance(group.prior, HuangWand):
        nu = group.prior.nu
        rate = group.prior.scales(group.d) ** -2 + nu * np.diag(precision)
        a = rate / (0.5 * (nu + group.d) + 1)  # mode of a | Σ
        values[f"{group.name}_a"] = a
        root = np.diag(np.sqrt(a / (2 * nu)))
    else:
        assert isinstance(group.prior, InverseWishart)
        root = np.linalg.cholesky(np.linalg.inv(group.prior.parameters(group.d)[1]))
    bartlett = np.linalg.solve(root, triangle)
    values[f"{group.name}_chi2"] = np.diag(bartlett) ** 2
    values[f"{group.name}_bartlett"] = np.array(
        [bartlett[b, a] for b in range(group.d) for a in range(b)]
    )
    values[f"{group.name}_offset"] = triangle.T @ u.T
    return values


def _free_lkj_block(
    glmm: GLMM, group: GroupEffects, prior: LKJ, u: FloatArray, covariance: FloatArray
) -> dict[str, FloatArray]:
    sigma = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance)
    values = {
        f"{group.name}_partial": 0.5 * (partial_correlations(root / sigma[:, None]) + 1),
        f"{group.name}_offset": np.linalg.solve(root, u.T),
    }
    for variable in effect_variables(glmm, group):
        own = sigma[variable.start : variable.stop]
        priors = prior.scales(group.d)[variable.start : variable.stop]
        base = free_sigma_base(group, variable)
        if variable.dim is None:
            names, parts = [base], [own[0]]
        elif all(one == priors[0] for one in priors):
            names, parts = [base], [own]
        else:
            names, parts = [f"{base}[{label}]" for label in variable.labels], list(own)
        for name, part, one in zip(names, parts, priors, strict=False):
            squared = _on_variance(one)
            values[f"{name}_{'variance' if squared else 'sigma'}"] = np.asarray(
                part**2 if squared else part
            )
    return values
