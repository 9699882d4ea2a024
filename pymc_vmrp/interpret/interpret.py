"""`predictions`, `comparisons` and `slopes`: what a fit says of rows, typical cases and averages.

Arguments and columns are those of Bambi's ``interpret``; here averages are taken over rows for each
draw and summarised afterwards, columns of two values are compared as such, and draws are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_positive
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.interpret.asked import Asked, read_asked
from pymc_vmrp.interpret.contrasts import is_numeric
from pymc_vmrp.interpret.derivatives import half_steps, moving
from pymc_vmrp.interpret.grid import Conditional, Grid, focal_values, make_grid
from pymc_vmrp.interpret.interpretation import Interpretation, draw_cases
from pymc_vmrp.interpret.operations import COMPARISONS, SLOPES, Operation, find_operation
from pymc_vmrp.interpret.sample import Sample
from pymc_vmrp.interpret.versions import with_value

if TYPE_CHECKING:
    import xarray as xr

_LONGEST_STEP = 1e6  # sds; beyond them x ± eps/2 has few digits of x


def predictions(
    model: Any,
    idata: xr.DataTree,
    conditional: Conditional = None,
    average_by: str | Sequence[str] | None = None,
    use_hdi: bool = True,
    prob: float | Sequence[float] | None = None,
    *,
    data: pd.DataFrame | None = None,
    weights: str | None = None,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool | None = None,
) -> Interpretation:
    """Mean responses of rows, of typical cases, or averages of them.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
    idata : DataTree
        A fit of the model.
    conditional : str, list of str or dict, optional
        Predictors to vary; a dict gives their values. All combinations are predicted, other
        predictors at their mean or most frequent value. None predicts the rows as they are.
    average_by : str or list of str, optional
        Average over rows with these values, or over "all", for each draw.
    use_hdi : bool
        Highest density intervals, or equal-tailed ones.
    prob : float or sequence of float, optional
        Of the intervals; ArviZ's ``stats.ci_prob`` by default.
    data : DataFrame, optional
        Rows in place of the model's own.
    weights : str, optional
        A column of ``data``: how many each row stands for, in averages and typical values.
    sample_new_groups, random_seed
        Of levels that the model never saw, as in :func:`pymc_vmrp.poststratify`.
    progressbar : bool, optional

    Returns
    -------
    Interpretation
        ``summary`` and ``draws``.

    Raises
    ------
    DataError
        Where a column or level is unknown, or memory would not do.
    """
    asked = read_asked(model, idata, "predictions()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    grid = make_grid(asked.sample, list(asked.read.encoder.needed), conditional, None, asked.levels)
    return draw_cases(asked, grid, [grid.frame], [(0, 0, "")], lambda y, _: y, None, {})


def comparisons(
    model: Any,
    idata: xr.DataTree,
    contrast: str | Mapping[str, Any],
    conditional: Conditional = None,
    average_by: str | Sequence[str] | None = None,
    comparison: str | Operation = "diff",
    use_hdi: bool = True,
    prob: float | Sequence[float] | None = None,
    *,
    data: pd.DataFrame | None = None,
    weights: str | None = None,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool | None = None,
) -> Interpretation:
    """Mean responses under several values of a predictor, compared.

    Parameters
    ----------
    model, idata, conditional, average_by, use_hdi, prob, data, weights, sample_new_groups, \
random_seed, progressbar
        As in :func:`predictions`.
    contrast : str or dict
        The predictor, or a dict of it and its values, of which every pair is compared. By default
        all levels of text, both values of a column that has two, real numbers half a unit below
        and above their mean, and whole ones a unit below and above the most frequent.
    comparison : {"diff", "ratio", "lift"} or callable
        Of a row, before averages: contrast − reference, contrast / reference, (contrast −
        reference) / reference; or a function (reference, contrast) of arrays of shape (rows,
        draws).

    Returns
    -------
    Interpretation
        ``summary`` has the columns ``term``, ``estimate_type`` and ``value`` (such as ``0_vs_1``:
        the reference first) besides.
    """
    asked = read_asked(model, idata, "comparisons()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    operation, kind = find_operation("comparison", comparison, COMPARISONS)
    name, values = focal_values(asked.sample, contrast, levels=asked.levels)
    if len(values) < 2:
        raise DataError(f"contrast= needs at least two values of {name!r}, not {values}.")
    grid = make_grid(asked.sample, list(asked.read.encoder.needed), conditional, name, asked.levels)
    frames = [_at(asked.sample, grid, name, value) for value in values]
    pairs = [(i, j, f"{values[i]}_vs_{values[j]}") for i, j in combinations(range(len(values)), 2)]
    head = {"term": name, "estimate_type": kind}
    return draw_cases(asked, grid, frames, pairs, operation, name, head)


def slopes(
    model: Any,
    idata: xr.DataTree,
    wrt: str | Mapping[str, float],
    conditional: Conditional = None,
    average_by: str | Sequence[str] | None = None,
    eps: float | None = None,
    slope: str | Operation = "dydx",
    use_hdi: bool = True,
    prob: float | Sequence[float] | None = None,
    *,
    data: pd.DataFrame | None = None,
    weights: str | None = None,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool | None = None,
) -> Interpretation:
    """Derivatives of the mean response with respect to a predictor, by central differences.

    Parameters
    ----------
    model, idata, conditional, average_by, use_hdi, prob, data, weights, sample_new_groups, \
random_seed, progressbar
        As in :func:`predictions`.
    wrt : str or dict
        A numeric predictor; a dict gives the value at which the derivative is taken. By default
        that is its mean (real numbers) or most frequent value, and, where ``conditional`` is None,
        each row's own value: Bambi takes the mean there, too.
    eps : float, optional
        Distance of the two values; by default 2⁻⁹ sds of the predictor, and no more than 2⁻⁹ of
        the value itself.
    slope : {"dydx", "eyex", "eydx", "dyex"} or callable
        "e" stands for a relative change: dy/dx, (dy/dx)(x/y), (dy/dx)/y, (dy/dx)x; or a function
        (derivative, x, y).

    Returns
    -------
    Interpretation
    """
    asked = read_asked(model, idata, "slopes()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    operation, kind = find_operation("slope", slope, SLOPES)
    name, values = focal_values(asked.sample, wrt, "wrt")
    column = asked.sample.frame[name]
    if not is_numeric(column):
        raise DataError(
            f"wrt= must name a number, but {name!r} holds {column.dtype} values: use comparisons()."
        )
    grid = make_grid(asked.sample, list(asked.read.encoder.needed), conditional, name, asked.levels)
    x = _points(asked, grid, name, wrt, values)
    spread = float(column.astype(float).std(ddof=0)) if len(column) > 1 else 0.0
    if eps is None:
        half = half_steps(x, spread)
    else:
        check_positive("eps", eps, most=_LONGEST_STEP * (spread or 1.0))
        half = np.full(len(x), eps / 2)
    low, high = x - half, x + half
    frames = [_at(asked.sample, grid, name, v) for v in (low, high, x)]
    step = (high - low)[:, None]

    def derive(at: slice, y_low: FloatArray, y_high: FloatArray, y: FloatArray) -> FloatArray:
        return operation((y_high - y_low) / step[at], x[at, None], y)

    head = {"term": name, "estimate_type": kind}
    if np.ptp(x) == 0:
        head["value"] = x[0]
    with moving(asked.read, frames[2], frames[:2], asked.sample.what, name, "wrt="):
        return draw_cases(asked, grid, frames, None, derive, name, head)


def _at(sample: Sample, grid: Grid, name: str, value: Any) -> pd.DataFrame:
    """The grid with a value of the column that is compared, of that column's dtype."""
    typed = grid.frame
    if name not in typed.columns:
        typed = typed.assign(**{name: sample.frame[name].iloc[[0] * len(typed)].to_numpy()})
        typed[name] = typed[name].astype(sample.frame[name].dtype)
    return with_value(typed, name, value)


def _points(asked: Asked, grid: Grid, name: str, wrt: Any, values: list[Any]) -> FloatArray:
    """Where derivatives are taken, row by row."""
    if isinstance(wrt, Mapping):
        if len(values) != 1:
            raise DataError(f"wrt= takes one value of {name!r}, not {values}.")
        return np.full(len(grid.frame), float(values[0]))
    if name in grid.frame.columns:
        return grid.frame[name].to_numpy(dtype=float)
    column = asked.sample.frame[name].astype(float)
    centre = np.average(column, weights=asked.sample.weights)
    if not pd.api.types.is_float_dtype(asked.sample.frame[name]):
        counts = pd.Series(asked.sample.weights).groupby(column.to_numpy()).sum()
        centre = float(counts.index[int(np.argmax(counts))])
    return np.full(len(grid.frame), float(centre))
