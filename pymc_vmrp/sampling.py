"""From options to chains of the Gibbs sampler as a DataTree, and the warnings that go with them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.arguments import MOST_CORES, check_count
from pymc_vmrp.errors import SamplingWarning
from pymc_vmrp.gibbs.check import check_model
from pymc_vmrp.gibbs.sampler import Chains, sample_chains
from pymc_vmrp.gibbs.starts import dispersed_starts
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.interrupts import finish, held, interruptible
from pymc_vmrp.progress import chain_progress
from pymc_vmrp.results.diagnostics import chain_diagnostics, warn_of_diagnostics
from pymc_vmrp.results.idata import datatree, read_draws
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior

if TYPE_CHECKING:
    import xarray as xr

    WarmStart = xr.DataTree | VariationalPosterior | MixturePosterior

DEFAULT_CHAINS, DEFAULT_TUNE = 4, 500


def sample_gibbs(
    glmm: GLMM,
    observations: Observations,
    *,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    thin: int,
    random_seed: int | None,
    warm_start: WarmStart | None,
    progressbar: bool | None,
    log_likelihood: bool,
    log_prior: bool = False,
) -> xr.DataTree:
    """Sample by Gibbs; see :meth:`pymc_vmrp.Model.fit`."""
    with held():
        run = gibbs_chains(
            glmm, draws=draws, tune=tune, chains=chains, cores=cores, thin=thin,
            random_seed=random_seed, warm_start=warm_start, progressbar=progressbar, stacklevel=3,
        )  # fmt: skip
        tree = finish(
            lambda: _chains_datatree(glmm, observations, run, tune, log_likelihood, log_prior)
        )
        diagnostics = finish(lambda: chain_diagnostics(tree))
        tree.attrs |= diagnostics
        warn_of_diagnostics("Gibbs", diagnostics, stacklevel=3)
        return tree


def gibbs_chains(
    glmm: GLMM,
    *,
    draws: int,
    tune: int = DEFAULT_TUNE,
    chains: int = DEFAULT_CHAINS,
    cores: int = 1,
    thin: int = 1,
    random_seed: int | None = None,
    warm_start: WarmStart | None = None,
    progressbar: bool | None = None,
    stacklevel: int = 2,
) -> Chains:
    """Chains of the Gibbs sampler; an interruption keeps what there is, with a warning.

    Parameters are those of :meth:`pymc_vmrp.Model.fit`; ``stacklevel`` is that of the warning, seen
    from the caller of this function.
    """
    check_count("tune", tune, least=0)
    check_count("chains", chains)
    check_count("thin", thin)
    check_count("cores", cores, most=MOST_CORES)
    check_model(glmm)
    seed = np.random.SeedSequence(random_seed)
    of_starts, of_chains = seed.spawn(2)
    rng = np.random.default_rng(of_starts)
    if warm_start is None:
        starts = dispersed_starts(glmm, chains, rng)
    else:
        starts = _some_draws(glmm, warm_start, chains, rng)
    shown = chain_progress(progressbar, chains, tune + draws * thin)
    with shown as bar, interruptible(bar) as callback:
        run = sample_chains(
            glmm, starts, draws, tune,
            thin=thin, random_seed=of_chains, cores=cores, callback=callback,
        )  # fmt: skip
    if run.interrupted:
        kept = run.draws.coefficients.shape[1]
        warnings.warn(
            f"Gibbs was interrupted: each chain has {kept} draws, not {draws}.",
            SamplingWarning,
            stacklevel=stacklevel + 1,
        )
    return run


def _some_draws(glmm: GLMM, earlier: WarmStart, chains: int, rng: np.random.Generator) -> Draws:
    """As many draws as chains, all different where there are enough."""
    if isinstance(earlier, VariationalPosterior | MixturePosterior):
        return earlier.sample(chains, rng)
    draws = read_draws(glmm, earlier, argument="warm_start").flat()
    return draws.take(rng.choice(len(draws), size=chains, replace=len(draws) < chains))


def _chains_datatree(
    glmm: GLMM,
    observations: Observations,
    run: Chains,
    tune: int,
    log_likelihood: bool,
    log_prior: bool,
) -> xr.DataTree:
    flat = run.draws.flat()
    lp = log_joint(glmm, flat.coefficients, flat.covariances, parameters=flat.parameters)
    shape = run.draws.coefficients.shape[:2]
    stats = {"lp": (("chain", "draw"), lp.reshape(shape))}
    tree = datatree(glmm, run.draws, observations, stats, log_likelihood, log_prior)
    noted = {"sampling_time": run.seconds, "tuning_steps": tune}  # as PyMC calls them
    tree["posterior"].attrs |= noted
    tree["sample_stats"].attrs |= noted
    return tree
