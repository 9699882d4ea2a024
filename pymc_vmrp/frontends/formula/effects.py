"""Group-specific terms: the factor of each, and the effects that vary over its levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from formulae.terms.terms import Intercept, Term

from pymc_vmrp.arrays import FloatArray, SmallIntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_name
from pymc_vmrp.frontends.expressions.names import Names
from pymc_vmrp.frontends.formula.coding import code_terms
from pymc_vmrp.frontends.formula.columns import column_labels, gather, new_columns, two_dimensional
from pymc_vmrp.frontends.formula.factors import Factor, fit_factor
from pymc_vmrp.frontends.formula.members import Members, fit_members, members_values
from pymc_vmrp.frontends.formula.parse import Bar
from pymc_vmrp.frontends.formula.products import expression_name
from pymc_vmrp.frontends.formula.special import MemberTerm
from pymc_vmrp.glmm.codes import Codes
from pymc_vmrp.glmm.spec import Effect


@dataclass(frozen=True)
class Block:
    """One group-specific block: which factor it varies over, and the effects that vary."""

    factor: Factor | Members
    expressions: tuple[Any, ...]
    effects: tuple[Effect, ...]


def fit_blocks(
    bars: Sequence[Bar], frame: pd.DataFrame, coded: Mapping[str, Codes], names: Names
) -> tuple[list[Block], list[SmallIntArray], list[FloatArray]]:
    """Learn the blocks from one row per cell; codes and values of each as well."""
    fitted: dict[str, tuple[Factor, SmallIntArray]] = {}
    blocks: list[Block] = []
    codes: list[SmallIntArray] = []
    values: list[FloatArray] = []
    for bar in bars:
        name = bar.factor.name
        check_name(name)
        terms = code_terms(bar.expressions, frame, names, f"|{name}")
        for expressions in [tuple(terms)] if bar.correlated else [(term,) for term in terms]:
            effects, columns = _effects(expressions, bar.factor, _has_intercept(bars, name), frame)
            factor: Factor | Members
            if isinstance(bar.factor, MemberTerm):
                factor, code, shares = fit_members(bar.factor, coded)
                code, columns = members_values(code, shares, columns)
            else:
                if name not in fitted:
                    fitted[name] = fit_factor(bar.factor, frame, coded)
                factor, code = fitted[name]
            blocks.append(Block(factor, expressions, effects))
            codes.append(code)
            values.append(columns)
    return blocks, codes, values


def unseen_levels(blocks: Sequence[Block], frame: pd.DataFrame) -> list[tuple[str, ...]]:
    """For each block, the sorted keys of its factor's levels that the model never saw."""
    factors = {block.factor.name: block.factor for block in blocks}
    keys = {name: factor.unseen(frame) for name, factor in factors.items()}
    return [keys[block.factor.name] for block in blocks]


def encode_blocks(
    blocks: Sequence[Block], frame: pd.DataFrame, unseen: Sequence[Sequence[str]]
) -> tuple[list[SmallIntArray], list[FloatArray]]:
    """Codes and values of each block on new rows; ``unseen`` levels come after the known."""
    coded: dict[str, SmallIntArray] = {}
    codes, values = [], []
    for block, new_levels in zip(blocks, unseen, strict=True):
        columns = new_columns(block.expressions, frame, "the new data")
        name = block.factor.name
        if isinstance(block.factor, Members):
            members = block.factor.encode(frame, new_levels)
            code, columns = members_values(*members, columns)
        else:
            if name not in coded:
                coded[name] = block.factor.encode(frame, new_levels)
            code = coded[name]
        codes.append(code)
        values.append(columns)
    return codes, values


def _has_intercept(bars: Sequence[Bar], factor: str) -> bool:
    """Whether an intercept varies over this factor, in whichever bar."""
    return any(
        isinstance(expression, Intercept)
        for bar in bars
        if bar.factor.name == factor
        for expression in bar.expressions
    )


def _effects(
    expressions: Sequence[Any], factor: Any, has_intercept: bool, frame: pd.DataFrame
) -> tuple[tuple[Effect, ...], FloatArray]:
    """The effects of evaluated expressions that vary together, and their columns."""
    effects: list[Effect] = []
    for expression in expressions:
        name = expression_name(expression)
        check_name(name)
        if isinstance(expression, Intercept):
            effects.append(Effect("1"))
            continue
        width = two_dimensional(expression.data, len(frame)).shape[1]
        if width == 0:
            raise _constant_effect(name, factor)
        labels = column_labels(expression, width)
        effects.extend(Effect(name, label) for label in labels or (None,))
    values = gather(expressions, len(frame))
    if has_intercept:
        # one column of several may be: levels that never meet, whose effects their prior describes
        constant = values.min(axis=0) == values.max(axis=0)
        for name in dict.fromkeys(effect.expression for effect in effects):
            own = [i for i, effect in enumerate(effects) if effect.expression == name]
            if name != "1" and constant[own].all():
                raise _constant_effect(name, factor)
    return tuple(effects), values


def _constant_effect(name: str, factor: Term) -> DataError:
    return DataError(
        f"{name!r} in ({name}|{factor.name}) is constant, or has only one level: its "
        "effects cannot be told from the intercepts. Leave it out."
    )
