"""Pareto-smoothed importance sampling from q to the posterior: k̂, and draws resampled by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.weights import effective_size, systematic_counts
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.results.idata import posterior_dataset, read_group

if TYPE_CHECKING:
    import xarray as xr


LARGEST_K = 0.7  # Vehtari et al. (2024); fewer than about 2,000 draws ask for less
_EQUAL = 1e-8  # range of log ratios that differ by rounding
_FEWEST_DRAWS = 100  # for a tail to be fitted to


def largest_k(draws: int) -> float:
    """Largest k̂ at which so many draws give reliable estimates: min(1 − 1/log₁₀S, 0.7)."""
    return min(1 - 1 / float(np.log10(draws)), LARGEST_K)


def log_ratios(idata: xr.DataTree) -> FloatArray:
    """Log p(y, θ) − log q(θ) of each draw, shape (draws,).

    Raises
    ------
    DataError
        Where the fit does not hold both densities, as those of CAVI do.
    """
    remedy = "importance weights need what model.fit(inference_method='cavi') returns."
    stats = read_group(idata, "sample_stats", remedy)
    if not {"lp", "log_q"} <= set(stats.data_vars):
        raise DataError(f"The fit has no densities lp and log_q in sample_stats: {remedy}")
    ratios = stats["lp"] - stats["log_q"]
    values = ratios.transpose("chain", "draw").to_numpy().ravel()
    if len(values) < _FEWEST_DRAWS:
        raise DataError(
            f"k-hat needs at least {_FEWEST_DRAWS} draws, and the fit has {len(values)}: raise "
            "draws= of model.fit."
        )
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise DataError(
            f"idata: lp or log_q is not finite in {bad:,} of {len(values):,} draws: leave those "
            "out, as in idata.sel(draw=...), or fit again."
        )
    return np.asarray(values)


def smoothed_weights(log_ratio: FloatArray) -> tuple[FloatArray, float]:
    """Pareto-smoothed weights, which sum to 1, and the k̂ of their tail.

    Where q is the posterior all ratios are equal, and k̂ is −∞.

    References
    ----------
    Vehtari, A., Simpson, D., Gelman, A., Yao, Y. and Gabry, J. (2024). Pareto smoothed importance
    sampling. Journal of Machine Learning Research 25(72).
    """
    from arviz_stats.base.array import array_stats

    if np.ptp(log_ratio) < _EQUAL:
        return np.full(len(log_ratio), 1 / len(log_ratio)), -np.inf
    log_weights, khat = array_stats.psislw(-log_ratio)  # ArviZ takes the log of 1/ratio, as in LOO
    weights = np.exp(log_weights - np.max(log_weights))
    return weights / weights.sum(), float(khat)


def joint_k(idata: xr.DataTree) -> dict[str, float]:
    """The attribute ``pareto_k`` of a fit; empty where there are too few draws for it."""
    if idata["sample_stats"].sizes["chain"] * idata["sample_stats"].sizes["draw"] < _FEWEST_DRAWS:
        return {}
    try:
        khat = smoothed_weights(log_ratios(idata))[1]
    except ValueError:  # ArviZ: of ratios that hardly differ there is no tail
        return {}
    return {"pareto_k": khat}


def estimand_k(log_ratio: FloatArray, values: FloatArray) -> FloatArray:
    """k̂ of the terms that estimate each estimand's mean, ratio × (value − mean).

    Parameters
    ----------
    log_ratio : ndarray, shape (draws,)
    values : ndarray, shape (draws, estimands)

    Returns
    -------
    ndarray, shape (estimands,)
        The larger of the two tails'; nan where an estimand does not vary.

    References
    ----------
    Vehtari et al. (2024), section 2.4.
    """
    from arviz_stats.base.array import array_stats

    ratio = np.exp(log_ratio - log_ratio.max())
    out = np.full(values.shape[1], np.nan)
    for i, value in enumerate(values.T):
        if np.ptp(value) > 0:
            terms = ratio * (value - value.mean())
            out[i] = array_stats.pareto_khat(terms[None], r_eff=1.0, tail="both")
    return out


def resample(
    idata: xr.DataTree, draws: int | None = None, *, random_seed: int | None = None
) -> xr.DataTree:
    """Correct a variational fit by importance resampling, where its k̂ allows.

    Draws are taken again with the Pareto-smoothed weights of log p − log q, so that means, sds and
    intervals move towards the posterior's. At k̂ above the limit a handful of draws would stand for
    the whole posterior, and nothing is returned.

    Parameters
    ----------
    idata : DataTree
        What ``model.fit()`` returned; with more draws (``draws=10_000``) more of them differ.
    draws : int, optional
        How many to return; by default the effective sample size of the weights.
    random_seed : int, optional

    Returns
    -------
    DataTree
        The posterior resampled, with the attributes ``pareto_k``, ``weights_ess`` and
        ``distinct_draws``. Groups that belong to q (``fit``, ``sample_stats``) are left out.

    Raises
    ------
    VmrpError
        Where k̂ is above min(1 − 1/log₁₀S, 0.7) for S draws.
    DataError
        Where the fit does not hold both densities.

    References
    ----------
    Vehtari et al. (2024); Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018). Yes, but did it
    work? Evaluating variational inference. ICML 35.
    """
    import xarray as xr

    if draws is not None:
        check_count("draws", draws)
    check_seed(random_seed)
    posterior = posterior_dataset(idata)
    log_ratio = log_ratios(idata)
    weights, khat = smoothed_weights(log_ratio)
    limit = largest_k(len(log_ratio))
    if not khat <= limit:
        raise VmrpError(
            f"k-hat of the importance weights is {khat:.2f}, above {limit:.2f}: resampling would "
            "return a handful of distinct draws, over and over. Fit with "
            "hyperparameters='integrated' or inference_method='nuts' or 'gibbs' instead."
        )
    size = effective_size(weights)
    if draws is None:
        draws = max(1, int(size))
    rng = np.random.default_rng(random_seed)
    chosen = np.repeat(np.arange(len(weights)), systematic_counts(rng, weights, draws))
    chosen = rng.permutation(chosen)
    flat = posterior.stack(__sample__=("chain", "draw"), create_index=False)
    taken = flat.isel(__sample__=chosen).drop_vars(["chain", "draw"], errors="ignore")
    taken = taken.expand_dims(chain=[0]).rename(__sample__="draw")
    taken = taken.assign_coords(draw=np.arange(draws)).transpose("chain", "draw", ...)
    groups = {"posterior": taken.assign_attrs(posterior.attrs)}
    for name in ("observed_data", "constant_data"):
        if name in idata.children:
            groups[name] = idata[name].to_dataset()
    tree = xr.DataTree.from_dict(groups)
    tree.attrs |= dict(idata.attrs) | {
        "pareto_k": khat,
        "weights_ess": size,
        "distinct_draws": len(np.unique(chosen)),
    }
    return tree
