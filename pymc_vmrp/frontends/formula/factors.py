"""Grouping factors as integer codes; formulae would build a dense row × level matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.call import Call
from formulae.terms.terms import Term
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray, BoolArray, IntArray, SmallIntArray
from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.expressions.resolve import unboxed
from pymc_vmrp.frontends.formula.parse import Bar
from pymc_vmrp.glmm.codes import Codes, code_dtype, encode_column, encode_integers

KEY_SEPARATOR = "\x1f"  # labels may hold colons, and "a:b" + "c" is not "a" + "b:c"


@dataclass(frozen=True)
class Factor:
    """A grouping factor as learned from the data.

    Attributes
    ----------
    name : str
        Such as ``state`` or ``state:age``.
    term : Term
        formulae's term, for reading its components from new data.
    component_levels : tuple of Index
        Distinct values of each component, in order.
    known : ndarray of int64
        Sorted combined codes of the combinations that occur in the data.
    levels : tuple of str
        Their names, in the same order.
    """

    name: str
    term: Term
    component_levels: tuple[pd.Index, ...]
    known: IntArray
    levels: tuple[str, ...]

    def parts(self) -> dict[str, list[Any]]:
        """Distinct values of each component, by its name."""
        names = [component.name for component in self.term.components]
        return {
            name: level.tolist() for name, level in zip(names, self.component_levels, strict=True)
        }

    def known_parts(self, frame: pd.DataFrame) -> set[str]:
        """Names of the components of which some row has a value that the factor saw."""
        codes = self._codes(frame)[1]
        return {name for name, code in zip(self.parts(), codes, strict=True) if (code >= 0).any()}

    def unseen(self, frame: pd.DataFrame) -> tuple[str, ...]:
        """Sorted keys of the levels in ``frame`` that the factor never saw.

        A key joins the components' labels by ``KEY_SEPARATOR``; :func:`level_name` makes the name.
        """
        values, codes = self._codes(frame)
        new = ~np.isin(_combine(codes, self.component_levels), self.known)
        return tuple(sorted(set(_keys(values, new))))

    def encode(self, frame: pd.DataFrame, unseen: Sequence[str]) -> SmallIntArray:
        """Code of each row's level; levels whose keys are in ``unseen`` come after the known."""
        values, codes = self._codes(frame)
        combined = _combine(codes, self.component_levels)
        position = np.minimum(np.searchsorted(self.known, combined), len(self.known) - 1)
        new = self.known[position] != combined
        if new.any():
            position[new] = len(self.levels) + pd.Index(unseen).get_indexer(_keys(values, new))
        return position.astype(np.int32)

    def _codes(self, frame: pd.DataFrame) -> tuple[list[pd.Series], list[AnyArray]]:
        """Components of new rows, and their codes: −1 for a value that the factor never saw."""
        values = [_component_values(component, frame) for component in self.term.components]
        pairs = zip(self.component_levels, values, strict=True)
        return values, [_match(levels, value) for levels, value in pairs]


def check_factor_names(bars: Sequence[Bar]) -> None:
    """Refuse a column called ``a:b`` next to the combination of ``a`` and ``b``."""
    components: dict[str, list[str]] = {}
    for bar in bars:
        parts = [component.name for component in bar.factor.components]
        if components.setdefault(bar.factor.name, parts) != parts:
            raise FormulaError(
                f"Two grouping factors are both called {bar.factor.name!r}: rename the column."
            )


def fit_factor(
    term: Term, frame: pd.DataFrame, coded: Mapping[str, Codes]
) -> tuple[Factor, SmallIntArray]:
    """Learn the levels of a factor, whose calls were evaluated before, from one row per cell.

    Parameters
    ----------
    term : Term
    frame : DataFrame
        Columns that calls read.
    coded : mapping of str to Codes
        Columns that may be components themselves.

    Returns
    -------
    factor : Factor
    codes : ndarray of int32
        Level of each row.
    """
    parts = [_component_codes(component, frame, coded, term.name) for component in term.components]
    levels = tuple(part.levels for part in parts)
    codes, known = encode_integers(_combine([part.codes for part in parts], levels))
    known = known.astype(np.int64)
    positions = np.unravel_index(known, tuple(len(level) for level in levels))
    labels = [
        map(str, level.take(position).tolist())
        for level, position in zip(levels, positions, strict=True)
    ]
    names = tuple(map(":".join, zip(*labels, strict=True)))
    if len(set(names)) < len(names):
        raise DataError(f"Levels of the grouping factor {term.name!r} read alike as text: recode.")
    if len(names) < 2:
        raise DataError(
            f"The grouping factor {term.name!r} has only one level ({names[0]!r}): a "
            "group-specific term needs at least two. Leave the term out."
        )
    return Factor(term.name, term, levels, known, names), codes.astype(np.int32)


def _component_values(component: Variable | Call, frame: pd.DataFrame) -> pd.Series:
    if isinstance(component, Variable):
        return frame[component.name]
    value = unboxed(component.values(frame))
    if np.ndim(value) != 1:
        raise FormulaError(
            f"{component.name!r} has several columns and cannot be a grouping factor."
        )
    column = pd.Series(value).reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype) and not is_plain(column.cat.categories):
        column = column.cat.rename_categories(str)  # intervals, as pd.cut makes them
    if column.isna().any():
        raise DataError(f"The grouping factor {component.name!r} has no value in some rows.")
    return column


def is_plain(index: pd.Index) -> bool:
    """Whether an index holds numbers or text."""
    return bool(pd.api.types.is_numeric_dtype(index) or pd.api.types.is_string_dtype(index))


def _component_codes(
    component: Variable | Call, frame: pd.DataFrame, coded: Mapping[str, Codes], name: str
) -> Codes:
    """Codes of one component; levels in order, which is the categories' own if they have one."""
    try:
        if isinstance(component, Variable):
            return coded[component.name].sorted()
        values = _component_values(component, frame)
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.cat.remove_unused_categories()
        return encode_column(values).sorted()
    except TypeError:
        raise DataError(
            f"The grouping factor {name!r} mixes types that cannot be ordered: make it text."
        ) from None


def _match(levels: pd.Index, values: pd.Series) -> AnyArray:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return levels.get_indexer(values.cat.categories)[values.array.codes]
    return levels.get_indexer(pd.Index(values))


def _combine(codes: Sequence[AnyArray], levels: Sequence[pd.Index]) -> AnyArray:
    """One code per combination of component codes, −1 where any component is unknown."""
    size = np.prod([float(len(level)) for level in levels])
    if size > 2.0**62:
        raise DataError("A grouping factor has too many possible combinations: make it one column.")
    if len(codes) == 1:
        return codes[0]
    combined = codes[0].astype(code_dtype(int(size)))
    unknown = combined < 0
    for code, level in zip(codes[1:], levels[1:], strict=True):
        combined *= len(level)
        combined += code
        unknown |= code < 0
    combined[unknown] = -1
    return combined


def _keys(values: Sequence[pd.Series], where: BoolArray) -> list[str]:
    parts = [[str(v) for v in value[where].tolist()] for value in values]
    return [KEY_SEPARATOR.join(part) for part in zip(*parts, strict=True)]


def level_name(key: str) -> str:
    """The name, such as ``A:18-29``, of the level of a grouping factor with this key."""
    return key.replace(KEY_SEPARATOR, ":")
