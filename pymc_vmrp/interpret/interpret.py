"""`predictions`, `comparisons` and `slopes`: what a fit says of rows, typical cases and averages.

Arguments and columns are those of Bambi's ``interpret``; here averages are taken over rows for each
draw and summarised afterwards, columns of two values are compared as such, and draws are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import (
    check_flag,
    check_positive,
    check_probability,
    check_progressbar,
    check_seed,
    names_of,
)
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.interpret.contrasts import arms_of, is_numeric
from pymc_vmrp.interpret.derivatives import half_steps, moving
from pymc_vmrp.interpret.grid import Conditional, Grid, focal_values, make_grid
from pymc_vmrp.interpret.sample import Sample, given_sample, own_sample
from pymc_vmrp.interpret.versions import make_versions, shares_of, with_value
from pymc_vmrp.mrp.groups import Groups, group_cells
from pymc_vmrp.prediction.averages import membership
from pymc_vmrp.prediction.predict import rows_at_a_time
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

ESTIMATE = "estimate"
ROW_DIM = "__obs__"
ALL = "all"
_LONGEST_STEP = 1e6  # sds; beyond them x ± eps/2 has few digits of x

Operation = Callable[..., FloatArray]

COMPARISONS: dict[str, Operation] = {
    "diff": lambda reference, contrast: contrast - reference,
    "ratio": lambda reference, contrast: contrast / reference,
    "lift": lambda reference, contrast: (contrast - reference) / reference,
}
SLOPES: dict[str, Operation] = {
    "dydx": lambda derivative, x, y: derivative,
    "eyex": lambda derivative, x, y: derivative * (x / y),
    "eydx": lambda derivative, x, y: derivative / y,
    "dyex": lambda derivative, x, y: derivative * x,
}


class Interpretation(NamedTuple):
    """A table, and the draws behind it.

    Attributes
    ----------
    summary : DataFrame
        ``estimate`` (the mean of the draws) and the ends of intervals, one row for each case.
    draws : DataTree
        ``posterior`` holds ``estimate`` with dims (chain, draw, __obs__), the rows of ``summary``,
        whose columns are coordinates.
    """

    summary: pd.DataFrame
    draws: xr.DataTree


@dataclass(frozen=True)
class _Asked:
    """What all three functions are asked for."""

    read: ReadModel
    draws: Draws
    average_by: list[str] | None
    use_hdi: bool
    prob: tuple[float, ...]
    sample: Sample
    sample_new_groups: bool | None
    random_seed: Any
    progressbar: bool | None

    def levels(self, name: str) -> list[Any]:
        """Values of a column in the model's own data, where they are known."""
        if self.read.make_predictors is None:
            return []
        return arms_of(self.read.make_predictors().frame[name])


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
    asked = _asked(model, idata, "predictions()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    grid = make_grid(asked.sample, list(asked.read.encoder.needed), conditional, None, asked.levels)
    return _interpret(asked, grid, [grid.frame], [(0, 0, "")], lambda y, _: y, None, {})


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
    asked = _asked(model, idata, "comparisons()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    operation, kind = _operation("comparison", comparison, COMPARISONS)
    name, values = focal_values(asked.sample, contrast, levels=asked.levels)
    if len(values) < 2:
        raise DataError(f"contrast= needs at least two values of {name!r}, not {values}.")
    grid = make_grid(asked.sample, list(asked.read.encoder.needed), conditional, name, asked.levels)
    frames = [_at(asked.sample, grid, name, value) for value in values]
    pairs = [(i, j, f"{values[i]}_vs_{values[j]}") for i, j in combinations(range(len(values)), 2)]
    head = {"term": name, "estimate_type": kind}
    return _interpret(asked, grid, frames, pairs, operation, name, head)


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
    asked = _asked(model, idata, "slopes()", average_by, conditional, use_hdi, prob, data,
                   weights, sample_new_groups, random_seed, progressbar)  # fmt: skip
    operation, kind = _operation("slope", slope, SLOPES)
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
        return _interpret(asked, grid, frames, None, derive, name, head)


# --- what is asked for -------------------------------------------------------------------------


def _asked(
    model: Any, idata: Any, call: str, average_by: Any, conditional: Conditional, use_hdi: Any,
    prob: Any, data: Any, weights: Any, sample_new_groups: Any, random_seed: Any, progressbar: Any,
) -> _Asked:  # fmt: skip
    read = read_model(model, call)
    read.check_has_mean()
    check_flag("use_hdi", use_hdi)
    if sample_new_groups is not None:
        check_flag("sample_new_groups", sample_new_groups)
    check_seed(random_seed, generator=True)
    check_progressbar(progressbar)
    if prob is None:
        import arviz as az

        prob = az.rcParams["stats.ci_prob"]
    probabilities = list(prob) if isinstance(prob, list | tuple) else [prob]
    if not probabilities:
        raise DataError("prob= is an empty list: name at least one probability, such as 0.9.")
    for one in probabilities:
        check_probability("prob", one)
    by = names_of("average_by=", average_by, "'all', a column, or a list of columns")
    further = [name for name in by or () if name != ALL] if conditional is None else []
    distinct = by is not None or conditional is not None
    if data is None:
        if weights is not None:
            raise DataError("weights= names a column of data=, which is missing.")
        sample = own_sample(read, further, "average_by=", distinct)
    else:
        sample = given_sample(read, data, weights, further, "average_by=", distinct=distinct)
    return _Asked(
        read, read.reports.draws(idata), by, use_hdi,
        tuple(sorted(map(float, probabilities), reverse=True)), sample, sample_new_groups,
        random_seed, progressbar,
    )  # fmt: skip


def _operation(argument: str, given: Any, known: Mapping[str, Operation]) -> tuple[Operation, str]:
    if isinstance(given, str) and given in known:
        return known[given], given
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return partial(_called, given, name), name
    raise DataError(
        f"{argument}= must be one of {', '.join(map(repr, known))} or a function, not {given!r}."
    )


def _called(function: Operation, name: str, *arrays: FloatArray) -> FloatArray:
    """What a user's function makes of arrays, which it may not change."""
    for one in arrays:
        one.flags.writeable = False
    try:
        found = np.asarray(function(*arrays))
    except Exception as error:
        raise DataError(
            f"The function {name!r} raised {type(error).__name__} ({error}) when called with "
            f"{len(arrays)} arrays of shape {arrays[0].shape}."
        ) from error
    if found.dtype.kind not in "iufb":
        raise DataError(f"The function {name!r} returned {found.dtype} values, not real numbers.")
    return found


def _at(sample: Sample, grid: Grid, name: str, value: Any) -> pd.DataFrame:
    """The grid with a value of the column that is compared, of that column's dtype."""
    typed = grid.frame
    if name not in typed.columns:
        typed = typed.assign(**{name: sample.frame[name].iloc[[0] * len(typed)].to_numpy()})
        typed[name] = typed[name].astype(sample.frame[name].dtype)
    return with_value(typed, name, value)


def _points(asked: _Asked, grid: Grid, name: str, wrt: Any, values: list[Any]) -> FloatArray:
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


# --- the work ----------------------------------------------------------------------------------


def _interpret(
    asked: _Asked,
    grid: Grid,
    frames: list[pd.DataFrame],
    pairs: list[tuple[int, int, str]] | None,
    operation: Operation,
    focal: str | None,
    head: dict[str, Any],
) -> Interpretation:
    """Draws of each case, and their table.

    ``pairs`` says which frames are compared, and what it is called; None calls ``operation`` with
    all of them, and the rows' places.
    """
    groups = _groups(asked, grid)
    size = len(grid.frame) if groups is None else groups.size
    names = [""] if pairs is None else [label for *_, label in pairs]
    table = _cases(asked, grid, groups, focal)
    shown = {*head, ESTIMATE} | ({"value"} if head else set())
    clash = [name for name in table.columns if name in shown]
    if clash:
        raise DataError(
            f"The model reads a column called {clash[0]!r}, which the table has for something else:"
            " rename it in the data and in the formula, or average over it (average_by=)."
        )
    flat = asked.draws.flat()
    _check_memory(size * len(names), len(flat))
    versions = make_versions(
        asked.read, frames, flat, asked.sample.what, chunk_size=rows_at_a_time(len(flat)),
        sample_new_groups=asked.sample_new_groups, random_seed=asked.random_seed,
    )  # fmt: skip
    values = np.zeros((size, len(names), len(flat)))
    shares = None
    if groups is not None:
        shares = shares_of(grid.weights, groups.codes, groups.size)
    for part, chunks in versions.chunks(asked.progressbar):
        means = versions.means(chunks)
        for k in range(len(names)):
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                if pairs is None:
                    found = operation(part, *means)
                else:
                    found = operation(means[pairs[k][0]], means[pairs[k][1]])
            found = _checked(found, means[0].shape, head)
            if shares is None or groups is None:
                values[part, k] = found
            else:
                values[:, k] += membership(shares[part], groups.codes[part], size) @ found
    table = table.loc[table.index.repeat(len(names))].reset_index(drop=True)
    if names != [""]:
        head = {**head, "value": names * size}
    for at, (name, value) in enumerate(head.items()):
        table.insert(at, name, value)
    return _result(asked, table, values.reshape(size * len(names), -1))


def _checked(found: Any, shape: tuple[int, ...], head: Mapping[str, Any]) -> FloatArray:
    kind = head.get("estimate_type", "estimate")
    values = np.asarray(found, dtype=float)
    if values.shape != shape:
        raise DataError(
            f"{kind!r} returned an array of shape {values.shape} for arguments of shape {shape}: "
            "it must compare them element by element."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{kind!r} of {head.get('term')!r} is not finite in some draws: mean responses are "
            "zero there, or too large. Compare by differences ('diff', 'dydx')."
        )
    return values


def _groups(asked: _Asked, grid: Grid) -> Groups | None:
    if asked.average_by is None:
        return None
    columns = [] if asked.average_by == [ALL] else asked.average_by
    missing = [name for name in columns if name not in grid.frame.columns]
    if missing:
        raise DataError(
            f"average_by= has {missing[0]!r}, which is no column of what is averaged over "
            f"({', '.join(map(str, grid.frame.columns))})."
        )
    return group_cells(grid.frame, columns)


def _cases(asked: _Asked, grid: Grid, groups: Groups | None, focal: str | None) -> pd.DataFrame:
    """The columns that say what each case is."""
    if groups is None:
        return grid.frame.drop(columns=[focal] if focal in grid.frame.columns else [])
    labels = zip(groups.names, groups.levels, groups.position, strict=True)
    columns = {name: [levels[i] for i in at] for name, levels, at in labels}
    return pd.DataFrame(columns, index=pd.RangeIndex(groups.size))


def _check_memory(cases: int, n_draws: int) -> None:
    needed = 8 * 4 * cases * n_draws
    if needed > choose.physical_memory():
        raise DataError(
            f"Draws of {cases:,} cases need about {needed / 2**30:,.0f} GB of memory. Average them "
            "by groups (average_by=), or take fewer draws, as in "
            "idata.isel(draw=slice(None, None, 10))."
        )


def _result(asked: _Asked, table: pd.DataFrame, values: FloatArray) -> Interpretation:
    import arviz as az
    import xarray as xr

    chains, n_draws = asked.draws.coefficients.shape[:2]
    laid = np.moveaxis(values.reshape(len(values), chains, n_draws), 0, -1)
    sample = {
        "chain": np.arange(chains),
        "draw": np.arange(n_draws),
        ROW_DIM: np.arange(len(table)),
    }
    estimate = xr.DataArray(laid, dims=("chain", "draw", ROW_DIM), coords=sample)
    columns: dict[str, Any] = {ESTIMATE: values.mean(axis=1)}
    tails = [(1 - prob) / 2 for prob in asked.prob]
    short = {round(low, 4) for low in tails}  # as Bambi names them
    digits = 4 if len(short - {0.0}) == len(set(tails)) else 12
    for prob, low in zip(asked.prob, tails, strict=True):
        if asked.use_hdi:
            ends = az.hdi(estimate, prob=prob).transpose("ci_bound", ROW_DIM).to_numpy()
        else:
            ends = np.quantile(values, [low, 1 - low], axis=1)
        named = round(low, digits)
        columns[f"lower_{named * 100}%"], columns[f"upper_{(1 - named) * 100}%"] = ends
    labels = {
        name: (ROW_DIM, _storable(column))
        for name, column in table.items()
        if name not in ("chain", "draw", ROW_DIM, ESTIMATE)
    }
    dataset = estimate.to_dataset(name=ESTIMATE).assign_coords(labels)
    summary = pd.concat([table, pd.DataFrame(columns, index=table.index)], axis=1)
    return Interpretation(summary, build_tree({"posterior": dataset}))


def _storable(column: pd.Series) -> Any:
    """Numbers as they are; all else as text, which files can hold."""
    plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb"
    return column.to_numpy() if plain else np.array([str(value) for value in column])
