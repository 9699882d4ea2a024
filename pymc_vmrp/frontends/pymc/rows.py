"""A vector of a graph at rows of distinct data: as many as there are cells, not respondents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt

from pymc_vmrp.arrays import AnyArray
from pymc_vmrp.frontends.pymc.graph import arrays_of, substitute
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import Codes, encode_column

_WORTH = 0.7  # share of the rows above which it is not
_MOST_COLUMNS = 64


def at_distinct_rows(node: Any, rows: int) -> tuple[Any, Cells] | None:
    """A graph that has one element for each distinct row of its data, and which those rows are.

    Whether the elements do depend on their own rows alone is for the caller to check.

    Parameters
    ----------
    node : TensorVariable
        A vector.
    rows : int
        Its length.

    Returns
    -------
    (TensorVariable, Cells) or None
        None where rows hardly repeat, or the graph cannot be made of fewer.
    """
    axes = _row_constants(node, rows)
    columns = _columns(axes, rows)
    if not columns:
        return None
    cells = collapse(columns, rows)
    if len(cells.first) > _WORTH * rows:
        return None
    fewer = {c: pt.constant(np.take(c.data, cells.first, axis)) for c, axis in axes.items()}
    try:
        (small,) = substitute([node], fewer, any_shape=True)
    except Exception:  # whatever a node raises that knows the number of rows otherwise
        return None
    return small, cells


def _row_constants(node: Any, rows: int) -> dict[Any, int]:
    """Constants with one axis of as many elements as there are rows."""
    out = {}
    for constant in arrays_of([node]):
        axes = [axis for axis, n in enumerate(constant.data.shape) if n == rows]
        if len(axes) == 1:
            out[constant] = axes[0]
    return out


def _columns(axes: dict[Any, int], rows: int) -> list[pd.Series | Codes] | None:
    """All columns of the rows' data as codes; None where they repeat too little, or are many."""
    out: list[pd.Series | Codes] = []
    for constant, axis in axes.items():
        table: AnyArray = np.moveaxis(constant.data, axis, 0).reshape(rows, -1)
        if table.shape[1] + len(out) > _MOST_COLUMNS:
            return None
        for column in table.T:
            if column.dtype.kind == "f" and np.isnan(column).any():
                return None
            codes = encode_column(pd.Series(column))
            if len(codes.levels) > _WORTH * rows:
                return None
            out.append(codes)
    return out
