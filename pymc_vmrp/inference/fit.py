"""The road: a model that has been read, a method and its options in; a DataTree out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymc_vmrp.arguments import (
    MOST_DRAWS,
    check_count,
    check_flag,
    check_options,
    check_progressbar,
    check_seed,
)
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.inference.method import Method, Request
from pymc_vmrp.inference.methods import get_method
from pymc_vmrp.interrupts import finish, held
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.results.diagnostics import judge_chains
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior

if TYPE_CHECKING:
    import xarray as xr

_FITS = VariationalPosterior, MixturePosterior
_KEPT = ("log_likelihood", "log_prior")


def fit_model(
    model: ReadModel,
    method: str | Method,
    draws: int,
    random_seed: int | None,
    options: Mapping[str, Any],
    hint: str = "",
) -> xr.DataTree:
    """Fit a model that has been read.

    Parameters
    ----------
    model : ReadModel
    method : str or Method
    draws : int
        Of each chain.
    random_seed : int or None
    options : mapping
        ``progressbar``, ``log_likelihood``, ``log_prior`` (also in ``idata_kwargs``), and those of
        the method; None stands for a default.
    hint : str
        What the error of an unknown option adds.

    Raises
    ------
    VmrpError
        Where there is no such method or option, or an option is none that it may be.
    """
    chosen = get_method(method)
    check_count("draws", draws, most=MOST_DRAWS)
    check_seed(random_seed)
    given = with_idata_kwargs(options)
    progressbar = given.pop("progressbar", None)
    check_progressbar(progressbar)
    kept = {name: given.pop(name, False) for name in _KEPT}
    for name, value in kept.items():
        check_flag(name, value)
    earlier: Any = given.get("warm_start")
    if earlier is not None and not isinstance(earlier, _FITS) and "warm_start" in chosen.arguments:
        given["warm_start"] = model.reports.draws(earlier, "warm_start").flat()
    taken = chosen.take(given, hint)
    chains = getattr(taken, "chains", None) or 1
    model.reports.check_memory(draws * chains, kept["log_likelihood"])
    request = Request(draws, random_seed, progressbar)
    with held():
        sampled = chosen.sample(model.glmm, request, taken)
        tree: xr.DataTree = finish(
            lambda: model.reports.datatree(sampled, progressbar=progressbar, **kept)
        )
        tree.attrs.update(sampled.attributes)
        if sampled.sampler is not None:
            sampler = sampled.sampler
            finish(lambda: judge_chains(tree, sampler, sampled.attributes))
    tree.attrs |= {**model.attributes, "inference_method": chosen.name}
    return tree


def with_idata_kwargs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with those in ``idata_kwargs``, where PyMC has them, beside the others.

    Raises
    ------
    VmrpError
        Where ``idata_kwargs`` has others than the groups that can be added here.
    """
    given = dict(options)
    within = given.pop("idata_kwargs", None)
    check_options("idata_kwargs", within or {})
    unknown = sorted(set(within or {}) - set(_KEPT))
    if unknown:
        raise VmrpError(
            f"idata_kwargs has {unknown[0]!r}, which only the sampler of the model's own library "
            f"takes (method='nuts' of vmrp.fit); here it takes {', '.join(_KEPT)}."
        )
    return {**(within or {}), **given}
