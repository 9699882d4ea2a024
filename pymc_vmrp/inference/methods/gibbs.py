"""The Gibbs sampler: chains whose draws are exact but for Monte Carlo error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arguments import MOST_CORES, check_count
from pymc_vmrp.errors import SamplingWarning, warn
from pymc_vmrp.gibbs.check import check_model
from pymc_vmrp.gibbs.sampler import sample_chains
from pymc_vmrp.gibbs.starts import dispersed_starts
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint_of
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.method import Earlier, Method, Request
from pymc_vmrp.interrupts import finish, interruptible
from pymc_vmrp.progress import chain_progress
from pymc_vmrp.results.sampled import Sampled


@dataclass(frozen=True)
class GibbsOptions:
    """Options of the Gibbs sampler.

    Attributes
    ----------
    tune : int
        Iterations before the first draw.
    chains : int
    cores : int
        Threads; draws do not depend on them.
    thin : int
        Every thin-th iteration is kept.
    warm_start : Draws, VariationalPosterior or MixturePosterior, optional
        From whose draws chains start; by default dispersed around a quick fit.
    """

    tune: int = 500
    chains: int = 4
    cores: int = 1
    thin: int = 1
    warm_start: Earlier | None = None

    def __post_init__(self) -> None:
        """Check what needs no model to be checked."""
        check_count("tune", self.tune, least=0)
        check_count("chains", self.chains)
        check_count("thin", self.thin)
        check_count("cores", self.cores, most=MOST_CORES)


def sample(glmm: GLMM, request: Request, options: GibbsOptions) -> Sampled:
    """Chains; an interruption keeps what there is, with a warning."""
    check_model(glmm)
    seed = np.random.SeedSequence(request.random_seed)
    of_starts, of_chains = seed.spawn(2)
    rng = np.random.default_rng(of_starts)
    starts = _starts(glmm, options, rng)
    total = options.tune + request.draws * options.thin
    shown = chain_progress(request.progressbar, options.chains, total)
    with shown as bar, interruptible(bar) as callback:
        run = sample_chains(
            glmm, starts, request.draws, options.tune, thin=options.thin, random_seed=of_chains,
            cores=options.cores, callback=callback,
        )  # fmt: skip
    if run.interrupted:
        kept = run.draws.coefficients.shape[1]
        warn(
            f"Gibbs was interrupted: each chain has {kept} draws, not {request.draws}.",
            SamplingWarning,
        )
    flat = run.draws.flat()
    lp = finish(lambda: log_joint_of(glmm, flat))
    noted = {"sampling_time": run.seconds, "tuning_steps": options.tune}  # as PyMC calls them
    stats = {"lp": lp.reshape(run.draws.coefficients.shape[:2])}
    rng = np.random.default_rng(request.random_seed)
    return Sampled(run.draws, stats, rng, sampler="Gibbs", interrupted=run.interrupted, noted=noted)


def _starts(glmm: GLMM, options: GibbsOptions, rng: np.random.Generator) -> Draws:
    """As many draws as chains, all different where there are enough."""
    earlier, chains = options.warm_start, options.chains
    if earlier is None:
        return dispersed_starts(glmm, chains, rng)
    if not isinstance(earlier, Draws):
        return earlier.sample(chains, rng)
    return earlier.take(rng.choice(len(earlier), size=chains, replace=len(earlier) < chains))


METHOD = Method("gibbs", GibbsOptions, sample)
