"""Whether chains of MCMC agree and are long enough, and the warning where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.errors import SamplingWarning, warn

if TYPE_CHECKING:
    import xarray as xr

MOST_RHAT = 1.01
_LEAST_ESS = 400


def chain_diagnostics(tree: xr.DataTree) -> dict[str, float]:
    """Largest R̂ and smallest bulk ESS over all variables of a DataTree's posterior.

    R̂ is nan where there is one chain.

    References
    ----------
    Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021).
    Rank-normalization, folding, and localization: an improved R̂. Bayesian Analysis 16(2).
    """
    import arviz as az

    posterior = tree["posterior"].to_dataset()
    rhat = az.rhat(posterior) if posterior.sizes["chain"] > 1 else None
    ess = az.ess(posterior)
    return {
        "max_rhat": float("nan") if rhat is None else _extreme(rhat, np.nanmax),
        "min_ess": _extreme(ess, np.nanmin),
    }


def _extreme(dataset: Any, which: Any) -> float:
    return float(which([which(value.to_numpy()) for value in dataset.data_vars.values()]))


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
