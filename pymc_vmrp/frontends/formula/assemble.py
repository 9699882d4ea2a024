"""Formula, data and priors in; the GLMM, and what is needed to predict, out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray, SmallIntArray
from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.checks import (
    abbreviate,
    check_columns,
    check_frame,
    check_name,
    check_total,
    check_weights,
    drop_or_refuse_missing,
    storable_labels,
    without_weightless,
)
from pymc_vmrp.frontends.coefficient_priors import GivenPrior, prior_arrays
from pymc_vmrp.frontends.expressions.names import Environment
from pymc_vmrp.frontends.family_parameters import family_parameters, response_scale
from pymc_vmrp.frontends.few_levels import warn_of_few_levels
from pymc_vmrp.frontends.formula.calls import bind_names
from pymc_vmrp.frontends.formula.centring import (
    ColumnParts,
    centring_basis,
    column_parts,
    column_scales,
)
from pymc_vmrp.frontends.formula.design import fit_encoder, needed_columns, response_columns
from pymc_vmrp.frontends.formula.effects import Block
from pymc_vmrp.frontends.formula.encoder import EncodedRows, Encoder
from pymc_vmrp.frontends.formula.parse import ParsedFormula
from pymc_vmrp.frontends.formula.priors import (
    DEFAULT_SCALE,
    checked_for,
    checked_priors,
    covariance_prior,
    default_prior,
    prior_keys,
    stated_columns,
)
from pymc_vmrp.frontends.formula.response import (
    KnownArgument,
    is_proportion,
    known_argument,
    read_response,
    response_arguments,
    response_nodes,
)
from pymc_vmrp.frontends.identify import check_identified, warn_of_far_zeros, warn_of_single_answers
from pymc_vmrp.frontends.pooling import cell_keys, check_offset, pool_rows
from pymc_vmrp.frontends.unbounded import check_bounded
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.priors.covariance import HuangWand, Normal
from pymc_vmrp.glmm.priors.units import in_units
from pymc_vmrp.glmm.spec import GLMM, CommonEffects, CommonTerm, Effect, GroupEffects, Observations
from pymc_vmrp.glmm.variables import coords, posterior_names, repeated_name
from pymc_vmrp.read_model import Predictors

DEFAULT_SMOOTH_A = 1.0  # the same of smooths: of their typical distance from their linear part
_EXTREME = 1e100  # of the sd of a predictor


@dataclass(frozen=True)
class Assembled:
    """What a formula and a data frame become."""

    glmm: GLMM
    encoder: Encoder
    event: str  # what is modelled, in words
    observations: Observations
    known: KnownArgument | None  # trials or sds, which new responses are drawn with
    predictors: Predictors


def assemble(
    parsed: ParsedFormula,
    data: object,
    family: Family,
    priors: Mapping[str, Any] | None,
    center_predictors: bool,
    dropna: bool,
    weights: str | None,
    environment: Environment,
) -> Assembled:
    """Build the GLMM; see :class:`pymc_vmrp.Model` for the arguments and errors."""
    frame = check_frame(data, "data")
    names = bind_names(parsed, response_nodes(parsed.response), frame.columns, environment)
    predictors = needed_columns(parsed, frame, names)
    of_response = response_columns(parsed, frame, names)
    columns = [*of_response, *predictors, *_weight_columns(weights, frame)]
    _check_response_is_no_predictor(parsed, predictors)
    if weights is not None:
        frame = without_weightless(frame, weights)
    frame = drop_or_refuse_missing(frame, list(dict.fromkeys(columns)), "data", dropna)
    check_name(parsed.response.name)
    row_weights = None if weights is None else check_weights(frame[weights], "data")
    response = read_response(parsed.response, frame, names, family, row_weights)
    if response.trials is not None and not response.trials.all():
        tried = response.trials > 0  # a row without trials is no row of one trial each
        frame, response = frame.loc[tried], response.take(tried)
        row_weights = None if row_weights is None else row_weights[tried]
    keys = cell_keys(family, response.y, response.trials)
    counted = Rows(response.y, response.trials, row_weights, None, response.sd)
    trials = counted.ones if response.trials is None else counted.weighted(response.trials)
    check_total(trials, *_what_counts(parsed, weights))
    counts_differ = weights is not None or response.trials is not None
    learned = fit_encoder(
        parsed, frame, names, keys, family.absorbs_offset, trials if counts_differ else None
    )
    encoder, cells, rows = learned.encoder, learned.cells, learned.rows
    if not encoder.intercept and not encoder.common_terms and not rows.codes:
        raise FormulaError(f"The formula {parsed.text!r} has nothing to estimate: add a term.")

    check_offset(learned.offset, family)
    pooled, observations = pool_rows(
        response.name, family, counted, learned.offset, cells, partial(storable_labels, frame.index)
    )
    counts = cells.sum(trials)
    _check_constant(encoder.common_terms, rows.common)
    scale = response_scale(family, replace(counted, offset=learned.offset))
    parameters = family_parameters(family, scale, priors, fixed=response.sd is not None)
    checked = checked_priors(priors, encoder, [p.name for p in family.parameters])
    centre = 0.0 if family.centre is None else family.centre(pooled.statistics, pooled.offset)
    common = _common_effects(
        encoder, rows.common, counts, checked, center_predictors, centre, scale
    )
    check_identified(common, family, pooled.statistics)
    groups = tuple(
        _group_effects(block, codes, values, counts, checked, center_predictors, scale)
        for block, codes, values in zip(encoder.blocks, rows.codes, rows.values, strict=False)
    )
    _warn_of_few_levels(encoder.blocks, checked)
    groups += _smooth_groups(encoder, rows, checked, scale)
    if family.pools and family.response in ("binary", "proportion"):
        warn_of_single_answers(groups, counts)
    warn_of_far_zeros(groups, np.asarray(counts, dtype=float))
    glmm = GLMM(family, pooled, common, groups, parameters)
    check_bounded(glmm, counted, learned.offset, cells)
    clash = repeated_name(glmm)
    if clash is not None:
        raise FormulaError(
            f"Two parts of the model would both be called {clash!r} in the results: rename the "
            "column, or leave one of the terms out."
        )
    if family.parent in (*posterior_names(glmm), *coords(glmm)):
        raise FormulaError(
            f"Results call the mean response {family.parent!r}, so that no term can have that "
            "name: rename the column."
        )
    known = known_argument(parsed.response, of_response, names)
    differ = family.absorbs_offset and encoder.has_offset
    own = _own_predictors(frame, encoder.needed, cells, differ)
    return Assembled(glmm, encoder, response.event, observations, known, own)


def _own_predictors(
    frame: pd.DataFrame, needed: Collection[str], cells: Cells, rows_differ: bool
) -> Predictors:
    """The columns of the predictors; the first row of a cell stands for all, but for offsets."""
    if rows_differ:
        return Predictors(frame[list(needed)], np.arange(len(frame)))
    columns = {name: frame[name].iloc[cells.first] for name in needed}
    return Predictors(pd.DataFrame(columns).reset_index(drop=True), cells.index)


def _group_effects(
    block: Block,
    codes: SmallIntArray,
    values: FloatArray,
    counts: FloatArray,
    priors: dict[str, Any],
    center_predictors: bool,
    scale: float,
) -> GroupEffects:
    """A block: correlated effects centred, where an intercept takes up the centre, and scaled."""
    basis, scales = None, np.ones(1)
    parts = column_parts(block.expressions)
    if any(part.numeric for part in parts):
        flat = values.reshape(-1, len(parts))  # of several memberships: one after the other
        weights = np.repeat(counts, len(flat) // len(counts)).astype(float)
        if center_predictors:
            basis = centring_basis(flat, parts, weights)
        scales = column_scales(flat, basis, parts, weights)
        _check_scales(block, scales)
    prior = covariance_prior(block, priors, scale / scales)
    if center_predictors and len(parts) > 1 and (scales != 1).any():
        # so that no step of any engine depends on units
        basis = (np.eye(len(parts)) if basis is None else basis) / scales
        prior = in_units(prior, scales)
    return GroupEffects(
        factor=block.factor.name,
        effects=block.effects,
        levels=block.factor.levels,
        codes=codes,
        values=values if basis is None else values @ basis,
        prior=prior,
        basis=basis,
    )


def _warn_of_few_levels(blocks: Sequence[Block], priors: Mapping[str, Any]) -> None:
    """Of terms under the default prior: who gave one has thought about it."""
    named = {
        f"{'+'.join(dict.fromkeys(e.expression for e in block.effects))}|{block.factor.name}": block
        for block in blocks
        if not {*prior_keys(block), "group_specific"} & {*priors}
    }

    def example(name: str) -> str:
        single = len(named[name].effects) == 1
        prior = "vmrp.HalfNormal(s)" if single else "vmrp.LKJ(1, vmrp.HalfNormal(s))"
        return f"priors={{{name!r}: {prior}}}"

    levels = {name: len(block.factor.levels) for name, block in named.items()}
    warn_of_few_levels(levels, example)


def _check_scales(block: Block, scales: FloatArray) -> None:
    """Refuse predictors whose effects, or the squares of these, no number could hold."""
    extreme = ~((scales > 1 / _EXTREME) & (scales < _EXTREME))
    if extreme.any():
        effect = block.effects[int(np.argmax(extreme))]
        raise DataError(
            f"The predictor {effect.name!r} in ({effect.expression}|{block.factor.name}) is of an "
            "extreme scale: rescale it."
        )


def _smooth_groups(
    encoder: Encoder, rows: EncodedRows, priors: dict[str, Any], scale: float
) -> tuple[GroupEffects, ...]:
    """The blocks of smooths, which come after those of group-specific terms."""
    first = len(encoder.blocks)
    named = [(smooth.name, block) for smooth in encoder.smooths for block in smooth.blocks]
    default = priors.get("smooths", HuangWand(nu=2, A=DEFAULT_SMOOTH_A * scale))
    return tuple(
        GroupEffects(
            factor=block.title,
            effects=(Effect(block.title),),
            levels=block.levels,
            codes=codes,
            values=values,
            prior=checked_for(
                priors.get(block.title, priors.get(name, default)),
                1,
                len(block.levels),
                block.title,
            ),
            title=block.title,
            is_smooth=True,
            report=block.report,
        )
        for (name, block), codes, values in zip(
            named, rows.codes[first:], rows.values[first:], strict=True
        )
    )


def _what_counts(parsed: ParsedFormula, weights: str | None) -> tuple[str, str]:
    """What amounts of data come from, and what to do where they are too large to be counted."""
    if weights is not None:
        remedy = f"scale {weights!r} to sum to the number of respondents"
        return "The weights", f"{remedy}, or to the effective sample size"
    if is_proportion(parsed.response):
        named = str(response_arguments(parsed.response)[1])
        return f"The trials {named!r} of {parsed.response.name!r}", "correct that column"
    return "The rows", "take fewer"


def _weight_columns(weights: str | None, frame: pd.DataFrame) -> list[str]:
    if weights is None:
        return []
    if not isinstance(weights, str):
        raise DataError(f"weights= must be the name of a column of data, not {weights!r}.")
    check_columns(frame, [weights], "data", {weights: "weights="})
    return [weights]


def _check_response_is_no_predictor(parsed: ParsedFormula, predictors: dict[str, str]) -> None:
    used = parsed.response.var_names
    if is_proportion(parsed.response):  # the number of trials may well be a predictor
        used = {str(response_arguments(parsed.response)[0])}
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


def _common_effects(
    encoder: Encoder,
    columns: FloatArray,
    weights: FloatArray,
    priors: dict[str, Any],
    center_predictors: bool,
    centre: float,
    scale: float,
) -> CommonEffects:
    """Centre, and fill in priors; a trial counts as a row, so that cells and rows agree.

    By default the intercept's prior lies around ``centre``, and sds grow with ``scale``.
    """
    basis = None
    if center_predictors:
        parts = _common_parts(encoder)
        stated = stated_columns(encoder.common_terms, priors)
        basis = centring_basis(columns, parts, weights, stated, encoder.intercept)
        columns = columns if basis is None else columns @ basis
    share = weights / weights.sum()
    means = share @ columns
    # column by column: the whole squared would be as large as the design
    squares = [share @ (column - mean) ** 2 for column, mean in zip(columns.T, means, strict=True)]
    sds = np.sqrt(np.array(squares, dtype=float))
    center = means if center_predictors and encoder.intercept else np.zeros(columns.shape[1])
    given = []
    if encoder.intercept:
        intercept = priors.get("Intercept", Normal(centre, DEFAULT_SCALE * scale))
        given.append(GivenPrior("Intercept", "Intercept", intercept, 1))
    for term in encoder.common_terms:
        key = term.name if term.name in priors else "common"
        prior = priors.get(key)
        if prior is None:
            prior = default_prior(term, sds[term.start : term.stop], scale)
        given.append(GivenPrior(term.name, key, prior, term.stop - term.start))
    prior_mean, prior_sd, mixtures = prior_arrays(given)
    return CommonEffects(
        columns=columns,
        terms=encoder.common_terms,
        intercept=encoder.intercept,
        center=center,
        prior_mean=prior_mean,
        prior_sd=prior_sd,
        mixtures=mixtures,
        basis=basis,
    )


def _common_parts(encoder: Encoder) -> list[ColumnParts]:
    """The parts of every common column; the linear parts of smooths are what they are."""
    parts = column_parts(encoder.terms)
    of_smooths = encoder.common_terms[len(encoder.terms) :]
    for k, term in enumerate(of_smooths, len(encoder.terms)):
        own = frozenset({term.name})
        parts += [
            ColumnParts(k, frozenset({(term.name, i)}), own, degree=-1)
            for i in range(term.stop - term.start)
        ]
    return parts
