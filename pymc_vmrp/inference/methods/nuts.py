"""NUTS on the pm.Model of a GLMM, cold or from an earlier fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pymc_vmrp.arguments import MOST_CORES, check_count, check_flag
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.inference.method import Earlier, Method, Request
from pymc_vmrp.results.diagnostics import sampler_attributes
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.results.sampled import Sampled


@dataclass(frozen=True)
class NutsOptions:
    """Options of NUTS.

    Attributes
    ----------
    tune : int, optional
        1000 by default; with ``warm_start`` 200 in whitened coordinates, and 500 in others.
    chains, cores : int, optional
        As in ``pm.sample``.
    warm_start : Draws, VariationalPosterior or MixturePosterior, optional
        A fit of the model, from whose draws chains start.
    whiten : bool, optional
        Whether ``warm_start`` is to change the coordinates; None decides by an estimate of the
        cost.
    more : mapping
        What else ``pm.sample`` takes.
    """

    tune: int | None = None
    chains: int | None = None
    cores: int | None = None
    warm_start: Earlier | None = None
    whiten: bool | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what needs no model to be checked."""
        if self.tune is not None:
            check_count("tune", self.tune, least=0)
        if self.chains is not None:
            check_count("chains", self.chains)
        if self.cores is not None:
            check_count("cores", self.cores, most=MOST_CORES)
        if self.whiten is not None:
            check_flag("whiten", self.whiten)
        if self.whiten and self.warm_start is None:
            raise VmrpError("whiten=True needs warm_start=, a fit of this model.")


def sample(glmm: GLMM, request: Request, options: NutsOptions) -> Sampled:
    """Chains of ``pm.sample``."""
    import pymc as pm

    from pymc_vmrp.mcmc.build import build_pymc
    from pymc_vmrp.mcmc.warm_start import TUNE_COLD, sampler_options, warm_start
    from pymc_vmrp.solvers.blas import one_blas_thread

    chains, more = options.chains, dict(options.more)
    if options.warm_start is None:
        model, coordinates, default_tune = build_pymc(glmm), "non-centred", TUNE_COLD
    else:
        start = warm_start(glmm, options.warm_start, options.whiten, request.random_seed)
        model, coordinates, default_tune = start.model, start.coordinates, start.tune
        more = sampler_options(start, chains, options.cores, request.random_seed, more)
        chains = more.pop("chains", chains)
    tune = default_tune if options.tune is None else options.tune
    with one_blas_thread(), model:  # chains run side by side
        tree = pm.sample(
            request.draws,
            tune=tune,
            chains=chains,
            cores=options.cores,
            random_seed=request.random_seed,
            progressbar=request.progressbar is not False,
            **{"compute_convergence_checks": False, **more},  # ours cover every sampler
        )
    stats = tree["sample_stats"].to_dataset()
    attributes = {**sampler_attributes(tree), "coordinates": coordinates, "tune": tune}
    return Sampled(
        read_draws(glmm, tree, centred_common=True), stats,
        np.random.default_rng(request.random_seed), sampler="NUTS", attributes=attributes,
    )  # fmt: skip


METHOD = Method("nuts", NutsOptions, sample)
