"""Coordinate ascent, with the hyperparameters integrated where that is asked for."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.approximation import CaviOptions, approximate, check_options
from pymc_vmrp.inference.method import Method, Request
from pymc_vmrp.interrupts import finish
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior
from pymc_vmrp.results.sampled import Sampled


def sample(glmm: GLMM, request: Request, options: CaviOptions) -> Sampled:
    """Fit q, and draw from it independently."""
    posterior = approximate(glmm, options, request.progressbar)
    return finish(lambda: draw_from(posterior, request))


def draw_from(posterior: VariationalPosterior | MixturePosterior, request: Request) -> Sampled:
    """Draws of one chain, with both log densities."""
    rng = np.random.default_rng(request.random_seed)
    drawn = posterior.sample(request.draws, rng)
    stats = {
        "lp": posterior.log_joint(drawn)[None],
        "log_q": posterior.log_density(drawn)[None],
    }
    interrupted = posterior.fit.stopped == "interrupted"
    return Sampled(drawn.as_chain(), stats, rng, posterior, interrupted=interrupted)


METHOD = Method("cavi", CaviOptions, sample, check_options)
