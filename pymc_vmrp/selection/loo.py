"""Leave-one-out cross-validation from the draws of one fit, by Pareto-smoothed importance sampling.

The posterior without row i is proportional to p(θ | y)/p(y_i | θ), so that draws with weights
1/p(y_i | θ) stand for it; their largest are smoothed, and k̂ of the Pareto distribution that is
fitted to them tells whether they can be trusted (Vehtari, Gelman & Gabry 2017, section 2.1). Draws
of an approximation q may be corrected by the factor p(θ, y)/q(θ) (Magnusson et al. 2019), which
sees the errors of all parameters at once, also of those that no linear predictor shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.results.importance import largest_k
from pymc_vmrp.selection.pointwise import Distinct, log_likelihoods


@dataclass(frozen=True)
class Loo:
    """Predictive densities of left-out rows, one entry per distinct row.

    Attributes
    ----------
    elpd : ndarray
        Log p(y_i | y without i).
    lpd : ndarray
        Log p(y_i | y).
    k : ndarray
        k̂ of the importance weights.
    threshold : float
        Of k̂, above which ``elpd`` is not to be trusted.
    """

    elpd: FloatArray
    lpd: FloatArray
    k: FloatArray
    threshold: float


def loo(
    glmm: GLMM,
    rows: Distinct,
    draws: Draws,
    log_ratio: FloatArray | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Loo:
    """PSIS-LOO of every distinct row.

    Parameters
    ----------
    glmm : GLMM
    rows : Distinct
    draws : Draws
        With one sample dimension.
    log_ratio : ndarray, shape (draws,), optional
        Log p(θ, y) − log q(θ), to correct the draws of an approximation.
    report : callable
        Told how many rows are done.
    """
    from arviz_stats.base.array import array_stats

    n_draws = len(draws)
    elpd, lpd, k = (np.empty(rows.size) for _ in range(3))
    for part, values in log_likelihoods(glmm, rows.observations, draws):
        ratios = values if log_ratio is None else values - (log_ratio - log_ratio.max())
        weights, k[part] = array_stats.psislw(ratios, axis=-1)
        elpd[part] = logsumexp(weights + values, axis=1)
        lpd[part] = logsumexp(values, axis=1) - np.log(n_draws)
        report(part.stop)
    return Loo(elpd, lpd, k, largest_k(n_draws))
