"""Rows of data pooled into cells: the GLMM's response, and the observations behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.spec import Observations, Response

MOST_OFFSET = 500.0  # whose exponential can still be computed with


def cell_keys(family: Family, y: AnyArray, trials: AnyArray | None = None) -> list[AnyArray]:
    """Columns besides the predictors in which the rows of a cell must agree."""
    return [] if family.pools else [k for k in (y, trials) if k is not None]


def pool_rows(
    name: str,
    family: Family,
    rows: Rows,
    offset: FloatArray | None,
    cells: Cells,
    labels: Callable[[], AnyArray],
) -> tuple[Response, Observations]:
    """Sufficient statistics of the cells, and what each row adds to them.

    Parameters
    ----------
    name : str
        Of the response.
    family : Family
    rows : Rows
        Without the offset.
    offset : ndarray, shape (rows,), or None
        Known part of η; rows of a cell agree in it unless the family absorbs offsets.
    cells : Cells
    labels : callable
        Makes the labels of the rows.
    """
    observed = replace(rows, offset=offset if family.absorbs_offset else None)
    left = None if family.absorbs_offset else offset
    constants = family.constants(observed)
    response = Response(
        name,
        family.pool(observed, cells),
        float(observed.weighted(constants).sum()) if constants.any() else 0.0,
        None if left is None else left[cells.first],
    )
    return response, Observations(name, observed, left, cells.index, labels)


def check_offset(offset: FloatArray | None, family: Family) -> None:
    """Refuse offsets that no intercept makes up for, such as a population in place of its log."""
    if offset is None or family.link == "identity":
        return
    largest = float(offset[np.argmax(np.abs(offset))])
    if abs(largest) > MOST_OFFSET:
        raise DataError(
            f"The offset reaches {largest:.3g}, but is added to the linear predictor, on the scale "
            f"of the {family.link} link: write offset(np.log(x)) where x is an exposure, or "
            "rescale it."
        )
