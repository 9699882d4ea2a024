"""Smooths and random walks of a formula: learned from the data, and repeated on new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pandas as pd
from formulae.terms.variable import Variable
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate, check_name
from pymc_vmrp.frontends.formula.bases import SMALLEST, Basis, fit_basis, random_walk
from pymc_vmrp.frontends.formula.calls import check_finite, formulae_errors
from pymc_vmrp.frontends.formula.factors import Factor, encode_factor, fit_factor, unseen_keys
from pymc_vmrp.frontends.formula.special import SmoothCall
from pymc_vmrp.frontends.tidy import kind_of
from pymc_vmrp.glmm.codes import Codes
from pymc_vmrp.glmm.spec import CommonTerm, Report

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class SmoothBlock:
    """Effects that share one standard deviation, all of which each row touches.

    Attributes
    ----------
    title : str
        Name of the block.
    levels : tuple of str
        Names of its effects.
    report : Report or None
        What results show in their place.
    """

    title: str
    levels: tuple[str, ...]
    report: Report | None = None


@dataclass(frozen=True)
class SmoothRows:
    """A smooth on some rows: common columns, shape (N, c), and values, (N, L), of each block."""

    common: FloatArray
    values: tuple[FloatArray, ...]


class Smooth(Protocol):
    """A smooth as learned from the data."""

    @property
    def name(self) -> str:
        """What the formula and the priors call it."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of data columns, and perhaps of other things, that it reads."""
        ...

    @property
    def linear(self) -> tuple[str, ...] | None:
        """Labels of its common columns, ``("",)`` for one without a label, None without any."""
        ...

    @property
    def blocks(self) -> tuple[SmoothBlock, ...]:
        """Its blocks of effects."""
        ...

    def evaluate(self, frame: pd.DataFrame, what: str) -> SmoothRows:
        """Its columns for some rows."""
        ...


def linear_name(name: str) -> str:
    """The common term that holds what a smooth's penalty leaves free."""
    return f"{name}_linear"


def fit_smooth(
    call: SmoothCall,
    frame: pd.DataFrame,
    coded: Mapping[str, Codes],
    weights: FloatArray,
    kinds: Mapping[str, Any],
) -> tuple[Smooth, SmoothRows]:
    """Learn a smooth from one row per cell.

    Parameters
    ----------
    call : SmoothCall
    frame : DataFrame
        Columns that are read as numbers.
    coded : mapping of str to Codes
        Columns that may be factors.
    weights : ndarray, shape (N,)
        How much each row counts in centring and scaling.
    kinds : mapping of str to dtype
        Of the data's columns.

    Raises
    ------
    DataError
        Where the data do not go with the term.
    """
    if call.is_walk:
        return _fit_walk(call, frame, coded, kinds)
    x = _numbers(call, frame, "data")
    by = None if call.by is None else call.by.components[0].name
    if by is not None and kind_of(pd.Series([], dtype=kinds[by])) == "numbers":
        z = frame[by].to_numpy(dtype=float)
        _check_distinct(call, x[(z != 0) & (weights > 0)], "where by= is not 0")
        basis = _basis(call, x, weights * z**2, centred=False)
        # fit_basis scales by the average over w·z², the data's average is over w
        basis = basis.scaled(np.sqrt(_total(weights) / _total(weights * z**2)))
        smooth: Smooth = Spline(call.name, call, None, (call.name,), (basis,), by)
    elif call.by is None:
        _check_distinct(call, x[weights > 0], "")
        basis = _basis(call, x, weights, centred=True)
        smooth = Spline(call.name, call, None, (call.name,), (basis,), None)
    else:
        factor, codes = fit_factor(call.by, frame, coded)
        bases = []
        for level, name in enumerate(factor.levels):
            mine = codes == level
            counted = x[mine & (weights > 0)]
            _check_distinct(call, counted, f"where {by} is {name!r}", SMALLEST[call.kind])
            bases.append(_basis(call, x[mine], weights[mine], centred=True))
        titles = tuple(f"{call.name}[{name}]" for name in factor.levels)
        smooth = Spline(call.name, call, factor, titles, tuple(bases), None)
    return smooth, smooth.evaluate(frame, "data")


def _basis(call: SmoothCall, x: FloatArray, weights: FloatArray, centred: bool) -> Basis:
    k = min(call.k, len(np.unique(x)))  # a level of by= may have fewer values than all rows
    weights = weights if (weights > 0).any() else np.ones(len(x))
    return fit_basis(x, weights, call.kind, k, call.order, centred)


def _total(weights: FloatArray) -> float:
    return float(weights.sum()) or 1.0


def _check_distinct(call: SmoothCall, x: FloatArray, where: str, least: int | None = None) -> None:
    least = call.k if least is None else least
    distinct = len(np.unique(x))
    if distinct < least:
        enough = distinct >= SMALLEST[call.kind] and least == call.k
        remedy = f"lower k to at most {distinct}" if enough else "use the predictor as it is"
        raise DataError(
            f"{call.name} needs at least {least} distinct values{where and ' '}{where}, and "
            f"{call.x.name!r} has {distinct}: {remedy}, or rw({call.x.name}), or make groups of it."
        )


def _numbers(call: SmoothCall, frame: pd.DataFrame, what: str) -> FloatArray:
    """The predictor of a smooth as numbers."""
    component = call.x.components[0]
    with formulae_errors(call.name, what):
        values = (
            frame[component.name] if isinstance(component, Variable) else component.values(frame)
        )
    series = pd.Series(values) if np.ndim(values) == 1 else None
    if series is None or kind_of(series) != "numbers" or series.dtype == "category":
        kind = "several columns" if series is None else kind_of(series)
        held = "categories" if kind == "numbers" else kind
        raise DataError(
            f"{call.name} smooths over numbers, but {call.x.name!r} holds {held}: use "
            f"(1|{call.x.name}) for groups, or rw({call.x.name}) for ordered categories."
        )
    out = series.to_numpy(dtype=float)
    check_finite(out, call.name, what)
    return out


@dataclass(frozen=True)
class Spline:
    """A penalised regression spline, or one for each level of a factor.

    Attributes
    ----------
    name : str
    call : SmoothCall
    factor : Factor or None
        Each level of it has a spline of its own.
    titles : tuple of str
        Name of each spline.
    bases : tuple of Basis
    multiplier : str or None
        Numeric column that multiplies the smooth.
    """

    name: str
    call: SmoothCall
    factor: Factor | None
    titles: tuple[str, ...]
    bases: tuple[Basis, ...]
    multiplier: str | None

    @property
    def columns(self) -> tuple[str, ...]:
        """See :class:`Smooth`."""
        return self.call.columns

    @property
    def linear(self) -> tuple[str, ...] | None:
        """See :class:`Smooth`."""
        n = self.bases[0].polynomials
        if n == 0:
            return None
        if self.factor is not None:
            return self.factor.levels
        return ("",) if self.multiplier is None else ("1", self.call.x.name)[:n]

    @property
    def blocks(self) -> tuple[SmoothBlock, ...]:
        """See :class:`Smooth`."""
        return tuple(
            SmoothBlock(title, tuple(str(i + 1) for i in range(basis.size)))
            for title, basis in zip(self.titles, self.bases, strict=True)
        )

    def evaluate(self, frame: pd.DataFrame, what: str) -> SmoothRows:
        """See :class:`Smooth`."""
        x = _numbers(self.call, frame, what)
        if self.factor is None:
            free, values = self.bases[0].evaluate(x)
            if self.multiplier is not None:
                z = frame[self.multiplier].to_numpy(dtype=float)[:, None]
                free, values = free * z, values * z
            return SmoothRows(free, (values,))
        codes = _known_levels(self.factor, frame, self.name, what)
        common, blocks = [], []
        for level, basis in enumerate(self.bases):
            mine = codes == level
            free, values = np.zeros((len(x), basis.polynomials)), np.zeros((len(x), basis.size))
            free[mine], values[mine] = basis.evaluate(x[mine])
            common.append(free)
            blocks.append(values)
        return SmoothRows(np.column_stack(common), tuple(blocks))


@dataclass(frozen=True)
class RandomWalk:
    """A random walk of first order over the levels of an ordered factor.

    Attributes
    ----------
    name : str
    call : SmoothCall
    factor : Factor
    forward, backward : ndarray
        Levels from steps, and steps from levels: see :func:`random_walk`.
    """

    name: str
    call: SmoothCall
    factor: Factor
    forward: FloatArray
    backward: FloatArray

    @property
    def columns(self) -> tuple[str, ...]:
        """See :class:`Smooth`."""
        return self.call.columns

    @property
    def linear(self) -> None:
        """See :class:`Smooth`."""
        return None

    @property
    def blocks(self) -> tuple[SmoothBlock, ...]:
        """See :class:`Smooth`."""
        levels = self.factor.levels
        steps = tuple(f"{a} to {b}" for a, b in pairwise(levels))
        return (SmoothBlock(self.name, steps, Report(levels, self.forward, self.backward)),)

    def evaluate(self, frame: pd.DataFrame, what: str) -> SmoothRows:
        """See :class:`Smooth`."""
        codes = _known_levels(self.factor, frame, self.name, what)
        return self.rows(codes)

    def rows(self, codes: NDArray[Any]) -> SmoothRows:
        """Columns of rows of known levels."""
        return SmoothRows(np.empty((len(codes), 0)), (self.forward[codes],))


def _fit_walk(
    call: SmoothCall,
    frame: pd.DataFrame,
    coded: Mapping[str, Codes],
    kinds: Mapping[str, Any],
) -> tuple[RandomWalk, SmoothRows]:
    component = call.x.components[0]
    if isinstance(component, Variable):
        dtype = kinds[component.name]
        ordered = isinstance(dtype, pd.CategoricalDtype) and dtype.ordered
        if not ordered and not pd.api.types.is_numeric_dtype(dtype):
            raise DataError(
                f"{call.name} needs an order: make {component.name!r} numbers or an ordered "
                f"categorical, such as pd.Categorical(data[{component.name!r}], [...], "
                "ordered=True)."
            )
    factor, codes = fit_factor(call.x, frame, coded)
    walk = RandomWalk(call.name, call, factor, *random_walk(len(factor.levels)))
    return walk, walk.rows(codes)


def _known_levels(factor: Factor, frame: pd.DataFrame, name: str, what: str) -> NDArray[Any]:
    """Code of each row's level; one that the model never saw is an error."""
    new = unseen_keys(factor, frame)
    if new:
        raise DataError(
            f"{factor.name!r} of {what} has levels that {name} never saw: {abbreviate(new)} (it "
            f"knows {abbreviate(factor.levels)}). Merge them into known levels."
        )
    return encode_factor(factor, frame, ())


def fit_smooths(
    calls: Sequence[SmoothCall],
    frame: pd.DataFrame,
    coded: Mapping[str, Codes],
    weights: FloatArray,
    kinds: Mapping[str, Any],
) -> tuple[tuple[Smooth, ...], list[SmoothRows]]:
    """Learn all smooths of a formula; see :func:`fit_smooth`."""
    fitted = [fit_smooth(call, frame, coded, weights, kinds) for call in calls]
    for smooth, _ in fitted:
        for name in (smooth.name, *(block.title for block in smooth.blocks)):
            check_name(name)
    return tuple(smooth for smooth, _ in fitted), [rows for _, rows in fitted]


def linear_terms(smooths: Sequence[Smooth], start: int) -> tuple[CommonTerm, ...]:
    """The common terms of smooths, whose columns come after all others."""
    out = []
    for smooth in smooths:
        if smooth.linear is None:
            continue
        labels = None if smooth.linear == ("",) else smooth.linear
        stop = start + len(smooth.linear)
        out.append(CommonTerm(linear_name(smooth.name), labels, start, stop))
        start = stop
    return tuple(out)


def smooth_codes(rows: Sequence[SmoothRows]) -> tuple[IntArray, ...]:
    """Codes of all blocks: every row touches every effect, which takes one row of memory."""
    shapes = [values.shape for part in rows for values in part.values]
    return tuple(np.broadcast_to(np.arange(n, dtype=np.int32), (rows, n)) for rows, n in shapes)


def smooth_values(rows: Sequence[SmoothRows]) -> tuple[FloatArray, ...]:
    """Values of all blocks, shape (N, L, 1) each."""
    return tuple(values[:, :, None] for part in rows for values in part.values)
