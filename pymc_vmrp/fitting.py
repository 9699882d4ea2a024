"""Fit a :class:`pymc_vmrp.Model`: from options, checked, to the DataTree of any method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymc_vmrp.arguments import (
    MOST_CORES,
    MOST_DRAWS,
    check_choice,
    check_count,
    check_flag,
    check_progressbar,
    check_seed,
    refuse_given,
)
from pymc_vmrp.errors import VmrpError

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.model import Model
    from pymc_vmrp.results.mixture import MixturePosterior
    from pymc_vmrp.results.posterior import VariationalPosterior

INFERENCE_METHODS = ("cavi", "gibbs", "nuts", "advi", "fullrank_advi", "pathfinder")
CAVI_ARGUMENTS = (
    "bound",
    "tol",
    "max_iter",
    "solver",
    "accelerate",
    "expansion",
    "factorization",
    "kept",
    "hyperparameters",
    "theta_ess",
)
_CHAINS = ("gibbs", "nuts")  # the methods that have them


def fit_model(
    model: Model,
    draws: int,
    tune: int | None,
    *,
    inference_method: str,
    chains: int | None,
    cores: int | None,
    random_seed: int | None,
    warm_start: xr.DataTree | VariationalPosterior | MixturePosterior | None,
    log_likelihood: bool,
    log_prior: bool,
    progressbar: bool | None,
    options: Mapping[str, Any],
) -> xr.DataTree:
    """Fit; see :meth:`pymc_vmrp.Model.fit`. ``options`` are those of the method."""
    check_choice("inference_method", inference_method, INFERENCE_METHODS)
    check_count("draws", draws, most=MOST_DRAWS)
    check_seed(random_seed)
    check_flag("log_likelihood", log_likelihood)
    check_flag("log_prior", log_prior)
    check_progressbar(progressbar)
    _check_chains(inference_method, tune, chains, cores)
    if warm_start is not None and inference_method not in _CHAINS:
        raise VmrpError("warm_start= is for inference_method='nuts' and 'gibbs'.")
    kept = {"log_likelihood": log_likelihood, "log_prior": log_prior}
    if inference_method == "cavi":
        tree = _cavi(model, draws, random_seed, progressbar, kept, options)
    elif inference_method == "gibbs":
        tree = _gibbs(
            model, draws, tune, chains, cores, random_seed, warm_start, progressbar, kept, options
        )
    else:
        from pymc_vmrp.mcmc.sample import fit_pymc_variational, sample_nuts

        shown = True if progressbar is None else progressbar
        if inference_method == "nuts":
            tree = sample_nuts(
                model.glmm, model.observations, draws=draws, tune=tune, chains=chains, cores=cores,
                random_seed=random_seed, warm_start=warm_start, progressbar=shown, **kept,
                **options,
            )  # fmt: skip
        else:
            tree = fit_pymc_variational(
                model.glmm, model.observations, inference_method, draws=draws,
                random_seed=random_seed, progressbar=shown, **kept, **options,
            )  # fmt: skip
    return _signed(model, tree, inference_method)


def _check_chains(method: str, tune: int | None, chains: int | None, cores: int | None) -> None:
    if method not in _CHAINS:
        refuse_given(
            f"inference_method={method!r}",
            "its draws are independent, and make up one chain. Raise draws= for more of them.",
            tune=tune, chains=chains, cores=cores,
        )  # fmt: skip
    if tune is not None:
        check_count("tune", tune, least=0)
    if chains is not None:
        check_count("chains", chains)
    if cores is not None:
        check_count("cores", cores, most=MOST_CORES)


def _cavi(
    model: Model,
    draws: int,
    random_seed: int | None,
    progressbar: bool | None,
    kept: dict[str, bool],
    options: Mapping[str, Any],
) -> xr.DataTree:
    from pymc_vmrp.interrupts import finish
    from pymc_vmrp.results.idata import variational_datatree

    _refuse_unknown("cavi", options, CAVI_ARGUMENTS)
    _check_memory_of_draws(model, draws, kept)
    posterior = model.approximate(progressbar=progressbar, **options)
    return finish(
        lambda: variational_datatree(posterior, model.observations, draws, random_seed, **kept)
    )


def _gibbs(
    model: Model,
    draws: int,
    tune: int | None,
    chains: int | None,
    cores: int | None,
    random_seed: int | None,
    warm_start: xr.DataTree | VariationalPosterior | MixturePosterior | None,
    progressbar: bool | None,
    kept: dict[str, bool],
    options: Mapping[str, Any],
) -> xr.DataTree:
    from pymc_vmrp.sampling import DEFAULT_CHAINS, DEFAULT_TUNE, sample_gibbs

    _refuse_unknown("gibbs", options, ("thin",))
    chains = DEFAULT_CHAINS if chains is None else chains
    _check_memory_of_draws(model, draws * chains, kept)
    return sample_gibbs(
        model.glmm, model.observations, draws=draws,
        tune=DEFAULT_TUNE if tune is None else tune, chains=chains,
        thin=options.get("thin", 1), cores=1 if cores is None else cores, random_seed=random_seed,
        warm_start=warm_start, progressbar=progressbar, **kept,
    )  # fmt: skip


def _refuse_unknown(method: str, options: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise VmrpError(
            f"fit() has no argument {unknown[0]!r} for inference_method={method!r}; besides its "
            f"own it takes {', '.join(known)}."
        )


def _check_memory_of_draws(model: Model, draws: int, kept: dict[str, bool]) -> None:
    from pymc_vmrp.approximation import check_memory_of_draws

    rows = model.observations if kept["log_likelihood"] else None
    check_memory_of_draws(model.glmm, draws, rows)


def _signed(model: Model, tree: xr.DataTree, inference_method: str) -> xr.DataTree:
    """Note on a result which model it belongs to, so that a saved one can be used again."""
    tree.attrs |= {
        "formula": model.formula,
        "family": model.family,
        "link": model.link,
        "inference_method": inference_method,
    }
    if model.weights is not None:
        tree.attrs["weights"] = model.weights
    return tree
