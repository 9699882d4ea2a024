"""Formula, data and priors in; the GLMM, and what is needed to predict, out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from formulae.environment import Environment
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError, FormulaError, PriorError
from pymc_vmrp.frontends.calls import formula_environment
from pymc_vmrp.frontends.checks import (
    abbreviate,
    check_frame,
    check_name,
    drop_or_refuse_missing,
    storable_labels,
)
from pymc_vmrp.frontends.design import (
    EncodedRows,
    Encoder,
    fit_encoder,
    needed_columns,
    response_columns,
)
from pymc_vmrp.frontends.effects import Block
from pymc_vmrp.frontends.formula import ParsedFormula
from pymc_vmrp.frontends.identify import check_identified, warn_of_single_answers
from pymc_vmrp.frontends.response import is_proportion, proportion_arguments, read_response
from pymc_vmrp.glmm.families import Family, log_binomial_coefficients
from pymc_vmrp.glmm.priors import (
    CoefficientPrior,
    CovariancePrior,
    Flat,
    HuangWand,
    Normal,
    check_covariance_prior,
)
from pymc_vmrp.glmm.spec import (
    GLMM,
    CommonEffects,
    CommonTerm,
    Effect,
    GroupEffects,
    Observations,
    Response,
)
from pymc_vmrp.glmm.variables import repeated_name

FloatArray = NDArray[np.float64]

DEFAULT_COVARIANCE_PRIOR = HuangWand(nu=2, A=5)
DEFAULT_SMOOTH_PRIOR = HuangWand(nu=2, A=1)  # σ: a smooth's typical distance from its linear part
DEFAULT_SCALE = 2.5  # of a coefficient's prior per sd of its predictor, as rstanarm and Bambi


@dataclass(frozen=True)
class Assembled:
    """What a formula and a data frame become."""

    glmm: GLMM
    encoder: Encoder
    event: str  # what is modelled, in words
    observations: Observations


def assemble(
    parsed: ParsedFormula,
    data: object,
    family: Family,
    priors: Mapping[str, Any] | None,
    center_predictors: bool,
    dropna: bool,
    env: Environment,
) -> Assembled:
    """Build the GLMM; see :class:`pymc_vmrp.Model` for the arguments and errors."""
    frame = check_frame(data, "data")
    env = formula_environment(env)
    predictors = needed_columns(parsed, frame, env)
    columns = [*response_columns(parsed, frame, env), *predictors]
    _check_response_is_no_predictor(parsed, predictors)
    frame = drop_or_refuse_missing(frame, list(dict.fromkeys(columns)), "data", dropna)
    check_name(parsed.response.name)
    response = read_response(parsed.response, frame, env, family)
    encoder, cells, rows = fit_encoder(parsed, frame, env, response.trials)
    if not encoder.intercept and not encoder.common_terms and not rows.codes:
        raise FormulaError(f"The formula {parsed.text!r} has nothing to estimate: add a term.")

    successes, trials = cells.sum(response.successes), cells.sum(response.trials)
    _check_constant(encoder.common_terms, rows.common)
    priors = _checked_priors(priors, encoder)
    common = _common_effects(encoder, rows.common, trials, priors, center_predictors)
    check_identified(common, successes, trials)
    groups = tuple(
        GroupEffects(
            factor=block.factor.name,
            effects=block.effects,
            levels=block.factor.levels,
            codes=codes,
            values=values,
            prior=_covariance_prior(block, priors),
        )
        for block, codes, values in zip(encoder.blocks, rows.codes, rows.values, strict=False)
    )
    groups += _smooth_groups(encoder, rows, priors)
    warn_of_single_answers(groups, trials)
    log_base = (
        log_binomial_coefficients(response.successes, response.trials)
        if is_proportion(parsed.response)
        else 0.0
    )
    statistics = Response(response.name, successes, trials, log_base)
    observations = Observations(
        response.name,
        response.successes,
        response.trials,
        cells.index,
        partial(storable_labels, frame.index),
    )
    glmm = GLMM(family, statistics, common, groups)
    clash = repeated_name(glmm)
    if clash is not None:
        raise FormulaError(
            f"Two parts of the model would both be called {clash!r} in the results: rename the "
            "column, or leave one of the terms out."
        )
    return Assembled(glmm, encoder, response.event, observations)


def _smooth_groups(
    encoder: Encoder, rows: EncodedRows, priors: dict[str, Any]
) -> tuple[GroupEffects, ...]:
    """The blocks of smooths, which come after those of group-specific terms."""
    first = len(encoder.blocks)
    named = [(smooth.name, block) for smooth in encoder.smooths for block in smooth.blocks]
    default = priors.get("smooths", DEFAULT_SMOOTH_PRIOR)
    return tuple(
        GroupEffects(
            factor=block.title,
            effects=(Effect(block.title),),
            levels=block.levels,
            codes=codes,
            values=values,
            prior=priors.get(block.title, priors.get(name, default)),
            title=block.title,
            report=block.report,
        )
        for (name, block), codes, values in zip(
            named, rows.codes[first:], rows.values[first:], strict=True
        )
    )


def _check_response_is_no_predictor(parsed: ParsedFormula, predictors: dict[str, str]) -> None:
    used = parsed.response.var_names
    if is_proportion(parsed.response):  # the number of trials may well be a predictor
        used = {str(proportion_arguments(parsed.response)[0])}
    for name in used & set(predictors):
        raise FormulaError(
            f"{name!r} is the response and used by {predictors[name]}: drop it there."
        )


def _check_constant(terms: tuple[CommonTerm, ...], columns: FloatArray) -> None:
    for term in terms:
        block = columns[:, term.start : term.stop]
        if block.shape[1] == 0:
            raise DataError(f"The predictor {term.name!r} has only one level: leave it out.")
        low, high = block.min(axis=0), block.max(axis=0)
        constant = high - low <= 1e-12 * np.maximum(-low, high)
        if constant.any():
            names = [term.labels[i] for i in np.flatnonzero(constant)] if term.labels else []
            which = f" (in {abbreviate(names)})" if names else ""
            raise DataError(
                f"The predictor {term.name!r} is constant{which}: it says nothing about the "
                "response, leave it out."
            )


# --- priors ------------------------------------------------------------------------------------


def _checked_priors(priors: Mapping[str, Any] | None, encoder: Encoder) -> dict[str, Any]:
    """Priors by key, with "flat" spelled out; an unknown key or a wrong kind is an error."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise PriorError("priors must be a dict such as {'common': Normal(0, 1)}.")
    common = {"common", *(term.name for term in encoder.common_terms)}
    if encoder.intercept:
        common.add("Intercept")
    group = {"group_specific"}
    for block in encoder.blocks:
        group |= set(_prior_keys(block))
    for smooth in encoder.smooths:
        group |= {"smooths", smooth.name, *(block.title for block in smooth.blocks)}
    checked = {}
    for key, prior in priors.items():
        if key not in common | group:
            raise PriorError(
                f"priors has the key {key!r}, but the model has no such term. Its terms are "
                f"{', '.join(map(repr, sorted(common | group)))}."
            )
        if isinstance(prior, str) and prior.lower() == "flat":
            prior = Flat()
        kind, wanted = (
            (CoefficientPrior, "Normal or Flat")
            if key in common
            else (
                CovariancePrior,
                "HuangWand, InverseWishart or a prior on one sd",
            )
        )
        if not isinstance(prior, kind):
            raise PriorError(f"The prior of {key!r} must be {wanted}, not {prior!r}.")
        checked[key] = prior
    return checked


def _prior_keys(block: Block) -> list[str]:
    """Names under which a block's prior may be given: the whole term, or any of its effects."""
    expressions = list(dict.fromkeys(effect.expression for effect in block.effects))
    names = ["+".join(expressions), *expressions]
    return list(dict.fromkeys(f"{name}|{block.factor.name}" for name in names))


def _covariance_prior(block: Block, priors: dict[str, Any]) -> CovariancePrior:
    name, *effects = _prior_keys(block)
    given = [priors[key] for key in (name, *effects) if key in priors]
    if any(prior != given[0] for prior in given):
        raise PriorError(f"The effects of {name!r} share one covariance matrix: give one prior.")
    default = priors.get("group_specific", DEFAULT_COVARIANCE_PRIOR)
    prior: CovariancePrior = given[0] if given else default
    check_covariance_prior(prior, len(block.effects), name)
    return prior


def _common_effects(
    encoder: Encoder,
    columns: FloatArray,
    weights: FloatArray,
    priors: dict[str, Any],
    center_predictors: bool,
) -> CommonEffects:
    """Centre, and fill in priors; a trial counts as a row, so that cells and rows agree."""
    share = weights / weights.sum()
    means = share @ columns
    # column by column: the whole squared would be as large as the design
    squares = [share @ (column - mean) ** 2 for column, mean in zip(columns.T, means, strict=True)]
    sds = np.sqrt(np.array(squares, dtype=float))
    center = means if center_predictors and encoder.intercept else np.zeros(columns.shape[1])
    mean: list[float] = []
    sd: list[float] = []
    if encoder.intercept:
        prior = priors.get("Intercept", Normal(0, DEFAULT_SCALE))
        _append_prior(mean, sd, prior, 1, "Intercept")
    for term in encoder.common_terms:
        width = term.stop - term.start
        prior = priors.get(term.name, priors.get("common"))
        if prior is None:
            prior = _default_prior(term, sds[term.start : term.stop])
        _append_prior(mean, sd, prior, width, term.name)
    return CommonEffects(
        columns=columns,
        terms=encoder.common_terms,
        intercept=encoder.intercept,
        center=center,
        prior_mean=np.array(mean),
        prior_sd=np.array(sd),
    )


def _default_prior(term: CommonTerm, sds: FloatArray) -> Normal:
    if (sds == 0).any():
        raise DataError(f"The predictor {term.name!r} is constant where there are trials.")
    if not np.isfinite(sds).all():
        raise DataError(f"The predictor {term.name!r} is of an extreme scale: rescale it.")
    return Normal(0, tuple((DEFAULT_SCALE / sds).tolist()))


def _append_prior(
    mean: list[float], sd: list[float], prior: CoefficientPrior, width: int, name: str
) -> None:
    if isinstance(prior, Flat):
        mean.extend([0.0] * width)
        sd.extend([np.inf] * width)
        return
    for target, value in ((mean, prior.mu), (sd, prior.sigma)):
        array = np.asarray(value, dtype=float)
        if array.ndim and array.shape != (width,):
            raise PriorError(
                f"The prior of {name!r} has {array.size} values, but the term has {width} columns."
            )
        target.extend(np.broadcast_to(array, width).tolist())
