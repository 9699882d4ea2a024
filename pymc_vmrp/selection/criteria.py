"""What models are ranked by: the criterion of one model, and the rows that it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from pymc_vmrp.arrays import FloatArray, IndexArray, IntArray
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.glmm.prior_draws import improper_terms
from pymc_vmrp.glmm.responses import one_row_each
from pymc_vmrp.glmm.spec import Observations
from pymc_vmrp.inference.method import Drawing, Method
from pymc_vmrp.progress import row_progress
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.selection.folds import grouped_folds, stratified_folds
from pymc_vmrp.selection.kfold import kfold
from pymc_vmrp.selection.loo import loo
from pymc_vmrp.selection.pointwise import distinct_rows
from pymc_vmrp.selection.result import Scored

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Request:
    """What every model is scored by."""

    criterion: str
    method: Method
    options: Mapping[str, Any]
    draws: int
    correction: bool
    random_seed: int | None
    cores: int
    progressbar: bool | None


@dataclass(frozen=True)
class Units:
    """Rows as cross-validation leaves them out.

    Attributes
    ----------
    fold : ndarray, shape (rows,)
    group : ndarray, shape (rows,), or None
        What is left out together, whose sums are the pointwise values; None: single rows.
    """

    fold: IntArray
    group: IndexArray | None

    def sums(self, values: FloatArray) -> FloatArray:
        """Values of what is left out together, summed."""
        return values if self.group is None else np.bincount(self.group, values)


def score(
    name: str, model: ReadModel, tree: xr.DataTree, request: Request, units: Units | None
) -> Scored:
    """The criterion of one model, from its fit to all rows and, for "kfold", others."""
    if request.criterion == "elbo":
        return _elbo(model, tree)
    observations = one_row_each(model.observations)
    if units is not None:
        return _kfold(name, model, observations, request, units)
    return _loo(name, model, observations, tree, request)


def _elbo(model: ReadModel, tree: xr.DataTree) -> Scored:
    improper = improper_terms(model.glmm)
    notes = (f"no evidence under the flat prior of {', '.join(improper)}",) if improper else ()
    return Scored(float(tree["fit"]["elbo"].to_numpy()[-1]), warnings=notes)


def _loo(
    name: str, model: ReadModel, observations: Observations, tree: xr.DataTree, request: Request
) -> Scored:
    rows = distinct_rows(observations)
    stats = tree["sample_stats"]
    log_ratio = (stats["lp"] - stats["log_q"]).to_numpy().ravel() if request.correction else None
    draws = model.reports.draws(tree).flat()
    with row_progress(request.progressbar, rows.size, f"LOO of {name}", "distinct rows") as report:
        one = loo(model.glmm, rows, draws, log_ratio, report)
    pointwise = one.elpd[rows.index]
    infinite = np.flatnonzero(~np.isfinite(pointwise))
    if len(infinite):
        raise DataError(
            f"The model {name!r} gives {len(infinite):,} rows no finite predictive density, the "
            f"first of row {observations.index[infinite[0]]}: its response has probability 0 in "
            "some draws, or a predictor is out of all proportion. Correct that row, or leave the "
            "model out."
        )
    bad = float((one.k > one.threshold)[rows.index].mean())
    note = f"k above {one.threshold:.2f} in {bad:.1%} of the rows: use criterion='kfold'"
    notes = (note,) if bad else ()
    p_loo = float(one.lpd[rows.index].sum() - pointwise.sum())
    return Scored(float(pointwise.sum()), pointwise, {"p_loo": p_loo, "bad_k": bad}, notes)


def _kfold(
    name: str, model: ReadModel, observations: Observations, request: Request, units: Units
) -> Scored:
    n = int(units.fold.max()) + 1
    own = {k: v for k, v in request.options.items() if k != "progressbar"}
    how = Drawing(request.method, request.method.take(own))
    with row_progress(request.progressbar, n, f"Folds of {name}", "folds") as report:
        one = kfold(
            model.glmm, observations, units.fold, how, request.draws,
            request.random_seed, request.cores, report,
        )  # fmt: skip
    notes = (f"{one.not_converged} folds did not converge",) if one.not_converged else ()
    return Scored(float(one.elpd.sum()), units.sums(one.elpd), warnings=notes)


def units_of(
    models: Mapping[str, ReadModel],
    observations: Observations,
    folds: int,
    group: str | ArrayLike | None,
    random_seed: int | None,
) -> Units:
    """Folds of the rows, which leave out whole levels where ``group`` is given."""
    rng = np.random.default_rng(random_seed)
    n = len(observations.cell)
    if folds > n:
        raise VmrpError(f"folds={folds} exceeds the {n} rows.")
    if group is None:
        return Units(stratified_folds(observations.rows.y, folds, rng), None)
    codes = _levels_of_rows(models, group)
    if len(np.unique(codes)) < 2:
        raise DataError("group= has a single level: there is nothing to leave out.")
    return Units(grouped_folds(codes, folds, rng), codes)


def _levels_of_rows(models: Mapping[str, ReadModel], group: str | ArrayLike) -> IndexArray:
    """Level of each row, numbered from 0 without gaps."""
    if isinstance(group, str):
        for model in models.values():
            for block in model.glmm.groups:
                if block.factor == group and not block.is_smooth and block.m == 1:
                    rows = one_row_each(model.observations)
                    return np.unique(block.codes.reshape(-1)[rows.cell], return_inverse=True)[1]
        factors = {b.factor for m in models.values() for b in m.glmm.groups if not b.is_smooth}
        raise VmrpError(
            f"group={group!r} is no grouping factor of the models; these are "
            f"{', '.join(map(repr, sorted(factors))) or 'none'}. Or pass a label for each row."
        )
    labels = pd.Series(np.asarray(group))
    model = next(iter(models.values()))
    if len(labels) != len(model.observations.cell) or labels.isna().any():
        raise DataError(
            f"group= must have a label for each of the {len(model.observations.cell):,} rows."
        )
    weights = model.observations.rows.weights
    codes = pd.factorize(labels, sort=True)[0]
    return codes if weights is None else np.repeat(codes, weights.astype(np.int64))
