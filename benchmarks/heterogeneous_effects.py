"""Alley's simulation: effects by 16 groups, by OLS with crossed interactions and by our model.

References
----------
Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import pymc_vmrp as vmrp
from benchmarks.crossed_ols import crossed_ols
from benchmarks.isolate import Row
from pymc_vmrp.errors import PriorWarning
from pymc_vmrp.interpret.estimate import effects

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]

SIZES = (1000, 2500, 5000)
SDS = (0.05, 0.25, 0.75)
MODIFIERS = {"a": 0.3, "b": 0.4, "c": 0.5, "d": 0.6}
TREATED = 0.5
MEAN_EFFECT = 0.5
NOISE = 0.25
CI_PROB = 0.9
DRAWS = 2000
FORMULA = "y ~ 1 + treat + (1 + treat | a*b*c*d)"
OLS, OURS = "OLS, fully crossed", "hierarchical"

_BY = list(MODIFIERS)
_SUBSETS = [s for size in range(1, 5) for s in combinations(range(4), size)]


@dataclass(frozen=True)
class Drawn:
    """A replication: two samples of the same people's population, and the effects in the groups.

    Attributes
    ----------
    data, new : DataFrame
        Of the same size; ``new`` is not fitted.
    effects : Series
        True effects, indexed by the sixteen groups.
    """

    data: pd.DataFrame
    new: pd.DataFrame
    effects: pd.Series


def draw(n: int, sd: float, seed: int) -> Drawn:
    """One replication: the effect is .5 plus one N(.5, sd) coefficient per subset of modifiers."""
    rng = np.random.default_rng([n, round(1000 * sd), seed])
    coefficients = rng.normal(MEAN_EFFECT, sd, len(_SUBSETS))

    def effect_of(modifiers: NDArray[np.int64]) -> FloatArray:
        terms = [modifiers[:, list(subset)].prod(axis=1) for subset in _SUBSETS]
        return MEAN_EFFECT + np.column_stack(terms) @ coefficients

    def sample() -> pd.DataFrame:
        modifiers = (rng.random((n, 4)) < list(MODIFIERS.values())).astype(np.int64)
        treat = (rng.random(n) < TREATED).astype(np.int64)
        y = effect_of(modifiers) * treat + rng.normal(0, NOISE, n)
        return pd.DataFrame(modifiers, columns=_BY).assign(treat=treat, y=y)

    groups = np.array(list(product((0, 1), repeat=4)))
    index = pd.MultiIndex.from_arrays(list(groups.T), names=_BY)
    return Drawn(sample(), sample(), pd.Series(effect_of(groups), index=index))


@dataclass
class _Sums:
    """What replications of one design and method came to."""

    errors: list[FloatArray] = field(default_factory=list)
    outcomes: list[float] = field(default_factory=list)
    covered: list[FloatArray] = field(default_factory=list)
    widths: list[FloatArray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, table: pd.DataFrame, drawn: Drawn, outcomes: float, seconds: float) -> None:
        """Take a table with ``mean``, ``low`` and ``high`` by group."""
        table, truth = table.reindex(drawn.effects.index), drawn.effects.to_numpy()
        self.errors.append(table["mean"].to_numpy() - truth)
        low, high = table["low"].to_numpy(), table["high"].to_numpy()
        inside = np.where(np.isnan(low), np.nan, (low <= truth) & (truth <= high))
        self.covered.append(inside)
        self.widths.append(high - low)
        self.outcomes.append(outcomes)
        self.seconds.append(seconds)

    def row(self) -> Row:
        errors = np.array(self.errors)
        return {
            "replications": len(errors),
            "bias": float(np.nanmean(errors)),
            "rmse_effects": float(np.sqrt(np.nanmean(errors**2))),
            "rmse_outcomes": float(np.sqrt(np.mean(np.square(self.outcomes)))),
            "coverage_90": float(np.nanmean(self.covered)),
            "width_90": float(np.nanmean(self.widths)),
            "no_estimate": int(np.isnan(errors).sum()),
            "cpu_seconds": float(np.median(self.seconds)),
        }


def simulation(
    replications: int,
    designs: Sequence[tuple[int, float]],
    inference_method: str = "cavi",
    show: Callable[[str], None] = print,
) -> Iterator[Row]:
    """Both methods on each design, a row for each.

    Replications run over all designs before the next one, and every one yields the rows so far,
    so that an interrupted run has all designs.
    """
    sums = {(n, sd, method): _Sums() for n, sd in designs for method in (OLS, OURS)}
    for seed in range(replications):
        for n, sd in designs:
            show(f"replication {seed + 1} of {replications}: n = {n}, sd = {sd}")
            drawn = draw(n, sd, seed)
            began = time.process_time()
            ols = crossed_ols(drawn.data, "y", "treat", _BY, CI_PROB)
            seconds = time.process_time() - began
            sums[n, sd, OLS].add(ols, drawn, _outcome_error(ols, drawn.new), seconds)
            began = time.process_time()
            model, idata, table = hierarchical(drawn.data, seed, inference_method)
            seconds = time.process_time() - began
            error = _outcome_error(cell_means(model, idata), drawn.new)
            sums[n, sd, OURS].add(table, drawn, error, seconds)
            inference = idata["fit"].attrs["hyperparameters"] if "fit" in idata else "draws"
            inference = f"{inference_method}, {inference}"
            for method, how in ((OLS, "classical"), (OURS, inference)):
                row = {"n": n, "sd": sd, "method": method, "inference": how}
                yield row | sums[n, sd, method].row()


def hierarchical(
    data: pd.DataFrame, seed: int, inference_method: str = "cavi"
) -> tuple[vmrp.Model, xr.DataTree, pd.DataFrame]:
    """Fit the model with default priors; its table of effects has ``mean``, ``low``, ``high``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PriorWarning)  # two levels a factor: that is the design
        model = vmrp.Model(FORMULA, data, family="gaussian")
    idata = model.fit(DRAWS, inference_method=inference_method, random_seed=seed, progressbar=False)
    found = effects(model, idata, "treat", by=_BY)
    return model, idata, with_limits(found.table(CI_PROB))


def with_limits(table: pd.DataFrame) -> pd.DataFrame:
    """The columns ``mean``, ``sd`` and the interval as ``low`` and ``high``."""
    limits = [name for name in table.columns if str(name).startswith("eti")]
    return pd.DataFrame(table)[["mean", "sd", *limits]].set_axis(
        ["mean", "sd", "low", "high"], axis=1
    )


def cell_means(model: vmrp.Model, idata: xr.DataTree) -> pd.DataFrame:
    """Posterior mean of each group's mean outcome under both values of the treatment."""
    cells = pd.DataFrame(list(product((0, 1), repeat=5)), columns=[*_BY, "treat"])
    predicted = model.predict(idata, data=cells, inplace=False, sample_new_groups=True,
                              random_seed=1, progressbar=False)  # fmt: skip
    mean = predicted["posterior"]["mu"].mean(("chain", "draw")).to_numpy()
    by_arm = cells.assign(mean=mean).set_index([*_BY, "treat"])["mean"]
    return pd.DataFrame({f"mean[{arm}]": by_arm.xs(arm, level="treat") for arm in (0, 1)})


def _outcome_error(table: pd.DataFrame, new: pd.DataFrame) -> float:
    """RMSE of outcomes that were not fitted, predicted by the mean of their group and arm."""
    means = table[["mean[0]", "mean[1]"]].reindex(pd.MultiIndex.from_frame(new[_BY])).to_numpy()
    predicted = means[np.arange(len(new)), new["treat"].to_numpy()]
    return float(np.sqrt(np.nanmean((new["y"].to_numpy() - predicted) ** 2)))
