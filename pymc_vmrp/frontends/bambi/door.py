"""The door of Bambi models: read, and sampled by Bambi's own NUTS."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.errors import VmrpError, warn
from pymc_vmrp.frontends.bambi.draws import free_variables, group_specific_terms
from pymc_vmrp.frontends.bambi.encoder import bambi_encoder, rows_used
from pymc_vmrp.frontends.bambi.read import BambiSpec, read_bambi
from pymc_vmrp.frontends.few_levels import warn_of_few_levels
from pymc_vmrp.read_model import Door, Predictors, ReadModel
from pymc_vmrp.results.reports import GlmmReports

if TYPE_CHECKING:
    import xarray as xr

KIND = "a Bambi model"
_NUTS_SAMPLERS = ("pymc", "nutpie", "numpyro", "blackjax")
_RESPONSE_PARAMS = "include_response_params"


def bambi_door(model: Any) -> Door:
    """The door of a ``bambi.Model``, built or not."""
    return Door(
        KIND, partial(_read, model), partial(_sample_nuts, model), "bambi_model.fit()",
        (_RESPONSE_PARAMS,), partial(_warn, model), partial(_finish, model),
    )  # fmt: skip


def _warn(model: Any, read: ReadModel) -> None:
    _warn_of_summed_slopes(model)
    _warn_of_few_levels(model)


def _read(model: Any) -> ReadModel:
    spec = read_bambi(model)
    family = spec.glmm.family
    return ReadModel(
        spec.glmm,
        spec.observations,
        GlmmReports(spec.glmm, spec.observations, spec.layout),
        KIND,
        partial(bambi_encoder, model, spec),
        attributes={
            "formula": str(model.formula.main), "family": family.name, "link": family.link,
        },
        mean_name=family.parent,
        make_predictors=partial(_predictors, model, spec),
    )  # fmt: skip


def _predictors(model: Any, spec: BambiSpec) -> Predictors:
    needed = list(bambi_encoder(model, spec).needed)
    data = rows_used(model)[needed]
    return Predictors(data, np.arange(len(data)))


def _finish(model: Any, tree: xr.DataTree, options: Sequence[str]) -> None:
    """Leave the model as ``bambi_model.fit()`` does."""
    _build(model)
    if _RESPONSE_PARAMS in options:
        model.predict(tree)


def _build(model: Any) -> None:
    if not model.built:
        model.build()


def _sample_nuts(
    model: Any, draws: int, random_seed: int | None, options: dict[str, Any]
) -> xr.DataTree:
    """``bambi_model.fit()``, from draws of an earlier fit where there is one."""
    _warn_of_summed_slopes(model)
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
    from pymc_vmrp.mcmc.warm_start import start_from, started_options

    sampler = str(options.pop("inference_method", "pymc")).lower()
    if sampler not in _NUTS_SAMPLERS:
        raise VmrpError(
            f"warm_start= is for NUTS, not for inference_method={sampler!r}: leave it out, or "
            f"choose one of {', '.join(_NUTS_SAMPLERS)}."
        )
    _build(model)
    start = start_from(model.backend.model, free_variables(model, earlier), random_seed)
    options = started_options(start, random_seed, {**options, "nuts_sampler": sampler})
    return _named_as_in_bambi(options)


def _warn_of_summed_slopes(model: Any) -> None:
    """Warn of terms that Bambi's own pm.Model does not compute as they are written.

    Where the expression of a group-specific term is a matrix of one column, as that of ``(x:z|g)``,
    Bambi 0.21 broadcasts n effects against an n × 1 matrix and sums over the wrong axis: each row
    meets the sum of all rows' effects. Its ``predict`` and its sparse products are as written.
    """
    from bambi.config import config

    if config["SPARSE_DOT"]:
        return
    names = [
        term.name
        for term in group_specific_terms(model)
        if np.shape(term.predictor)[1:] == (1,)
        and not any(dim.endswith("__expr_dim") for dim in term.coords)
    ]
    if names:
        warn(
            f"bambi_model.fit() multiplies each row of {names[0]!r} by the sum of all rows' "
            "effects, an error of Bambi 0.21 for one column of numbers. CAVI and Gibbs fit the "
            "term as it is written, as bambi_model.predict() has it; for NUTS on the same model "
            'set bambi.config["SPARSE_DOT"] = True before the model is built, or make the product '
            "a column of the data."
        )


def _warn_of_few_levels(model: Any) -> None:
    """Warn of group-specific terms with few levels under Bambi's default priors."""

    def example(name: str) -> str:
        sd = 'bmb.Prior("HalfNormal", sigma=s)'
        return f'priors={{{name!r}: bmb.Prior("Normal", mu=0, sigma={sd})}}'

    levels = {
        term.name: len(np.unique(term.group_index))
        for term in group_specific_terms(model)
        if term.prior.auto_scale
    }
    warn_of_few_levels(levels, example)
