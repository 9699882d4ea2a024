"""`Interpretation`: draws of each case that is asked for, their table, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.interpret.asked import ALL, Asked
from pymc_vmrp.interpret.grid import Grid
from pymc_vmrp.interpret.operations import Operation
from pymc_vmrp.interpret.versions import make_versions, shares_of
from pymc_vmrp.mrp.groups import Groups, group_cells
from pymc_vmrp.prediction.averages import membership
from pymc_vmrp.prediction.predict import rows_at_a_time
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

ESTIMATE = "estimate"
ROW_DIM = "__obs__"


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


def draw_cases(
    asked: Asked,
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


def _groups(asked: Asked, grid: Grid) -> Groups | None:
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


def _cases(asked: Asked, grid: Grid, groups: Groups | None, focal: str | None) -> pd.DataFrame:
    """The columns that say what each case is."""
    if groups is None:
        return grid.frame.drop(columns=[focal] if focal in grid.frame.columns else [])
    return groups.labels()


def _check_memory(cases: int, n_draws: int) -> None:
    needed = 8 * 4 * cases * n_draws
    if needed > choose.physical_memory():
        raise DataError(
            f"Draws of {cases:,} cases need about {needed / 2**30:,.0f} GB of memory. Average them "
            "by groups (average_by=), or take fewer draws, as in "
            "idata.isel(draw=slice(None, None, 10))."
        )


def _result(asked: Asked, table: pd.DataFrame, values: FloatArray) -> Interpretation:
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
