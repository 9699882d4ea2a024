"""Log likelihood of single rows, computed once for rows that agree in design and response."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray, IndexArray
from pymc_vmrp.glmm.cells import Cells, collapse
from pymc_vmrp.glmm.codes import encode_column
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.glmm.responses import take_rows
from pymc_vmrp.glmm.spec import GLMM, DesignRows, Observations

_BLOCK = 2**22  # log likelihoods held at a time


@dataclass(frozen=True)
class Distinct:
    """Rows that differ in cell, response, trials, known sd or offset, and who has them.

    Respondents of one cell with the same response have the same log likelihood under every draw,
    so also the same predictive density: millions of them may have a few thousand distinct ones.

    Attributes
    ----------
    observations : Observations
        One row for each.
    index : ndarray of integers, shape (rows,)
        Which of them each row has.
    """

    observations: Observations
    index: IndexArray

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.observations.cell)


def distinct_rows(observations: Observations) -> Distinct:
    """Collapse rows that agree in everything their likelihood depends on; weights are not read."""
    rows = observations.rows
    parts = [observations.cell, rows.y, rows.trials, rows.sd, rows.offset]
    columns = [encode_column(pd.Series(part, copy=False)) for part in parts if part is not None]
    cells = collapse(columns, len(rows.y))
    return Distinct(take_rows(observations, cells.first), cells.index)


def log_likelihoods(
    glmm: GLMM, observations: Observations, draws: Draws
) -> Iterator[tuple[slice, FloatArray]]:
    """Log p(y_i | draw) of slices of rows: (slice, array of shape (rows of the slice, draws)).

    Constants that depend on the response alone are included.

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
        Without weights; ``cell`` refers to ``glmm``.
    draws : Draws
        With one sample dimension.
    """
    family, rows, design = glmm.family, observations.rows, glmm.rows
    n = len(observations.cell)
    every = np.arange(n)
    statistics = family.pool(rows, Cells(every, every))
    constants = family.constants(rows)
    phi = glmm.family_arguments(draws.parameters.T)
    step = max(1, _BLOCK // max(1, len(draws)))
    for low in range(0, n, step):
        part = slice(low, min(low + step, n))
        cell = observations.cell[part]
        offset = None if observations.offset is None else observations.offset[part]
        selected = DesignRows(design.columns[cell], design.values[cell])
        parts = linear_predictors(selected, draws.coefficients.T, offset)
        eta = np.concatenate([one for _, one in parts])
        of_part = tuple(s[part, None] for s in statistics)
        yield part, family.log_likelihood(eta, of_part, phi) + constants[part, None]
