"""Fit a Bambi model: from options to a DataTree as ``bambi_model.fit()`` returns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import MOST_DRAWS, check_choice, check_count, check_seed
from pymc_vmrp.door_options import METHODS, split_options
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.variables import posterior_variables

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.frontends.bambi import BambiSpec

_NUTS_SAMPLERS = ("pymc", "nutpie", "numpyro", "blackjax")
_OWN_ARGUMENTS = ("progressbar", "log_likelihood", "log_prior", "include_response_params")


def fit_bambi(
    model: Any, method: str, draws: int, random_seed: int | None, options: Mapping[str, Any]
) -> xr.DataTree:
    """Fit a ``bambi.Model``; see :func:`pymc_vmrp.fit`."""
    from pymc_vmrp.frontends.bambi import (
        read_bambi,
        restore_built,
        warn_of_few_levels_of,
        warn_of_summed_slopes,
    )

    check_choice("method", method, METHODS)
    warn_of_summed_slopes(model, stacklevel=3)
    check_count("draws", draws, most=MOST_DRAWS)
    if method == "nuts":
        return _sample_nuts(model, draws, random_seed, dict(options))
    check_seed(random_seed)
    own, rest = split_options("a Bambi model", method, options, _OWN_ARGUMENTS, "bambi_model.fit()")
    kept = {name: bool(own.get(name, False)) for name in ("log_likelihood", "log_prior")}
    spec = read_bambi(model)
    warn_of_few_levels_of(model, stacklevel=3)
    fit = _fit_cavi if method == "cavi" else _fit_gibbs
    tree = fit(spec, draws, random_seed, own.get("progressbar"), kept, rest)
    restore_built(model)
    tree.attrs |= {
        "formula": str(model.formula.main),
        "family": spec.glmm.family.name,
        "link": spec.glmm.family.link,
        "inference_method": method,
    }
    if own.get("include_response_params", False):
        model.predict(tree)
    return tree


def _sample_nuts(
    model: Any, draws: int, random_seed: int | None, options: dict[str, Any]
) -> xr.DataTree:
    """``bambi_model.fit()``, from draws of an earlier fit where there is one."""
    earlier = options.pop("warm_start", None)
    options = _named_as_in_bambi(options)
    if earlier is not None:
        options = _started(model, earlier, random_seed, options)
    sampled: xr.DataTree = model.fit(draws=draws, random_seed=random_seed, **options)
    return sampled


def _named_as_in_bambi(options: dict[str, Any]) -> dict[str, Any]:
    """``nuts_sampler=`` of ``pm.sample`` is ``inference_method=`` in Bambi."""
    if "nuts_sampler" not in options:
        return options
    if "inference_method" in options:
        raise VmrpError(
            "nuts_sampler= and inference_method= are the same for a Bambi model: give one of them."
        )
    return {"inference_method" if k == "nuts_sampler" else k: v for k, v in options.items()}


def _started(
    model: Any, earlier: xr.DataTree, random_seed: int | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Options of ``bambi_model.fit()`` that start it at draws of an earlier fit."""
    from pymc_vmrp.frontends.bambi import restore_built
    from pymc_vmrp.frontends.bambi_draws import free_variables
    from pymc_vmrp.mcmc.warm_start import start_from, started_options

    sampler = str(options.pop("inference_method", "pymc")).lower()
    if sampler not in _NUTS_SAMPLERS:
        raise VmrpError(
            f"warm_start= is for NUTS, not for inference_method={sampler!r}: leave it out, or "
            f"choose one of {', '.join(_NUTS_SAMPLERS)}."
        )
    restore_built(model)
    start = start_from(model.backend.model, free_variables(model, earlier), random_seed)
    options = started_options(start, random_seed, {**options, "nuts_sampler": sampler})
    return _named_as_in_bambi(options)


def _fit_cavi(
    spec: BambiSpec,
    draws: int,
    random_seed: int | None,
    progressbar: bool | None,
    kept: Mapping[str, bool],
    options: Mapping[str, Any],
) -> xr.DataTree:
    from pymc_vmrp.approximation import approximate, check_memory_of_draws, complete_options
    from pymc_vmrp.diagnostics.importance import joint_k
    from pymc_vmrp.results.idata import add_fit, moments, with_chain
    from pymc_vmrp.results.layout import relabelled, unseen_moments

    check_memory_of_draws(spec.glmm, draws, spec.observations if kept["log_likelihood"] else None)
    complete = complete_options(spec.glmm, {**options, "progressbar": progressbar})
    posterior = approximate(spec.glmm, **complete)
    rng = np.random.default_rng(random_seed)
    sample = posterior.sample(draws, rng)
    stats = {
        "lp": posterior.log_joint(sample)[None],
        "log_q": posterior.log_density(sample)[None],
    }
    tree = _datatree(spec, with_chain(sample), stats, rng, **kept)
    mean, sd = moments(posterior)
    no_rows = unseen_moments(spec.layout, mean, sd)
    reported = [
        relabelled(spec.layout, named, unseen)
        for named, unseen in zip((mean, sd), no_rows, strict=True)
    ]
    tree = add_fit(tree, posterior, reported[0], reported[1], spec.layout.coords)
    tree["fit"].attrs |= joint_k(tree)
    return tree


def _fit_gibbs(
    spec: BambiSpec,
    draws: int,
    random_seed: int | None,
    progressbar: bool | None,
    kept: Mapping[str, bool],
    options: Mapping[str, Any],
) -> xr.DataTree:
    from pymc_vmrp.approximation import check_memory_of_draws
    from pymc_vmrp.results.idata import read_draws
    from pymc_vmrp.sampling import DEFAULT_CHAINS, DEFAULT_TUNE, sample_gibbs

    given = {"chains": DEFAULT_CHAINS, "tune": DEFAULT_TUNE, "thin": 1, "cores": 1, **options}
    check_count("chains", given["chains"])
    total = draws * given["chains"]
    check_memory_of_draws(spec.glmm, total, spec.observations if kept["log_likelihood"] else None)
    chains = sample_gibbs(
        spec.glmm, spec.observations, draws=draws, random_seed=random_seed, warm_start=None,
        progressbar=progressbar, log_likelihood=False, **given,
    )  # fmt: skip
    stats = {"lp": chains["sample_stats"]["lp"].to_numpy()}
    rng = np.random.default_rng(random_seed)
    tree = _datatree(spec, read_draws(spec.glmm, chains), stats, rng, **kept)
    tree.attrs |= {k: v for k, v in chains.attrs.items() if k not in tree.attrs}
    return tree


def _datatree(
    spec: BambiSpec,
    draws: Draws,
    stats: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    log_likelihood: bool,
    log_prior: bool,
) -> xr.DataTree:
    """Draws of shape (chain, draw, ...) as Bambi lays them out."""
    import xarray as xr

    from pymc_vmrp.results.idata import (
        build_tree,
        constant_data,
        data_digest,
        log_likelihood_of_rows,
        named_dataset,
    )
    from pymc_vmrp.results.layout import draw_unseen, relabelled, unseen_log_density
    from pymc_vmrp.results.log_prior import log_prior_variables

    glmm, layout, observations = spec.glmm, spec.layout, spec.observations
    named = posterior_variables(glmm, draws.coefficients, draws.covariances, draws.parameters)
    unseen = draw_unseen(layout, named, rng)
    also = unseen_log_density(layout, named, unseen)
    sample_dims = ("chain", "draw")
    sizes = draws.coefficients.shape[:2]
    sample_coords = {dim: np.arange(n) for dim, n in zip(sample_dims, sizes, strict=True)}
    reported = relabelled(layout, named, unseen)
    groups = {
        "posterior": xr.Dataset(
            {name: ((*sample_dims, *dims), value) for name, (dims, value) in reported.items()},
            coords={**sample_coords, **layout.coords},
        ),
        "sample_stats": xr.Dataset(
            {name: (sample_dims, value + also) for name, value in stats.items()},
            coords=sample_coords,
        ),
    }
    row_coords = {"__obs__": observations.index}
    if log_likelihood:
        values = log_likelihood_of_rows(glmm, draws, observations)
        groups["log_likelihood"] = xr.Dataset(
            {observations.name: ((*sample_dims, "__obs__"), values)},
            coords={**sample_coords, **row_coords},
        )
    if log_prior:
        densities = relabelled(layout, log_prior_variables(glmm, draws), {}, partly=True)
        groups["log_prior"] = named_dataset(densities, layout.coords, sample_coords)
    groups["observed_data"] = xr.Dataset(
        {observations.name: ("__obs__", observations.rows.y)}, coords=row_coords
    )
    groups["constant_data"] = constant_data(glmm, observations)
    tree = build_tree(groups, layout.interface)
    tree.attrs["data_digest"] = data_digest(glmm)
    return tree
