"""Turn a data frame into design columns and factor codes, and remember how for new data.

Common terms and the expressions left of a bar are evaluated by formulae, on one row per cell.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae.environment import Environment
from formulae.terms.call import Call
from formulae.terms.terms import Intercept, Term
from formulae.terms.terms import Model as TermSet
from formulae.terms.variable import Variable
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.calls import check_finite, check_rowwise, evaluate_calls, formulae_errors
from pymc_vmrp.frontends.checks import abbreviate, check_columns, kind_of, tidy_column
from pymc_vmrp.frontends.factors import (
    Factor,
    check_factor_names,
    encode_factor,
    fit_factor,
    is_plain,
    order_members,
    unseen_keys,
)
from pymc_vmrp.frontends.formula import Bar, ParsedFormula, expression_name, predictor_terms
from pymc_vmrp.frontends.members import Members, fit_members
from pymc_vmrp.frontends.smooths import Smooth, SmoothRows, fit_smooth, linear_name
from pymc_vmrp.frontends.special import MemberTerm
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import Codes, encode_column
from pymc_vmrp.glmm.spec import CommonTerm, Effect

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

_RESERVED = ("Intercept", "chain", "draw", "step", "__obs__")  # names in the DataTree


@dataclass(frozen=True)
class Block:
    """One group-specific block: which factor it varies over, and the effects that vary."""

    factor: Factor | Members
    expressions: tuple[Any, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class EncodedRows:
    """Design of some rows: raw common columns, and codes and values of each block.

    The blocks of smooths come after those of group-specific terms.
    """

    common: FloatArray
    codes: tuple[IntArray, ...]
    values: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Encoder:
    """Everything needed to give new data the same design columns.

    Attributes
    ----------
    terms : tuple
        formulae's evaluated common terms, without the intercept.
    common_terms : tuple of CommonTerm
    intercept : bool
    blocks : tuple of Block
    smooths : tuple of Smooth
    needed : dict
        Data columns the predictors need, with the terms that need them.
    kinds : dict
        What each needed column held: numbers, true/false or text.
    """

    terms: tuple[Term, ...]
    common_terms: tuple[CommonTerm, ...]
    intercept: bool
    blocks: tuple[Block, ...]
    smooths: tuple[Smooth, ...]
    needed: dict[str, str]
    kinds: dict[str, str]

    def prepare(self, data: pd.DataFrame, what: str) -> pd.DataFrame:
        """The needed columns of new data, checked and tidied."""
        check_columns(data, self.needed, what, self.needed)
        frame = {}
        for name in self.needed:
            if data[name].isna().any():
                raise DataError(
                    f"{what} has missing values in {name!r} ({int(data[name].isna().sum())} rows): "
                    "fill them in or leave those rows out."
                )
            column = tidy_column(data[name], what)
            if kind_of(column) != self.kinds[name]:
                raise DataError(
                    f"Column {name!r} held {self.kinds[name]} when the model was built but holds "
                    f"{kind_of(column)} in {what}: convert it to the same type."
                )
            frame[name] = column
        return pd.DataFrame(frame, index=data.index)

    def unseen_levels(self, frame: pd.DataFrame) -> list[tuple[str, ...]]:
        """For each block, the sorted keys of its factor's levels that the model never saw."""
        found = {block.factor.name: block.factor for block in self.blocks}
        keys = {
            name: factor.unseen(frame)
            if isinstance(factor, Members)
            else unseen_keys(factor, frame)
            for name, factor in found.items()
        }
        of_smooths = sum(len(smooth.blocks) for smooth in self.smooths)
        return [keys[block.factor.name] for block in self.blocks] + [()] * of_smooths

    def encode(
        self, frame: pd.DataFrame, unseen: Sequence[Sequence[str]], what: str
    ) -> EncodedRows:
        """Design of prepared new rows.

        Levels whose keys are in ``unseen`` (one sequence per block) get the codes after the known.
        """
        common = self._common_columns(frame, what)
        coded: dict[str, IntArray] = {}
        codes, values = [], []
        for block, new_levels in zip(self.blocks, unseen, strict=False):  # smooths have none
            columns = _block_values(block.expressions, len(frame), frame)
            if isinstance(block.factor, Members):
                members = block.factor.encode(frame, new_levels)
                code, columns = _members_values(*members, columns)
            else:
                name = block.factor.name
                if name not in coded:
                    coded[name] = encode_factor(block.factor, frame, new_levels)
                code = coded[name]
            codes.append(code)
            values.append(columns)
        smooths = [smooth.evaluate(frame, what) for smooth in self.smooths]
        return _with_smooths(EncodedRows(common, tuple(codes), tuple(values)), smooths)

    def _common_columns(self, frame: pd.DataFrame, what: str) -> FloatArray:
        pieces = [np.empty((len(frame), 0))]
        for term in self.terms:
            _check_known_levels(term, frame, what)
            with formulae_errors(term.name, what):
                pieces.append(_two_dimensional(term.eval_new_data(frame), len(frame)))
            check_finite(pieces[-1], term.name, what)
        return np.column_stack(pieces).astype(float)


def fit_encoder(
    parsed: ParsedFormula,
    data: pd.DataFrame,
    env: Environment,
    weights: NDArray[Any] | None = None,
) -> tuple[Encoder, Cells, EncodedRows]:
    """Learn the design from the data.

    Parameters
    ----------
    parsed : ParsedFormula
    data : DataFrame
        Checked data without missing values in the needed columns.
    env : Environment
        Where functions and constants of the formula are looked up.
    weights : ndarray, shape (rows,), optional
        How much each row counts where smooths are centred and scaled, such as its trials.

    Returns
    -------
    encoder : Encoder
    cells : Cells
        Which rows share a design row.
    rows : EncodedRows
        The design of one row per cell.
    """
    needed = needed_columns(parsed, data, env)
    frame = pd.DataFrame(
        {name: tidy_column(data[name], "data") for name in needed}, index=data.index, copy=False
    )
    calls = evaluate_calls(parsed, frame, env)
    coded = {name: encode_column(frame[name]) for name in frame.columns}
    cells = collapse(list(coded.values()), len(frame))
    roles = _column_roles(parsed, frame, env)
    coded = {name: codes.take(cells.first) for name, codes in coded.items() if name in roles.coded}
    cell_frame = _cell_frame(frame, cells, coded, roles)

    terms, intercept = _evaluate_common(parsed.common, cell_frame, env)
    common_terms = _common_terms(terms)
    common = _gather(terms, cells.size)
    check_factor_names(parsed.bars)
    fitted: dict[str, tuple[Factor, IntArray]] = {}
    blocks: list[Block] = []
    codes: list[IntArray] = []
    values: list[FloatArray] = []
    for bar in parsed.bars:
        expressions, effects, columns = _fit_effects(bar, parsed.bars, cell_frame, env)
        name = bar.factor.name
        check_name(name)
        if isinstance(bar.factor, MemberTerm):
            members, code, shares = fit_members(bar.factor, coded)
            code, columns = _members_values(code, shares, columns)
            blocks.append(Block(members, expressions, effects))
        else:
            if name not in fitted:
                fitted[name] = fit_factor(bar.factor, cell_frame, coded)
            factor, code = fitted[name]
            blocks.append(Block(factor, expressions, effects))
        codes.append(code)
        values.append(columns)
    smooths = _fit_smooths(parsed, frame, cell_frame, coded, cells, weights)
    common_terms += _linear_terms([smooth for smooth, _ in smooths], common.shape[1])
    check_rowwise(calls, frame)
    for _, call, _ in calls:
        call._intermediate_data = None  # as long as the data, and never read again

    encoder = Encoder(
        terms=tuple(terms),
        common_terms=common_terms,
        intercept=intercept,
        blocks=tuple(blocks),
        smooths=tuple(smooth for smooth, _ in smooths),
        needed=needed,
        kinds={name: kind_of(frame[name]) for name in needed},
    )
    rows = EncodedRows(common, tuple(codes), tuple(values))
    return encoder, cells, _with_smooths(rows, [part for _, part in smooths])


def needed_columns(parsed: ParsedFormula, data: pd.DataFrame, env: Environment) -> dict[str, str]:
    """Data columns that the predictors use, each with the first term that uses it."""
    needed: dict[str, str] = {}
    for name, term in predictor_terms(parsed):
        for variable in _columns_of(term, data, env):
            needed.setdefault(variable, f"the term {name!r}")
    check_columns(data, needed, "data", needed)
    return needed


def response_columns(parsed: ParsedFormula, data: pd.DataFrame, env: Environment) -> list[str]:
    """Data columns that the response uses."""
    names = _columns_of(parsed.response, data, env)
    check_columns(data, names, "data", dict.fromkeys(names, "the response"))
    return names


@dataclass(frozen=True)
class _Roles:
    """How the formula uses columns of the data: some in several ways, or in none of these."""

    variables: set[str]  # terms and effects on their own, without a call around them
    factors: set[str]  # grouping columns on their own
    calls: set[str]

    @property
    def coded(self) -> set[str]:
        """Columns whose codes are of use once the cells are known."""
        return self.factors | (self.variables - self.calls)


def _column_roles(parsed: ParsedFormula, data: pd.DataFrame, env: Environment) -> _Roles:
    factors = {id(bar.factor) for bar in parsed.bars}
    may_be_factors = {id(term) for smooth in parsed.smooths for term in smooth.terms}
    roles = _Roles(set(), set(), set())
    for _, term in predictor_terms(parsed):
        names = {c.name for c in term.components if isinstance(c, Variable)}
        (roles.factors if id(term) in factors else roles.variables).update(names)
        roles.factors.update(names if id(term) in may_be_factors else ())
        calls = Term(*(c for c in term.components if isinstance(c, Call)))
        roles.calls.update(_columns_of(calls, data, env))
    return roles


def _cell_frame(
    frame: pd.DataFrame, cells: Cells, coded: Mapping[str, Codes], roles: _Roles
) -> pd.DataFrame:
    """One row per cell, of the columns that formulae reads."""
    columns = {
        name: _as_ordered(coded[name])
        if name not in roles.calls and _may_be_ordered(frame[name].dtype)
        else _take(frame[name], cells.first)
        for name in frame.columns
        if name in roles.variables | roles.calls
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(cells.size), copy=False)


def _take(column: pd.Series, rows: NDArray[np.int64]) -> Any:
    taken = column.array.take(rows)
    # rows that hold −0.0 and 0.0 share a cell, whichever of them comes first
    return taken + 0.0 if pd.api.types.is_float_dtype(column.dtype) else taken


def _may_be_ordered(dtype: Any) -> bool:
    """Whether a column holds text, or categories that formulae sorts as an index sorts them."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return not pd.api.types.is_numeric_dtype(dtype)
    return is_plain(dtype.categories)


def _as_ordered(codes: Codes) -> pd.Categorical:
    """Ordered categories, which formulae codes as it codes text, but without sorting all rows."""
    codes = codes.sorted()
    return pd.Categorical.from_codes(
        codes.codes, dtype=pd.CategoricalDtype(codes.levels, ordered=True)
    )


def _columns_of(term: Term, data: pd.DataFrame, env: Environment) -> list[str]:
    """Data columns a term uses; only arguments of a call may be names of the user's code."""
    names = set()
    for component in term.components:
        if isinstance(component, Call):
            names |= {
                name
                for name in component.var_names
                if name and (name in data.columns or name not in env.namespace)
            }
        elif isinstance(component.name, str):
            names.add(component.name)
    return sorted(names)


# --- common terms ----------------------------------------------------------------------------


def _evaluate_common(
    common: TermSet, frame: pd.DataFrame, env: Environment
) -> tuple[list[Term], bool]:
    intercept = any(isinstance(term, Intercept) for term in common.common_terms)
    if not any(isinstance(term, Term) for term in common.common_terms):
        return [], intercept
    with formulae_errors("the common part", "data"):
        common.eval(frame, env)
    terms = [term for term in common.common_terms if isinstance(term, Term)]
    return terms, intercept


def _common_terms(terms: Sequence[Term]) -> tuple[CommonTerm, ...]:
    out = []
    start = 0
    for term in terms:
        check_name(term.name)
        width = _two_dimensional(term.data, None).shape[1]
        out.append(CommonTerm(term.name, _column_labels(term, width), start, start + width))
        start += width
    return tuple(out)


def _column_labels(term: Term, width: int) -> tuple[str, ...] | None:
    levels = term.levels
    if levels is not None:
        return tuple(map(str, levels))
    return None if width == 1 else tuple(map(str, range(width)))


def _check_known_levels(term: Term, frame: pd.DataFrame, what: str) -> None:
    for component in term.components:
        if isinstance(component, Variable) and component.kind == "categoric":
            new = [v for v in pd.unique(frame[component.name]) if v not in component.levels]
            if new:
                raise DataError(
                    f"Column {component.name!r} of {what} has levels that the common term "
                    f"{term.name!r} never saw: {abbreviate(new)} (it knows "
                    f"{abbreviate(component.levels)}). Merge them into known levels, or make it a "
                    f"group-specific term (1|{component.name}), which can predict new levels."
                )


# --- smooths -----------------------------------------------------------------------------------


def _fit_smooths(
    parsed: ParsedFormula,
    frame: pd.DataFrame,
    cell_frame: pd.DataFrame,
    coded: Mapping[str, Codes],
    cells: Cells,
    weights: NDArray[Any] | None,
) -> list[tuple[Smooth, SmoothRows]]:
    if not parsed.smooths:
        return []
    counts = cells.counts() if weights is None else cells.sum(weights)
    kinds = dict(frame.dtypes)
    return [fit_smooth(call, cell_frame, coded, counts, kinds) for call in parsed.smooths]


def _linear_terms(smooths: Sequence[Smooth], start: int) -> tuple[CommonTerm, ...]:
    """The common terms of smooths, whose columns come after all others."""
    out = []
    for smooth in smooths:
        check_name(smooth.name)
        for block in smooth.blocks:
            check_name(block.title)
        if smooth.linear is None:
            continue
        labels = None if smooth.linear == ("",) else smooth.linear
        stop = start + len(smooth.linear)
        out.append(CommonTerm(linear_name(smooth.name), labels, start, stop))
        start = stop
    return tuple(out)


def _with_smooths(rows: EncodedRows, smooths: Sequence[SmoothRows]) -> EncodedRows:
    if not smooths:
        return rows
    values = [block for smooth in smooths for block in smooth.values]
    codes = [
        np.broadcast_to(np.arange(block.shape[1], dtype=np.int32), block.shape) for block in values
    ]
    return EncodedRows(
        np.column_stack([rows.common, *(smooth.common for smooth in smooths)]),
        (*rows.codes, *codes),
        (*rows.values, *(block[:, :, None] for block in values)),
    )


# --- group-specific terms ----------------------------------------------------------------------


def _fit_effects(
    bar: Bar, bars: Sequence[Bar], frame: pd.DataFrame, env: Environment
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
            expression.set_type(frame, env)
            expression.set_data(not has_intercept)
        width = _two_dimensional(expression.data, len(frame)).shape[1]
        if width == 0:
            raise _constant_effect(name, bar)
        labels = _column_labels(expression, width)
        effects.extend(Effect(name, label) for label in labels or (None,))
    values = _gather(expressions, len(frame))
    if has_intercept:
        for effect, column in zip(effects, values.T, strict=True):
            if effect.expression != "1" and column.min() == column.max():
                raise _constant_effect(effect.expression, bar)
    return expressions, tuple(effects), values


def _members_values(
    codes: IntArray, weights: FloatArray, columns: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Levels and values of rows that belong to several levels with weights."""
    return order_members(codes, weights[:, :, None] * columns[:, None])


def _constant_effect(name: str, bar: Bar) -> DataError:
    return DataError(
        f"{name!r} in ({name}|{bar.factor.name}) is constant, or has only one level: its "
        "effects cannot be told from the intercepts. Leave it out."
    )


def _gather(expressions: Sequence[Any], n: int) -> FloatArray:
    """Columns of evaluated expressions; their own copies, as long as the data, are let go."""
    if len(expressions) == 1 and isinstance(expressions[0], Intercept):
        return np.broadcast_to(1.0, (n, 1))
    pieces = [
        np.broadcast_to(1.0, (n, 1)) if isinstance(e, Intercept) else _two_dimensional(e.data, n)
        for e in expressions
    ]
    out = np.empty((n, sum(piece.shape[1] for piece in pieces)), order="F")
    at = 0
    for piece in pieces:
        out[:, at : at + piece.shape[1]] = piece
        at += piece.shape[1]
    for expression in expressions:
        if not isinstance(expression, Intercept):
            _let_go(expression)
    return out


def _let_go(term: Term) -> None:
    """Keep the shape of an evaluated term, which new data need, and not its rows."""
    term.data = np.asarray(term.data)[:0].copy()
    for component in term.components:
        component.value = np.asarray(component.value)[:0].copy()
        component._intermediate_data = None


def _block_values(expressions: Sequence[Any], n: int, frame: pd.DataFrame) -> FloatArray:
    pieces = []
    for expression in expressions:
        if isinstance(expression, Intercept):
            pieces.append(np.ones((n, 1)))
            continue
        _check_known_levels(expression, frame, "the new data")
        with formulae_errors(expression.name, "the new data"):
            pieces.append(_two_dimensional(expression.eval_new_data(frame), n))
        check_finite(pieces[-1], expression.name, "the new data")
    return np.column_stack(pieces).astype(float)


def _two_dimensional(values: Any, n: int | None) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 1:
        array = array[:, None]
    if n is not None and len(array) != n:
        raise DataError(f"A term evaluates to {len(array)} rows where the data have {n}.")
    return array


def check_name(name: str) -> None:
    """Refuse names that a DataTree cannot hold or uses itself."""
    if name in _RESERVED:
        raise FormulaError(
            f"A term cannot be called {name!r}, which results use for something else: rename the "
            "column."
        )
    if "/" in name:  # a DataTree path separator: no variable may be called so
        raise FormulaError(
            f"The term {name!r} has '/' in its name, which ArviZ's files cannot store: multiply by "
            "a number instead, or compute a column beforehand."
        )
