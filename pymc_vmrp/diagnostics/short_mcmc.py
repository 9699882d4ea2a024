"""Short chains from q's draws: many by Gibbs on cells where that can be, else a few by NUTS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.errors import PriorError, VmrpError
from pymc_vmrp.gibbs.check import check_model
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.method import Request
from pymc_vmrp.inference.methods import get_method

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel

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
    model: ReadModel, idata: xr.DataTree, random_seed: int | None, progressbar: bool | None = None
) -> ShortChains:
    """Chains that start at draws of ``idata``.

    Raises
    ------
    PriorError
        Where no sampler can honour the model's priors.
    """
    draws = model.reports.draws(idata).flat()
    try:
        check_model(model.glmm)
    except (PriorError, VmrpError):
        return _by_nuts(model.glmm, draws, random_seed, progressbar)
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
    glmm: GLMM, draws: Draws, random_seed: int | None, progressbar: bool | None
) -> ShortChains:
    method = get_method("nuts")
    options = method.take({"chains": _NUTS_CHAINS, "warm_start": draws})
    request = Request(_NUTS_DRAWS, random_seed, bool(progressbar))
    return ShortChains(method.sample(glmm, request, options).draws, _NUTS_PIECES, "nuts")
