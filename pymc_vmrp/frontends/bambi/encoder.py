"""The design of new rows by a Bambi model's own terms, as formulae has evaluated them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.terms import Intercept
from formulae.terms.variable import Variable
from numpy.typing import NDArray

from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.bambi.read import BambiSpec
from pymc_vmrp.frontends.formula.design import Encoder
from pymc_vmrp.frontends.formula.effects import Block
from pymc_vmrp.frontends.formula.factors import Factor, fit_factor
from pymc_vmrp.frontends.tidy import kind_of, tidy_column
from pymc_vmrp.glmm.codes import encode_column
from pymc_vmrp.glmm.spec import GroupEffects


@dataclass(frozen=True)
class _Call:
    """A call of Bambi's, which keeps what it has learned, as our terms hold calls."""

    call: Any

    @property
    def name(self) -> str:
        return str(self.call.name)

    @property
    def var_names(self) -> set[str]:
        return set(self.call.var_names)

    def values(self, frame: pd.DataFrame) -> Any:
        """What the call evaluates to."""
        if self.call.kind == "offset":
            return self.call.eval_new_data(frame)
        return self.call.call.eval(frame, self.call.env)


@dataclass(frozen=True)
class _Grouping:
    """A grouping factor of Bambi's, with calls as above."""

    term: Any

    @property
    def name(self) -> str:
        return str(self.term.name)

    @property
    def var_names(self) -> set[str]:
        return set(self.term.var_names)

    @cached_property
    def components(self) -> list[Any]:
        return [c if isinstance(c, Variable) else _Call(c) for c in self.term.components]


@dataclass(frozen=True)
class _Column:
    """One column of an expression: each effect of a Bambi model is a block of its own."""

    term: Any
    at: int

    @property
    def name(self) -> str:
        return str(self.term.name)

    @property
    def var_names(self) -> set[str]:
        return set(self.term.var_names)

    @property
    def components(self) -> list[Any]:
        return list(self.term.components)

    def eval_new_data(self, frame: pd.DataFrame) -> NDArray[Any]:
        """The column at new rows."""
        values = np.asarray(self.term.eval_new_data(frame))
        return values if values.ndim == 1 else values[:, self.at]


def bambi_encoder(model: Any, spec: BambiSpec) -> Encoder:
    """How new data get the columns of the GLMM that was read of a Bambi model.

    Raises
    ------
    ModelError
        Where Bambi numbers the levels of a factor in another way.
    """
    component = model.conditional_parameters[model.family.likelihood.parent]
    terms = tuple(one.term for one in component.common_terms.values())
    offsets = tuple(_Call(one.term.components[0]) for one in component.offset_terms.values())
    bars = [one.term for one in component.group_specific_terms.values()]
    used: dict[str, str] = {}
    for name, variables in [
        *((term.name, term.var_names) for term in terms),
        *((bar.name, bar.expr.var_names | bar.factor.var_names)
          if not isinstance(bar.expr, Intercept) else (bar.name, bar.factor.var_names)
          for bar in bars),
        *((offset.name, offset.var_names) for offset in offsets),
    ]:  # fmt: skip
        for variable in sorted(variables):
            if variable in model.data.columns:
                used.setdefault(variable, f"the term {name!r}")
    frame = pd.DataFrame(
        {name: tidy_column(model.data[name], "the model's data") for name in used},
        index=model.data.index,
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


def _blocks(bars: list[Any], groups: tuple[GroupEffects, ...], frame: pd.DataFrame) -> list[Block]:
    coded = {name: encode_column(frame[name]) for name in frame.columns}
    factors: dict[str, Factor] = {}
    blocks: list[Block] = []
    for bar in bars:
        factor = _Grouping(bar.factor)
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
            expression = bar.expr if simple else _Column(bar.expr, k)
            blocks.append(Block(known, (expression,), group.effects))
    return blocks
