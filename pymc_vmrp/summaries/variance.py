"""Variances between and within groups, on the scale of the linear predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, GroupEffects

if TYPE_CHECKING:
    from pymc_vmrp.read_model import ReadModel


_LATENT = {"logit": np.pi**2 / 3, "probit": 1.0, "cloglog": np.pi**2 / 6}
_BLOCK = 2**20  # linear predictors held at a time


def between_variances(model: ReadModel, draws: Draws) -> FloatArray:
    """Variance that each block adds to η, shape (draws, blocks).

    That of row i is z_i'Σz_i, where z_i holds ones for intercepts and predictors for slopes; the
    mean over the rows is taken (Johnson 2014).
    """
    glmm = model.glmm
    counts = np.bincount(model.observations.cell, minlength=glmm.n_cells)
    share = counts / counts.sum()
    out = np.empty((len(draws), len(glmm.groups)))
    for j, (group, covariance) in enumerate(zip(glmm.groups, draws.covariances, strict=True)):
        _check_one_level_a_row(group)
        second_moments = (group.values * share[:, None]).T @ group.values
        out[:, j] = np.einsum("skm,km->s", covariance, second_moments)
    return out


def residual_variance(model: ReadModel, draws: Draws) -> FloatArray:
    """Variance within groups on the scale of η, shape (draws,); see ``summary.icc``."""
    glmm = model.glmm
    family = glmm.family
    ones = np.ones(len(draws))
    phi = [ones * value for value in glmm.family_arguments(draws.parameters.T)]
    match family.name:
        case "gaussian" if model.observations.rows.sd is None:
            return phi[0] ** 2
        case "t":
            sigma, nu = phi
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(nu > 2, sigma**2 * nu / (nu - 2), np.inf)
        case "bernoulli" | "binomial" if family.link in _LATENT:
            return ones * _LATENT[family.link]
        case "poisson":
            return np.log1p(1 / expected_counts(model, draws))
        case "negativebinomial":
            return np.log1p(1 / expected_counts(model, draws) + 1 / phi[0])
        case "gamma":
            return np.log1p(1 / phi[0])
    known = " with known standard deviations" if model.observations.rows.sd is not None else ""
    raise DataError(
        f"The intraclass correlation of family={family.name!r}{known} is not defined: its variance "
        "within groups has no one value. vmrp.varcorr gives the variances between groups."
    )


def expected_counts(model: ReadModel, draws: Draws) -> FloatArray:
    """E[y] for a log link, averaged over the rows and the effects' distribution, shape (draws,).

    Of row i it is exp(o_i + x_i'β + ½ Σ_j z_i'Σ_j z_i), the mean of a lognormal.
    """
    glmm = model.glmm
    observations = model.observations
    offset = observations.whole_offset
    weights = None if offset is None else np.exp(offset)
    exposure = np.bincount(observations.cell, weights, minlength=glmm.n_cells)
    beta = draws.coefficients[:, : glmm.common.size].T
    total = np.zeros(len(draws))
    step = max(1, _BLOCK // len(draws))
    for low in range(0, glmm.n_cells, step):
        cells = slice(low, low + step)
        eta = glmm.common.design(glmm.common.columns[cells]) @ beta
        eta += 0.5 * _variances_of_cells(glmm, cells, draws)
        with np.errstate(over="ignore"):
            total += exposure[cells] @ np.exp(eta)
    return total / len(observations.cell)


def _variances_of_cells(glmm: GLMM, cells: slice, draws: Draws) -> FloatArray:
    """Σ_j z'Σ_j z of some cells, shape (cells, draws)."""
    total: FloatArray = np.zeros((1, len(draws)))
    for group, covariance in zip(glmm.groups, draws.covariances, strict=True):
        _check_one_level_a_row(group)
        z = group.values[cells]
        pairs = (z[:, :, None] * z[:, None, :]).reshape(len(z), -1)
        total = total + pairs @ covariance.reshape(len(draws), -1).T
    return total


def _check_one_level_a_row(group: GroupEffects) -> None:
    if group.codes.ndim > 1:
        raise DataError(
            f"The variance between groups of {group.name!r} is not defined: its rows belong to "
            "several levels."
        )
