"""Fit a pm.Model: from options to a DataTree as ``pm.sample`` returns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import MOST_DRAWS, check_choice, check_count, check_seed
from pymc_vmrp.door_options import METHODS, split_options
from pymc_vmrp.errors import VmrpError

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

    from pymc_vmrp.frontends.pymc.recognise import Recognised
    from pymc_vmrp.glmm.draws import Draws

_OWN_ARGUMENTS = ("progressbar", "log_likelihood", "log_prior")
_COPIES_OF_VARIABLES = 2.0  # at the peak


def fit_pymc(
    model: pm.Model, method: str, draws: int, random_seed: int | None, options: Mapping[str, Any]
) -> xr.DataTree:
    """Fit a ``pm.Model``; see :func:`pymc_vmrp.fit`.

    For "cavi" and "gibbs" the model is written as a GLMM, whose log density is compared with
    PyMC's at random points before it is trusted.
    """
    check_choice("method", method, METHODS)
    check_count("draws", draws, most=MOST_DRAWS)
    check_seed(random_seed)
    if method == "nuts":
        return _sample_nuts(model, draws, random_seed, dict(options))
    from pymc_vmrp.frontends.pymc.recognise import recognise_model

    own, rest = split_options("a pm.Model", method, options, _OWN_ARGUMENTS, "pm.sample()")
    recognised = recognise_model(model)
    _warn_of_few_levels(recognised, stacklevel=3)
    fit = _fit_cavi if method == "cavi" else _fit_gibbs
    tree = fit(recognised, draws, random_seed, own.get("progressbar"), rest)
    tree.attrs["inference_method"] = method
    from pymc.stats import compute_log_likelihood, compute_log_prior

    shown = own.get("progressbar") is not False
    if own.get("log_likelihood", False):
        compute_log_likelihood(tree, model=model, progressbar=shown)
    if own.get("log_prior", False):
        compute_log_prior(tree, model=model, progressbar=shown)
    return tree


def _warn_of_few_levels(recognised: Recognised, stacklevel: int) -> None:
    from pymc_vmrp.frontends.few_levels import warn_of_few_levels
    from pymc_vmrp.frontends.pymc.wide_scales import levels_under_wide_priors

    found = levels_under_wide_priors(recognised)
    levels = {name: n for name, (n, _) in found.items()}
    warn_of_few_levels(levels, lambda name: f"pm.HalfNormal for {found[name][1]!r}", stacklevel + 1)


def _fit_cavi(
    recognised: Recognised,
    draws: int,
    random_seed: int | None,
    progressbar: bool | None,
    options: Mapping[str, Any],
) -> xr.DataTree:
    import xarray as xr

    from pymc_vmrp.approximation import approximate, check_memory_of_draws, complete_options
    from pymc_vmrp.diagnostics.importance import joint_k
    from pymc_vmrp.frontends.pymc.proof import prove_at_draws
    from pymc_vmrp.results.idata import with_chain

    glmm = recognised.glmm
    check_memory_of_draws(glmm, draws, None)
    _check_memory_of_variables(recognised, draws)
    complete = complete_options(glmm, {**options, "progressbar": progressbar})
    posterior = approximate(glmm, **complete)
    rng = np.random.default_rng(random_seed)
    sample = posterior.sample(draws, rng)
    prove_at_draws(recognised.translation, recognised.log_constant, sample)
    stats = {
        "lp": (posterior.log_joint(sample) + recognised.log_constant.value)[None],
        "log_q": posterior.log_density(sample)[None],
    }
    tree = _datatree(recognised, with_chain(sample), stats, rng, progressbar)
    trace = posterior.trace()
    elbo = xr.Dataset({"elbo": ("step", trace)}, coords={"step": np.arange(len(trace))})
    attributes = {**posterior.attributes(), "family": glmm.family.name, "link": glmm.family.link}
    tree["fit"] = xr.DataTree(elbo.assign_attrs(attributes | joint_k(tree)))
    return tree


def _fit_gibbs(
    recognised: Recognised,
    draws: int,
    random_seed: int | None,
    progressbar: bool | None,
    options: Mapping[str, Any],
) -> xr.DataTree:
    from pymc_vmrp.approximation import check_memory_of_draws
    from pymc_vmrp.frontends.pymc.proof import prove_at_draws
    from pymc_vmrp.glmm.log_joint import log_joint
    from pymc_vmrp.results.diagnostics import chain_diagnostics, warn_of_diagnostics
    from pymc_vmrp.sampling import DEFAULT_CHAINS, DEFAULT_TUNE, gibbs_chains

    glmm = recognised.glmm
    chains = options.get("chains", DEFAULT_CHAINS)
    check_count("chains", chains)
    total = draws * chains
    check_memory_of_draws(glmm, total, None)
    _check_memory_of_variables(recognised, total)
    run = gibbs_chains(
        glmm, draws=draws, random_seed=random_seed, progressbar=progressbar,
        stacklevel=4, **options,
    )  # fmt: skip
    flat = run.draws.flat()
    prove_at_draws(recognised.translation, recognised.log_constant, flat)
    lp = log_joint(glmm, flat.coefficients, flat.covariances, parameters=flat.parameters)
    shape = run.draws.coefficients.shape[:2]
    stats = {"lp": (lp + recognised.log_constant.value).reshape(shape)}
    tree = _datatree(recognised, run.draws, stats, np.random.default_rng(random_seed), progressbar)
    noted = {"sampling_time": run.seconds, "tuning_steps": options.get("tune", DEFAULT_TUNE)}
    for group in ("posterior", "sample_stats"):
        tree[group].attrs |= noted
    diagnostics = chain_diagnostics(tree)
    tree.attrs |= diagnostics
    warn_of_diagnostics("Gibbs", diagnostics, stacklevel=4)
    return tree


def _sample_nuts(
    model: pm.Model, draws: int, random_seed: int | None, options: dict[str, Any]
) -> xr.DataTree:
    """``pm.sample``, from draws of an earlier fit where there is one."""
    import pymc

    earlier = options.pop("warm_start", None)
    if earlier is not None:
        from pymc_vmrp.mcmc.warm_start import start_from, started_options

        options = started_options(start_from(model, earlier, random_seed), random_seed, options)
    sampled: xr.DataTree = pymc.sample(draws, random_seed=random_seed, model=model, **options)
    return sampled


def _check_memory_of_variables(recognised: Recognised, draws: int) -> None:
    """Refuse before the fit what would run out of memory after it."""
    from pymc_vmrp.cavi.choose import physical_memory
    from pymc_vmrp.frontends.pymc.variables import n_values

    values = n_values(recognised.translation.parts)
    needed = 8 * draws * values * _COPIES_OF_VARIABLES
    if needed > physical_memory():
        raise VmrpError(
            f"{draws:,} draws of this model's {values:,} variables and deterministics need about "
            f"{needed / 2**30:,.0f} GB of memory. Lower draws=, or leave out deterministics of "
            "the size of the data: pm.compute_deterministics() makes them from the draws later."
        )


def _datatree(
    recognised: Recognised,
    draws: Draws,
    stats: Mapping[str, Any],
    rng: np.random.Generator,
    progressbar: bool | None,
) -> xr.DataTree:
    """Draws of shape (chain, draw, ...) as PyMC lays them out."""
    import xarray as xr
    from pymc import __version__ as pymc_version
    from pymc.backends.arviz import (
        coords_and_dims_for_inferencedata,
        find_constants,
        find_observations,
    )

    from pymc_vmrp.frontends.pymc.variables import variables
    from pymc_vmrp.progress import row_progress
    from pymc_vmrp.results.idata import build_tree

    parts = recognised.translation.parts
    shape = draws.coefficients.shape[:2]
    flat = draws.flat()
    points = recognised.translation.to_points(flat, rng)
    with row_progress(progressbar, len(flat), "Variables", "draws") as callback:
        values = variables(parts, points, len(flat), callback)
    coords, dims = coords_and_dims_for_inferencedata(parts.original)
    posterior = {name: value.reshape(*shape, *value.shape[1:]) for name, value in values.items()}
    sample_coords = {dim: np.arange(n) for dim, n in zip(("chain", "draw"), shape, strict=True)}
    groups = {
        "posterior": _dataset(posterior, coords, dims),
        "sample_stats": xr.Dataset(
            {name: (("chain", "draw"), value) for name, value in stats.items()},
            coords=sample_coords,
        ),
        "observed_data": _dataset(find_observations(parts.original), coords, dims, []),
    }
    constants = find_constants(parts.original)
    if constants:
        groups["constant_data"] = _dataset(constants, coords, dims, [])
    interface = {"modeling_interface": "pymc", "modeling_interface_version": pymc_version}
    return build_tree(groups, interface)


def _dataset(
    values: Mapping[str, Any], coords: dict[str, Any], dims: dict[str, Any], *sample_dims: Any
) -> xr.Dataset:
    import pymc
    from pymc.backends.arviz import dict_to_dataset_drop_incompatible_coords

    more = {"sample_dims": sample_dims[0]} if sample_dims else {}
    return dict_to_dataset_drop_incompatible_coords(
        dict(values), inference_library=pymc, coords=coords, dims=dims, **more
    )
