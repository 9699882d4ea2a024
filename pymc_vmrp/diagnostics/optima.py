"""Whether coordinate ascent ends elsewhere when it starts elsewhere: signs of several modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.run import Fit, Options, run
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.factor import SingularPrecision

_TOL = 1e-3
_WIDTHS = (3.0, 10.0)  # of starts around the fit, in its sds
_FARTHEST = 20.0  # of a start's linear predictor, beyond which likelihoods overflow
_APART = 1.0  # sds of a coefficient by which another optimum differs
_FAR_LOWER = 7.0  # log evidence: a mode of a thousandth of the other's mass


@dataclass(frozen=True)
class Optima:
    """What fits from other starts found.

    Attributes
    ----------
    starts : int
        Fits that converged.
    others : int
        How many of them ended elsewhere, where a coefficient's mean is more than one sd away.
    gain : float
        Largest ELBO of those less that of the first fit; -inf where there are none.
    best : float
        Largest ELBO of all.
    """

    starts: int
    others: int
    gain: float
    best: float

    @property
    def several(self) -> bool:
        """Whether another optimum holds a share of the mass that matters."""
        return self.others > 0 and self.gain > -_FAR_LOWER


def other_optima(
    glmm: GLMM, rng: np.random.Generator, starts: int = 6, options: Options | None = None
) -> Optima:
    """Fit from the prior means, from where the data of each cell lie, and from wide draws.

    Parameters
    ----------
    glmm : GLMM
    rng : Generator
    starts : int
    options : Options, optional
        How to run each fit.
    """
    options = options or Options(tol=_TOL)
    first = run(glmm, options)
    found = [
        fit
        for mean in _first_means(glmm, first, rng, starts)
        if (fit := _fit_from(glmm, options, mean)) is not None and fit.converged
    ]
    sd = np.sqrt(first.state.gaussian.variances())
    here = first.state.gaussian.mean
    elsewhere = [
        fit for fit in found if np.max(np.abs(fit.state.gaussian.mean - here) / sd) > _APART
    ]
    gains = [fit.state.elbo - first.state.elbo for fit in elsewhere]
    best = max(fit.state.elbo for fit in [first, *found])
    return Optima(len(found), len(elsewhere), max(gains, default=-np.inf), best)


def _fit_from(glmm: GLMM, options: Options, mean: FloatArray) -> Fit | None:
    """The fit that starts at this mean of η; None where there is no going on from there."""
    try:
        return run(glmm, options, first_mean=mean)
    except (SingularPrecision, VmrpError):
        return None


def _first_means(glmm: GLMM, first: Fit, rng: np.random.Generator, starts: int) -> list[FloatArray]:
    """Means of η to start from; relative to the sd of the fit's own η at most so far away."""
    gaussian, response = first.state.gaussian, glmm.response
    k = glmm.common.size
    at_prior = np.zeros(glmm.n_coefficients)
    at_prior[:k] = glmm.common.prior_mean
    flat = ~np.isfinite(glmm.common.prior_sd)
    at_prior[:k][flat] = gaussian.mean[:k][flat]
    sd = np.sqrt(gaussian.variances())
    vectors = [at_prior, 2 * gaussian.mean - at_prior]
    for i in range(starts - len(vectors)):
        width = _WIDTHS[i % len(_WIDTHS)]
        vectors.append(gaussian.mean + width * sd * rng.standard_normal(len(sd)))
    rows = glmm.rows
    centre = first.state.mean
    spread = max(float(centre.std()), float(np.sqrt(first.state.variance.mean())))
    most = _FARTHEST * (spread if glmm.family.scaled else 1.0)
    out = []
    for vector in vectors[:starts]:
        eta = np.einsum("ik,ik->i", rows.values, vector[rows.columns])
        out.append(response.with_offset(centre + np.clip(eta - centre, -most, most)))
    return out
