"""Poststratification: weight a model's predictions for population cells by their counts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_count, check_flag, check_seed, check_text
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns, check_frame, check_weights
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.mrp.groups import ESTIMATE, Groups, Shares, by_columns, group_cells, weigh_cells
from pymc_vmrp.prediction.averages import add_means
from pymc_vmrp.prediction.overflow import explain_overflow
from pymc_vmrp.prediction.rows import Chunk, Coefficients, NewRows, new_rows
from pymc_vmrp.prediction.unseen import check_unseen
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel


_LARGE_UNIT = 2.0**64  # of population, where sums of weights overflow


def poststratify(
    model: Any,
    idata: xr.DataTree,
    cells: pd.DataFrame,
    weights: str = "n",
    by: str | Sequence[str] | None = None,
    *,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    chunk_size: int = 65_536,
) -> xr.DataTree:
    """Estimate population means from a fitted model and a table of population cells.

    For each draw the estimate of a group is Σ_c n_c·μ_c / Σ_c n_c over its cells c, where μ_c is
    the model's mean response for the cell: a probability, an expected count ...

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        The model that ``idata`` is a fit of; of a pm.Model data must be in pm.Data containers.
    idata : DataTree
        What ``model.fit`` or ``vmrp.fit`` returned, by any inference method, or Bambi.
    cells : DataFrame
        One row per population cell, with every column the model's predictors need, the weights and
        the ``by`` columns.
    weights : str
        Column of population counts: not negative, not all zero.
    by : str or sequence of str, optional
        Columns that define the groups to estimate, in the model or not. None gives one estimate
        for the whole population.
    sample_new_groups : bool, optional
        Levels of a grouping factor that the survey never saw get one draw from N(0, Σ) per
        posterior draw, shared by all cells with that level. By default that is a warning, and an
        error where the survey saw none of a factor's levels in ``cells``, as two spellings make
        it. True draws any, without a warning; False makes every new level an error.
    random_seed : int or Generator, optional
        For new levels.
    chunk_size : int
        Cells per chunk; bounds the memory used besides the draws and the result.

    Returns
    -------
    DataTree
        ``posterior`` holds ``estimate`` with dimensions (chain, draw, *by), on the scale of the
        response; combinations of ``by`` without a cell are NaN. Where there are more than 10,000
        combinations, and fewer than a tenth have a cell, the dimension is ``__group__`` in place
        of ``by``: those with a cell, with the columns as coordinates along it
        (``.set_xindex(by)`` on its ``estimate`` makes them an index). ``constant_data`` holds each
        group's ``population``. Levels that were drawn anew are listed in the attribute
        ``unseen_levels``.

    Raises
    ------
    DataError
        Where a column is missing, weights are not valid, a common term never saw a level, draws
        or mean responses are not finite (it names the variable, or the cell and its column), or
        memory would not do.

    References
    ----------
    Gelman, A. and Little, T. C. (1997). Poststratification into many categories using hierarchical
    logistic regression. Survey Methodology 23(2). Park, D. K., Gelman, A. and Bafumi, J. (2004).
    Bayesian multilevel estimation with poststratification. Political Analysis 12(4).
    """
    read = read_model(model, "poststratify()")
    read.check_has_mean()
    frame = check_frame(cells, "cells")
    columns = by_columns(by)
    check_text("weights=", weights, "the name of a column of cells")
    check_count("chunk_size", chunk_size)
    check_seed(random_seed, generator=True)
    if sample_new_groups is not None:
        check_flag("sample_new_groups", sample_new_groups)
    check_columns(frame, columns, "cells", dict.fromkeys(columns, "by="))
    check_columns(frame, [weights], "cells", {weights: "weights="})
    counts = check_weights(frame[weights], "cells")
    groups = group_cells(frame, columns)
    shares = weigh_cells(groups, counts)

    encoder = read.encoder
    draws = read.reports.draws(idata)
    _check_memory(groups, draws)
    rows = new_rows(read.glmm, encoder, frame, "cells", chunk_size)
    check_unseen(rows, sample_new_groups)
    coefficients = rows.coefficients(draws.flat(), np.random.default_rng(random_seed))
    totals = np.zeros((groups.size, len(draws.flat())))
    for chunk in rows.chunks(coefficients, chunk_size):
        codes = groups.codes[chunk.part]
        own = shares.weights[chunk.part]
        add_means(read.glmm.family, chunk, coefficients, own, codes, totals)
        if not np.isfinite(totals[np.unique(codes)]).all():
            raise DataError(_explain(read, rows, chunk, coefficients, own))
    estimate = totals / shares.total[:, None]
    population, unit = _population(shares, weights)
    tree = _datatree(estimate, population, groups, draws, unit)
    carried = ("formula", "family", "link", "inference_method", "data_digest")
    tree.attrs |= {name: idata.attrs[name] for name in carried if name in idata.attrs}
    tree.attrs |= {"weights": weights, "by": json.dumps(columns)}
    tree.attrs["unseen_levels"] = json.dumps(rows.unseen_levels)
    return tree


def _explain(
    model: ReadModel, rows: NewRows, chunk: Chunk, coefficients: Coefficients, weights: FloatArray
) -> str:
    """Why a chunk's estimates are not finite."""
    family = model.glmm.family
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.array(family.inverse_link(chunk.linear_predictor(coefficients)))
    mean[weights == 0] = 0.0
    if np.isfinite(mean).all():
        return "Estimates exceed the largest number: mean responses are too large to be summed."
    text = explain_overflow(rows, chunk, coefficients, mean)
    return f"{text[0].upper()}{text[1:]}"


def _check_memory(groups: Groups, draws: Draws) -> None:
    """Refuse before the work what would run out of memory during it."""
    n = int(np.prod(draws.coefficients.shape[:2]))
    needed = 8 * (n * 2 * (groups.size + groups.stored) + 3 * draws.coefficients.size)
    if needed > choose.physical_memory():
        raise DataError(
            f"Estimates of {groups.stored:,} groups (by= {', '.join(groups.names)}) with {n:,} "
            f"draws need about {needed / 2**30:,.0f} GB of memory. Group by fewer or coarser "
            "columns, or take fewer draws, as in idata.isel(draw=slice(None, None, 10))."
        )


def _population(shares: Shares, weights: str) -> tuple[FloatArray, float]:
    """Weights of each group, summed, and the unit that they are counted in: 1, if that will do."""
    population = shares.population(1.0)
    if np.isfinite(population).all():
        return population, 1.0
    warnings.warn(
        f"the weights in {weights!r} sum to more than the largest number: the results' population "
        f"is counted in units of {_LARGE_UNIT:.3g} (its attribute unit); estimates do not change.",
        UserWarning,
        stacklevel=3,
    )
    return shares.population(_LARGE_UNIT), _LARGE_UNIT


def _datatree(
    estimate: FloatArray, population: FloatArray, groups: Groups, draws: Draws, unit: float
) -> xr.DataTree:
    import xarray as xr

    chains, n_draws = draws.coefficients.shape[:2]
    dims, values = groups.lay_out(estimate)
    sample = {"chain": np.arange(chains), "draw": np.arange(n_draws)}
    posterior = xr.Dataset(
        {ESTIMATE: (("chain", "draw", *dims), values.reshape(chains, n_draws, *values.shape[1:]))},
        coords={**sample, **groups.coords()},
    )
    _, people = groups.lay_out(population)
    constant = xr.Dataset({"population": (dims, people, {"unit": unit})}, coords=groups.coords())
    return build_tree({"posterior": posterior, "constant_data": constant})
