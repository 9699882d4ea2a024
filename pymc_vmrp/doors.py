"""`fit`: any model that is a hierarchical regression in, a DataTree out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.model import Model

if TYPE_CHECKING:
    import xarray as xr


def fit(
    model: Any = None,
    *,
    method: str = "cavi",
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
    method : {"cavi", "gibbs", "nuts"}
        "cavi" is coordinate ascent, as in :meth:`pymc_vmrp.Model.approximate`; "gibbs" the sampler
        of :meth:`pymc_vmrp.Model.fit`; "nuts" is the model's own NUTS: ``pm.sample()`` or
        ``bambi_model.fit()``. A :class:`pymc_vmrp.Model` takes any of its ``inference_method``.
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
        ``arviz.loo_approximate_posterior``, and ``fit`` how the fit went.

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
    from pymc_vmrp.frontends.bambi.read import is_bambi_model
    from pymc_vmrp.interrupts import held

    if model is None:
        model = _model_of_context()
    if isinstance(model, Model):
        return model.fit(draws, inference_method=method, random_seed=random_seed, **options)
    if is_bambi_model(model):
        from pymc_vmrp.bambi_models import fit_bambi

        with held():
            return fit_bambi(model, method, draws, random_seed, options)
    if _is_pymc_model(model):
        from pymc_vmrp.pymc_models import fit_pymc

        with held():
            return fit_pymc(model, method, draws, random_seed, options)
    raise VmrpError(
        "fit() takes a pm.Model, a bambi.Model or a pymc_vmrp.Model, not " + _described(model) + "."
    )


def _model_of_context() -> Any:
    """The pm.Model of the ``with`` block around the call."""
    pymc = sys.modules.get("pymc")  # who is inside a model has imported it
    model = None if pymc is None else pymc.Model.get_context(error_if_none=False)
    if model is None:
        raise VmrpError(
            "fit() needs a model: pass a pm.Model, a bambi.Model or a pymc_vmrp.Model as its first "
            "argument, or call it inside of `with model:`."
        )
    return model


def _is_pymc_model(model: object) -> bool:
    pymc = sys.modules.get("pymc")
    return pymc is not None and isinstance(model, pymc.Model)


def _described(model: object) -> str:
    cls = type(model)
    return f"a {cls.__module__.split('.')[0]}.{cls.__qualname__}"
