"""Posterior draws of the smooths and random walks of a model, over data of one's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_text
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_frame, storable_labels
from pymc_vmrp.frontends.formula.smooths import Smooth, linear_name
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.results.idata import build_tree, named_dataset
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel


def smooth_effects(model: Any, idata: xr.DataTree, term: str, data: pd.DataFrame) -> xr.DataTree:
    """What a smooth or a random walk adds to the linear predictor, for each row of ``data``.

    Parameters
    ----------
    model : pymc_vmrp.Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        What ``model.fit`` returned, by any inference method.
    term : str
        Such as ``"s(x)"``, ``"s(x, by=g)"`` or ``"rw(age)"``: options left out, as results name it.
    data : DataFrame
        The columns that the term reads; others are not needed.

    Returns
    -------
    DataTree
        ``posterior`` holds the variable ``term`` with dimensions (chain, draw, __obs__), on the
        scale of the linear predictor, its linear part included.

    Raises
    ------
    DataError
        Where the model has no such term, or data lack one of its columns.
    """
    read = read_model(model, "smooth_effects()")
    check_text("term", term, "the name of a smooth, such as 's(x)'")
    frame = check_frame(data, "data")
    draws = read.reports.draws(idata)
    _check_memory(len(frame), draws)
    design = smooth_design(read, term, frame)
    with np.errstate(over="ignore", invalid="ignore"):
        effects = draws.coefficients @ design.T
    bad = ~np.isfinite(effects).all((0, 1))
    if bad.any():
        raise DataError(
            f"{term!r} is beyond the largest number in row {frame.index[bad][0]} of data: correct "
            "its columns there."
        )
    rows = {"__obs__": storable_labels(frame.index)}
    sample = {"chain": np.arange(effects.shape[0]), "draw": np.arange(effects.shape[1])}
    return build_tree({"posterior": named_dataset({term: (("__obs__",), effects)}, rows, sample)})


def _check_memory(n_rows: int, draws: Draws) -> None:
    """Refuse before the work what would run out of memory during it."""
    n = int(np.prod(draws.coefficients.shape[:2]))
    needed = 8.0 * n_rows * (2 * n + draws.coefficients.shape[-1])
    if needed > choose.physical_memory():
        raise DataError(
            f"Effects on {n_rows:,} rows with {n:,} draws need about {needed / 2**30:,.0f} GB of "
            "memory. Pass fewer rows, one for each value of the predictor, or take fewer draws."
        )


def smooth_design(model: ReadModel, term: str, data: pd.DataFrame) -> FloatArray:
    """What multiplies each coefficient of the model in a smooth, shape (N, p)."""
    glmm = model.glmm
    smooths: dict[str, Smooth] = {smooth.name: smooth for smooth in model.smooths}
    if term not in smooths:
        known = ", ".join(map(repr, smooths)) or "none"
        raise DataError(f"The model has no smooth {term!r}; it has {known}.")
    smooth = smooths[term]
    encoder = model.encoder.restricted((), (), [smooth], offset=False)
    rows = smooth.evaluate(encoder.prepare(data, "data"), "data")
    design = np.zeros((len(data), glmm.n_coefficients))
    for common in glmm.common.terms:
        if common.name == linear_name(term):
            first = int(glmm.common.intercept)
            design[:, first + common.start : first + common.stop] = rows.common
    titles = [group.title for group in glmm.groups]
    for block, values in zip(smooth.blocks, rows.values, strict=True):
        design[:, glmm.group_slice(titles.index(block.title))] = values
    return design
