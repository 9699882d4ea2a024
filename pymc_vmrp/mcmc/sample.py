"""Run PyMC's inference methods on the pm.Model of a GLMM, and name the draws as CAVI's are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymc as pm

from pymc_vmrp.arguments import check_count, check_flag
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.mcmc.build import build_pymc
from pymc_vmrp.mcmc.warm_start import TUNE_COLD, sampler_options
from pymc_vmrp.mcmc.warm_start import warm_start as prepare
from pymc_vmrp.results.diagnostics import chain_diagnostics, warn_of_diagnostics
from pymc_vmrp.results.idata import datatree, read_draws
from pymc_vmrp.solvers.blas import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.mcmc.warm_start import WarmStart


def sample_nuts(
    glmm: GLMM,
    observations: Observations,
    *,
    draws: int,
    tune: int | None,
    chains: int | None,
    cores: int | None,
    random_seed: int | None,
    warm_start: WarmStart | None,
    progressbar: bool,
    log_likelihood: bool,
    log_prior: bool = False,
    whiten: bool | None = None,
    **kwargs: Any,
) -> xr.DataTree:
    """Sample by NUTS; see :meth:`pymc_vmrp.Model.fit`."""
    if whiten is not None:
        check_flag("whiten", whiten)
    if warm_start is None:
        if whiten:
            raise VmrpError("whiten=True needs warm_start=, a fit of this model.")
        model, coordinates, default_tune = build_pymc(glmm), "non-centred", TUNE_COLD
    else:
        start = prepare(glmm, warm_start, whiten, random_seed)
        model, coordinates, default_tune = start.model, start.coordinates, start.tune
        kwargs = sampler_options(start, chains, cores, random_seed, kwargs)
        chains = kwargs.pop("chains", chains)
    tune = default_tune if tune is None else tune
    with one_blas_thread(), model:  # chains run side by side
        tree = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            progressbar=progressbar,
            **{"compute_convergence_checks": False, **kwargs},  # ours cover every sampler
        )
    out = _relabel(glmm, observations, tree, log_likelihood, log_prior)
    diagnostics = nuts_diagnostics(out)
    out.attrs |= diagnostics | {"coordinates": coordinates, "tune": tune}
    seconds = tree["posterior"].attrs.get("sampling_time")
    if seconds is not None:
        out.attrs["sampling_seconds"] = float(seconds)
    warn_of_diagnostics("NUTS", diagnostics, stacklevel=3)
    return out


def nuts_diagnostics(tree: xr.DataTree) -> dict[str, float]:
    """Divergences and steps besides :func:`chain_diagnostics`, from a NUTS DataTree.

    Steps are those of the leapfrog integrator in all draws, tuning left out; each is a gradient.
    """
    stats = tree["sample_stats"]
    counts = {"divergences": int(stats["diverging"].sum()), "n_steps": int(stats["n_steps"].sum())}
    return counts | chain_diagnostics(tree)


def fit_pymc_variational(
    glmm: GLMM,
    observations: Observations,
    method: str,
    *,
    draws: int,
    random_seed: int | None,
    progressbar: bool,
    log_likelihood: bool,
    log_prior: bool = False,
    **kwargs: Any,
) -> xr.DataTree:
    """Fit by PyMC's ADVI, full-rank ADVI, or pymc-extras' Pathfinder."""
    model = build_pymc(glmm)
    with model:
        if method == "pathfinder":
            tree = _pathfinder(draws, random_seed, progressbar, kwargs)
        else:
            kwargs = {"n": 30_000, **kwargs}
            check_count("n", kwargs["n"])
            approximation = pm.fit(
                method=method, random_seed=random_seed, progressbar=progressbar, **kwargs
            )
            tree = approximation.sample(draws, random_seed=random_seed)
    return _relabel(glmm, observations, tree, log_likelihood, log_prior)


def _pathfinder(
    draws: int, random_seed: int | None, progressbar: bool, kwargs: dict[str, Any]
) -> xr.DataTree:
    try:
        from pymc_extras.inference import fit_pathfinder
    except ImportError:
        raise VmrpError(
            "inference_method='pathfinder' needs pymc-extras: pip install 'pymc-vmrp[pathfinder]'."
        ) from None
    return fit_pathfinder(
        num_draws=draws, random_seed=random_seed, progressbar=progressbar, **kwargs
    )


def _relabel(
    glmm: GLMM,
    observations: Observations,
    tree: xr.DataTree,
    log_likelihood: bool,
    log_prior: bool,
) -> xr.DataTree:
    """The contract's DataTree: reported intercept, no offsets, one observation per respondent."""
    sample = read_draws(glmm, tree, centred_common=True)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    return datatree(glmm, sample, observations, stats, log_likelihood, log_prior)
