"""The design of new rows by a Bambi model's own terms, as formulae has evaluated them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae.model_description import model_description
from formulae.terms.terms import Intercept
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.bambi.read import BambiSpec
from pymc_vmrp.frontends.formula.effects import Block
from pymc_vmrp.frontends.formula.encoder import Encoder
from pymc_vmrp.frontends.formula.factors import Factor, fit_factor
from pymc_vmrp.frontends.tidy import kind_of, tidy_column
from pymc_vmrp.glmm.codes import encode_column
from pymc_vmrp.glmm.spec import GroupEffects

Evaluate = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class _Piece:
    """A term, a factor or a call of Bambi's in the form of ours; it keeps what it has learned."""

    name: str
    var_names: frozenset[str]
    components: tuple[Any, ...] = ()
    eval_new_data: Evaluate | None = None
    values: Evaluate | None = None


def _call(call: Any) -> _Piece:
    def values(frame: pd.DataFrame) -> Any:
        if call.kind == "offset":
            return call.eval_new_data(frame)
        return call.call.eval(frame, call.env)

    return _Piece(str(call.name), frozenset(call.var_names), values=values)


def _factor(term: Any) -> _Piece:
    components = tuple(c if isinstance(c, Variable) else _call(c) for c in term.components)
    return _Piece(str(term.name), frozenset(term.var_names), components)


def _column(term: Any, k: int) -> _Piece:
    """One column of an expression: each effect of a Bambi model is a block of its own."""

    def column(frame: pd.DataFrame) -> AnyArray:
        values = np.asarray(term.eval_new_data(frame))
        return values if values.ndim == 1 else values[:, k]

    return _Piece(str(term.name), frozenset(term.var_names), tuple(term.components), column)


def bambi_encoder(model: Any, spec: BambiSpec) -> Encoder:
    """How new data get the columns of the GLMM that was read of a Bambi model.

    Raises
    ------
    ModelError
        Where Bambi numbers the levels of a factor in another way.
    """
    component = model.conditional_parameters[model.family.likelihood.parent]
    terms = tuple(one.term for one in component.common_terms.values())
    offsets = tuple(_call(one.term.components[0]) for one in component.offset_terms.values())
    bars = [one.term for one in component.group_specific_terms.values()]
    read = [(one.name, one.var_names) for one in (*terms, *offsets)]
    for bar in bars:
        of_expression = () if isinstance(bar.expr, Intercept) else bar.expr.var_names
        read.append((bar.name, {*bar.factor.var_names, *of_expression}))
    used: dict[str, str] = {}
    for name, variables in read:
        for variable in sorted(set(variables) & set(model.data.columns)):
            used.setdefault(variable, f"the term {name!r}")
    data = rows_used(model)
    frame = pd.DataFrame(
        {name: tidy_column(data[name], "the model's data") for name in used}, index=data.index
    )
    return Encoder(
        terms=terms,
        common_terms=spec.glmm.common.terms,
        intercept=spec.glmm.common.intercept,
        blocks=tuple(_blocks(bars, spec.glmm.groups, frame)),
        smooths=(),
        needed=used,
        kinds={name: kind_of(frame[name]) for name in used},
        offsets=offsets,
    )


def rows_used(model: Any) -> pd.DataFrame:
    """The rows of its data that a Bambi model is of: with ``dropna`` those that are complete."""
    data: pd.DataFrame = model.data
    if not model.dropna:
        return data
    names = model_description(model.formula.main).var_names & set(data.columns)
    return data[data[sorted(names)].notna().all(axis=1)]


def _blocks(bars: list[Any], groups: tuple[GroupEffects, ...], frame: pd.DataFrame) -> list[Block]:
    coded = {name: encode_column(frame[name]) for name in frame.columns}
    factors: dict[str, Factor] = {}
    blocks: list[Block] = []
    for bar in bars:
        factor = _factor(bar.factor)
        if factor.name not in factors:
            factors[factor.name] = fit_factor(factor, frame, coded)[0]
        known = factors[factor.name]
        simple = isinstance(bar.expr, Intercept)
        width = 1 if simple else np.asarray(bar.expr.data).reshape(len(frame), -1).shape[1]
        for k in range(width):
            group = groups[len(blocks)]
            if group.levels != known.levels:
                raise ModelError(
                    f"Levels of {factor.name!r} in Bambi's model are in another order than those "
                    "of its data, so that new rows cannot be matched: make it a column of text."
                )
            expression = bar.expr if simple else _column(bar.expr, k)
            blocks.append(Block(known, (expression,), group.effects))
    return blocks
