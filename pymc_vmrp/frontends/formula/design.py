"""Turn a data frame into design columns and factor codes, and remember how for new data.

Common terms and the expressions left of a bar are evaluated by formulae, on one row per cell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.call import Call
from formulae.terms.terms import Intercept, Term
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray, FloatArray, IntArray, SmallIntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns, check_name, refuse_missing
from pymc_vmrp.frontends.expressions.names import Names
from pymc_vmrp.frontends.formula.calls import (
    call_values,
    check_finite,
    check_rowwise,
    evaluate_calls,
    formulae_errors,
)
from pymc_vmrp.frontends.formula.coding import code_terms
from pymc_vmrp.frontends.formula.columns import (
    column_labels,
    gather,
    new_columns,
    two_dimensional,
)
from pymc_vmrp.frontends.formula.effects import Block, encode_blocks, fit_blocks, unseen_levels
from pymc_vmrp.frontends.formula.factors import check_factor_names, is_plain
from pymc_vmrp.frontends.formula.parse import ParsedFormula, predictor_terms
from pymc_vmrp.frontends.formula.smooths import (
    Smooth,
    SmoothRows,
    fit_smooths,
    linear_name,
    linear_terms,
)
from pymc_vmrp.frontends.tidy import is_labelled, kind_of, tidy_column
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import Codes, encode_column
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import CommonTerm


@dataclass(frozen=True)
class EncodedRows:
    """Design of some rows: raw common columns, codes and values of each block, and the offset.

    The blocks of smooths come after those of group-specific terms.
    """

    common: FloatArray
    codes: tuple[SmallIntArray, ...]
    values: tuple[FloatArray, ...]
    offset: FloatArray | None
    intercept: FloatArray | None = None  # what it is multiplied by; None is 1


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
    offsets : tuple of Call
        Known parts of the linear predictor.
    """

    terms: tuple[Term, ...]
    common_terms: tuple[CommonTerm, ...]
    intercept: bool
    blocks: tuple[Block, ...]
    smooths: tuple[Smooth, ...]
    needed: dict[str, str]
    kinds: dict[str, str]
    offsets: tuple[Call, ...] = ()

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor is known."""
        return bool(self.offsets)

    def restricted(
        self,
        kept: Collection[str],
        blocks: Sequence[int],
        smooths: Sequence[Smooth],
        offset: bool,
    ) -> Encoder:
        """The encoder of some of the terms, which needs their columns alone; smooths are whole."""
        terms = tuple(term for term in self.terms if term.name in kept)
        kept_blocks = tuple(self.blocks[j] for j in blocks if j < len(self.blocks))
        evaluated = {*(term.name for term in terms), *(linear_name(s.name) for s in smooths)}
        offsets = self.offsets if offset else ()
        read = [*terms, *offsets, *(block.factor.term for block in kept_blocks)]
        read += [e for b in kept_blocks for e in b.expressions if not isinstance(e, Intercept)]
        columns = set().union(
            *(item.var_names for item in read), *(smooth.columns for smooth in smooths)
        )
        return replace(
            self,
            terms=terms,
            common_terms=tuple(term for term in self.common_terms if term.name in evaluated),
            smooths=tuple(smooths),
            blocks=kept_blocks,
            offsets=offsets,
            needed={name: why for name, why in self.needed.items() if name in columns},
        )

    def columns_of(self, term: str) -> list[str]:
        """Columns of the data that a term, or "offset", reads."""
        text = " ".join(offset.name for offset in self.offsets) if term == "offset" else term
        return [name for name in self.needed if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]

    def further(self, draws: Draws) -> list[tuple[str, FloatArray]]:
        """Coefficients beside those of the GLMM: none."""
        return []

    def prepare(self, data: pd.DataFrame, what: str) -> pd.DataFrame:
        """The needed columns of new data, checked and tidied."""
        check_columns(data, self.needed, what, self.needed)
        frame = {}
        for name in self.needed:
            refuse_missing(data[name], what)
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
        of_smooths = sum(len(smooth.blocks) for smooth in self.smooths)
        return unseen_levels(self.blocks, frame) + [()] * of_smooths

    def encode(
        self, frame: pd.DataFrame, unseen: Sequence[Sequence[str]], what: str
    ) -> EncodedRows:
        """Design of prepared new rows.

        Levels whose keys are in ``unseen`` (one sequence per block) get the codes after the known.
        """
        common = new_columns(self.terms, frame, what)
        # the blocks of smooths come last, and have no levels to be unseen
        codes, values = encode_blocks(self.blocks, frame, unseen[: len(self.blocks)])
        smooths = [smooth.evaluate(frame, what) for smooth in self.smooths]
        return _encoded_rows(common, codes, values, smooths, self.offset(frame, what))

    def offset(self, frame: pd.DataFrame, what: str) -> FloatArray | None:
        """Sum of the offsets of prepared rows; None without offsets."""
        if not self.offsets:
            return None
        total = np.zeros(len(frame))
        for call in self.offsets:
            with formulae_errors(call.name, what):
                total += call_values(call.values(frame), len(frame))
        check_finite(total, "offset", what)
        return total


@dataclass(frozen=True)
class Learned:
    """What a formula learns from data.

    Attributes
    ----------
    encoder : Encoder
    cells : Cells
        Which rows share a cell.
    rows : EncodedRows
        The design of one row per cell; its offset is None where the family absorbs offsets.
    offset : ndarray, shape (rows of the data,), or None
    """

    encoder: Encoder
    cells: Cells
    rows: EncodedRows
    offset: FloatArray | None


def fit_encoder(
    parsed: ParsedFormula,
    data: pd.DataFrame,
    names: Names,
    keys: Sequence[AnyArray] = (),
    absorbs_offset: bool = False,
    weights: AnyArray | None = None,
) -> Learned:
    """Learn the design from the data.

    Parameters
    ----------
    parsed : ParsedFormula
    data : DataFrame
        Checked data without missing values in the needed columns.
    names : Names
        What functions and constants of the formula are.
    keys : sequence of ndarray
        Further columns in which the rows of a cell agree, such as the response.
    absorbs_offset : bool
        Whether rows of a cell may differ in their offset.
    weights : ndarray, shape (rows,), optional
        How often each row counts, such as its trials, where smooths are centred and scaled, and
        for what transformations such as scale(x) learn.
    """
    needed = needed_columns(parsed, data, names)
    frame = pd.DataFrame(
        {name: tidy_column(data[name], "data") for name in needed}, index=data.index, copy=False
    )
    _check_labels_group(parsed, data, names)
    calls = evaluate_calls(parsed, frame, names, weights)
    roles = _column_roles(parsed, frame, names)
    offset_calls = tuple(term.components[0] for term in parsed.offsets)
    offset = _sum_of_offsets(calls, offset_calls)
    if offset is not None and not absorbs_offset:
        keys = [*keys, offset]
    coded = {name: encode_column(frame[name]) for name in frame.columns if name in roles.design}
    others = [encode_column(pd.Series(key, copy=False)) for key in keys]
    cells = collapse([*coded.values(), *others], len(frame))
    coded = {name: codes.take(cells.first) for name, codes in coded.items() if name in roles.coded}
    cell_frame = _cell_frame(frame, cells, coded, roles)

    every = code_terms(parsed.common.common_terms, cell_frame, names)
    terms = [term for term in every if isinstance(term, Term)]
    common_terms = _common_terms(terms)
    common = gather(terms, cells.size)
    check_factor_names(parsed.bars)
    blocks, codes, values = fit_blocks(parsed.bars, cell_frame, coded, names)
    counts = cells.counts() if weights is None else cells.sum(weights)
    smooths, smooth_rows = fit_smooths(
        parsed.smooths, cell_frame, coded, counts, dict(frame.dtypes)
    )
    common_terms += linear_terms(smooths, common.shape[1])
    check_rowwise(calls, frame)
    for _, call, _ in calls:
        call._intermediate_data = None  # as long as the data, and never read again

    encoder = Encoder(
        terms=tuple(terms),
        common_terms=common_terms,
        intercept=len(terms) < len(every),
        blocks=tuple(blocks),
        smooths=smooths,
        needed=needed,
        kinds={name: kind_of(frame[name]) for name in needed},
        offsets=offset_calls,
    )
    of_cells = None if offset is None or absorbs_offset else offset[cells.first]
    rows = _encoded_rows(common, codes, values, smooth_rows, of_cells)
    return Learned(encoder, cells, rows, offset)


def _encoded_rows(
    common: FloatArray,
    codes: Sequence[SmallIntArray],
    values: Sequence[FloatArray],
    smooths: Sequence[SmoothRows],
    offset: FloatArray | None,
) -> EncodedRows:
    """Every row touches every effect of a smooth: their codes take one row of memory."""
    if smooths:
        common = np.column_stack([common, *(smooth.common for smooth in smooths)])
    blocks = [block for smooth in smooths for block in smooth.values]
    every = [np.broadcast_to(np.arange(b.shape[1], dtype=np.int32), b.shape) for b in blocks]
    return EncodedRows(
        common, (*codes, *every), (*values, *(b[:, :, None] for b in blocks)), offset
    )


def _check_labels_group(parsed: ParsedFormula, data: pd.DataFrame, names: Names) -> None:
    """Refuse dates and the like where they are more than labels of groups."""
    groups = [bar.factor for bar in parsed.bars]
    groups += [term for smooth in parsed.smooths for term in smooth.terms]
    for name, term in predictor_terms(parsed):
        plain = all(isinstance(component, Variable) for component in term.components)
        if plain and any(term is group for group in groups):
            continue
        for column in _columns_of(term, data, names):
            if is_labelled(data[column]):
                raise DataError(
                    f"Column {column!r} of data holds {data[column].dtype} values, which can name "
                    f"groups as in (1|{column}), but cannot be a number or a category in the term "
                    f"{name!r}: compute numbers from it, or make it text."
                )


def _sum_of_offsets(
    calls: list[tuple[str, Call, Any]], offset_calls: tuple[Call, ...]
) -> FloatArray | None:
    values = [value for _, call, value in calls if any(call is o for o in offset_calls)]
    return np.sum(values, axis=0) if values else None


def needed_columns(parsed: ParsedFormula, data: pd.DataFrame, names: Names) -> dict[str, str]:
    """Data columns that the predictors use, each with the first term that uses it."""
    needed: dict[str, str] = {}
    for name, term in predictor_terms(parsed):
        for variable in _columns_of(term, data, names):
            needed.setdefault(variable, f"the term {name!r}")
    check_columns(data, needed, "data", needed)
    return needed


def response_columns(parsed: ParsedFormula, data: pd.DataFrame, names: Names) -> list[str]:
    """Data columns that the response uses."""
    columns = _columns_of(parsed.response, data, names)
    check_columns(data, columns, "data", dict.fromkeys(columns, "the response"))
    return columns


@dataclass(frozen=True)
class _Roles:
    """How the formula uses columns of the data: some in several ways, or in none of these."""

    variables: set[str]  # terms and effects on their own, without a call around them
    factors: set[str]  # grouping columns on their own
    calls: set[str]

    @property
    def design(self) -> set[str]:
        """Columns that decide which cell a row belongs to: all but those of offsets alone."""
        return self.variables | self.factors | self.calls

    @property
    def coded(self) -> set[str]:
        """Columns whose codes are of use once the cells are known."""
        return self.factors | (self.variables - self.calls)


def _column_roles(parsed: ParsedFormula, data: pd.DataFrame, names: Names) -> _Roles:
    factors = {id(bar.factor) for bar in parsed.bars}
    may_be_factors = {id(term) for smooth in parsed.smooths for term in smooth.terms}
    roles = _Roles(set(), set(), set())
    for _, term in predictor_terms(parsed):
        if parsed.is_offset(term):
            continue
        columns = {c.name for c in term.components if isinstance(c, Variable)}
        (roles.factors if id(term) in factors else roles.variables).update(columns)
        roles.factors.update(columns if id(term) in may_be_factors else ())
        calls = Term(*(c for c in term.components if isinstance(c, Call)))
        roles.calls.update(_columns_of(calls, data, names))
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


def _take(column: pd.Series, rows: IntArray) -> Any:
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


def _columns_of(term: Term, data: pd.DataFrame, names: Names) -> list[str]:
    """Data columns a term uses; only arguments of a call may be names of the user's code."""
    columns = set()
    for component in term.components:
        if isinstance(component, Call):
            columns |= {
                name
                for name in component.var_names
                if name and (name in data.columns or name not in names.constants)
            }
        elif isinstance(component.name, str):
            columns.add(component.name)
    return sorted(columns)


def _common_terms(terms: Sequence[Term]) -> tuple[CommonTerm, ...]:
    out = []
    start = 0
    for term in terms:
        check_name(term.name)
        width = two_dimensional(term.data, None).shape[1]
        out.append(CommonTerm(term.name, column_labels(term, width), start, start + width))
        start += width
    return tuple(out)
