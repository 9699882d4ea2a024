"""``fit_pymc``: a pm.Model in, a DataTree of draws out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymc_vmrp.approximation import approximate, complete_options
from pymc_vmrp.arguments import check_count

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr


def fit_pymc(
    model: pm.Model, *, draws: int = 1000, random_seed: int | None = None, **options: Any
) -> xr.DataTree:
    """Fit a pm.Model that is a hierarchical GLM, without a change to it.

    The model is written as a GLMM, whose log density is compared with PyMC's at random points
    before it is trusted, and fitted by variational inference.

    Parameters
    ----------
    model : pm.Model
        With one observed variable, of any distribution with one linear predictor: on some scale it
        is linear in variables with Gaussian priors. See docs/pymc.md for what is supported.
    draws : int
    random_seed : int, optional
    **options
        What :meth:`pymc_vmrp.Model.approximate` takes.

    Returns
    -------
    DataTree
        As ``pm.sample`` returns it, with one chain: every free variable and deterministic under its
        own name, dims and coordinates. ``sample_stats`` holds ``lp`` and ``log_q``, ``fit`` the
        ELBO.

    Raises
    ------
    ModelError
        Where the model is no such GLM; the message names the variable and the reason.

    Examples
    --------
    >>> with pm.Model() as model:  # doctest: +SKIP
    ...     sigma = pm.HalfNormal("sigma", 1)
    ...     u = pm.Normal("u", 0, sigma, shape=50)
    ...     pm.Bernoulli("y", logit_p=u[state], observed=y)
    >>> idata = fit_pymc(model, random_seed=1)  # doctest: +SKIP
    """
    from pymc_vmrp.frontends.pymc.recognise import recognise_model
    from pymc_vmrp.frontends.pymc.results import pymc_datatree

    check_count("draws", draws)
    if random_seed is not None:
        check_count("random_seed", random_seed, least=0)
    recognised = recognise_model(model)
    complete = complete_options(recognised.glmm, options)
    complete["progressbar"] = options.get("progressbar")
    posterior = approximate(recognised.glmm, **complete)
    return pymc_datatree(recognised, posterior, draws, random_seed)
