"""One simulation: a truth from the prior, new responses, a fit, and the ranks of the truth.

The truth and the draws of an exact posterior are exchangeable given the data, so the rank of the
one among L independent ones of the others is uniform on 0, ..., L (Cook, Gelman & Rubin 2006; Talts
et al. 2018, theorem 1). That also holds for any function of parameters and data: the joint density
is one that sees errors of dependence, which no single parameter does (Modrák et al. 2023).
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import ConvergenceWarning, SamplingWarning, VmrpError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint_of
from pymc_vmrp.glmm.prior_draws import draw_prior
from pymc_vmrp.glmm.responses import draw_responses, pooled
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.glmm.variables import posterior_variables
from pymc_vmrp.inference.method import Draw

LP = "lp"
CONVERGED, NOT_CONVERGED, FAILED = "converged", "not converged", "failed"


@dataclass(frozen=True)
class Job:
    """What all simulations share.

    Attributes
    ----------
    glmm : GLMM
    observations : Observations
        Without weights; their responses are not read.
    method : callable
    draws : int
        L.
    """

    glmm: GLMM
    observations: Observations
    method: Draw
    draws: int


@dataclass(frozen=True)
class Simulated:
    """What one simulation came to.

    Attributes
    ----------
    status : {"converged", "not converged", "failed"}
    message : str
        Of the warning or the error.
    seconds : float
        Of the fit.
    pit : dict of str to ndarray
        (rank + U)/(L + 1) of each element of each variable, U uniform on (0, 1); empty where the
        simulation failed. The rank is its integer part times (L + 1).
    """

    status: str
    message: str
    seconds: float
    pit: dict[str, FloatArray]


def simulate_once(job: Job, seed: np.random.SeedSequence) -> Simulated:
    """One simulation; an error of the method is a result, Ctrl-C is not."""
    of_data, of_fit, of_ranks = seed.spawn(3)
    rng = np.random.default_rng(of_data)
    began = time.perf_counter()
    try:
        theta, covariances, phi = draw_prior(job.glmm, rng)
        y = draw_responses(job.glmm, job.observations, theta, phi, rng)
        glmm = pooled(job.glmm, _with_responses(job.observations, y))
        truth = Draws(theta[None], tuple(c[None] for c in covariances), phi[None])
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            for category in (ConvergenceWarning, SamplingWarning):
                warnings.simplefilter("always", category)
            draws = job.method(glmm, job.draws, int(of_fit.generate_state(1)[0]))
        seconds = time.perf_counter() - began
        pit = _ranked(glmm, truth, draws, job.draws, np.random.default_rng(of_ranks))
    except Exception as error:  # whatever it is, it is what the method did with these data
        message = f"{type(error).__name__}: {error}"
        return Simulated(FAILED, message, time.perf_counter() - began, {})
    message = "; ".join(str(warning.message) for warning in caught)
    return Simulated(NOT_CONVERGED if message else CONVERGED, message, seconds, pit)


def _with_responses(observations: Observations, y: NDArray[np.generic]) -> Observations:
    return replace(observations, rows=replace(observations.rows, y=y))


def _ranked(
    glmm: GLMM, truth: Draws, draws: Draws, expected: int, rng: np.random.Generator
) -> dict[str, FloatArray]:
    true, drawn = (everything(glmm, one) for one in (truth, draws))
    if len(draws) != expected:
        raise VmrpError(f"the method returned {len(draws)} draws, not the {expected} asked for.")
    for name, values in drawn.items():
        if not np.isfinite(values).all():
            raise VmrpError(f"the method's draws of {name!r} are not all finite.")
    return {name: randomized_pit(true[name][0], drawn[name], rng) for name in true}


def everything(glmm: GLMM, draws: Draws) -> dict[str, FloatArray]:
    """Every variable of the posterior and the log joint density, sample dimension first."""
    named = posterior_variables(glmm, draws.coefficients, draws.covariances, draws.parameters)
    return {**{name: values for name, (_, values) in named.items()}, LP: log_joint_of(glmm, draws)}


def randomized_pit(true: FloatArray, draws: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(rank + U)/(L + 1) of ``true``, shape (...), among ``draws``, shape (L, ...).

    Ties are broken at random (Talts et al. 2018, sec. 4; Modrák et al. 2023, sec. 3), so that
    draws which repeat a value are ranked rightly too.
    """
    below = (draws < true).sum(0)
    ties = (draws == true).sum(0)
    rank = below + rng.integers(0, ties + 1)
    return np.asarray((rank + rng.random(true.shape)) / (len(draws) + 1))
