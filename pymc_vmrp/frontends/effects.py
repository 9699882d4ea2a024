"""Group-specific terms: the factor of each, and the effects that vary over its levels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.terms import Intercept
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.calls import check_finite, formulae_errors
from pymc_vmrp.frontends.checks import check_name
from pymc_vmrp.frontends.columns import check_known_levels, column_labels, gather, two_dimensional
from pymc_vmrp.frontends.factors import Factor, encode_factor, fit_factor, unseen_keys
from pymc_vmrp.frontends.formula import Bar, expression_name
from pymc_vmrp.frontends.members import Members, fit_members, members_values
from pymc_vmrp.frontends.names import Names
from pymc_vmrp.frontends.special import MemberTerm
from pymc_vmrp.glmm.codes import Codes
from pymc_vmrp.glmm.spec import Effect

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """One group-specific block: which factor it varies over, and the effects that vary."""

    factor: Factor | Members
    expressions: tuple[Any, ...]
    effects: tuple[Effect, ...]


def fit_blocks(
    bars: Sequence[Bar], frame: pd.DataFrame, coded: Mapping[str, Codes], names: Names
) -> tuple[list[Block], list[IntArray], list[FloatArray]]:
    """Learn the blocks from one row per cell; codes and values of each as well."""
    fitted: dict[str, tuple[Factor, IntArray]] = {}
    blocks: list[Block] = []
    codes: list[IntArray] = []
    values: list[FloatArray] = []
    for bar in bars:
        expressions, effects, columns = _fit_effects(bar, bars, frame, names)
        name = bar.factor.name
        check_name(name)
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
    found = {block.factor.name: block.factor for block in blocks}
    keys = {
        name: factor.unseen(frame) if isinstance(factor, Members) else unseen_keys(factor, frame)
        for name, factor in found.items()
    }
    return [keys[block.factor.name] for block in blocks]


def encode_blocks(
    blocks: Sequence[Block], frame: pd.DataFrame, unseen: Sequence[Sequence[str]]
) -> tuple[list[IntArray], list[FloatArray]]:
    """Codes and values of each block on new rows; ``unseen`` levels come after the known."""
    coded: dict[str, IntArray] = {}
    codes, values = [], []
    for block, new_levels in zip(blocks, unseen, strict=True):
        columns = _block_values(block.expressions, len(frame), frame)
        name = block.factor.name
        if isinstance(block.factor, Members):
            members = block.factor.encode(frame, new_levels)
            code, columns = members_values(*members, columns)
        else:
            if name not in coded:
                coded[name] = encode_factor(block.factor, frame, new_levels)
            code = coded[name]
        codes.append(code)
        values.append(columns)
    return codes, values


def _fit_effects(
    bar: Bar, bars: Sequence[Bar], frame: pd.DataFrame, names: Names
) -> tuple[tuple[Any, ...], tuple[Effect, ...], FloatArray]:
    """The evaluated expressions left of a bar, their effects, and the columns of these."""
    # As in formulae and Bambi: with an intercept over the same factor, categories are contrasts.
    has_intercept = any(
        isinstance(expression, Intercept)
        for other in bars
        if other.factor.name == bar.factor.name
        for expression in other.expressions
    )
    effects: list[Effect] = []
    expressions = tuple(copy.deepcopy(bar.expressions))  # (c|g + h) codes c for each factor
    for expression in expressions:
        name = expression_name(expression)
        check_name(name)
        if isinstance(expression, Intercept):
            effects.append(Effect("1"))
            continue
        with formulae_errors(f"{name}|{bar.factor.name}", "data"):
            expression.set_type(frame, names)
            expression.set_data(not has_intercept)
        width = two_dimensional(expression.data, len(frame)).shape[1]
        if width == 0:
            raise _constant_effect(name, bar)
        labels = column_labels(expression, width)
        effects.extend(Effect(name, label) for label in labels or (None,))
    values = gather(expressions, len(frame))
    if has_intercept:
        for effect, column in zip(effects, values.T, strict=True):
            if effect.expression != "1" and column.min() == column.max():
                raise _constant_effect(effect.expression, bar)
    return expressions, tuple(effects), values


def _constant_effect(name: str, bar: Bar) -> DataError:
    return DataError(
        f"{name!r} in ({name}|{bar.factor.name}) is constant, or has only one level: its "
        "effects cannot be told from the intercepts. Leave it out."
    )


def _block_values(expressions: Sequence[Any], n: int, frame: pd.DataFrame) -> FloatArray:
    pieces = []
    for expression in expressions:
        if isinstance(expression, Intercept):
            pieces.append(np.ones((n, 1)))
            continue
        check_known_levels(expression, frame, "the new data")
        with formulae_errors(expression.name, "the new data"):
            pieces.append(two_dimensional(expression.eval_new_data(frame), n))
        check_finite(pieces[-1], expression.name, "the new data")
    return np.column_stack(pieces).astype(float)
