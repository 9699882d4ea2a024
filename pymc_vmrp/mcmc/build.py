"""GLMM → pm.Model with exactly the same joint density, on cells, non-centred."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors import scales
from pymc_vmrp.glmm.priors.covariance import HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.spec import GLMM, FamilyParameter, GroupEffects
from pymc_vmrp.glmm.variables import (
    EffectVariable,
    coords,
    correlation_dim,
    correlation_name,
    correlation_pairs,
    effect_variables,
    factor_dim,
    step_dim,
)
from pymc_vmrp.mcmc.coefficients import coefficients, float64

CELL_DIM = "__cell__"

# PyMC calls their arguments as scale_priors.py does
_DISTRIBUTIONS = {
    scales.Exponential: pm.Exponential,
    scales.Gamma: pm.Gamma,
    scales.HalfCauchy: pm.HalfCauchy,
    scales.HalfNormal: pm.HalfNormal,
    scales.HalfStudentT: pm.HalfStudentT,
    scales.InverseGamma: pm.InverseGamma,
    scales.LogNormal: pm.LogNormal,
    scales.Uniform: pm.Uniform,
}


def build_pymc(glmm: GLMM) -> pm.Model:
    """Write the GLMM as a pm.Model.

    Names are Bambi's. As in Bambi, ``Intercept`` is the intercept at the centre of the predictors,
    group-specific effects are deterministics of standard normal ``..._offset`` variables, and the
    levels of each dimension are coordinates. Slopes of predictors in interactions are those at the
    centre too; group-specific effects are as the formula writes them. The response is observed
    per cell.
    """
    with pm.Model(coords=model_coords(glmm)) as model:
        effects = [
            _scalar_effects(glmm, g) if g.d == 1 else _vector_effects(glmm, g) for g in glmm.groups
        ]
        likelihood(glmm, coefficients(glmm.common), effects)
    return model


def model_coords(glmm: GLMM) -> dict[str, Any]:
    """Coordinates of the pm.Model.

    Raises
    ------
    PriorError
        Where a prior is improper: then there is no such model.
    """
    for group in glmm.groups:
        priors = group.prior.scales(group.d) if isinstance(group.prior, LKJ) else [group.prior]
        if any(isinstance(prior, scales.ScaleDensity) for prior in priors):
            raise PriorError(f"The prior of {group.name!r} comes from a pm.Model: use that.")
        if isinstance(group.prior, ImproperInverseWishart):
            raise PriorError(
                f"The prior {group.prior.kind!r} of {group.name!r} is improper: PyMC's engines "
                "cannot honour it, only inference_method='cavi' can. Give the term a proper prior, "
                "such as HuangWand(), to use them."
            )
    out: dict[str, Any] = {**coords(glmm), CELL_DIM: np.arange(glmm.n_cells)}
    for group in glmm.groups:
        if group.report is not None:
            out[step_dim(group)] = list(group.levels)
        if group.d > 1:
            out[_effect_dim(group)] = [effect.name for effect in group.effects]
    return out


def likelihood(glmm: GLMM, beta: Mapping[str, Any], effects: Sequence[Any]) -> None:
    """The response given β by name and the effects of each block, named here.

    Effects have the shape (L,) where d = 1, else (d, L).
    """
    eta = _common(glmm, beta)
    for group, u in zip(glmm.groups, effects, strict=True):
        (_name_scalar if group.d == 1 else _name_vector)(glmm, group, u)
        eta = eta + _rows_times(group, u)
    response = glmm.response
    if response.offset is not None:
        eta = eta + response.offset
    phi = {p.name: _parameter(p) for p in glmm.parameters}
    glmm.family.likelihood(response.name, eta, response.statistics, phi, CELL_DIM)


def _parameter(parameter: FamilyParameter) -> Any:
    """An auxiliary parameter of the likelihood: a variable, or the number it is fixed at."""
    if isinstance(parameter.prior, float):
        return np.asarray(parameter.prior)
    return _sigma(parameter.name, parameter.prior, None)


def _effect_dim(group: GroupEffects) -> str:
    return f"{group.name}__effect_dim"


def _common(glmm: GLMM, beta: Mapping[str, Any]) -> Any:
    common = glmm.common
    eta: Any = np.zeros(glmm.n_cells)
    if common.intercept:
        eta = eta + beta["Intercept"]
    centred = common.columns - common.center
    for term in common.terms:
        own, columns = beta[term.name], centred[:, term.start : term.stop]
        eta = eta + (columns[:, 0] * own if term.labels is None else pt.dot(columns, own))
    return eta


def _scalar_effects(glmm: GLMM, group: GroupEffects) -> Any:
    variable = effect_variables(glmm, group)[0]
    sigma = scalar_sigma(glmm, group)
    dim = factor_dim(group) if group.report is None else step_dim(group)
    return pm.Normal(f"{variable.name}_offset", 0, 1, dims=dim) * sigma


def scalar_sigma(glmm: GLMM, group: GroupEffects, transform: Any = None) -> Any:
    """The standard deviation of a block with d = 1, in the pm.Model of the context.

    ``transform`` replaces PyMC's own of this variable.
    """
    variable = effect_variables(glmm, group)[0]
    sigma = _sigma(f"{variable.name}_sigma", group.prior, variable.dim, transform)
    return sigma if variable.dim is None else sigma[0]  # an expression with one labelled column


def _name_scalar(glmm: GLMM, group: GroupEffects, u: Any) -> None:
    variable = effect_variables(glmm, group)[0]
    if group.report is not None:
        u = pt.dot(group.report.forward, u)
    if variable.dim is None:
        pm.Deterministic(variable.name, u, dims=factor_dim(group))
    else:
        pm.Deterministic(variable.name, u[None, :], dims=(variable.dim, factor_dim(group)))


def _rows_times(group: GroupEffects, u: Any) -> Any:
    """Z u of a block, for effects of shape (L,) where d = 1, else (d, L)."""
    members, values = group.members, group.member_values
    if group.d > 1:
        parts = [(u[:, members[:, i]] * values[:, i].T).sum(axis=0) for i in range(group.m)]
    elif group.m == len(group.levels) and (members == np.arange(group.m)).all():
        parts = [pt.dot(values[:, :, 0], u)]  # all rows touch all levels
    else:
        parts = [u[members[:, i]] * values[:, i, 0] for i in range(group.m)]
    return functools.reduce(operator.add, parts)


def _sigma(name: str, prior: Any, dim: str | None, transform: Any = None) -> Any:
    shape: dict[str, Any] = {} if dim is None else {"dims": dim}
    if transform is not None:
        shape["default_transform"] = transform
    if isinstance(prior, HuangWand):  # its marginal, with the auxiliary integrated out
        return pm.HalfStudentT(name, nu=prior.nu, sigma=float(prior.scales(1)[0]), **shape)
    if isinstance(prior, InverseWishart):
        df, scale = prior.parameters(1)
        prior = scales.InverseGamma(df / 2, float(scale[0, 0]) / 2)
    distribution, arguments = _DISTRIBUTIONS[type(prior)], vars(prior).copy()
    if isinstance(prior, scales.Uniform):
        arguments["lower"] = 0.0
    measured = arguments.pop("on", "sd")
    arguments = {key: float64(value) for key, value in arguments.items()}
    if measured == "sd":
        return distribution(name, **arguments, **shape)
    variance = distribution(f"{name.removesuffix('_sigma')}_variance", **arguments, **shape)
    return pm.Deterministic(name, pt.sqrt(variance), **shape)


def _vector_effects(glmm: GLMM, group: GroupEffects) -> Any:
    """Correlated effects: u = T⁻ᵀz."""
    dims = (_effect_dim(group), factor_dim(group))
    if isinstance(group.prior, LKJ):
        root = lkj_root(glmm, group, group.prior)
        return pt.dot(root, pm.Normal(f"{group.name}_offset", 0, 1, dims=dims))
    triangle = precision_triangle(glmm, group)
    offset = pm.Normal(f"{group.name}_offset", 0, 1, dims=dims)
    return pt.linalg.solve_triangular(triangle.T, offset, lower=False)


def precision_triangle(glmm: GLMM, group: GroupEffects) -> Any:
    """T of Σ⁻¹ = TT' by Bartlett's decomposition, in the pm.Model of the context.

    Σ⁻¹ ~ Wishart(df, S⁻¹) has T = chol(S⁻¹)B with B_ii² ~ χ²(df − i) and standard normals below,
    which holds for any real df (Bartlett 1933; Odell & Feiveson 1966). Σ is named on the way.
    Under an LKJ prior T is upper triangular, and the inverse of its transpose Σ's lower root.
    """
    if isinstance(group.prior, LKJ):
        root = lkj_root(glmm, group, group.prior)
        return pt.linalg.solve_triangular(root, pt.eye(group.d), lower=True).T
    d, base, effect_dim = group.d, group.name, _effect_dim(group)
    df, root = _precision_root(group, effect_dim)
    chi2 = pm.Gamma(f"{base}_chi2", alpha=(df - np.arange(d)) / 2, beta=0.5, dims=effect_dim)
    below = pm.Normal(f"{base}_bartlett", 0, 1, dims=correlation_dim(group))
    # one assignment, and no pt.diag: numba would run that in object mode
    pairs = [(k, k) for k in range(d)] + correlation_pairs(group)
    low, high = np.array(pairs).T
    bartlett = pt.set_subtensor(pt.zeros((d, d))[high, low], pt.concatenate([pt.sqrt(chi2), below]))
    triangle = root[:, None] * bartlett if root.ndim == 1 else pt.dot(root, bartlett)
    _name_covariance(glmm, group, pt.linalg.solve_triangular(triangle, pt.eye(d), lower=True).T)
    return triangle


def lkj_root(glmm: GLMM, group: GroupEffects, prior: LKJ) -> Any:
    """C of Σ = CC', in the pm.Model of the context: sds, and partial correlations by beta laws."""
    d, priors = group.d, prior.scales(group.d)
    sigmas = [
        _sigmas(free_sigma_base(group, v), v, priors[v.start : v.stop])
        for v in effect_variables(glmm, group)
    ]
    sigma = pt.concatenate([pt.atleast_1d(own) for own in sigmas])
    shapes = prior.partial_shapes(d)
    beta = pm.Beta(f"{group.name}_partial", shapes, shapes, dims=correlation_dim(group))
    z = 2 * beta - 1
    rows, at = [], 0
    for i in range(d):
        left, row = pt.as_tensor(np.ones(())), []
        for _ in range(i):
            row.append(z[at] * pt.sqrt(left))
            left, at = left * (1 - z[at] ** 2), at + 1
        zeros = [pt.as_tensor(np.zeros(()))] * (d - i - 1)
        rows.append(pt.stack([*row, pt.sqrt(left), *zeros]))
    root = sigma[:, None] * pt.stack(rows)
    if group.basis is None:
        _name_correlations(group, pt.dot(root, root.T), sigma)
    else:
        _name_covariance(glmm, group, root)
    return root


def free_sigma_base(group: GroupEffects, variable: EffectVariable) -> str:
    """What the names of the sds that PyMC samples under an LKJ prior begin with."""
    return variable.name if group.basis is None else f"{variable.name}_centred"


def _sigmas(base: str, variable: EffectVariable, priors: Sequence[Any]) -> Any:
    """The standard deviations of one variable's effects, each under its own prior."""
    name = f"{base}_sigma"
    if all(prior == priors[0] for prior in priors):
        return _sigma(name, priors[0], variable.dim)
    parts = [
        _sigma(f"{base}[{label}]_sigma", prior, None)
        for label, prior in zip(variable.labels, priors, strict=True)
    ]
    return pm.Deterministic(name, pt.stack(parts), dims=variable.dim)


def _precision_root(group: GroupEffects, effect_dim: str) -> tuple[float, Any]:
    """Degrees of freedom of Σ⁻¹, and the lower root of its scale matrix (or its diagonal)."""
    d, prior = group.d, group.prior
    if isinstance(prior, HuangWand):
        rate = prior.scales(d) ** -2
        a = pm.InverseGamma(f"{group.name}_a", alpha=0.5, beta=rate, dims=effect_dim)
        return prior.nu + d - 1, pt.sqrt(a / (2 * prior.nu))
    assert isinstance(prior, InverseWishart)
    df, scale = prior.parameters(d)
    return df, np.linalg.cholesky(np.linalg.inv(scale))


def _name_covariance(glmm: GLMM, group: GroupEffects, root: Any) -> None:
    """Name what Σ = root·root' is as the formula writes it."""
    root = root if group.basis is None else pt.dot(group.basis, root)
    covariance = pt.dot(root, root.T)
    diagonal = np.arange(group.d)
    sigma = pt.sqrt(covariance[diagonal, diagonal])
    for variable in effect_variables(glmm, group):
        part = slice(variable.start, variable.stop)
        if variable.dim is None:
            pm.Deterministic(f"{variable.name}_sigma", sigma[variable.start])
        else:
            pm.Deterministic(f"{variable.name}_sigma", sigma[part], dims=variable.dim)
    _name_correlations(group, covariance, sigma)


def _name_correlations(group: GroupEffects, covariance: Any, sigma: Any) -> None:
    rho = [covariance[a, b] / (sigma[a] * sigma[b]) for a, b in correlation_pairs(group)]
    pm.Deterministic(correlation_name(group), pt.stack(rho), dims=correlation_dim(group))


def _name_vector(glmm: GLMM, group: GroupEffects, u: Any) -> None:
    u = u if group.basis is None else pt.dot(group.basis, u)
    for variable in effect_variables(glmm, group):
        if variable.dim is None:
            pm.Deterministic(variable.name, u[variable.start], dims=factor_dim(group))
        else:
            part = u[variable.start : variable.stop]
            pm.Deterministic(variable.name, part, dims=(variable.dim, factor_dim(group)))
