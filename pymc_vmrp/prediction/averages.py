"""Weighted means of rows' responses within groups, for every draw, without holding the rows."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.families.family import Family
from pymc_vmrp.glmm.kernels import weighted_probabilities
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.glmm.spec import DesignRows
from pymc_vmrp.prediction.rows import Chunk, Coefficients


def add_means(
    family: Family,
    chunk: Chunk,
    coefficients: Coefficients,
    weights: FloatArray,
    groups: IntArray,
    totals: FloatArray,
) -> None:
    """Add the weighted mean response of each row to ``totals[groups[i]]``, for every draw."""
    rows, offset = chunk.design, chunk.offset
    if family.link == "logit" and offset is None:
        values = coefficients.values
        weighted_probabilities(rows.columns, rows.values, values, weights, groups, totals)
        return
    for part, eta in linear_predictors(rows, coefficients.values, offset):
        mine = membership(weights[part], groups[part], len(totals))
        mine.eliminate_zeros()  # what counts for nothing may well be infinite
        with np.errstate(over="ignore", invalid="ignore"):  # found afterwards, and an error
            totals += mine @ family.inverse_link(eta)


def mean_design(
    chunk: Chunk,
    n_coefficients: int,
    weights: FloatArray,
    groups: IntArray,
    n_groups: int,
) -> csr_array:
    """Weighted sums of the design rows of each group, shape (groups, p), offsets left out.

    Times draws of the coefficients these are sums of linear predictors, at the price of the groups
    and not of the rows.
    """
    design: DesignRows = chunk.design
    n, width = design.columns.shape
    rows = csr_array(
        (design.values.ravel(), design.columns.ravel(), np.arange(0, n * width + 1, width)),
        shape=(n, n_coefficients),
    )
    return csr_array(membership(weights, groups, n_groups) @ rows)


def membership(weights: FloatArray, groups: IntArray, n_groups: int) -> csr_array:
    """What takes rows to sums by group, shape (groups, rows)."""
    return csr_array((weights, (groups, np.arange(len(groups)))), shape=(n_groups, len(groups)))
