"""The door of pm.Models: recognised as a GLMM, and sampled by ``pm.sample``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.frontends.few_levels import warn_of_few_levels
from pymc_vmrp.frontends.pymc.encoder import KnownOfRows, PymcEncoder, pymc_encoder
from pymc_vmrp.frontends.pymc.recognise import Recognised, recognise_model
from pymc_vmrp.frontends.pymc.reports import PymcReports
from pymc_vmrp.frontends.pymc.wide_scales import levels_under_wide_priors
from pymc_vmrp.read_model import Always, Door, Predictors, ReadModel

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

KIND = "a pm.Model"
_BY_PYMC = "predict by pm.sample_posterior_predictive(idata)."


def pymc_door(model: pm.Model) -> Door:
    """The door of a ``pm.Model``."""
    nuts = partial(_sample_nuts, model)
    unknowns = partial(_free_names, model)
    return Door(KIND, partial(_read, model), nuts, "pm.sample()", warn=_warn, unknowns=unknowns)


def _free_names(model: pm.Model) -> list[str]:
    return [rv.name for rv in model.free_RVs]


def _warn(read: ReadModel) -> None:
    assert isinstance(read.reports, PymcReports)
    found = levels_under_wide_priors(read.reports.recognised)
    levels = {name: n for name, (n, _) in found.items()}
    warn_of_few_levels(levels, lambda name: f"pm.HalfNormal for {found[name][1]!r}")


def _read(model: pm.Model) -> ReadModel:
    recognised = recognise_model(model)
    observations = recognised.translation.assembled.observations
    encoder = pymc_encoder(recognised)
    has_known = observations.rows.trials is not None or observations.rows.sd is not None
    return ReadModel(
        recognised.glmm,
        observations,
        PymcReports(model, recognised),
        KIND,
        Always(encoder),
        KnownOfRows(encoder.make) if has_known else None,
        mean_name=f"{observations.name}_mean",
        no_mean=_no_mean(recognised),
        make_predictors=partial(_predictors, encoder),
    )


def _predictors(encoder: PymcEncoder) -> Predictors:
    frame = encoder.own_rows()
    return Predictors(frame, np.arange(len(frame)))


def _no_mean(recognised: Recognised) -> str:
    """Why mean responses cannot be had of the GLMM."""
    if recognised.glmm.family.link == "graph":
        return f"The likelihood of this pm.Model is known by its density alone: {_BY_PYMC}"
    if recognised.translation.likelihood.divisor is not None:
        return f"Rows of this pm.Model have sds of their own, by which they are divided: {_BY_PYMC}"
    return ""


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
