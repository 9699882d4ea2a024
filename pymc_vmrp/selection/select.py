"""Fit many models, rank them by how well they predict, and refit the best by NUTS."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import ArrayLike

from pymc_vmrp.arguments import (
    MOST_CORES,
    check_choice,
    check_count,
    check_flag,
    check_options,
    check_progressbar,
    check_seed,
)
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import ConvergenceWarning, VmrpError
from pymc_vmrp.glmm.responses import one_row_each
from pymc_vmrp.glmm.spec import Observations
from pymc_vmrp.inference.fit import fit_model
from pymc_vmrp.inference.method import Method
from pymc_vmrp.inference.methods import get_method
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.results.diagnostics import MOST_RHAT
from pymc_vmrp.selection.criteria import Request, Units, score, units_of
from pymc_vmrp.selection.result import Scored, Selection, rank
from pymc_vmrp.selection.same_rows import check_same_rows

if TYPE_CHECKING:
    import xarray as xr


CRITERIA = ("loo", "kfold", "elbo")
REFITS = ("nuts",)
_QUICK = {"hyperparameters": "mean_field"}  # many fits, all of one form of q


def select(
    models: Mapping[str, Any] | Sequence[Any],
    criterion: str = "loo",
    refit: str | None = None,
    *,
    folds: int = 10,
    group: str | ArrayLike | None = None,
    correction: bool = False,
    draws: int = 1000,
    inference_method: str | Method = "cavi",
    fit_options: Mapping[str, Any] | None = None,
    refit_options: Mapping[str, Any] | None = None,
    random_seed: int | None = None,
    cores: int = 1,
    progressbar: bool | None = None,
) -> Selection:
    """Fit models of the same responses, rank them, and refit the best by NUTS if asked.

    Parameters
    ----------
    models : mapping of str to models, or sequence of them
        Each a pymc_vmrp.Model, bambi.Model or pm.Model. In a sequence each is called by its
        formula. Whole-number weights count as repeated rows.
    criterion : {"loo", "kfold", "elbo"}
        "loo": expected log predictive density of each row, given the others, by importance
        sampling of one fit (PSIS-LOO). "kfold": the same given the rows of the other folds, by
        ``folds`` fits. "elbo": the lower bound on the log evidence log p(y), which depends on the
        priors; compares fits of the same form of q alone, and has no standard error.
    refit : {"nuts"}, optional
        How to refit the best model.
    folds : int
        Of "kfold"; as many as there are rows is exact leave-one-out. Each has its share of every
        response.
    group : str or array-like of shape (rows,), optional
        Of "kfold": leave out whole levels of this grouping factor of one of the models (or of
        these labels); effects of levels that no other fold has are drawn from N(0, Σ). Pointwise
        values, and so standard errors, are then those of levels. By default rows are left out at
        random.
    correction : bool
        Of "loo": correct draws of q by importance weights p(θ, y)/q(θ). These are not to be
        trusted with mean-field hyperparameters, and change little with integrated ones.
    draws : int
        From each fit.
    inference_method : str or Method
        As in :meth:`pymc_vmrp.Model.fit`; "elbo" and ``correction`` need "cavi".
    fit_options : mapping, optional
        Options of the method; of "cavi" those of :meth:`pymc_vmrp.Model.approximate`, where
        ``hyperparameters`` is "mean_field" here unless they say otherwise.
    refit_options : mapping, optional
        What :meth:`pymc_vmrp.Model.fit` takes for ``inference_method="nuts"``. The chains start
        from the model's fit unless ``warm_start`` says otherwise (None: cold chains).
    random_seed : int, optional
    cores : int
        Processes that the fits of "kfold" are shared out to. With more than one, a script must
        guard its top level by ``if __name__ == "__main__":``.
    progressbar : bool, optional
        None shows a bar once the work has taken two seconds.

    Returns
    -------
    Selection
        Ctrl-C ends the work with the models that are complete.

    Raises
    ------
    DataError
        Where models are not of the same rows and responses (it says what differs), or weights are
        fractional.
    VmrpError
        Where an argument is not valid.

    References
    ----------
    Vehtari, A., Gelman, A. and Gabry, J. (2017). Practical Bayesian model evaluation using
    leave-one-out cross-validation and WAIC. Statistics and Computing 27.
    Magnusson, M., Andersen, M. R., Jonasson, J. and Vehtari, A. (2019). Bayesian leave-one-out
    cross-validation for large data. ICML.
    Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024). Pareto smoothed importance
    sampling. JMLR 25.

    Examples
    --------
    >>> chosen = vmrp.select({"main": main, "deep": deep})
    >>> best = chosen.fits[chosen.best]
    """
    named = _named(models)
    check_choice("criterion", criterion, CRITERIA)
    if refit is not None:
        check_choice("refit", refit, REFITS)
    check_count("folds", folds, least=2)
    check_count("draws", draws, least=2)
    check_count("cores", cores, most=MOST_CORES)
    check_seed(random_seed)
    check_flag("correction", correction)
    check_progressbar(progressbar)
    for name, given in (("fit_options", fit_options), ("refit_options", refit_options)):
        if given is not None:
            check_options(name, given)
    if group is not None and criterion != "kfold":
        raise VmrpError("group= is for criterion='kfold'.")
    check_same_rows(named)
    chosen_method = get_method(inference_method)
    options = dict(fit_options or {})
    if chosen_method.name == "cavi":
        options = {**_QUICK, **options}
    elif criterion == "elbo" or correction:
        raise VmrpError("criterion='elbo' and correction=True need inference_method='cavi'.")
    taken = chosen_method.take({k: v for k, v in options.items() if k != "progressbar"})
    for model in named.values():
        chosen_method.check(model.glmm, taken)
    request = Request(
        criterion, chosen_method, options, draws, correction, random_seed, cores, progressbar
    )
    observations = one_row_each(next(iter(named.values())).observations)
    units = None
    if criterion == "kfold":
        units = units_of(named, observations, folds, group, random_seed)

    fits: dict[str, xr.DataTree] = {}
    scored: dict[str, Scored] = {}
    timings: list[dict[str, Any]] = []
    try:
        for name, model in named.items():
            began = time.perf_counter()
            tree = _fit(model, request)
            one = score(name, model, tree, request, units)
            fits[name], scored[name] = tree, one
            seconds = time.perf_counter() - began
            timings.append({"converged": _converged(tree), "seconds": seconds})
    except KeyboardInterrupt:
        if not scored:
            raise
        _warn(f"interrupted: only {', '.join(map(repr, scored))} of {len(named)} models are ranked")
        refit = None
    table, pointwise = rank(criterion, scored, timings)
    chosen = Selection(criterion, table, _labelled(pointwise, observations, units), fits)
    if refit is None:
        return chosen
    best = chosen.best
    return replace(chosen, refit=_refit(named[best], fits[best], refit_options, random_seed))


def _named(models: Mapping[str, Any] | Sequence[Any]) -> dict[str, ReadModel]:
    if isinstance(models, Mapping):
        for name in models:
            if not isinstance(name, str):
                raise VmrpError(f"models must map names to models, and {name!r} is no text.")
        named = {name: read_model(model, "select()") for name, model in models.items()}
    elif isinstance(models, Sequence) and not isinstance(models, str):
        read = [read_model(model, "select()") for model in models]
        named = {one.attributes.get("formula", f"model {i}"): one for i, one in enumerate(read)}
        if len(named) < len(models):
            raise VmrpError("Two of the models have the same formula: pass a dict with names.")
    else:
        raise VmrpError(f"models must be a dict or a list of models, not {models!r}.")
    if not named:
        raise VmrpError("select() needs at least one model.")
    return named


def _fit(model: ReadModel, request: Request) -> xr.DataTree:
    options = {"progressbar": request.progressbar, **request.options}
    tree = fit_model(model, request.method, request.draws, request.random_seed, options)
    if "fit" in tree.children and tree["fit"].attrs["stopped"] == "interrupted":
        raise KeyboardInterrupt  # the engine keeps Ctrl-C to itself
    return tree


def _converged(tree: xr.DataTree) -> bool:
    if "fit" in tree.children:
        return bool(tree["fit"].attrs["converged"])
    return bool(tree.attrs.get("max_rhat", 1.0) <= MOST_RHAT)


def _labelled(
    pointwise: pd.DataFrame | None, observations: Observations, units: Units | None
) -> pd.DataFrame | None:
    if pointwise is None or (units is not None and units.group is not None):
        return pointwise
    return pointwise.set_index(pd.Index(observations.index))


def _refit(
    model: ReadModel, fit: xr.DataTree, options: Mapping[str, Any] | None, random_seed: int | None
) -> xr.DataTree:
    """NUTS that starts from the fit, unless the options have a start of their own."""
    own = dict(options or {})
    given = {**({} if {"initvals", "step"} & set(own) else {"warm_start": fit}), **own}
    seed, draws = given.pop("random_seed", random_seed), given.pop("draws", 1000)
    return fit_model(model, "nuts", draws, seed, given)


def _warn(message: str) -> None:
    warnings.warn(f"select: {message}.", ConvergenceWarning, stacklevel=3)
