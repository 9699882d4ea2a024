"""What PyMC's variational methods share: its pm.Model of a GLMM, and draws read back from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import check_count
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.method import Request
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.results.sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class PymcFitOptions:
    """Options of ``pm.fit``.

    Attributes
    ----------
    n : int
        Number of steps.
    more : mapping
        What else ``pm.fit`` takes.
    """

    n: int = 30_000
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what needs no model to be checked."""
        check_count("n", self.n)


def pymc_fit(glmm: GLMM, request: Request, options: PymcFitOptions, method: str) -> Sampled:
    """Fit by ``pm.fit``, and draw from what it returns."""

    def run(progressbar: bool) -> xr.DataTree:
        import pymc as pm

        found = pm.fit(
            n=options.n, method=method, random_seed=request.random_seed, progressbar=progressbar,
            **options.more,
        )  # fmt: skip
        tree: xr.DataTree = found.sample(request.draws, random_seed=request.random_seed)
        return tree

    return sampled_from(glmm, request, run)


def sampled_from(glmm: GLMM, request: Request, run: Callable[[bool], xr.DataTree]) -> Sampled:
    """What ``run`` draws inside of the model's context; it is told whether to show progress."""
    from pymc_vmrp.mcmc.build import build_pymc

    with build_pymc(glmm):
        tree = run(request.progressbar is not False)
    stats: Mapping[str, Any] | xr.Dataset = {}
    if "sample_stats" in tree.children:
        stats = tree["sample_stats"].to_dataset()
    draws = read_draws(glmm, tree, centred_common=True)
    return Sampled(draws, stats, np.random.default_rng(request.random_seed))
