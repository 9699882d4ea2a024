"""Draws of a GLMM as ``pm.sample`` lays out the variables of the pm.Model, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.frontends.pymc.proof import prove_at_draws
from pymc_vmrp.frontends.pymc.recognise import Recognised
from pymc_vmrp.frontends.pymc.variables import n_values, points_of, variables
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.progress import row_progress
from pymc_vmrp.results.idata import (
    build_tree,
    check_finite_draws,
    check_memory_of_draws,
    fit_dataset,
    note,
    posterior_dataset,
    stats_dataset,
)
from pymc_vmrp.results.importance import joint_k
from pymc_vmrp.results.sampled import Sampled
from pymc_vmrp.solvers.choose import physical_memory

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

_COPIES_OF_VARIABLES = 2.0  # at the peak


@dataclass(frozen=True)
class PymcReports:
    """Reports of a pm.Model; see :class:`pymc_vmrp.read_model.Reports`.

    Attributes
    ----------
    model : pm.Model
    recognised : Recognised
    """

    model: pm.Model
    recognised: Recognised

    def check_memory(self, draws: int, log_likelihood: bool) -> None:
        """Refuse before the fit what would run out of memory after it."""
        check_memory_of_draws(self.recognised.glmm, draws, None)
        values = n_values(self.recognised.translation.parts)
        needed = 8 * draws * values * _COPIES_OF_VARIABLES
        if needed > physical_memory():
            raise VmrpError(
                f"{draws:,} draws of this model's {values:,} variables and deterministics need "
                f"about {needed / 2**30:,.0f} GB of memory. Lower draws=, or leave out "
                "deterministics of the size of the data: pm.compute_deterministics() makes them "
                "from the draws later."
            )

    def datatree(
        self,
        sampled: Sampled,
        *,
        log_likelihood: bool = False,
        log_prior: bool = False,
        progressbar: bool | None = None,
    ) -> xr.DataTree:
        """Free variables and deterministics, after the density was compared at the draws.

        Raises
        ------
        ModelError
            Where the densities of both models differ at a draw.
        """
        import xarray as xr
        from pymc import __version__ as version
        from pymc.backends.arviz import (
            coords_and_dims_for_inferencedata,
            find_constants,
            find_observations,
        )
        from pymc.stats import compute_log_likelihood, compute_log_prior

        translation, constant = self.recognised.translation, self.recognised.log_constant
        parts, flat = translation.parts, sampled.draws.flat()
        if sampled.stats:  # draws of a fit, and not of the prior
            prove_at_draws(translation, constant, flat)
        # a copy: the same draws again, should an interruption have this done twice
        points = translation.to_points(flat, copy.deepcopy(sampled.rng))
        with row_progress(progressbar, len(flat), "Variables", "draws") as callback:
            values = variables(parts, points, len(flat), callback)
        shape = sampled.draws.coefficients.shape[:2]
        coords, dims = coords_and_dims_for_inferencedata(parts.original)
        posterior = {k: value.reshape(*shape, *value.shape[1:]) for k, value in values.items()}
        sample = {dim: np.arange(n) for dim, n in zip(("chain", "draw"), shape, strict=True)}
        groups = {
            "posterior": _dataset(posterior, coords, dims),
            "observed_data": _dataset(find_observations(parts.original), coords, dims, []),
        }
        if sampled.stats:
            groups["sample_stats"] = stats_dataset(sampled.stats, {"lp": constant.value}, sample)
        constants = find_constants(parts.original)
        if constants:
            groups["constant_data"] = _dataset(constants, coords, dims, [])
        interface = {"modeling_interface": "pymc", "modeling_interface_version": version}
        tree = build_tree(groups, interface)
        note(tree, sampled.noted)
        if sampled.posterior is not None:
            family = self.recognised.glmm.family
            more = {"family": family.name, "link": family.link, **joint_k(tree)}
            tree["fit"] = xr.DataTree(fit_dataset(sampled.posterior).assign_attrs(more))
        shown = progressbar is not False
        if log_likelihood:
            compute_log_likelihood(tree, model=self.model, progressbar=shown)
        if log_prior:
            compute_log_prior(tree, model=self.model, progressbar=shown)
        return tree

    def draws(self, idata: xr.DataTree, argument: str = "idata") -> Draws:
        """Draws of the GLMM from those of the pm.Model's variables."""
        posterior = posterior_dataset(idata, argument)
        shape = (posterior.sizes["chain"], posterior.sizes["draw"])
        translation = self.recognised.translation
        values = [
            _values(posterior, rv.name, own, argument)
            for rv, own in zip(translation.parts.free, translation.parts.shapes, strict=True)
        ]
        found = [translation.to_glmm(p)[0] for p in points_of(translation.parts, values)]
        covariances = tuple(
            np.concatenate([draw.covariances[j] for draw in found])
            for j in range(len(self.recognised.glmm.groups))
        )
        return Draws(
            np.concatenate([draw.coefficients for draw in found]).reshape(*shape, -1),
            tuple(c.reshape(*shape, *c.shape[1:]) for c in covariances),
            np.concatenate([draw.parameters for draw in found]).reshape(*shape, -1),
            np.concatenate([draw.untouched for draw in found]).reshape(*shape, -1),
        )


def _values(posterior: xr.Dataset, name: str, shape: tuple[int, ...], argument: str) -> FloatArray:
    """Draws of one free variable, shape (chain · draw, ...)."""
    if name not in posterior:
        raise DataError(f"{argument} has no variable {name!r}: it is of another model.")
    values = posterior[name].transpose("chain", "draw", ...).to_numpy()
    if values.shape[2:] != shape:
        raise DataError(
            f"{name!r} has shape {values.shape[2:]} in {argument}, and {shape} in the model: it is "
            "of another model or other data."
        )
    check_finite_draws(name, values, argument)
    return values.reshape(-1, *shape).astype(float)


def _dataset(
    values: Mapping[str, Any], coords: dict[str, Any], dims: dict[str, Any], *sample_dims: Any
) -> xr.Dataset:
    import pymc
    from pymc.backends.arviz import dict_to_dataset_drop_incompatible_coords

    more = {"sample_dims": sample_dims[0]} if sample_dims else {}
    return dict_to_dataset_drop_incompatible_coords(
        dict(values), inference_library=pymc, coords=coords, dims=dims, **more
    )
