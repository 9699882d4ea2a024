"""Short chains from q's draws: many by Gibbs on cells where that can be, else a few by NUTS."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.errors import PriorError, SamplingWarning, VmrpError
from pymc_vmrp.gibbs.check import check_model
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.results.idata import read_draws

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.model import Model

_CHAINS = 40  # of Gibbs
_FEWEST_STEPS, _MOST_STEPS = 20, 100  # of each, after half as many that are not kept
_OPERATIONS = 1.5e7  # of the steps of a chain: small models are given more of them
_NUTS_CHAINS, _NUTS_DRAWS, _NUTS_PIECES = 4, 200, 10


@dataclass(frozen=True)
class ShortChains:
    """Draws of short chains.

    Attributes
    ----------
    draws : Draws
        Shape (chain, draw, ...).
    pieces : int
        Parts of each chain that are nearly independent.
    sampler : {"gibbs", "nuts"}
    """

    draws: Draws
    pieces: int
    sampler: str

    @property
    def size(self) -> int:
        """Number of draws."""
        chains, steps = self.draws.coefficients.shape[:2]
        return chains * steps


def short_chains(
    model: Model, idata: xr.DataTree, random_seed: int | None, progressbar: bool | None = None
) -> ShortChains:
    """Chains that start at draws of ``idata``.

    Raises
    ------
    PriorError
        Where no sampler can honour the model's priors.
    """
    draws = read_draws(model.glmm, idata).flat()
    try:
        check_model(model.glmm)
    except (PriorError, VmrpError):
        return _by_nuts(model, idata, random_seed, progressbar)
    from pymc_vmrp.gibbs.sampler import run_chains

    rng = np.random.default_rng(random_seed)
    chosen = rng.choice(len(draws), _CHAINS, replace=len(draws) < _CHAINS)
    starts = draws.take(chosen)
    seed = np.random.SeedSequence(random_seed)
    glmm = model.glmm
    one = glmm.rows.values.size * glmm.rows.values.shape[1] + glmm.n_coefficients**2
    steps = int(np.clip(_OPERATIONS / one, _FEWEST_STEPS, _MOST_STEPS))
    found = run_chains(glmm, starts, steps, steps // 2, random_seed=seed)
    return ShortChains(found, 1, "gibbs")


def _by_nuts(
    model: Model, idata: xr.DataTree, random_seed: int | None, progressbar: bool | None
) -> ShortChains:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)  # few draws are what was asked for
        tree = model.fit(
            _NUTS_DRAWS,
            inference_method="nuts",
            chains=_NUTS_CHAINS,
            warm_start=idata,
            random_seed=random_seed,
            progressbar=bool(progressbar),
        )
    return ShortChains(read_draws(model.glmm, tree), _NUTS_PIECES, "nuts")
