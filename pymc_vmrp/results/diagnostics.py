"""Whether chains of MCMC agree and are long enough, and the warning where they do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.errors import SamplingWarning, warn

if TYPE_CHECKING:
    import xarray as xr

MOST_RHAT = 1.01
_LEAST_ESS = 400


def judge_chains(tree: xr.DataTree, sampler: str, attributes: Mapping[str, Any]) -> None:
    """Add what chains say of themselves to the attributes of their DataTree, and warn.

    Parameters
    ----------
    tree : DataTree
    sampler : str
        What the warning calls the sampler.
    attributes : mapping
        What the sampler says, such as its ``divergences``.
    """
    diagnostics = {**attributes, **chain_diagnostics(tree)}
    tree.attrs |= diagnostics
    warn_of_diagnostics(sampler, diagnostics)


def sampler_attributes(tree: xr.DataTree) -> dict[str, int | float]:
    """``divergences``, ``n_steps`` and ``sampling_seconds``, as far as NUTS told them."""
    found: dict[str, int | float] = {}
    stats = tree["sample_stats"].to_dataset()
    # leapfrog steps of all draws, tuning left out: each is a gradient
    for attribute, variable in {"divergences": "diverging", "n_steps": "n_steps"}.items():
        if variable in stats:
            found[attribute] = int(stats[variable].sum())
    seconds = tree["posterior"].attrs.get("sampling_time")
    return found if seconds is None else found | {"sampling_seconds": float(seconds)}


def chain_diagnostics(tree: xr.DataTree, names: Collection[str] | None = None) -> dict[str, float]:
    """Largest R̂ and smallest bulk ESS over variables of a DataTree's posterior.

    R̂ is nan where there is one chain.

    Parameters
    ----------
    tree : DataTree
    names : collection of str, optional
        Of the variables, as far as there are such; None is all.

    References
    ----------
    Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021).
    Rank-normalization, folding, and localization: an improved R̂. Bayesian Analysis 16(2).
    """
    import arviz as az

    posterior = tree["posterior"].to_dataset()
    if names is not None:  # a deterministic of the size of the data would take minutes
        posterior = posterior[[name for name in posterior.data_vars if name in names]]
    if not posterior.data_vars:
        return {"max_rhat": float("nan"), "min_ess": float("nan")}
    rhat = az.rhat(posterior) if posterior.sizes["chain"] > 1 else None
    ess = az.ess(posterior)
    return {
        "max_rhat": float("nan") if rhat is None else _extreme(rhat, np.fmax),
        "min_ess": _extreme(ess, np.fmin),
    }


def _extreme(dataset: Any, which: Any) -> float:
    """Of all elements but those that are nan, as of a constant."""
    values = [np.ravel(value.to_numpy()) for value in dataset.data_vars.values()]
    return float(which.reduce(np.concatenate(values), initial=np.nan))


def warn_of_diagnostics(method: str, attrs: Mapping[str, Any]) -> None:
    """Vehtari et al. (2021): R̂ below 1.01, bulk ESS above 400; and no divergences.

    Parameters
    ----------
    method : str
        What the warning calls the sampler.
    attrs : mapping
        ``max_rhat``, ``min_ess``, and ``divergences`` where the sampler has them.
    """
    problems = []
    if attrs.get("divergences"):
        problems.append(f"{attrs['divergences']} divergences: raise target_accept, say to 0.99")
    if attrs["max_rhat"] > MOST_RHAT:
        problems.append(f"R-hat up to {attrs['max_rhat']:.3f}: raise tune and draws")
    if attrs["min_ess"] < _LEAST_ESS:
        problems.append(f"effective sample size down to {attrs['min_ess']:.0f}: raise draws")
    if problems:
        warn(f"{method}: {'; '.join(problems)}.", SamplingWarning)
