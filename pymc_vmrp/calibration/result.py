"""Calibration: ranks of simulated truths, and what they say of an inference method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_count
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.calibration.simulation import CONVERGED, FAILED, LP, Simulated
from pymc_vmrp.calibration.uniformity import (
    chi_square,
    direction,
    holm,
    ks_symmetric,
    ks_uniform,
)
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.variables import coords, posterior_dims
from pymc_vmrp.results.idata import build_tree

if TYPE_CHECKING:
    import xarray as xr


SIMULATION = "simulation"
_MOST_BINS = 20
_LEAST_EXPECTED = 5  # per bin, for the χ² distribution to hold
_LEVEL = 0.05  # of the adjusted p-value, below which a direction is given


@dataclass(frozen=True)
class Calibration:
    """Ranks of true values among posterior draws, over simulated data sets.

    Attributes
    ----------
    method : {"sbc", "vsbc"}
        What :meth:`table` tests: uniform ranks, or symmetric ones.
    pit : Dataset
        (rank + U)/(L + 1) of the true value of every element of every variable of the posterior,
        and of the log joint density ``lp``; dimension ``simulation`` first. U is uniform, so that a
        right method gives uniform values. Failed simulations are not in it.
    draws : int
        L: how many draws each true value was ranked among.
    simulations : DataFrame
        One row per simulation that was run: ``status`` ("converged", "not converged": ranked all
        the same, or "failed": without ranks), ``message`` and ``seconds`` of the fit.
    requested : int
        How many simulations were asked for.
    """

    method: str
    pit: xr.Dataset
    draws: int
    simulations: pd.DataFrame
    requested: int

    @property
    def ranks(self) -> xr.Dataset:
        """Rank of each true value, from 0 (below all draws) to L."""
        return (self.pit * (self.draws + 1)).astype(np.int64)

    @property
    def failed(self) -> list[int]:
        """Numbers of the simulations without ranks."""
        return self.simulations.index[self.simulations["status"] == FAILED].tolist()

    @property
    def not_converged(self) -> list[int]:
        """Numbers of the simulations whose fit gave a warning of convergence."""
        odd = ~self.simulations["status"].isin([FAILED, CONVERGED])
        return self.simulations.index[odd].tolist()

    def table(self, bins: int | None = None) -> pd.DataFrame:
        """Test each element.

        Parameters
        ----------
        bins : int, optional
            Bins of the ranks, for the χ² test of "sbc"; by default 20, or fewer where that would
            expect less than five ranks in each.

        Returns
        -------
        DataFrame
            One row per element, sorted by p-value: ``variable``, ``element``; for "sbc" ``chi2``
            (statistic of equal counts in the bins), ``p`` (of the χ² test), ``p_holm`` (adjusted
            for the number of elements, Holm 1979) and ``p_ks`` (Kolmogorov's test of uniformity);
            for "vsbc" ``ks`` (distance between the distributions of p and 1 − p), ``p``
            (exact if p is symmetric) and ``p_holm``; ``mean_deviation``: mean of rank/(L + 1)
            less ½, negative where draws lie above the truth; ``implies``: "too narrow", "too wide"
            or "shifted" posterior where ``p_holm`` is below 0.05 (of "vsbc" "shifted" alone), else
            empty.
        """
        n = self.pit.sizes[SIMULATION]
        if bins is None:
            bins = max(2, min(_MOST_BINS, n // _LEAST_EXPECTED))
        check_count("bins", bins, least=2)
        rows = [
            {"variable": variable, "element": element, **self._tests(values, bins)}
            for variable, element, values in _elements(self.pit)
        ]
        out = pd.DataFrame(rows)
        out["p_holm"] = holm(out["p"].to_numpy())
        out["implies"] = np.where(out["p_holm"] < _LEVEL, out["implies"], "")
        order = ["variable", "element", "chi2", "ks", "p", "p_holm", "p_ks", "mean_deviation"]
        kept = [name for name in [*order, "implies"] if name in out]
        return out[kept].sort_values("p", kind="stable", ignore_index=True)

    def _tests(self, values: FloatArray, bins: int) -> dict[str, Any]:
        deviation = {"mean_deviation": float(values.mean() - 0.5)}
        if self.method == "vsbc":
            distance, p = ks_symmetric(values)
            return {"ks": distance, "p": p, **deviation, "implies": "shifted"}
        statistic, p = chi_square(values, bins)
        return {
            "chi2": statistic,
            "p": p,
            "p_ks": ks_uniform(values),
            **deviation,
            "implies": direction(values),
        }

    def to_datatree(self) -> xr.DataTree:
        """The values as a DataTree with group ``prior_sbc``, as ArviZ's plots read them."""
        chained = self.pit.rename({SIMULATION: "draw"}).expand_dims("chain")
        return build_tree({"prior_sbc": chained.assign_coords(chain=[0])})

    def plot(self, var_names: str | list[str] | None = None, **kwargs: Any) -> Any:
        """Distribution of the ranks less the uniform one, by ArviZ.

        Parameters
        ----------
        var_names : str or list of str, optional
            Variables to show.
        **kwargs
            Passed on to ``arviz.plot_ecdf_pit``.
        """
        import arviz as az

        return az.plot_ecdf_pit(self.to_datatree(), var_names=var_names, **kwargs)

    def __repr__(self) -> str:
        return (
            f"Calibration({self.method}, {len(self.simulations)} simulations of {self.requested}: "
            f"{len(self.failed)} failed, {len(self.not_converged)} not converged; "
            f"{self.draws} draws)"
        )


def collect(
    glmm: GLMM, method: str, draws: int, requested: int, done: dict[int, Simulated]
) -> Calibration:
    """Lay out what the simulations came to.

    Raises
    ------
    VmrpError
        Where all of them failed.
    """
    import xarray as xr

    numbers = sorted(done)
    simulations = pd.DataFrame(
        {
            "status": [done[i].status for i in numbers],
            "message": [done[i].message for i in numbers],
            "seconds": [done[i].seconds for i in numbers],
        },
        index=pd.Index(numbers, name=SIMULATION),
    )
    ranked = [i for i in numbers if done[i].pit]
    if not ranked:
        first = f" The first says: {done[numbers[0]].message}" if numbers else ""
        raise VmrpError(f"None of the {len(numbers)} simulations gave draws.{first}")
    dims = {**posterior_dims(glmm), LP: ()}
    pit = xr.Dataset(
        {
            name: ((SIMULATION, *dims[name]), np.stack([done[i].pit[name] for i in ranked]))
            for name in done[ranked[0]].pit
        },
        coords={SIMULATION: ranked, **coords(glmm)},
    )
    return Calibration(method, pit, draws, simulations, requested)


def _elements(dataset: xr.Dataset) -> list[tuple[str, str, FloatArray]]:
    """(variable, element, values over simulations) of every number."""
    out = []
    for name, variable in dataset.data_vars.items():
        values = variable.to_numpy()
        labels = [variable[dim].to_numpy() for dim in variable.dims[1:]]
        for index in np.ndindex(*values.shape[1:]):
            element = ", ".join(str(label[i]) for label, i in zip(labels, index, strict=True))
            out.append((str(name), element, values[(slice(None), *index)]))
    return out
