"""Where chains start: draws of a rough fit, spread out."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors.scales import ScalePrior, largest_sigma, log_density_at
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread

_TOL = 0.05  # of the fit
_INFLATION = 2.0  # of the sds of β, u and log φ
_LOG_SIGMA_SD = 1.0  # by which all of a term's σ's are moved besides


def dispersed_starts(glmm: GLMM, chains: int, rng: np.random.Generator) -> Draws:
    """One start per chain, farther apart than draws of the posterior, shape (chains, ...).

    From a quick mean-field fit q: (β, u) from q with twice its sds; each Σ_j from q times e^(2z)
    with z standard normal, as mean field understates its spread; φ at twice its distance from
    the middle of the draws on the log scale. What would leave the support of a prior stays where q
    has it.
    """
    state = run(glmm, Options(tol=_TOL)).state
    with one_blas_thread():
        drawn = state.gaussian.sample(rng, chains)
    mean = state.gaussian.mean
    covariances = []
    for group, factor in zip(glmm.groups, state.factors, strict=True):
        covariance = factor.sample(rng, chains)
        wider = covariance * np.exp(2 * _LOG_SIGMA_SD * rng.standard_normal((chains, 1, 1)))
        if isinstance(group.prior, ScalePrior):
            inside = wider < largest_sigma(group.prior) ** 2
            wider = np.where(inside, wider, covariance)
        covariances.append(wider)
    phi = np.empty((chains, 0))
    if state.parameters is not None:
        phi = state.parameters.sample(rng, chains)
        middle = np.exp(np.log(phi).mean(0))
        wider = middle * (phi / middle) ** _INFLATION
        for k, prior in enumerate(glmm.parameter_priors):
            for c in range(chains):
                if np.isfinite(log_density_at(prior, wider[c, k])):
                    phi[c, k] = wider[c, k]
    return Draws(mean + _INFLATION * (drawn - mean), tuple(covariances), phi)
