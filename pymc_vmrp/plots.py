"""Pictures of estimates and of comparisons (matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import names_of
from pymc_vmrp.errors import DataError
from pymc_vmrp.results.idata import posterior_dataset
from pymc_vmrp.summaries.compare import compare
from pymc_vmrp.text import printable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

_MOST_ROWS = 60  # more rows than this are summarised by variable


def plot_compare(
    a: xr.DataTree,
    b: xr.DataTree,
    var_names: str | Sequence[str] | None = None,
    labels: tuple[str, str] = ("a", "b"),
) -> Figure:
    """Plot two posteriors side by side, their shift and their sd ratio.

    Parameters
    ----------
    a, b : DataTree
        As for :func:`compare`.
    var_names : str or sequence of str, optional
        Variables to compare; None means all that both have.
    labels : tuple of str
        What to call ``a`` and ``b`` in the picture.

    Returns
    -------
    Figure
        Three panels: posterior means with ±1.645 sd, shift in sds of ``b``, sd ratio. Up to 60
        elements have a row each; more are shown by variable, and the means as a scatter plot.
    """
    if names_of("labels", labels, "two names") is None or len(labels) != 2:
        raise DataError(f"labels must be two names, not {labels!r}.")
    return draw_comparison(compare(a, b, var_names), labels)


def draw_comparison(table: pd.DataFrame, labels: tuple[str, str]) -> Figure:
    """The picture of :func:`plot_compare`, for a table that :func:`compare` made."""
    from pymc_vmrp.figures import plain_text

    with plain_text():
        return _draw_comparison(table, (printable(labels[0]), printable(labels[1])))


def _draw_comparison(table: pd.DataFrame, labels: tuple[str, str]) -> Figure:
    from matplotlib.ticker import MaxNLocator

    from pymc_vmrp.figures import ShownFigure

    by_element = len(table) <= _MOST_ROWS
    rows = list(table.index) if by_element else list(dict.fromkeys(table["variable"]))
    position = {name: i for i, name in enumerate(rows)}
    y = np.array([position[k] for k in (table.index if by_element else table["variable"])])

    height = max(4.5, 0.18 * len(rows) + 1.5)
    figure = ShownFigure(figsize=(13, height), layout="constrained")
    means, shift, ratio = figure.subplots(1, 3)
    if by_element:
        _forest(means, table, y, labels)
        figure.legend(loc="outside upper left", ncols=2, fontsize=8)
        _name_rows(means, rows)
    else:
        _scatter_means(means, table, labels)
    shift.axvline(0, color="0.5", lw=1)
    shift.plot(table["shift"], y, "o", ms=4, alpha=0.6, color="C2")
    _at_least(shift, 0, 0.5)  # so that small differences look small
    shift.set_xlabel("shift of the mean, in sds of the second")
    ratio.axvline(1, color="0.5", lw=1)
    ratio.plot(table["sd_ratio"], y, "o", ms=4, alpha=0.6, color="C2")
    _at_least(ratio, 1, 0.3)
    ratio.set_xlabel("sd ratio, first to second")
    _name_rows(shift, [""] * len(rows) if by_element else rows)
    _name_rows(ratio, [""] * len(rows))
    figure.suptitle(f"{labels[0]} (first) and {labels[1]} (second)", fontsize=11)
    for axis in (means, shift, ratio):
        axis.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def _at_least(axis: Any, centre: float, reach: float) -> None:
    low, high = axis.get_xlim()
    axis.set_xlim(min(low, centre - reach), max(high, centre + reach))


def _name_rows(axis: Any, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), [printable(name) for name in names], fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="y", lw=0.3)


def _forest(axis: Any, table: pd.DataFrame, y: np.ndarray, labels: tuple[str, str]) -> None:
    for which, label, offset in (("a", labels[0], -0.15), ("b", labels[1], 0.15)):
        axis.errorbar(
            table[f"mean_{which}"],
            y + offset,
            xerr=1.645 * table[f"sd_{which}"],
            fmt="o",
            ms=3,
            lw=1,
            label=label,
        )
    axis.set_xlabel("mean ± 1.645 sd")


def _scatter_means(axis: Any, table: pd.DataFrame, labels: tuple[str, str]) -> None:
    low = min(table["mean_a"].min(), table["mean_b"].min())
    high = max(table["mean_a"].max(), table["mean_b"].max())
    axis.plot([low, high], [low, high], color="0.5", lw=1)
    axis.plot(table["mean_b"], table["mean_a"], "o", ms=4, alpha=0.6)
    axis.set_xlabel(f"posterior mean, {labels[1]}")
    axis.set_ylabel(f"posterior mean, {labels[0]}")


def plot_estimates(
    estimates: xr.DataTree, reference: pd.Series | None = None, reference_label: str = "truth"
) -> Figure:
    """Plot poststratified estimates with 50% and 90% intervals, sorted by their mean.

    Parameters
    ----------
    estimates : DataTree
        A result of :func:`poststratify` with one ``by`` column.
    reference : Series, optional
        Values to mark, such as the truth, indexed by the ``by`` column.
    reference_label : str

    Returns
    -------
    Figure
    """
    from pymc_vmrp.figures import plain_text

    with plain_text():
        return _draw_estimates(estimates, reference, reference_label)


def _draw_estimates(
    estimates: xr.DataTree, reference: pd.Series | None, reference_label: str
) -> Figure:
    from pymc_vmrp.figures import ShownFigure

    posterior = posterior_dataset(estimates, "estimates")
    if "estimate" not in posterior:
        raise DataError("estimates must be what poststratify() returned: it has no 'estimate'.")
    draws = posterior["estimate"]
    dims = [str(dim) for dim in draws.dims if dim not in ("chain", "draw")]
    if len(dims) != 1:
        raise DataError(f"plot_estimates needs estimates by one column, not by {dims or 'none'}.")
    by = dims[0]
    draws = draws.stack(sample=("chain", "draw")).transpose(by, "sample")
    mean = draws.mean("sample").to_numpy()
    order = np.argsort(mean)
    quantiles = np.quantile(draws.to_numpy(), [0.05, 0.25, 0.75, 0.95], axis=1)[:, order]
    names = draws[by].to_numpy()[order]
    y = np.arange(len(names))

    figure = ShownFigure(figsize=(7, max(3.0, 0.17 * len(names) + 1.2)), layout="constrained")
    axis = figure.subplots()
    axis.hlines(y, quantiles[0], quantiles[3], color="C0", lw=1)
    axis.hlines(y, quantiles[1], quantiles[2], color="C0", lw=3)
    axis.plot(mean[order], y, "o", color="C0", ms=4, label="estimate, 50% and 90% intervals")
    if reference is not None:
        axis.plot(
            reference.reindex(names), y, "x", color="C3", ms=5, label=printable(reference_label)
        )
    axis.set_yticks(y, [printable(name) for name in names], fontsize=7)
    axis.set_ylim(-0.8, len(names) - 0.2)
    axis.set_xlabel(
        "population share"
        if "formula" not in estimates.attrs
        else f"population mean of {printable(estimates.attrs['formula']).split('~')[0].strip()}"
    )
    axis.set_ylabel(printable(by))
    figure.legend(loc="outside upper center", ncols=2, fontsize=8)
    axis.grid(axis="y", lw=0.3)
    return figure
