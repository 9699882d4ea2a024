"""Draws under the names, dims and coordinates of the pm.Model, as ``pm.sample`` returns them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pymc.backends.arviz import (
    coords_and_dims_for_inferencedata,
    dict_to_dataset_drop_incompatible_coords,
    find_constants,
    find_observations,
)

from pymc_vmrp.frontends.pymc.graph import numeric
from pymc_vmrp.frontends.pymc.reading import Point
from pymc_vmrp.frontends.pymc.recognise import Recognised
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


def pymc_datatree(
    recognised: Recognised,
    posterior: VariationalPosterior | MixturePosterior,
    draws: int,
    random_seed: int | None,
) -> xr.DataTree:
    """Draw from q and lay the draws out.

    Parameters
    ----------
    recognised : Recognised
    posterior : VariationalPosterior or MixturePosterior
        Of its GLMM.
    draws : int
    random_seed : int, optional

    Returns
    -------
    DataTree
        ``posterior`` holds every free variable and deterministic of the model; ``sample_stats``
        ``lp`` and ``log_q``, the log densities of the model and of q in the GLMM's variables (of
        which only the difference matters); ``fit`` the ELBO.
    """
    import xarray as xr

    model = recognised.translation.parts.original
    rng = np.random.default_rng(random_seed)
    sample = posterior.sample(draws, rng)
    points = recognised.translation.to_points(sample, rng)
    values = variables(recognised, points, draws)
    coords, dims = coords_and_dims_for_inferencedata(model)
    groups = {"posterior": _dataset({k: v[None] for k, v in values.items()}, coords, dims, None)}
    sample_coords = {"chain": [0], "draw": np.arange(draws)}
    log_joint = posterior.log_joint(sample) + recognised.log_constant
    groups["sample_stats"] = xr.Dataset(
        {
            "lp": (("chain", "draw"), log_joint[None]),
            "log_q": (("chain", "draw"), posterior.log_density(sample)[None]),
        },
        coords=sample_coords,
    )
    groups["observed_data"] = _dataset(find_observations(model), coords, dims, [])
    constants = find_constants(model)
    if constants:
        groups["constant_data"] = _dataset(constants, coords, dims, [])
    trace = posterior.trace()
    elbo = xr.Dataset({"elbo": ("step", trace)}, coords={"step": np.arange(len(trace))})
    groups["fit"] = elbo.assign_attrs(
        {**posterior.attributes(), "family": posterior.glmm.family.name}
    )
    tree = build_tree(groups)
    for node in [tree, *tree.children.values()]:
        node.attrs["modeling_interface"] = "pymc"
    return tree


def variables(
    recognised: Recognised, points: Iterable[Point], draws: int
) -> dict[str, NDArray[Any]]:
    """Every free variable and deterministic at each point, shape (draws, ...)."""
    parts = recognised.translation.parts
    named = [*parts.frozen.free_RVs, *parts.frozen.deterministics]
    function = numeric(parts.inputs, parts.in_inputs(named))
    out: dict[str, NDArray[Any]] = {}
    for i, point in enumerate(points):
        with np.errstate(all="ignore"):
            values = function(*point.arguments)
        for variable, value in zip(named, values, strict=True):
            if i == 0:
                out[variable.name] = np.empty((draws, *np.shape(value)), np.asarray(value).dtype)
            out[variable.name][i] = value
    return out


def _dataset(
    values: Mapping[str, Any], coords: dict[str, Any], dims: dict[str, Any], sample_dims: Any
) -> xr.Dataset:
    more = {} if sample_dims is None else {"sample_dims": sample_dims}
    import pymc

    return dict_to_dataset_drop_incompatible_coords(
        dict(values), inference_library=pymc, coords=coords, dims=dims, **more
    )
