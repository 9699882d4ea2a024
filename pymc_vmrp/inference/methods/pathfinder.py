"""Pathfinder, by pymc-extras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.method import Method, Request
from pymc_vmrp.inference.pymc_variational import sampled_from
from pymc_vmrp.results.sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class PathfinderOptions:
    """What ``pymc_extras.fit_pathfinder`` takes, as ``more``."""

    more: Mapping[str, Any] = field(default_factory=dict)


def sample(glmm: GLMM, request: Request, options: PathfinderOptions) -> Sampled:
    """Draws of Pathfinder."""

    def run(progressbar: bool) -> xr.DataTree:
        try:
            from pymc_extras.inference import fit_pathfinder
        except ImportError:
            raise VmrpError(
                "inference_method='pathfinder' needs pymc-extras: pip install "
                "'pymc-vmrp[pathfinder]'."
            ) from None
        tree: xr.DataTree = fit_pathfinder(
            num_draws=request.draws, random_seed=request.random_seed, progressbar=progressbar,
            **options.more,
        )  # fmt: skip
        return tree

    return sampled_from(glmm, request, run)


METHOD = Method("pathfinder", PathfinderOptions, sample)
