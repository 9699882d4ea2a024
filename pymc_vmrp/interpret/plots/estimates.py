"""Point estimates and intervals by group, as pictures take them from `Effects` or from a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_vmrp.arguments import check_choice, check_probability, qualified_name
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.interpret.plots.labels import LevelNames, joined, level_labels
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from pymc_vmrp.interpret.result import Effects

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CI_PROB = 0.9
_CONTRAST, _METHOD = "contrast", "method"
_CENTRES = ("estimate", "mean")
_BOUND = re.compile(r"(?:eti|hdi|ci)?([\d.]*)_?(lower|upper|lb|ub)")


@dataclass(frozen=True)
class Estimates:
    """A table of estimates.

    Attributes
    ----------
    groups : DataFrame
        One row each: the levels of the columns that the table is indexed by.
    mean, low, high : ndarray, shape (groups,)
    interval : str
        What the interval is called, such as "90% interval".
    method : str or None
        What the table says that the method is called.
    """

    groups: pd.DataFrame
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    interval: str
    method: str | None

    def keys(self) -> list[tuple[Any, ...]]:
        """The groups, as tuples of levels."""
        if not self.groups.shape[1]:
            return [()] * len(self.mean)
        return list(self.groups.itertuples(index=False, name=None))

    def at(self, rows: NDArray[Any]) -> Estimates:
        """Those of some of the groups, by their places or a mask."""
        return replace(
            self, groups=self.groups.iloc[rows].reset_index(drop=True),
            mean=self.mean[rows], low=self.low[rows], high=self.high[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class GroupEffects:
    """Effects of one contrast by group.

    Attributes
    ----------
    names : tuple of str
        The columns of ``by``.
    levels : tuple of list
        Their distinct values.
    texts : tuple of list of str
        What those are called.
    position : tuple of ndarray of integers, each of shape (groups,)
        Which level of each column a group has.
    estimates : Estimates
    average : float
        Of the effects, weighted by rows.
    pooled : ndarray of bool, shape (groups,)
        Groups that lack an arm.
    contrast : str
    title : str
        What the axis of effects is called.
    """

    names: tuple[str, ...]
    levels: tuple[list[Any], ...]
    texts: tuple[list[str], ...]
    position: tuple[IntArray, ...]
    estimates: Estimates
    average: float
    pooled: NDArray[np.bool_]
    contrast: str
    title: str

    @property
    def size(self) -> int:
        """How many groups there are."""
        return len(self.pooled)

    def labels(self) -> list[str]:
        """What the groups are called."""
        every = range(len(self.names))
        return [
            self.label(every, [at[group] for at in self.position]) for group in range(self.size)
        ]

    def label(self, columns: Sequence[int], key: Sequence[int]) -> str:
        """What a combination of levels of some columns is called."""
        return joined([self.texts[k][at] for k, at in zip(columns, key, strict=True)])

    def combinations(self, columns: Sequence[int]) -> tuple[IntArray, IntArray]:
        """Combinations of levels of some columns that there are, in order, and each group's."""
        if not columns:
            return np.zeros((1, 0), dtype=np.int64), np.zeros(self.size, dtype=np.int64)
        keys = np.stack([self.position[k] for k in columns], axis=1)
        found, of_group = np.unique(keys, axis=0, return_inverse=True)
        return found, of_group.reshape(-1)

    def column(self, argument: str, name: Any) -> int:
        """Place of a column of ``by`` that an argument names."""
        if name not in self.names:
            raise DataError(
                f"{argument} names {name!r}, which is no column that the effects are by: "
                f"{', '.join(self.names) or 'they are of all rows together'}."
            )
        return self.names.index(name)


def is_effects(value: Any) -> TypeGuard[Effects]:
    """Whether a value is an `Effects`, which has methods that import pictures."""
    return all(hasattr(value, name) for name in ("treatment", "contrasts", "groups", "table"))


def read_effects(
    effects: Effects,
    contrast: str | None = None,
    ci_prob: float = CI_PROB,
    level_names: LevelNames | None = None,
) -> GroupEffects:
    """One contrast of effects by group, as pictures show it.

    Raises
    ------
    DataError
        Where ``effects`` is something else, there are several contrasts and none is named, or
        ``level_names`` has columns or levels that are not there.
    """
    if not is_effects(effects):
        raise DataError(
            f"effects must be what effects() returned, not a {qualified_name(effects)}."
        )
    check_probability("ci_prob", ci_prob)
    chosen = choose_contrast(effects.contrasts, contrast)
    table = effects.table(ci_prob)
    estimates = read_table(table, "effects", chosen, effects.groups.names)
    groups = effects.groups
    compared = f" ({printable(chosen)})" if chosen != "slope" else ""
    scale = ", linear predictor" if effects.scale == "link" else ""
    what = "slope" if chosen == "slope" else "effect"
    return GroupEffects(
        names=groups.names,
        levels=groups.levels,
        texts=level_labels(groups.names, groups.levels, level_names),
        position=groups.position,
        estimates=estimates,
        average=float(effects.group_shares @ estimates.mean),
        pooled=np.asarray(effects.lacking[effects.contrasts.index(chosen)], dtype=bool),
        contrast=chosen,
        title=f"{what} of {printable(effects.treatment)}{compared}{scale}",
    )


def choose_contrast(contrasts: Sequence[str], contrast: str | None) -> str:
    """The contrast that is named, or the only one."""
    if contrast is None and len(contrasts) == 1:
        return contrasts[0]
    if contrast is None:
        raise DataError(
            "A picture shows one contrast, and there are several: pass contrast=, one of "
            f"{', '.join(map(repr, contrasts))}."
        )
    check_choice("contrast", contrast, contrasts)
    return contrast


def read_table(
    table: pd.DataFrame, argument: str, contrast: str | None = None, names: Sequence[str] = ()
) -> Estimates:
    """Estimates and intervals of a table that is indexed by groups.

    Parameters
    ----------
    table : DataFrame
        With the columns ``estimate`` or ``mean``, and ``lower`` and ``upper`` or an interval as
        summaries have it, such as ``eti90_lb`` and ``eti90_ub``; a level ``contrast`` of its
        index, and a level or column ``method``, are read as such.
    argument : str
        What errors call it.
    contrast : str, optional
        The one to show of a table with several.
    names : sequence of str
        Columns that the groups are by, where known: none of them is a contrast or a method.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{argument} must be a DataFrame, not a {qualified_name(table)}.")
    columns = list(table.columns)
    centre = next((name for name in _CENTRES if name in columns), None)
    if centre is None:
        raise DataError(
            f"{argument} has no column 'estimate' or 'mean'; it has {abbreviate(columns, 10)}."
        )
    low, high, interval = _bounds(columns, argument)
    index = table.index.to_frame(index=False) if any(table.index.names) else pd.DataFrame()
    index = index.reindex(index=range(len(table)))
    rows = np.ones(len(table), dtype=bool)
    if _CONTRAST in index and _CONTRAST not in names:
        of_rows = index.pop(_CONTRAST)
        rows = (of_rows == choose_contrast(list(dict.fromkeys(of_rows)), contrast)).to_numpy()
    method = None
    if _METHOD not in names and (_METHOD in index or _METHOD in columns):
        methods = index.pop(_METHOD) if _METHOD in index else table[_METHOD]
        method = _only_method(methods.to_numpy()[rows], argument)
    chosen = table[rows]
    return Estimates(
        groups=index[rows].reset_index(drop=True),
        mean=_numbers(chosen, centre, argument),
        low=_numbers(chosen, low, argument),
        high=_numbers(chosen, high, argument),
        interval=interval,
        method=method,
    )


def _bounds(columns: Sequence[Any], argument: str) -> tuple[Any, Any, str]:
    found: dict[str, dict[bool, Any]] = {}
    for name in columns:
        match = _BOUND.fullmatch(name) if isinstance(name, str) else None
        if match:
            found.setdefault(match[1], {})[match[2] in ("upper", "ub")] = name
    whole = {percent: pair for percent, pair in found.items() if len(pair) == 2}
    if len(whole) != 1:
        raise DataError(
            f"{argument} needs one interval, columns such as 'lower' and 'upper', or 'eti90_lb' "
            f"and 'eti90_ub'; it has {len(whole)} among {abbreviate(columns, 10)}."
        )
    ((percent, pair),) = whole.items()
    return pair[False], pair[True], f"{percent}% interval" if percent else "interval"


def _only_method(values: NDArray[Any], argument: str) -> str | None:
    methods = list(dict.fromkeys(values.tolist()))
    if len(methods) > 1:
        raise DataError(
            f"{argument} has several methods, {abbreviate(methods)}: pass the rows of one, such as "
            f"{argument}.xs({methods[0]!r}, level='method')."
        )
    return str(methods[0]) if methods else None


def _numbers(table: pd.DataFrame, name: Any, argument: str) -> FloatArray:
    try:
        return table[name].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(f"The column {name!r} of {argument} must hold numbers.") from None


def align(other: Estimates, shown: GroupEffects, argument: str) -> Estimates:
    """Estimates of another method in the order of the groups; NaN where it has none.

    Other groups without an estimate, such as `compare()` lists crossings without rows, are left
    out.

    Raises
    ------
    DataError
        Where it is by other columns, has groups twice, or estimates of others.
    """
    names = list(shown.names)
    if sorted(other.groups.columns) != sorted(names):
        has = ", ".join(map(str, other.groups.columns)) or "nothing"
        raise DataError(
            f"{argument} must be indexed by the groups, that is by {', '.join(names) or 'nothing'}"
            f"; its index has {has}."
        )
    groups = other.groups[names]
    repeated = groups.duplicated() if names else pd.Series(range(len(other.mean))) > 0
    if repeated.any():
        raise DataError(f"{argument} has a group twice: {_named(groups[repeated])}.")
    keys = Estimates(groups, other.mean, other.low, other.high, other.interval, None).keys()
    at = {key: row for row, key in enumerate(keys)}
    own = shown.estimates.keys()
    known = set(own)
    unknown = [row for key, row in at.items() if key not in known and np.isfinite(other.mean[row])]
    if unknown:
        raise DataError(
            f"{argument} has groups that the effects do not have, such as "
            f"{_named(groups.iloc[unknown])}."
        )
    rows = np.array([at.get(key, -1) for key in own])

    def placed(values: FloatArray) -> FloatArray:
        return np.where(rows >= 0, np.append(values, np.nan)[rows], np.nan)

    return Estimates(
        shown.estimates.groups, placed(other.mean), placed(other.low), placed(other.high),
        other.interval, other.method,
    )  # fmt: skip


def _named(groups: pd.DataFrame) -> str:
    """The first of some groups, as errors call it."""
    first = groups.head(1).to_dict("records")[0]
    return ", ".join(f"{name}={value!r}" for name, value in first.items())
