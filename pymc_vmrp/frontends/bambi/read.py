"""Read a Bambi model: its GLMM with Bambi's own priors, and how Bambi reports the unknowns.

Written for Bambi 0.21, whose group-specific effects are independent normals with one sd each: each
effect of a term is a block of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import FormulaError
from pymc_vmrp.frontends.bambi.terms import (
    REMEDY,
    Bar,
    Term,
    blocks,
    check_finite,
    coded_columns,
    common_effects,
    naming_the_remedy,
    read_bar,
    read_common,
)
from pymc_vmrp.frontends.checks import check_weights
from pymc_vmrp.frontends.family_parameters import family_parameters, response_scale
from pymc_vmrp.frontends.formula.response import check_values
from pymc_vmrp.frontends.identify import check_identified, warn_of_far_zeros, warn_of_single_answers
from pymc_vmrp.frontends.pooling import cell_keys, check_offset, pool_rows
from pymc_vmrp.frontends.unbounded import check_bounded
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.glmm.families import families
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.results.layout import Layout, Reported

# Bambi's classes of families, and our names of them
BAMBI_FAMILIES = {
    "Bernoulli": "bernoulli",
    "BetaBinomial": "beta_binomial",
    "Binomial": "binomial",
    "Gamma": "gamma",
    "Gaussian": "gaussian",
    "NegativeBinomial": "negativebinomial",
    "Poisson": "poisson",
    "StudentT": "t",
}
_SPECIAL_RESPONSES = ("censored", "constrained", "truncated")
# of a weighted gamma Bambi 0.21 passes mean and sd as shape and rate; a weighted t does not build
_WEIGHTED_FAMILIES = ("gaussian", "negativebinomial", "poisson")


@dataclass(frozen=True)
class BambiSpec:
    """What is read of a Bambi model.

    Attributes
    ----------
    glmm : GLMM
        On cells, with those levels of grouping factors that the data have.
    observations : Observations
    layout : Layout
        How ``bambi_model.fit()`` reports the unknowns.
    """

    glmm: GLMM
    observations: Observations
    layout: Layout


def read_bambi(model: Any) -> BambiSpec:
    """Read a ``bambi.Model``, built or not.

    The log density is that of ``model.backend.model``, up to the change of variables from
    standardized effects to effects, and the levels without rows (``results/layout.py``).

    Parameters
    ----------
    model : bambi.Model

    Raises
    ------
    FormulaError, PriorError, DataError
        Where the model is not one linear predictor of a supported family with normal effects.
    """
    family = _family(model)
    component = _only_component(model)
    name, y, trials, weights = _response(model, family)
    offset = _offset(component)
    check_finite(name, y)
    check_offset(offset, family)
    terms = [read_common(term) for term in component.common_terms.values()]
    bars = [read_bar(term) for term in component.group_specific_terms.values()]
    keys = cell_keys(family, y, trials)
    if offset is not None and not family.absorbs_offset:
        keys.append(offset)
    cells = collapse(coded_columns(terms, bars, keys), len(y))

    rows = Rows(y, trials, weights)
    response, observations = pool_rows(
        name, family, rows, offset, cells, partial(np.arange, len(y))
    )
    common = common_effects(model, component, terms, cells)
    check_identified(common, family, response.statistics)
    groups = tuple(block for bar in bars for block in blocks(bar, cells))
    counts = cells.sum(rows.weighted(rows.ones if trials is None else trials))
    warn_of_far_zeros(groups, np.asarray(counts, dtype=float))
    if family.pools and family.response in ("binary", "proportion"):
        warn_of_single_answers(groups, counts)
    scale = response_scale(family, Rows(y, trials, weights, offset))
    priors = {key: one.prior for key, one in model.marginal_parameters.items()}
    with naming_the_remedy():
        parameters = family_parameters(family, scale, priors, fixed=False)
    glmm = GLMM(family, response, common, groups, parameters)
    check_bounded(glmm, rows, offset, cells)
    layout = _layout(model, component, glmm, terms, bars)
    _check_names(layout, (str(component.alias or component.name), name))
    return BambiSpec(glmm, observations, layout)


# --- family, response, offset --------------------------------------------------------------------


def _family(model: Any) -> Family:
    own = model.family
    known = families()
    name = BAMBI_FAMILIES.get(type(own).__name__)
    if name is None or own.likelihood.dist is not None:
        raise FormulaError(
            f"The family {own.name!r} is not supported; there are "
            f"{', '.join(dict.fromkeys(BAMBI_FAMILIES.values()))}. With another, {REMEDY}."
        )
    link = own.link[own.likelihood.parent].name
    if (name, link) not in known:
        links = ", ".join(its_link for its_name, its_link in known if its_name == name)
        raise FormulaError(
            f"The link {link!r} is not supported for the family {own.name!r}; there are: {links}. "
            f"Give Bambi's Model link= one of these, or {REMEDY}."
        )
    return known[name, link]


def _only_component(model: Any) -> Any:
    """The component of the mean; a FormulaError where the model has parts that are not read."""
    parent = model.family.likelihood.parent
    for name in model.conditional_parameters:
        if name != parent:
            raise FormulaError(
                f"The parameter {name!r} has a formula of its own, but there is one linear "
                f"predictor here, that of {parent!r}. Leave that formula out, or {REMEDY}."
            )
    component = model.conditional_parameters[parent]
    for name in component.hsgp_terms:
        raise FormulaError(
            f"The term {name!r} is a Gaussian process, whose length scale makes the model more "
            "than a linear predictor with normal effects. Write a spline, such as bs(x, df=8), "
            f"use s(x) in a pymc_vmrp.Model, or {REMEDY}."
        )
    if model.potentials:
        raise FormulaError(
            f"The model has potentials=, which are not read here: leave them out, or {REMEDY}."
        )
    if not component.terms:
        raise FormulaError("The model has nothing to estimate: add a term.")
    return component


def _response(
    model: Any, family: Family
) -> tuple[str, AnyArray, AnyArray | None, FloatArray | None]:
    """Name, y, trials and weights of each row."""
    term = model.response_term
    name = str(term.alias or term.name)
    for kind in _SPECIAL_RESPONSES:
        if getattr(term, f"is_{kind}"):
            raise FormulaError(
                f"The response {name!r} is {kind}, which is not supported: model the plain column, "
                f"or {REMEDY}."
            )
    data = np.asarray(term.data)
    if data.dtype.kind == "b":
        data = data.astype(np.int8)
    if term.is_weighted:
        if family.name not in _WEIGHTED_FAMILIES:
            raise FormulaError(
                f"The response {name!r} is weighted, which Bambi's models of the family "
                f"{family.name!r} do not do as written; those of {', '.join(_WEIGHTED_FAMILIES)} "
                "do. Write a pymc_vmrp.Model with weights=, or see what Bambi makes of it by "
                "bambi_model.fit()."
            )
        weights = check_weights(pd.Series(data[:, 1], name=name), "the model")
        y, trials = data[:, 0], None
    elif family.response == "proportion":
        return name, data[:, 0], data[:, 1], None
    else:
        y, trials, weights = np.squeeze(data), None, None
    if y.ndim != 1:
        raise FormulaError(
            f"The response {name!r} is not one number per row: write a plain column, or {REMEDY}."
        )
    if family.response != "binary":  # Bambi itself checks what Bernoulli answers are
        check_values(name, y.astype(float), family.response)
    return name, y, trials, weights


def _offset(component: Any) -> FloatArray | None:
    values = [np.squeeze(term.data).astype(float) for term in component.offset_terms.values()]
    for term, value in zip(component.offset_terms.values(), values, strict=True):
        check_finite(term.name, value)
    return np.sum(values, axis=0) if values else None


def _check_names(layout: Layout, others: Sequence[str]) -> None:
    """Refuse before the fit what Bambi's pm.Model, or the results, could not hold."""
    taken = {"chain", "draw", "__obs__", *layout.coords}
    for name in (*others, *(one.name for one in layout.variables)):
        if name in taken:
            raise FormulaError(
                f"The model has two things called {name!r}, which is one too many for Bambi's own "
                "fit as well: rename the column, or one of the two by model.set_alias()."
            )
        taken.add(name)


# --- how Bambi reports the unknowns --------------------------------------------------------------


def _layout(
    model: Any, component: Any, glmm: GLMM, terms: Sequence[Term], bars: Sequence[Bar]
) -> Layout:
    """Names, dims and coords as Bambi's backend makes them, aliases included."""
    from bambi.backend.terms import CommonTerm as BackendCommon
    from bambi.backend.terms import GroupSpecificTerm as BackendGroupSpecific
    from bambi.backend.utils import noncentered_default_for

    coords: dict[str, Any] = {}
    variables = [
        Reported(one.alias or name, (), (name,))
        for name, one in model.marginal_parameters.items()
        if name in {parameter.name for parameter in glmm.free_parameters}
    ]
    if component.intercept_term is not None:
        term = component.intercept_term
        variables.append(Reported(term.alias or term.name, (), ("Intercept",)))
    for one in terms:
        backend = BackendCommon(one.term)
        variables.append(Reported(backend.name, tuple(backend.coords), (one.term.name,)))
        coords |= backend.coords
    effects: list[Reported] = []
    default = noncentered_default_for(model, component.name)
    for bar in bars:
        own = BackendGroupSpecific(bar.term, default)
        sigma, effect = _reported_bar(bar, own)
        variables.append(sigma)
        noncentered = default if bar.term.prior.noncentered is None else bar.term.prior.noncentered
        # PyMC reports what it samples before what it computes
        (effects if noncentered else variables).append(effect)
        for dim, labels in own.coords.items():
            coords.setdefault(dim, labels)
    levels = {
        source: bar.levels for bar in bars if len(bar.levels.unseen) for source in bar.sources
    }
    interface = {"modeling_interface": "bambi", "modeling_interface_version": version("bambi")}
    return Layout((*variables, *effects), coords, levels, interface)


def _reported_bar(bar: Bar, backend: Any) -> tuple[Reported, Reported]:
    """The variables of a term's sds and effects."""
    dims: Mapping[str, Any] = backend.coords
    factor = tuple(dim for dim in dims if dim.endswith("__factor_dim"))
    expr = tuple(dim for dim in dims if dim not in factor)
    sigma_name = f"{backend.name}_{bar.term.hyperprior_alias.get('sigma', 'sigma')}"
    sds = tuple(f"{source}_sigma" for source in bar.sources)
    stacked = bar.labels is not None
    return (
        Reported(sigma_name, expr, sds, -1 if stacked else None),
        Reported(backend.name, (*expr, *factor), bar.sources, -2 if stacked else None),
    )
