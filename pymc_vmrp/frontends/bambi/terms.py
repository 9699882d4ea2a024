"""Terms of a Bambi model: their columns, the levels of their factors, and their priors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray
from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.frontends.bambi_priors import coefficient_prior, effect_priors
from pymc_vmrp.frontends.coefficient_priors import GivenPrior, prior_arrays
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.codes import CodeArray, Codes, code_dtype, encode_column, occurring, ranks
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.spec import CommonEffects, CommonTerm, Effect, GroupEffects
from pymc_vmrp.results.layout import Levels

REMEDY = "sample the model with bambi_model.fit()"


@dataclass(frozen=True)
class Term:
    """A common term: Bambi's object, and its columns, shape (rows, width), a view."""

    term: Any
    columns: AnyArray


@dataclass(frozen=True)
class Bar:
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


def read_common(term: Any) -> Term:
    """A common term as Bambi holds it."""
    data = np.asarray(term.data)
    check_finite(term.name, data)
    return Term(term, data[:, None] if data.ndim == 1 else data)


def read_bar(term: Any) -> Bar:
    """A group-specific term as Bambi holds it."""
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
        check_finite(term.name, columns)
    expr = [dim for dim in term.coords if dim.endswith("__expr_dim")]
    labels = tuple(map(str, term.coords[expr[0]])) if expr else None
    with naming_the_remedy():
        priors = effect_priors(term.prior, term.name, 1 if columns is None else columns.shape[1])
    return Bar(
        term, factor, expression, codes, Levels(np.flatnonzero(occurs), size),
        tuple(map(str, term.groups)), columns, labels, tuple(priors),
    )  # fmt: skip


def coded_columns(
    terms: Sequence[Term], bars: Sequence[Bar], keys: Sequence[AnyArray]
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


def common_effects(
    model: Any, component: Any, terms: Sequence[Term], cells: Cells
) -> CommonEffects:
    """Bambi centres columns at their means over rows, whatever rows weigh."""
    intercept = component.intercept_term
    widths = [] if intercept is None else [(intercept, 1)]
    widths += [(one.term, one.columns.shape[1]) for one in terms]
    with naming_the_remedy():
        prior_mean, prior_sd, mixtures = prior_arrays(
            [
                GivenPrior(term.name, term.name, coefficient_prior(term.prior, term.name), width)
                for term, width in widths
            ]
        )
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
        own = None if labels is None else tuple(map(str, labels))
        named.append(CommonTerm(one.term.name, own, start, stop))
        start = stop
    return CommonEffects(
        columns, tuple(named), intercept is not None, center, prior_mean, prior_sd, mixtures
    )


def blocks(bar: Bar, cells: Cells) -> Iterator[GroupEffects]:
    """A block for each effect of a term."""
    codes = bar.codes[cells.first].astype(np.int32)
    levels = tuple(bar.names[i] for i in bar.levels.known)
    for k, (expression, prior) in enumerate(zip(bar.expressions, bar.priors, strict=True)):
        values = (
            np.broadcast_to(1.0, (cells.size, 1))
            if bar.columns is None
            else bar.columns[cells.first, k : k + 1].astype(float) + 0.0
        )
        yield GroupEffects(bar.factor, (Effect(expression),), levels, codes, values, prior)


def check_finite(name: str, values: AnyArray) -> None:
    """Bambi's automatic priors of infinite columns are NaN: the column is what is wrong."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"{name!r} has values in the model's data that are infinite or not numbers: correct or "
            "drop those rows."
        )


@contextlib.contextmanager
def naming_the_remedy() -> Iterator[None]:
    """Say of a prior that is not honoured here that Bambi's own fit honours it."""
    try:
        yield
    except PriorError as error:
        raise PriorError(f"{error} Or {REMEDY}.") from None
