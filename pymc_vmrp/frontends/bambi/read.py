"""Read a Bambi model: its GLMM with Bambi's own priors, and how Bambi reports the unknowns.

It and ``bambi_draws.py`` alone know Bambi's insides (written for Bambi 0.21). Bambi's
group-specific effects are independent normals with one sd each, so each effect of a term is a block
of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError, FormulaError, PriorError, warn
from pymc_vmrp.frontends.bambi_priors import coefficient_prior, effect_priors
from pymc_vmrp.frontends.checks import check_weights
from pymc_vmrp.frontends.coefficient_priors import GivenPrior, prior_arrays
from pymc_vmrp.frontends.family_parameters import family_parameters, response_scale
from pymc_vmrp.frontends.few_levels import warn_of_few_levels
from pymc_vmrp.frontends.formula.response import check_values
from pymc_vmrp.frontends.identify import (
    check_identified,
    warn_of_far_zeros,
    warn_of_single_answers,
)
from pymc_vmrp.frontends.pooling import cell_keys, check_offset, pool_rows
from pymc_vmrp.frontends.unbounded import check_bounded
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import CodeArray, Codes, code_dtype, encode_column, occurring, ranks
from pymc_vmrp.glmm.families import families
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.spec import (
    GLMM,
    CommonEffects,
    CommonTerm,
    Effect,
    GroupEffects,
    Observations,
)
from pymc_vmrp.results.layout import Layout, Levels, Reported

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
_REMEDY = "sample the model with bambi_model.fit()"
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
    _check_finite(name, y)
    check_offset(offset, family)
    terms = [_read_common(term) for term in component.common_terms.values()]
    bars = [_read_bar(term) for term in component.group_specific_terms.values()]
    keys = cell_keys(family, y, trials)
    if offset is not None and not family.absorbs_offset:
        keys.append(offset)
    cells = collapse(_coded_columns(terms, bars, keys), len(y))

    rows = Rows(y, trials, weights)
    response, observations = pool_rows(
        name, family, rows, offset, cells, partial(np.arange, len(y))
    )
    common = _common_effects(model, component, terms, cells)
    check_identified(common, family, response.statistics)
    groups = tuple(block for bar in bars for block in _blocks(bar, cells))
    counts = cells.sum(rows.weighted(rows.ones if trials is None else trials))
    warn_of_far_zeros(groups, np.asarray(counts, dtype=float))
    if family.pools and family.response in ("binary", "proportion"):
        warn_of_single_answers(groups, counts)
    scale = response_scale(family, Rows(y, trials, weights, offset))
    priors = {key: one.prior for key, one in model.marginal_parameters.items()}
    with _naming_the_remedy():
        parameters = family_parameters(family, scale, priors, fixed=False)
    glmm = GLMM(family, response, common, groups, parameters)
    check_bounded(glmm, rows, offset, cells)
    layout = _layout(model, component, glmm, terms, bars)
    _check_names(layout, (str(component.alias or component.name), name))
    return BambiSpec(glmm, observations, layout)


def warn_of_summed_slopes(model: Any) -> None:
    """Warn of terms that Bambi's own pm.Model does not compute as they are written.

    Where the expression of a group-specific term is a matrix of one column, as that of ``(x:z|g)``,
    Bambi 0.21 broadcasts n effects against an n × 1 matrix and sums over the wrong axis: each row
    meets the sum of all rows' effects. Its ``predict`` and its sparse products are as written.
    """
    from bambi.config import config

    if config["SPARSE_DOT"]:
        return
    names = [
        term.name
        for component in model.conditional_parameters.values()
        for term in component.group_specific_terms.values()
        if np.shape(term.predictor)[1:] == (1,)
        and not any(dim.endswith("__expr_dim") for dim in term.coords)
    ]
    if names:
        warn(
            f"bambi_model.fit() multiplies each row of {names[0]!r} by the sum of all rows' "
            "effects, an error of Bambi 0.21 for one column of numbers. CAVI and Gibbs fit the "
            "term as it is written, as bambi_model.predict() has it; for NUTS on the same model "
            'set bambi.config["SPARSE_DOT"] = True before the model is built, or make the product '
            "a column of the data."
        )


def warn_of_few_levels_of(model: Any) -> None:
    """Warn of group-specific terms with few levels under Bambi's default priors."""

    def example(name: str) -> str:
        sd = 'bmb.Prior("HalfNormal", sigma=s)'
        return f'priors={{{name!r}: bmb.Prior("Normal", mu=0, sigma={sd})}}'

    levels = {
        term.name: len(np.unique(term.group_index))
        for component in model.conditional_parameters.values()
        for term in component.group_specific_terms.values()
        if term.prior.auto_scale
    }
    warn_of_few_levels(levels, example)


@contextlib.contextmanager
def _naming_the_remedy() -> Iterator[None]:
    """Say of a prior that is not honoured here that Bambi's own fit honours it."""
    try:
        yield
    except PriorError as error:
        raise PriorError(f"{error} Or {_REMEDY}.") from None


# --- family, response, offset --------------------------------------------------------------------


def _family(model: Any) -> Family:
    own = model.family
    known = families()
    name = BAMBI_FAMILIES.get(type(own).__name__)
    if name is None or own.likelihood.dist is not None:
        raise FormulaError(
            f"The family {own.name!r} is not supported; there are "
            f"{', '.join(dict.fromkeys(BAMBI_FAMILIES.values()))}. With another, {_REMEDY}."
        )
    link = own.link[own.likelihood.parent].name
    if (name, link) not in known:
        links = ", ".join(its_link for its_name, its_link in known if its_name == name)
        raise FormulaError(
            f"The link {link!r} is not supported for the family {own.name!r}; there are: {links}. "
            f"Give Bambi's Model link= one of these, or {_REMEDY}."
        )
    return known[name, link]


def _only_component(model: Any) -> Any:
    """The component of the mean; a FormulaError where the model has parts that are not read."""
    parent = model.family.likelihood.parent
    for name in model.conditional_parameters:
        if name != parent:
            raise FormulaError(
                f"The parameter {name!r} has a formula of its own, but there is one linear "
                f"predictor here, that of {parent!r}. Leave that formula out, or {_REMEDY}."
            )
    component = model.conditional_parameters[parent]
    for name in component.hsgp_terms:
        raise FormulaError(
            f"The term {name!r} is a Gaussian process, whose length scale makes the model more "
            "than a linear predictor with normal effects. Write a spline, such as bs(x, df=8), "
            f"use s(x) in a pymc_vmrp.Model, or {_REMEDY}."
        )
    if model.potentials:
        raise FormulaError(
            f"The model has potentials=, which are not read here: leave them out, or {_REMEDY}."
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
                f"or {_REMEDY}."
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
        y = data[:, 0]
        trials = None
    elif family.response == "proportion":
        return name, data[:, 0], data[:, 1], None
    else:
        y, trials, weights = np.squeeze(data), None, None
    if y.ndim != 1:
        raise FormulaError(
            f"The response {name!r} is not one number per row: write a plain column, or {_REMEDY}."
        )
    if family.response != "binary":  # Bambi itself checks what Bernoulli answers are
        check_values(name, y.astype(float), family.response)
    return name, y, trials, weights


def _offset(component: Any) -> FloatArray | None:
    values = [np.squeeze(term.data).astype(float) for term in component.offset_terms.values()]
    for term, value in zip(component.offset_terms.values(), values, strict=True):
        _check_finite(term.name, value)
    return np.sum(values, axis=0) if values else None


def _check_finite(name: str, values: AnyArray) -> None:
    """Bambi's automatic priors of infinite columns are NaN: the column is what is wrong."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"{name!r} has values in the model's data that are infinite or not numbers: correct or "
            "drop those rows."
        )


# --- terms ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Term:
    """A common term: Bambi's object, and its columns, shape (rows, width), a view."""

    term: Any
    columns: AnyArray


@dataclass(frozen=True)
class _Bar:
    """A group-specific term.

    Attributes
    ----------
    term : bambi.terms.GroupSpecificTerm
    factor, expression : str
    codes : ndarray of integers, shape (rows,)
        Which of the known levels each row has.
    levels : Levels
        Which of Bambi's levels are known: an interaction has every combination.
    names : tuple of str
        Of Bambi's levels.
    columns : ndarray, shape (rows, effects), or None
        What the effects are multiplied by; None is an intercept.
    labels : tuple of str, or None
        Of the effects, where Bambi's results have a dimension of them.
    priors : tuple of ScalePrior
        Of the sd of each effect.
    """

    term: Any
    factor: str
    expression: str
    codes: CodeArray
    levels: Levels
    names: tuple[str, ...]
    columns: AnyArray | None
    labels: tuple[str, ...] | None
    priors: tuple[ScalePrior, ...]

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the effects, each of which is a block of its own."""
        if self.labels is None:
            return (self.expression,)
        return tuple(f"{self.expression}[{label}]" for label in self.labels)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return tuple(f"{expression}|{self.factor}" for expression in self.expressions)


def _read_common(term: Any) -> _Term:
    data = np.asarray(term.data)
    _check_finite(term.name, data)
    return _Term(term, data[:, None] if data.ndim == 1 else data)


def _read_bar(term: Any) -> _Bar:
    expression, factor = term.term.name.split("|")
    size = len(term.groups)
    # formulae holds the factor as a matrix, rows × levels; Bambi keeps the codes beside it
    index = np.asarray(term.group_index)
    occurs = occurring(index, size)
    codes = ranks(occurs)[index].astype(code_dtype(size), copy=False)
    columns = None if term.kind == "intercept" else np.asarray(term.predictor)
    if columns is not None and columns.ndim == 1:
        columns = columns[:, None]
    if columns is not None:
        _check_finite(term.name, columns)
    expr = [dim for dim in term.coords if dim.endswith("__expr_dim")]
    labels = tuple(map(str, term.coords[expr[0]])) if expr else None
    with _naming_the_remedy():
        priors = effect_priors(term.prior, term.name, 1 if columns is None else columns.shape[1])
    return _Bar(
        term, factor, expression, codes, Levels(np.flatnonzero(occurs), size),
        tuple(map(str, term.groups)), columns, labels, tuple(priors),
    )  # fmt: skip


def _coded_columns(
    terms: Sequence[_Term], bars: Sequence[_Bar], keys: Sequence[AnyArray]
) -> list[Codes]:
    """Everything in which the rows of a cell agree; what terms share is coded once."""
    numbers: dict[tuple[str, int], AnyArray] = {}
    factors: dict[str, Codes] = {}
    again: list[AnyArray] = []
    for name, columns in [
        *((term.term.term.name, term.columns) for term in terms),
        *((bar.expression, bar.columns) for bar in bars if bar.columns is not None),
    ]:
        for k, column in enumerate(columns.T):
            known = numbers.setdefault((name, k), column)
            if known is not column and not np.array_equal(known, column):
                again.append(column)  # the same expression, coded in another way
    for bar in bars:
        levels = pd.RangeIndex(len(bar.levels.known))
        factors.setdefault(bar.factor, Codes(bar.codes, levels))
    every = [*numbers.values(), *again, *keys]
    return [*(encode_column(pd.Series(column, copy=False)) for column in every), *factors.values()]


def _common_effects(
    model: Any, component: Any, terms: Sequence[_Term], cells: Cells
) -> CommonEffects:
    """Bambi centres columns at their means over rows, whatever rows weigh."""
    given = []
    intercept = component.intercept_term
    with _naming_the_remedy():
        if intercept is not None:
            prior = coefficient_prior(intercept.prior, intercept.name)
            given.append(GivenPrior(intercept.name, intercept.name, prior, 1))
        for one in terms:
            prior = coefficient_prior(one.term.prior, one.term.name)
            given.append(GivenPrior(one.term.name, one.term.name, prior, one.columns.shape[1]))
        prior_mean, prior_sd, mixtures = prior_arrays(given)
    pieces = [one.columns[cells.first].astype(float) + 0.0 for one in terms]
    columns = np.column_stack([np.empty((cells.size, 0)), *pieces])
    if intercept is not None and model.center_predictors:
        center = np.concatenate([np.empty(0), *(one.columns.mean(axis=0) for one in terms)])
    else:
        center = np.zeros(columns.shape[1])
    named, start = [], 0
    for one in terms:
        stop = start + one.columns.shape[1]
        labels = next(iter(one.term.coords.values()), None)
        named.append(
            CommonTerm(
                one.term.name, None if labels is None else tuple(map(str, labels)), start, stop
            )
        )
        start = stop
    return CommonEffects(
        columns, tuple(named), intercept is not None, center, prior_mean, prior_sd, mixtures
    )


def _blocks(bar: _Bar, cells: Cells) -> Iterator[GroupEffects]:
    codes = bar.codes[cells.first].astype(np.int32)
    levels = tuple(bar.names[i] for i in bar.levels.known)
    for k, (expression, prior) in enumerate(zip(bar.expressions, bar.priors, strict=True)):
        values = (
            np.broadcast_to(1.0, (cells.size, 1))
            if bar.columns is None
            else bar.columns[cells.first, k : k + 1].astype(float) + 0.0
        )
        yield GroupEffects(bar.factor, (Effect(expression),), levels, codes, values, prior)


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
    model: Any, component: Any, glmm: GLMM, terms: Sequence[_Term], bars: Sequence[_Bar]
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


def _reported_bar(bar: _Bar, backend: Any) -> tuple[Reported, Reported]:
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
