"""Posterior predictive checks of the model: by group, of the spread and of the tails of responses.

Each compares a discrepancy of the data with those of replicated data sets (Gelman, Meng & Stern
1996).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray, IndexArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.responses import take_rows
from pymc_vmrp.glmm.spec import GLMM, DesignRows, Observations
from pymc_vmrp.prediction.predict import draw_responses, own_known

_MOST_ROWS = 20_000
_MOST_DRAWS = 400
_SMALLEST_SD = 1e-9


def predictive_checks(
    glmm: GLMM, observations: Observations, draws: Draws, rng: np.random.Generator
) -> pd.DataFrame:
    """Discrepancies of the data and of replications.

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
        Where there are more than 20,000 rows, a random sample of them is checked.
    draws : Draws
        With dimension (draw, ...); at most 400 of them are used.
    rng : Generator

    Returns
    -------
    DataFrame
        One row per check: ``what``; ``z``, how many sds of the replications the data lie from their
        mean; ``p``, the tail probability, never 0. That of means by group has one side: parameters
        that were fitted to the data bring its groups nearer than replications are.
    """
    rows = len(observations.cell)
    if rows > _MOST_ROWS:
        chosen = np.sort(rng.choice(rows, _MOST_ROWS, replace=False))
        observations = take_rows(observations, chosen)
    chosen = np.linspace(0, len(draws) - 1, min(len(draws), _MOST_DRAWS)).astype(int)
    draws = draws.take(chosen)
    mean, replicated = _replicate(glmm, observations, draws, rng)
    y = observations.rows.y.astype(float)
    expected = mean.mean(1)
    own, others = y - expected, replicated - expected[:, None]
    weights = observations.rows.ones
    checks = {
        f"means by {factor}": _by_group(codes, weights, own, others)
        for factor, codes in _factors(glmm, observations.cell)
    }
    if _has_spread(glmm, observations):
        sd = np.maximum(replicated.std(1), _SMALLEST_SD * max(1.0, float(np.abs(y).max())))
        own, others = own / sd, others / sd[:, None]
        checks["spread of responses"] = _compare((own**2).mean(), (others**2).mean(0))
        checks["tails of responses"] = _compare(_kurtosis(own), _kurtosis(others))
    if glmm.family.response == "count":
        checks["share of zeros"] = _compare((y == 0).mean(), (replicated == 0).mean(0))
    table = pd.DataFrame([{"what": name, **found} for name, found in checks.items()])
    return table.reindex(columns=["what", "z", "p"])


def _replicate(
    glmm: GLMM, observations: Observations, draws: Draws, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Expected and replicated responses (of all trials of a row), shape (rows, draws) each."""
    cells, index = np.unique(observations.cell, return_inverse=True)
    design = DesignRows(glmm.rows.columns[cells], glmm.rows.values[cells])
    matrix = design.sparse(glmm.n_coefficients)
    eta = (matrix @ np.ascontiguousarray(draws.coefficients.T))[index]
    offset = observations.whole_offset
    if offset is not None:
        eta = eta + offset[:, None]
    known = own_known(glmm, observations)
    known = None if known is None else np.broadcast_to(known, observations.rows.y.shape)[:, None]
    phi = glmm.family_arguments(draws.parameters.T)
    responses = draw_responses(glmm, eta, known, phi, rng).astype(float)
    with np.errstate(over="ignore"):
        mean = glmm.family.inverse_link(eta)
    if glmm.family.response == "proportion" and known is not None:
        mean = mean * known
    return mean, responses


def _factors(glmm: GLMM, cell: IndexArray) -> list[tuple[str, IndexArray]]:
    """Level of each row, by grouping factor."""
    found = {g.factor: g.codes[cell] for g in glmm.groups if g.m == 1 and len(g.levels) > 1}
    return list(found.items())


def _by_group(
    codes: IndexArray, weights: FloatArray, own: FloatArray, others: FloatArray
) -> dict[str, float]:
    """Σ of squared deviations of the groups' totals, in sds of the replicated ones."""
    n = len(codes)
    _, codes = np.unique(codes, return_inverse=True)
    members = csr_array((weights, (codes, np.arange(n))), shape=(int(codes.max()) + 1, n))
    own, others = members @ own, members @ others
    sd = np.maximum(others.std(1), _SMALLEST_SD)
    own_sum, sums = ((own / sd) ** 2).sum(), ((others / sd[:, None]) ** 2).sum(0)
    return _compare(own_sum, sums, one_sided=True)


def _has_spread(glmm: GLMM, observations: Observations) -> bool:
    """Whether a response can vary more or less than its mean says: a single 0 or 1 cannot."""
    trials = observations.rows.trials
    if glmm.family.response == "binary":
        return False
    return glmm.family.response != "proportion" or (trials is not None and np.max(trials) > 1)


def _kurtosis(residuals: FloatArray) -> FloatArray:
    return np.asarray(np.log((residuals**4).mean(0) / (residuals**2).mean(0) ** 2))


def _compare(
    own: FloatArray | float, replicated: FloatArray, one_sided: bool = False
) -> dict[str, float]:
    n = len(replicated)
    above, below = float((replicated >= own).sum()), float((replicated <= own).sum())
    p = (above + 1) / (n + 1) if one_sided else min(1.0, 2 * (min(above, below) + 1) / (n + 1))
    sd = float(replicated.std())
    z = (float(own) - float(replicated.mean())) / sd if sd > 0 else 0.0
    return {"z": z, "p": p}
