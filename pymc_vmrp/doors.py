"""`fit`: any model that is a hierarchical regression in, a DataTree out."""

from __future__ import annotations

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
    """Fit a model as it is, in place of its own ``fit()``.

    Parameters
    ----------
    model : bambi.Model or pymc_vmrp.Model
        A Bambi model may be built or not; it is built afterwards, as ``bambi_model.fit()`` would
        leave it.
    method : {"cavi", "gibbs", "nuts"}
        "cavi" is coordinate ascent, as in :meth:`pymc_vmrp.Model.approximate`; "gibbs" the sampler
        of :meth:`pymc_vmrp.Model.fit`; "nuts" is the model's own NUTS: ``bambi_model.fit()``. A
        :class:`pymc_vmrp.Model` takes any of its ``inference_method``.
    draws : int
        Draws of the one chain of "cavi", or of each chain.
    random_seed : int, optional
    **options
        For "cavi" what :meth:`pymc_vmrp.Model.approximate` takes, for "gibbs" ``tune``,
        ``chains``, ``cores`` and ``thin``; ``progressbar``; ``log_likelihood`` (whether to add
        that of each row); ``include_response_params`` as in Bambi. For "nuts" what
        ``bambi_model.fit()`` takes.

    Returns
    -------
    DataTree
        For a Bambi model: variables, dims and coords of ``bambi_model.fit()``, the un-centred
        intercept included, so that ``predict``, ``compute_log_likelihood`` and
        ``bambi.interpret`` take it. Besides, ``sample_stats`` has ``lp`` and ``log_q`` for
        ``arviz.loo_approximate_posterior``, and ``fit`` how the fit went.

    Raises
    ------
    FormulaError, PriorError
        Where the model has parts that are not supported; the message names them and the way out.
    VmrpError
        Where ``model`` is none of these models.

    Examples
    --------
    >>> model = bmb.Model("y ~ x + (1|g)", data, family="bernoulli")  # doctest: +SKIP
    >>> idata = vmrp.fit(model, random_seed=1)  # doctest: +SKIP
    >>> model.predict(idata, kind="response")  # doctest: +SKIP
    """
    from pymc_vmrp.frontends.bambi import is_bambi_model

    if isinstance(model, Model):
        return model.fit(draws, inference_method=method, random_seed=random_seed, **options)
    if is_bambi_model(model):
        from pymc_vmrp.bambi_models import fit_bambi

        return fit_bambi(model, method, draws, random_seed, options)
    # --- the door of plain PyMC models goes here: `model` is a pm.Model, or None inside `with` ---
    if model is None:
        raise VmrpError(
            "fit() needs a model: pass a bambi.Model or a pymc_vmrp.Model as its first argument."
        )
    raise VmrpError(
        f"fit() takes a bambi.Model or a pymc_vmrp.Model, not {_described(model)}. For plain "
        "PyMC models use pm.sample(), or write the model as a formula."
    )


def _described(model: object) -> str:
    cls = type(model)
    return f"a {cls.__module__.split('.')[0]}.{cls.__qualname__}"
