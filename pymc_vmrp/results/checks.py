"""Posterior predictive checks by group; ArviZ draws those of all rows together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pymc_vmrp.errors import DataError
from pymc_vmrp.results.summary import CI_PROB, describe

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]

_BLOCK = 2**22  # responses held at a time


def ppc_by_group(
    idata: xr.DataTree, by: pd.Series | NDArray[Any] | list[Any], ci_prob: float = CI_PROB
) -> pd.DataFrame:
    """Compare the mean response of each group of rows with what the model replicates.

    Parameters
    ----------
    idata : DataTree
        A fit to which ``model.predict(idata, kind="response")`` added responses to its own data.
    by : Series, array or list, shape (rows,)
        Group of each row of the data, in the model or not: ``data["region"]``. A Series is matched
        by its index, everything else by position.
    ci_prob : float
        Probability of the central intervals.

    Returns
    -------
    DataFrame
        One row per group: ``rows``; the ``observed`` mean; ``mean``, ``sd`` and interval of the
        replicated means; and ``above``, the share of replications above the observed mean (ties
        count half), near 0 or 1 where the model does not fit. Successes are divided by trials, and
        rows count as often as their weights say.

    Raises
    ------
    DataError
        Where there are no responses to the model's own data, or ``by`` does not match them.

    References
    ----------
    Gelman, A., Meng, X.-L. and Stern, H. (1996). Posterior predictive assessment of model fitness
    via realized discrepancies. Statistica Sinica 6(4).
    """
    observed, replicated, trials, weights = _responses(idata)
    codes, levels = pd.factorize(_groups(by, observed), sort=True)
    if (codes < 0).any():
        raise DataError(f"by= has missing values in {int((codes < 0).sum())} rows.")
    n = len(codes)
    members = csr_array((weights, (codes, np.arange(n))), shape=(len(levels), n))
    size = members @ trials
    if (size == 0).any():
        empty = [str(level) for level in levels[size == 0]]
        raise DataError(f"by= has groups without trials or weight: {empty}.")
    total = np.zeros((len(levels), len(replicated)))
    step = max(1, _BLOCK // len(replicated))
    for low in range(0, n, step):
        part = slice(low, low + step)
        total += members[:, part] @ replicated[:, part].T.astype(float)
    means = (total / size[:, None]).T
    actual = members @ observed.to_numpy().astype(float) / size
    table = describe(means, ci_prob)
    table.insert(0, "rows", np.bincount(codes))
    table.insert(1, "observed", actual)
    table["above"] = (means > actual).mean(0) + 0.5 * (means == actual).mean(0)
    return table.set_axis(pd.Index(levels, name=getattr(by, "name", None)))


def _responses(
    idata: xr.DataTree,
) -> tuple[xr.DataArray, NDArray[Any], FloatArray, FloatArray]:
    """Observed responses, replicated ones of shape (draws, rows), trials and weights."""
    try:
        predictive = idata["posterior_predictive"].to_dataset()
        observed_data = idata["observed_data"].to_dataset()
        constant = idata["constant_data"].to_dataset()
    except KeyError as error:
        raise DataError(
            f"The fit has no group {error}: run model.predict(idata, kind='response') on what "
            "model.fit returned first."
        ) from None
    (name,) = observed_data.data_vars
    observed = observed_data[name]
    rows = observed["__obs__"].to_numpy()
    replicated = predictive.get(name)
    if replicated is None or not np.array_equal(replicated["__obs__"].to_numpy(), rows):
        raise DataError(
            "The responses were predicted for other rows than the model's: run "
            "model.predict(idata, kind='response') without data=."
        )
    values = replicated.transpose("chain", "draw", "__obs__").to_numpy()
    known = {
        key: constant[key].to_numpy().astype(float) if key in constant else np.ones(len(rows))
        for key in ("trials", "weights")
    }
    return observed, values.reshape(-1, len(rows)), known["trials"], known["weights"]


def _groups(by: Any, observed: xr.DataArray) -> Any:
    """The group of each observed row."""
    rows = observed["__obs__"].to_numpy()
    if isinstance(by, pd.Series) and by.index.is_unique and set(rows.tolist()) <= set(by.index):
        return pd.Index(by.loc[rows])
    if np.ndim(by) != 1 or len(by) != len(rows):
        raise DataError(f"by= must hold one group for each of the {len(rows):,} rows of the data.")
    return pd.Index(by)
