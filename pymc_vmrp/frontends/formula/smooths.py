"""Smooths and random walks of a formula: learned from the data, and repeated on new rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate, check_name
from pymc_vmrp.frontends.formula.bases import SMALLEST, Basis, fit_basis, random_walk
from pymc_vmrp.frontends.formula.calls import check_finite, formulae_errors
from pymc_vmrp.frontends.formula.factors import Factor, fit_factor
from pymc_vmrp.frontends.formula.special import SmoothCall
from pymc_vmrp.frontends.tidy import kind_of
from pymc_vmrp.glmm.codes import Codes
from pymc_vmrp.glmm.spec import CommonTerm, Report


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


@dataclass(frozen=True)
class Smooth:
    """A smooth as learned from the data.

    Attributes
    ----------
    name : str
        What the formula and the priors call it.
    columns : tuple of str
        Names of data columns, and perhaps of other things, that it reads.
    linear : tuple of str, or None
        Labels of its common columns, ``("",)`` for one without a label, None without any.
    blocks : tuple of SmoothBlock
    evaluate : callable
        (data frame, what errors call it) → its columns for some rows.
    """

    name: str
    columns: tuple[str, ...]
    linear: tuple[str, ...] | None
    blocks: tuple[SmoothBlock, ...]
    evaluate: Callable[[pd.DataFrame, str], SmoothRows]


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
        smooth = _spline(call, basis, by)
    elif call.by is None:
        _check_distinct(call, x[weights > 0], "")
        basis = _basis(call, x, weights, centred=True)
        smooth = _spline(call, basis)
    else:
        factor, codes = fit_factor(call.by, frame, coded)
        bases = []
        for level, name in enumerate(factor.levels):
            mine = codes == level
            counted = x[mine & (weights > 0)]
            _check_distinct(call, counted, f"where {by} is {name!r}", SMALLEST[call.kind])
            bases.append(_basis(call, x[mine], weights[mine], centred=True))
        smooth = _splines_of_levels(call, factor, bases)
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


def _spline(call: SmoothCall, basis: Basis, multiplier: str | None = None) -> Smooth:
    """A penalised regression spline, which a numeric column may multiply."""
    labels = ("",) if multiplier is None else ("1", call.x.name)
    return Smooth(
        call.name,
        call.columns,
        labels[: basis.polynomials] or None,
        (_spline_block(call.name, basis),),
        partial(_evaluate_spline, call, basis, multiplier),
    )


def _splines_of_levels(call: SmoothCall, factor: Factor, bases: Sequence[Basis]) -> Smooth:
    """A spline of its own for each level of a factor."""
    return Smooth(
        call.name,
        call.columns,
        factor.levels if bases[0].polynomials else None,
        tuple(
            _spline_block(f"{call.name}[{level}]", basis)
            for level, basis in zip(factor.levels, bases, strict=True)
        ),
        partial(_evaluate_levels, call, factor, bases),
    )


def _spline_block(title: str, basis: Basis) -> SmoothBlock:
    return SmoothBlock(title, tuple(str(i + 1) for i in range(basis.size)))


def _evaluate_spline(
    call: SmoothCall, basis: Basis, multiplier: str | None, frame: pd.DataFrame, what: str
) -> SmoothRows:
    free, values = basis.evaluate(_numbers(call, frame, what))
    if multiplier is not None:
        z = frame[multiplier].to_numpy(dtype=float)[:, None]
        free, values = free * z, values * z
    return SmoothRows(free, (values,))


def _evaluate_levels(
    call: SmoothCall, factor: Factor, bases: Sequence[Basis], frame: pd.DataFrame, what: str
) -> SmoothRows:
    x = _numbers(call, frame, what)
    codes = _known_levels(factor, frame, call.name, what)
    common, blocks = [], []
    for level, basis in enumerate(bases):
        mine = codes == level
        free, values = np.zeros((len(x), basis.polynomials)), np.zeros((len(x), basis.size))
        free[mine], values[mine] = basis.evaluate(x[mine])
        common.append(free)
        blocks.append(values)
    return SmoothRows(np.column_stack(common), tuple(blocks))


def _fit_walk(
    call: SmoothCall,
    frame: pd.DataFrame,
    coded: Mapping[str, Codes],
    kinds: Mapping[str, Any],
) -> tuple[Smooth, SmoothRows]:
    """A random walk of first order over the levels of an ordered factor."""
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
    forward, backward = random_walk(len(factor.levels))
    steps = tuple(f"{a} to {b}" for a, b in pairwise(factor.levels))
    block = SmoothBlock(call.name, steps, Report(factor.levels, forward, backward))
    evaluate = partial(_evaluate_walk, call.name, factor, forward)
    return Smooth(call.name, call.columns, None, (block,), evaluate), _steps(forward, codes)


def _evaluate_walk(
    name: str, factor: Factor, forward: FloatArray, frame: pd.DataFrame, what: str
) -> SmoothRows:
    return _steps(forward, _known_levels(factor, frame, name, what))


def _steps(forward: FloatArray, codes: AnyArray) -> SmoothRows:
    """The steps of a random walk that lead to each row's level."""
    return SmoothRows(np.empty((len(codes), 0)), (forward[codes],))


def _known_levels(factor: Factor, frame: pd.DataFrame, name: str, what: str) -> AnyArray:
    """Code of each row's level; one that the model never saw is an error."""
    new = factor.unseen(frame)
    if new:
        raise DataError(
            f"{factor.name!r} of {what} has levels that {name} never saw: {abbreviate(new)} (it "
            f"knows {abbreviate(factor.levels)}). Merge them into known levels."
        )
    return factor.encode(frame, ())


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
