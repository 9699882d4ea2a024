"""The evidence lower bound (ELBO), exact for the chosen likelihood bound, constants included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pymc_vmrp.cavi.covariance import CovarianceFactor
from pymc_vmrp.cavi.mixtures import expected_log_mixtures
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.gaussian import Gaussian


def evidence_lower_bound(
    glmm: GLMM,
    expected_log_likelihood: float,
    gaussian: Gaussian,
    factors: Sequence[CovarianceFactor],
) -> float:
    """E log p(y, β, λ, u, Σ, a) − E log q(β, λ, u, Σ, a).

    Each factor must be the optimal one for ``gaussian``: its ``elbo`` holds E log p(u | Σ).
    """
    return (
        expected_log_likelihood
        + _expected_log_common(glmm, gaussian)
        + _entropy(glmm, gaussian)
        + sum(factor.elbo for factor in factors)
        + expected_log_mixtures(glmm.common, gaussian)
    )


def _expected_log_common(glmm: GLMM, gaussian: Gaussian) -> float:
    """E log p(β) of normal priors; a flat prior counts as 1."""
    common = glmm.common
    proper = np.isfinite(common.prior_sd)
    mean = gaussian.mean[: common.size][proper] - common.prior_mean[proper]
    variance = gaussian.variances()[: common.size][proper]
    sd = common.prior_sd[proper]
    return float(-0.5 * ((mean**2 + variance) / sd**2 + np.log(2 * np.pi * sd**2)).sum())


def _entropy(glmm: GLMM, gaussian: Gaussian) -> float:
    return 0.5 * (glmm.n_coefficients * (1 + np.log(2 * np.pi)) - gaussian.log_det_precision)
