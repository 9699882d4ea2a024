"""Bambi's names, dims and coords for everything unknown in a GLMM.

One place decides them, so that CAVI, NUTS, ADVI and Pathfinder return the same variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.spec import GLMM, CommonEffects, CommonTerm, GroupEffects
from pymc_vmrp.glmm.written import (
    centred_coefficients,
    centred_covariance,
    centred_effects,
    written_coefficients,
    written_covariance,
)

Variables = dict[str, tuple[tuple[str, ...], FloatArray]]


@dataclass(frozen=True)
class EffectVariable:
    """The effects of a block that share one expression, and so one variable.

    Attributes
    ----------
    name : str
        Such as ``1|state`` or ``x|state``.
    start, stop : int
        Which of the block's d effects it holds.
    dim : str or None
        Dimension of the expression's columns, or None where it has one column.
    labels : tuple of str
        Coordinates along ``dim``.
    """

    name: str
    start: int
    stop: int
    dim: str | None
    labels: tuple[str, ...]

    def part(self, values: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
        """Dims and values of its effects, from those of the block along the last axis."""
        if self.dim is None:
            return (), values[..., self.start]
        return (self.dim,), values[..., self.start : self.stop]


def effect_variables(glmm: GLMM, group: GroupEffects) -> list[EffectVariable]:
    """Split a block into its variables."""
    variables: list[EffectVariable] = []
    start = 0
    for expression in dict.fromkeys(effect.expression for effect in group.effects):
        labels = tuple(e.label for e in group.effects if e.expression == expression)
        stop = start + len(labels)
        named = tuple(label for label in labels if label is not None)
        dim = _expression_dim(glmm, expression, group, named) if named else None
        name = group.title or f"{expression}|{group.factor}"
        variables.append(EffectVariable(name, start, stop, dim, named))
        start = stop
    return variables


def _expression_dim(
    glmm: GLMM, expression: str, group: GroupEffects, labels: tuple[str, ...]
) -> str:
    """Bambi's name, or a longer one where another block codes the expression differently."""
    for other in glmm.groups:
        coded = tuple(e.label for e in other.effects if e.expression == expression)
        if coded and coded != labels:
            return f"{expression}|{group.factor}__expr_dim"
    return f"{expression}__expr_dim"


def factor_dim(group: GroupEffects) -> str:
    """Dimension of a grouping factor's levels."""
    return f"{group.factor}__factor_dim"


def step_dim(group: GroupEffects) -> str:
    """Dimension of the effects themselves, where results show combinations of them."""
    return f"{group.name}__step_dim"


def correlation_pairs(group: GroupEffects) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of the effects of a block."""
    return [(a, b) for b in range(group.d) for a in range(b)]


def correlation_name(group: GroupEffects) -> str:
    """Variable that holds the correlations of a block."""
    return f"{group.name}_corr"


def correlation_dim(group: GroupEffects) -> str:
    """Dimension of the correlations of a block."""
    return f"{group.name}__corr_dim"


def common_dim(term: CommonTerm) -> str:
    """Dimension of the columns of a common term."""
    return f"{term.name}_dim"


def coords(glmm: GLMM) -> dict[str, list[str]]:
    """Coordinates of every dimension of the posterior's variables."""
    out: dict[str, list[str]] = {}
    for term in glmm.common.terms:
        if term.labels is not None:
            out[common_dim(term)] = list(term.labels)
    for group in glmm.groups:
        for variable in effect_variables(glmm, group):
            if variable.dim is not None:
                out[variable.dim] = list(variable.labels)
        if group.d > 1:
            out[correlation_dim(group)] = [
                f"{group.effects[a].name},{group.effects[b].name}"
                for a, b in correlation_pairs(group)
            ]
    for group in glmm.groups:
        out[factor_dim(group)] = list(group.report.labels if group.report else group.levels)
    return out


def posterior_names(glmm: GLMM) -> list[str]:
    """Names of every variable of the posterior; of a faulty model some appear twice."""
    names = ["Intercept"] if glmm.common.intercept else []
    names += [term.name for term in glmm.common.terms]
    for group in glmm.groups:
        for variable in effect_variables(glmm, group):
            names += [variable.name, f"{variable.name}_sigma"]
        if group.d > 1:
            names.append(correlation_name(group))
    names += horseshoe_names(glmm.common)
    return names + [parameter.name for parameter in glmm.free_parameters]


def repeated_name(glmm: GLMM) -> str | None:
    """A name that two variables, or a variable and a dimension, would share; None if all differ."""
    seen: set[str] = set()
    for name in ["chain", "draw", *coords(glmm), *posterior_names(glmm)]:
        if name in seen:
            return name
        seen.add(name)
    return None


def horseshoe_names(common: CommonEffects) -> list[str]:
    """Variables that a pm.Model keeps for the horseshoe priors of common effects."""
    first, names = int(common.intercept), []
    starts = {term.name: first + term.start for term in common.terms}
    if common.intercept:
        starts["Intercept"] = 0
    for mixture in common.mixtures:
        if isinstance(mixture.prior, Horseshoe):
            names.append(f"{mixture.name}_tau")
            own = [name for name, start in starts.items() if start in mixture.index]
            names += [f"{name}_{part}" for name in own for part in ("lambda", "offset")]
    return names


def written_common_variables(glmm: GLMM, written: FloatArray) -> Variables:
    """Name the intercept and slopes of coefficients as the formula writes them, shape (..., p)."""
    common = glmm.common
    slopes = written[..., int(common.intercept) : common.size]
    return common_variables(glmm, written[..., 0] if common.intercept else None, slopes)


def common_variables(glmm: GLMM, intercept: FloatArray | None, slopes: FloatArray) -> Variables:
    """Name the intercept, shape (...), and the slopes, shape (..., k)."""
    out: Variables = {}
    if intercept is not None:
        out["Intercept"] = ((), intercept)
    return out | {term.name: common_part(term, slopes) for term in glmm.common.terms}


def common_part(term: CommonTerm, slopes: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
    """Dims and values of a term's columns, from those of all columns along the last axis."""
    if term.labels is None:
        return (), slopes[..., term.start]
    return (common_dim(term),), slopes[..., term.start : term.stop]


def group_variables(glmm: GLMM, group: GroupEffects, effects: FloatArray) -> Variables:
    """Name the effects of a block, shape (..., L, d)."""
    if group.report is not None:
        combined = effects[..., 0] @ group.report.forward.T
        return {group.name: ((factor_dim(group),), combined)}
    out: Variables = {}
    for variable in effect_variables(glmm, group):
        dims, own = variable.part(effects)
        out[variable.name] = ((*dims, factor_dim(group)), np.swapaxes(own, -1, -2) if dims else own)
    return out


def sigma_variables(glmm: GLMM, group: GroupEffects, sigma: FloatArray) -> Variables:
    """Name the standard deviations of a block, shape (..., d)."""
    return {f"{v.name}_sigma": v.part(sigma) for v in effect_variables(glmm, group)}


def covariance_variables(glmm: GLMM, group: GroupEffects, covariance: FloatArray) -> Variables:
    """Name the standard deviations and correlations of Σ, shape (..., d, d), as written."""
    covariance = written_covariance(group, covariance)
    sigma = np.sqrt(np.einsum("...kk->...k", covariance))
    out = sigma_variables(glmm, group, sigma)
    if group.d > 1:
        pairs = correlation_pairs(group)
        rho = [covariance[..., a, b] / (sigma[..., a] * sigma[..., b]) for a, b in pairs]
        out[correlation_name(group)] = ((correlation_dim(group),), np.stack(rho, axis=-1))
    return out


def posterior_variables(
    glmm: GLMM,
    coefficients: FloatArray,
    covariances: tuple[FloatArray, ...],
    parameters: FloatArray,
) -> Variables:
    """Every variable of the posterior.

    Parameters
    ----------
    glmm : GLMM
    coefficients : ndarray, shape (..., p)
        ``[β, u]`` of the centred design; named as the formula writes them.
    covariances : tuple of ndarray, each of shape (..., d, d)
    parameters : ndarray, shape (..., k)
        The likelihood's free parameters.
    """
    written = written_coefficients(glmm, coefficients)
    out = written_common_variables(glmm, written)
    for j, group in enumerate(glmm.groups):
        effects = written[..., glmm.group_slice(j)]
        shape = (*effects.shape[:-1], len(group.levels), group.d)
        out |= group_variables(glmm, group, effects.reshape(shape))
        out |= covariance_variables(glmm, group, covariances[j])
    return out | parameter_variables(glmm, parameters)


def posterior_dims(glmm: GLMM) -> dict[str, tuple[str, ...]]:
    """Dimensions of every variable of the posterior."""
    eyes = tuple(np.eye(group.d) for group in glmm.groups)
    ones = np.ones(len(glmm.free_parameters))
    named = posterior_variables(glmm, np.zeros(glmm.n_coefficients), eyes, ones)
    return {name: dims for name, (dims, _) in named.items()}


def parameter_variables(glmm: GLMM, parameters: FloatArray) -> Variables:
    """Name the likelihood's free parameters, shape (..., k)."""
    return {p.name: ((), parameters[..., i]) for i, p in enumerate(glmm.free_parameters)}


def parameters_from_variables(
    glmm: GLMM, variables: Mapping[str, FloatArray], shape: tuple[int, ...]
) -> FloatArray:
    """The likelihood's free parameters, shape (..., k), from named variables."""
    values = [variables[p.name] for p in glmm.free_parameters]
    return np.stack(values, axis=-1) if values else np.empty((*shape, 0))


def coefficients_from_variables(
    glmm: GLMM, variables: Mapping[str, FloatArray], centred_common: bool
) -> FloatArray:
    """The coefficient vector, shape (..., p), from named variables; undoes the naming above.

    Parameters
    ----------
    glmm : GLMM
    variables : mapping of str to ndarray
        Arrays with the sample dimensions first, then the variable's own in the order above.
    centred_common : bool
        Whether the common effects are those of the centred design (as inside a pm.Model) or as
        the formula writes them.
    """
    pieces = [
        variables[term.name][..., None] if term.labels is None else variables[term.name]
        for term in glmm.common.terms
    ]
    if glmm.common.intercept:
        pieces.insert(0, variables["Intercept"][..., None])
    for group in glmm.groups:
        if group.report is not None:
            pieces.append(variables[group.name] @ group.report.backward.T)
            continue
        effects = []
        for variable in effect_variables(glmm, group):
            value = variables[variable.name]
            effects.append(value[..., None] if variable.dim is None else np.swapaxes(value, -1, -2))
        block = np.concatenate(effects, axis=-1)
        pieces.append(block.reshape(*block.shape[:-2], -1))
    written = np.concatenate(pieces, axis=-1)
    return (centred_effects if centred_common else centred_coefficients)(glmm, written)


def covariances_from_variables(
    glmm: GLMM, variables: Mapping[str, FloatArray]
) -> tuple[FloatArray, ...]:
    """Σ_j of each block in the centred design, shape (..., d, d), from what is named above."""
    out = []
    for group in glmm.groups:
        sigmas = []
        for variable in effect_variables(glmm, group):
            value = variables[f"{variable.name}_sigma"]
            sigmas.append(value[..., None] if variable.dim is None else value)
        sigma = np.concatenate(sigmas, axis=-1)
        correlation = np.broadcast_to(np.eye(group.d), (*sigma.shape, group.d)).copy()
        if group.d > 1:
            rho = variables[correlation_name(group)]
            for i, (a, b) in enumerate(correlation_pairs(group)):
                correlation[..., a, b] = correlation[..., b, a] = rho[..., i]
        written = correlation * sigma[..., :, None] * sigma[..., None, :]
        out.append(centred_covariance(group, written))
    return tuple(out)
