"""Posterior predictive checks by group; ArviZ draws those of all rows together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from pymc_vmrp.arguments import check_probability
from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.results.idata import read_group
from pymc_vmrp.summaries.summary import CI_PROB, describe

if TYPE_CHECKING:
    import xarray as xr


ROW_DIM = "__obs__"
_BLOCK = 2**22  # responses held at a time


def ppc_by_group(
    idata: xr.DataTree, by: pd.Series | AnyArray | list[Any], ci_prob: float = CI_PROB
) -> pd.DataFrame:
    """Compare the mean response of each group of rows with what the model replicates.

    Parameters
    ----------
    idata : DataTree
        A fit to which ``model.predict(idata, kind="response")`` added responses to its own data;
        also one of a Bambi model or, with ``pm.sample_posterior_predictive``, a pm.Model.
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
    check_probability("ci_prob", ci_prob)
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
) -> tuple[xr.DataArray, AnyArray, FloatArray, FloatArray]:
    """Observed responses, replicated ones of shape (draws, rows), trials and weights."""
    predictive = read_group(
        idata,
        "posterior_predictive",
        "draw responses to the model's own data first, by model.predict(idata, kind='response') "
        "(also of a Bambi model) or pm.sample_posterior_predictive(idata).",
    )
    observed_data = read_group(idata, "observed_data", "it must be a fit, as fit() returns it.")
    names = [str(name) for name in observed_data.data_vars]
    if len(names) != 1:
        raise DataError(f"idata: one observed variable is needed, and there are {names}.")
    (name,) = names
    observed = _on_rows(observed_data[name])
    if name not in predictive:
        raise DataError(
            f"idata: the responses that were drawn are {list(predictive.data_vars)}, not {name!r}."
        )
    replicated = _on_rows(predictive[name])
    rows = observed[ROW_DIM].to_numpy()
    if not np.array_equal(replicated[ROW_DIM].to_numpy(), rows):
        raise DataError(
            "The responses were predicted for other rows than the model's: run "
            "model.predict(idata, kind='response') without data=."
        )
    values = replicated.transpose("chain", "draw", ROW_DIM).to_numpy()
    for what, array in (("replicated", values), ("observed", observed.to_numpy())):
        bad = ~np.isfinite(array.astype(float)).reshape(-1, len(rows)).all(0)
        if bad.any():
            raise DataError(
                f"idata: {what} responses of {int(bad.sum()):,} rows are not finite, the first of "
                f"row {rows[bad][0]}: they have no mean. Correct the predictors of that row."
            )
    known = _trials_and_weights(idata, observed, len(rows))
    return observed, values.reshape(-1, len(rows)), known["trials"], known["weights"]


def _on_rows(values: xr.DataArray) -> xr.DataArray:
    """An observed or replicated response with its rows along ``__obs__``; PyMC names them freely.

    Successes and trials in one variable, as Bambi has them, keep their successes.
    """
    dims = [str(dim) for dim in values.dims if dim not in ("chain", "draw")]
    if len(dims) == 2 and values.sizes[dims[1]] == 2:
        values, dims = values.isel({dims[1]: 0}, drop=True), dims[:1]
    if len(dims) != 1:
        raise DataError(
            f"idata: the response has dimensions {tuple(dims)}; one is needed, of rows."
        )
    return values if dims == [ROW_DIM] else values.rename({dims[0]: ROW_DIM})


def _trials_and_weights(
    idata: xr.DataTree, observed: xr.DataArray, n: int
) -> dict[str, FloatArray]:
    """Trials and weights of each row, where the fit holds them; ones elsewhere."""
    held = idata["constant_data"].to_dataset() if "constant_data" in idata.children else {}
    known = {}
    for key in ("trials", "weights"):
        values = held[key].to_numpy() if key in held else np.ones(n)
        known[key] = values.astype(float) if values.shape == (n,) else np.ones(n)
    return known


def _groups(by: Any, observed: xr.DataArray) -> Any:
    """The group of each observed row."""
    rows = observed[ROW_DIM].to_numpy()
    if isinstance(by, pd.Series) and by.index.is_unique and set(rows.tolist()) <= set(by.index):
        return pd.Index(by.loc[rows])
    if np.ndim(by) != 1 or len(by) != len(rows):
        raise DataError(f"by= must hold one group for each of the {len(rows):,} rows of the data.")
    return pd.Index(by)
