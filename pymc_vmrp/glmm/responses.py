"""Other responses on the design of a GLMM: drawn from the model, and pooled into cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import AnyArray, FloatArray, IndexArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.glmm.codes import encode_column
from pymc_vmrp.glmm.families.family import Rows
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.glmm.spec import GLMM, GroupEffects, Observations


def take_rows(observations: Observations, index: IndexArray) -> Observations:
    """The observations of some rows, in this order; a row may come several times."""

    def take(values: AnyArray | None) -> AnyArray | None:
        return None if values is None else values[index]

    return Observations(
        observations.name,
        Rows(**{name: take(values) for name, values in vars(observations.rows).items()}),  # type: ignore[arg-type]
        take(observations.offset),
        observations.cell[index],
        _Taken(observations, index),
    )


class _Taken:
    """Labels of some rows, made when asked for."""

    def __init__(self, observations: Observations, index: IndexArray) -> None:
        self.observations, self.index = observations, index

    def __call__(self) -> AnyArray:
        return self.observations.index[self.index]


def one_row_each(observations: Observations) -> Observations:
    """Observations in which every row counts once: whole-number weights become repetitions.

    Raises
    ------
    DataError
        Where weights are not whole: no responses have a likelihood to the power of 1.3.
    """
    weights = observations.rows.weights
    if weights is None:
        return observations
    if (weights != np.floor(weights)).any():
        raise DataError(
            "Rows with fractional weights can be neither drawn anew nor left out one by one: they "
            "make a pseudo-likelihood, which no data follow. Use a model without weights=, or with "
            "whole ones (each row then stands for so many)."
        )
    index = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
    repeated = take_rows(observations, index)
    return replace(repeated, rows=replace(repeated.rows, weights=None))


def row_predictors(glmm: GLMM, observations: Observations, coefficients: FloatArray) -> FloatArray:
    """η of each row, offsets included, shape (rows, draws).

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
        Rows of the model, or some of them.
    coefficients : ndarray, shape (draws, p)
    """
    parts = [eta for _, eta in linear_predictors(glmm.rows, coefficients.T, None)]
    eta = np.concatenate(parts)[observations.cell]
    offset = observations.whole_offset
    return eta if offset is None else eta + offset[:, None]


def draw_responses(
    glmm: GLMM,
    observations: Observations,
    coefficients: FloatArray,
    parameters: FloatArray,
    rng: np.random.Generator,
) -> AnyArray:
    """A new response of each row, shape (rows,), at one value of everything unknown.

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
        Their trials, known sds and offsets are used, and their responses are not.
    coefficients : ndarray, shape (p,)
    parameters : ndarray, shape (k,)
    rng : Generator

    Raises
    ------
    DataError
        Where a mean is beyond what can be drawn.
    """
    rows = observations.rows
    eta = row_predictors(glmm, observations, coefficients[None])[:, 0]
    phi = glmm.family_arguments(parameters) if rows.sd is None else (rows.sd,)
    try:
        with np.errstate(over="ignore"):
            y = np.asarray(glmm.family.draw(rng, eta, rows.trials, phi))
    except ValueError as error:  # NumPy refuses means beyond its integers
        y, reason = np.array([np.nan]), f": {error}"
    else:
        reason = ""
    if not np.isfinite(y).all():
        raise DataError(
            f"responses cannot be drawn: linear predictors reach {np.abs(eta).max():.3g} on the "
            f"{glmm.family.link} scale{reason}. The priors allow effects that no data have."
        )
    return y


def pooled(glmm: GLMM, observations: Observations) -> GLMM:
    """The model of other responses, of rows in cells of the model's design.

    Parameters
    ----------
    glmm : GLMM
        Its design, priors and family are kept; its response is not read.
    observations : Observations
        ``cell`` refers to the cells of ``glmm``; cells without a row are left out.

    Returns
    -------
    GLMM
        Where the family cannot pool different responses, a cell is split by response.
    """
    rows, family = observations.rows, glmm.family
    keys = [] if family.pools else [k for k in (rows.y, rows.trials) if k is not None]
    columns = [pd.Series(observations.cell), *(pd.Series(key) for key in keys)]
    cells = collapse([encode_column(column) for column in columns], len(rows.y))
    old = observations.cell[cells.first]
    offset = glmm.response.offset
    constants = family.constants(rows)
    response = replace(
        glmm.response,
        statistics=family.pool(rows, cells),
        log_base=float(rows.weighted(constants).sum()) if constants.any() else 0.0,
        offset=None if offset is None else offset[old],
    )
    if len(old) == glmm.n_cells and (old == np.arange(len(old))).all():
        return replace(glmm, response=response)
    return replace(
        glmm,
        response=response,
        common=replace(glmm.common, columns=glmm.common.columns[old]),
        groups=tuple(_of_cells(group, old) for group in glmm.groups),
    )


def _of_cells(group: GroupEffects, cells: IndexArray) -> GroupEffects:
    return replace(group, codes=_take(group.codes, cells), values=_take(group.values, cells))


def _take(values: AnyArray, index: IndexArray) -> AnyArray:
    """Some rows of an array; where all are one in memory, they stay so."""
    if values.strides[0] == 0 and len(values):
        return np.broadcast_to(values[:1], (len(index), *values.shape[1:])[: values.ndim])
    return values[index]
