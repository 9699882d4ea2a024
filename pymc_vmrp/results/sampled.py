"""What an inference method returns: draws with their statistics, whatever the model came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.draws import Draws

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.results.mixture import MixturePosterior
    from pymc_vmrp.results.posterior import VariationalPosterior


@dataclass(frozen=True)
class Sampled:
    """Draws of a posterior.

    Attributes
    ----------
    draws : Draws
        With the sample dimensions (chain, draw) first.
    stats : mapping of str to ndarray, shape (chain, draw), or Dataset
        Such as ``lp``, the log joint density, and ``log_q``, that of what the draws are from.
    rng : Generator
        What else is drawn is drawn with it, such as levels that no row has.
    posterior : VariationalPosterior or MixturePosterior, optional
        What the draws are from, where that is an approximation with moments of its own.
    sampler : str, optional
        What messages call the sampler, where draws are those of chains that may not have mixed.
    interrupted : bool
        Whether the user stopped the work early.
    attributes : mapping
        Of the DataTree.
    noted : mapping
        Attributes of the groups of draws.
    """

    draws: Draws
    stats: Mapping[str, FloatArray] | xr.Dataset
    rng: np.random.Generator
    posterior: VariationalPosterior | MixturePosterior | None = None
    sampler: str | None = None
    interrupted: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    noted: Mapping[str, Any] = field(default_factory=dict)
