"""A data frame as design columns and factor codes, and what is learned of them for new data.

Common terms and the expressions left of a bar are evaluated by formulae, on one row per cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.call import Call
from formulae.terms.terms import Term
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray, FloatArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns, check_name
from pymc_vmrp.frontends.expressions.names import Names
from pymc_vmrp.frontends.formula.calls import check_rowwise, evaluate_calls
from pymc_vmrp.frontends.formula.coding import code_terms
from pymc_vmrp.frontends.formula.columns import column_labels, gather, two_dimensional
from pymc_vmrp.frontends.formula.effects import fit_blocks
from pymc_vmrp.frontends.formula.encoder import EncodedRows, Encoder, encoded_rows
from pymc_vmrp.frontends.formula.factors import check_factor_names, is_plain
from pymc_vmrp.frontends.formula.parse import ParsedFormula, predictor_terms
from pymc_vmrp.frontends.formula.smooths import fit_smooths, linear_terms
from pymc_vmrp.frontends.tidy import is_labelled, kind_of, tidy_column
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import Codes, encode_column
from pymc_vmrp.glmm.spec import CommonTerm


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
    known = [value for _, call, value in calls if any(call is one for one in offset_calls)]
    offset = np.sum(known, axis=0) if known else None
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
    rows = encoded_rows(common, codes, values, smooth_rows, of_cells)
    return Learned(encoder, cells, rows, offset)


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
