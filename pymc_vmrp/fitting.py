"""`fit`: any model that is a hierarchical regression in, a DataTree out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymc_vmrp.arguments import MOST_DRAWS, check_count, check_flag
from pymc_vmrp.doors import door_of
from pymc_vmrp.inference.fit import fit_model, with_idata_kwargs
from pymc_vmrp.inference.method import Method
from pymc_vmrp.inference.methods import get_method
from pymc_vmrp.interrupts import finish, held
from pymc_vmrp.read_model import Door
from pymc_vmrp.results.diagnostics import chain_diagnostics, sampler_attributes

if TYPE_CHECKING:
    import xarray as xr


def fit(
    model: Any = None,
    *,
    method: str | Method = "cavi",
    draws: int = 1000,
    random_seed: int | None = None,
    **options: Any,
) -> xr.DataTree:
    """Fit a model as it is, in place of ``pm.sample()`` or its own ``fit()``.

    Parameters
    ----------
    model : pm.Model, bambi.Model or pymc_vmrp.Model, optional
        Inside of ``with pm_model:`` it may be left out. A Bambi model may be built or not; it is
        built afterwards, as ``bambi_model.fit()`` would leave it.
    method : {"cavi", "gibbs", "nuts", "advi", "fullrank_advi", "pathfinder"} or Method
        The inference methods of :meth:`pymc_vmrp.Model.fit`, for any model; but "nuts" is the
        model's own NUTS: ``pm.sample()`` or ``bambi_model.fit()``.
    draws : int
        Draws of the one chain of "cavi", or of each chain.
    random_seed : int, optional
    **options
        For "cavi" what :meth:`pymc_vmrp.Model.approximate` takes, for "gibbs" ``tune``,
        ``chains``, ``cores`` and ``thin``; ``progressbar``; ``log_likelihood`` and ``log_prior``
        (whether to add the log density of each row, and of each parameter, which
        ``az.psense_summary`` reads; of a pm.Model as ``pm.compute_log_prior`` does), which
        ``idata_kwargs`` may hold as in ``pm.sample``; for Bambi models
        ``include_response_params``. For "nuts" what ``pm.sample()`` or ``bambi_model.fit()``
        takes, and ``warm_start``, an earlier fit of the model: NUTS starts at its draws, with their
        variances as its mass matrix.

    Returns
    -------
    DataTree
        Variables, dims and coords of ``pm.sample()`` or of ``bambi_model.fit()``, so that
        ``pm.sample_posterior_predictive``, ``pm.compute_log_likelihood``, ``bambi_model.predict``
        and ``bambi.interpret`` take it. Besides, ``sample_stats`` has ``lp`` and ``log_q`` for
        ``arviz.loo_approximate_posterior``, and ``fit`` how the fit went. Attributes of NUTS are
        ``divergences``, ``max_rhat``, ``min_ess`` and ``n_steps``, as of
        :meth:`pymc_vmrp.Model.fit`.

    Raises
    ------
    ModelError
        Where a pm.Model is no hierarchical GLM; the message names the variable and the reason.
    FormulaError, PriorError
        Where a Bambi model has parts that are not supported; the message names them and the way
        out.
    VmrpError
        Where ``model`` is none of these models.

    Examples
    --------
    >>> with pm.Model() as model:
    ...     sigma = pm.HalfNormal("sigma", 1)
    ...     u = pm.Normal("u", 0, sigma, shape=50)
    ...     answers = pm.Bernoulli("y", logit_p=u[state], observed=y)
    ...     idata = vmrp.fit(random_seed=1)
    >>> bambi_model = bmb.Model("y ~ x + (1|g)", data, family="bernoulli")
    >>> idata = vmrp.fit(bambi_model, random_seed=1)
    """
    door = door_of(model, "fit()")
    chosen = get_method(method, "method")
    check_count("draws", draws, most=MOST_DRAWS)
    if chosen.name == "nuts" and door.own_nuts is not None:
        tree = door.own_nuts(draws, random_seed, dict(options))
        finish(lambda: _judge_nuts(tree, door))
        return tree
    given = with_idata_kwargs(options)
    of_door = {name: given.pop(name) for name in door.options if name in given}
    for name, value in of_door.items():
        check_flag(name, value)
    with held():
        read = door.read()
        door.warn(read)
        own = door.nuts_call
        hint = f" With method='nuts' it takes what {own} takes." if own else ""
        tree = fit_model(read, chosen, draws, random_seed, given, hint)
        door.finish(tree, [name for name, value in of_door.items() if value])
        return tree


def _judge_nuts(tree: xr.DataTree, door: Door) -> None:
    """Add attributes of chains, where the library's own sampler, which warns, made such."""
    import xarray as xr

    if not isinstance(tree, xr.DataTree) or "sample_stats" not in tree.children:
        return  # such as pm.sample(return_inferencedata=False)
    if "diverging" in tree["sample_stats"].data_vars:  # it was NUTS
        tree.attrs |= {**sampler_attributes(tree), **chain_diagnostics(tree, door.unknowns())}
        tree.attrs["inference_method"] = "nuts"
