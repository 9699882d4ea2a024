"""Poststratification: weight a model's predictions for population cells by their counts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pymc_vmrp.arguments import check_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import (
    abbreviate,
    check_columns,
    check_frame,
    check_weights,
    storable_labels,
)
from pymc_vmrp.frontends.design import Encoder
from pymc_vmrp.glmm.families.family import Family
from pymc_vmrp.glmm.kernels import weighted_probabilities
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.prediction.rows import Chunk, new_rows
from pymc_vmrp.results.idata import build_tree, read_draws

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.model import Model

FloatArray = NDArray[np.float64]

ESTIMATE = "estimate"


def poststratify(
    model: Model,
    idata: xr.DataTree,
    cells: pd.DataFrame,
    weights: str = "n",
    by: str | Sequence[str] | None = None,
    *,
    random_seed: int | np.random.Generator | None = None,
    chunk_size: int = 65_536,
) -> xr.DataTree:
    """Estimate population means from a fitted model and a table of population cells.

    For each draw the estimate of a group is Σ_c n_c·μ_c / Σ_c n_c over its cells c, where μ_c is
    the model's mean response for the cell: a probability, an expected count ...

    Parameters
    ----------
    model : Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        What ``model.fit`` returned, by any inference method.
    cells : DataFrame
        One row per population cell, with every column the model's predictors need, the weights and
        the ``by`` columns.
    weights : str
        Column of population counts: not negative, not all zero.
    by : str or sequence of str, optional
        Columns that define the groups to estimate, in the model or not. None gives one estimate
        for the whole population.
    random_seed : int or Generator, optional
        For levels of a grouping factor that the survey never saw: each gets one draw from N(0, Σ)
        per posterior draw, shared by all cells with that level.
    chunk_size : int
        Cells per chunk; bounds the memory used besides the draws and the result.

    Returns
    -------
    DataTree
        ``posterior`` holds ``estimate`` with dimensions (chain, draw, *by), on the scale of the
        response; combinations of ``by`` without a cell are NaN. ``constant_data`` holds each
        group's ``population``. Levels that were drawn anew are listed in the attribute
        ``unseen_levels``.

    Raises
    ------
    DataError
        Where a column is missing, weights are not valid, or a common term never saw a level.

    References
    ----------
    Gelman, A. and Little, T. C. (1997). Poststratification into many categories using hierarchical
    logistic regression. Survey Methodology 23(2). Park, D. K., Gelman, A. and Bafumi, J. (2004).
    Bayesian multilevel estimation with poststratification. Political Analysis 12(4).
    """
    check_model("poststratify(model, idata, cells)", model)
    frame = check_frame(cells, "cells")
    columns = _by_columns(by)
    if not isinstance(weights, str):
        raise DataError(f"weights= must be the name of a column of cells, not {weights!r}.")
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, Integral) or chunk_size < 1:
        raise DataError(f"chunk_size must be a whole number, at least 1, not {chunk_size!r}.")
    check_columns(frame, columns, "cells", dict.fromkeys(columns, "by="))
    check_columns(frame, [weights], "cells", {weights: "weights="})
    counts = check_weights(frame[weights], "cells")
    groups = _group(frame, columns, counts)

    draws = read_draws(model.glmm, idata)
    chains, n_draws = draws.coefficients.shape[:2]
    rows = new_rows(model.glmm, model.encoder, frame, "cells", chunk_size)
    coefficients = rows.coefficients(draws.flat(), np.random.default_rng(random_seed))
    totals = np.zeros((groups.size, chains * n_draws))
    for chunk in rows.chunks(coefficients, chunk_size):
        _add_means(
            model.glmm.family, chunk, coefficients.values, counts[chunk.part],
            groups.codes[chunk.part], totals,
        )  # fmt: skip
    estimate = totals / groups.population[:, None]
    unseen = rows.unseen_levels
    _warn_of_unseen(model.encoder, frame, unseen)
    tree = _datatree(estimate, groups, chains, n_draws, unseen)
    carried = ("formula", "family", "link", "inference_method", "data_digest")
    tree.attrs |= {name: idata.attrs[name] for name in carried if name in idata.attrs}
    tree.attrs |= {"weights": weights, "by": json.dumps(columns)}
    return tree


def _add_means(
    family: Family,
    chunk: Chunk,
    coefficients: FloatArray,
    weights: FloatArray,
    groups: NDArray[np.int64],
    totals: FloatArray,
) -> None:
    """Add the weighted mean response of each row to ``totals[groups[i]]``, for every draw."""
    rows, offset = chunk.design, chunk.offset
    if family.link == "logit" and offset is None:
        weighted_probabilities(rows.columns, rows.values, coefficients, weights, groups, totals)
        return
    for part, eta in linear_predictors(rows, coefficients, offset):
        size = part.stop - part.start
        membership = csr_array(
            (weights[part], (groups[part], np.arange(size))), shape=(len(totals), size)
        )
        totals += membership @ family.inverse_link(eta)


def _by_columns(by: str | Sequence[str] | None) -> list[str]:
    if isinstance(by, str):
        by = [by]
    if by is not None and (
        not isinstance(by, list | tuple) or not all(isinstance(name, str) for name in by)
    ):
        raise DataError(f"by= must be a column name, a list of column names or None, not {by!r}.")
    columns = list(dict.fromkeys(by or []))
    for name in columns:
        if name in ("chain", "draw", ESTIMATE, "population") or "/" in name:
            raise DataError(f"by= cannot use a column called {name!r} in a result: rename it.")
    return columns


@dataclass(frozen=True)
class _Groups:
    """The groups to estimate: code of each cell, and where each group lies on the ``by`` grid."""

    codes: NDArray[np.int64]
    size: int
    population: FloatArray
    grid: tuple[NDArray[np.int64], ...]
    names: tuple[str, ...]
    levels: tuple[list[Any], ...]


def _group(frame: pd.DataFrame, columns: list[str], counts: FloatArray) -> _Groups:
    codes, levels = [], []
    for name in columns:
        if frame[name].isna().any():
            raise DataError(f"cells has missing values in the by= column {name!r}.")
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
        try:
            code, level = pd.factorize(column, sort=True)
        except TypeError:
            raise DataError(
                f"The by= column {name!r} holds values that cannot be grouped: make it text."
            ) from None
        codes.append(code.astype(np.int64))
        levels.append(storable_labels(pd.Index(level)).tolist())
    if not columns:
        combined = np.zeros(len(frame), dtype=np.int64)
        shape: tuple[int, ...] = ()
    else:
        shape = tuple(len(level) for level in levels)
        combined = np.ravel_multi_index(tuple(codes), shape).astype(np.int64)
    occupied, position = np.unique(combined, return_inverse=True)
    population = np.bincount(position, weights=counts, minlength=len(occupied))
    grid = np.unravel_index(occupied, shape) if columns else ()
    if (population == 0).any():
        empty = np.flatnonzero(population == 0)
        named = [
            ", ".join(
                f"{name}={level[index[i]]}"
                for name, level, index in zip(columns, levels, grid, strict=True)
            )
            for i in empty
        ]
        raise DataError(
            f"All weights are zero in {abbreviate(named)}: leave those cells out or correct them."
        )
    return _Groups(
        position.astype(np.int64), len(occupied), population, grid, tuple(columns), tuple(levels)
    )


def _warn_of_unseen(encoder: Encoder, frame: pd.DataFrame, unseen: dict[str, list[str]]) -> None:
    """Say which columns hold levels the survey never saw: a different spelling looks the same."""
    factors = {block.factor.name: block.factor for block in encoder.blocks}
    for name, factor in factors.items():
        new = unseen.get(name, [])
        if len(factor.term.components) > 1 or not new:
            continue
        known = abbreviate(factor.levels, 3)
        total = frame[name].nunique() if name in frame.columns else len(new) + 1
        share = "none" if total == len(new) else str(total - len(new))
        warnings.warn(
            f"the survey has seen {share} of the {total} levels of {name!r} in cells; new: "
            f"{abbreviate(new, 3)} (the survey has {known}). New levels are drawn from N(0, Σ): "
            "check that both tables spell them alike.",
            UserWarning,
            stacklevel=3,
        )


def _datatree(
    estimate: FloatArray,
    groups: _Groups,
    chains: int,
    n_draws: int,
    unseen: dict[str, list[str]],
) -> xr.DataTree:
    import xarray as xr

    shape = tuple(len(level) for level in groups.levels)
    grid = np.full((*shape, chains * n_draws), np.nan)
    population = np.zeros(shape)
    if shape:
        grid[groups.grid] = estimate
        population[groups.grid] = groups.population
    else:
        grid, population = estimate[0], groups.population[0]
    values = np.moveaxis(grid, -1, 0).reshape(chains, n_draws, *shape)
    by_coords = dict(zip(groups.names, groups.levels, strict=True))
    posterior = xr.Dataset(
        {ESTIMATE: (("chain", "draw", *groups.names), values)},
        coords={"chain": np.arange(chains), "draw": np.arange(n_draws), **by_coords},
    )
    constant = xr.Dataset({"population": (groups.names, population)}, coords=by_coords)
    tree = build_tree({"posterior": posterior, "constant_data": constant})
    tree.attrs["unseen_levels"] = json.dumps(unseen)
    return tree
