"""The effects by group that plain regressions estimate, beside those of a hierarchical model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from pymc_vmrp.arguments import check_choice, check_probability
from pymc_vmrp.errors import DataError, warn
from pymc_vmrp.interpret.contrasts import Contrast
from pymc_vmrp.interpret.plain_estimates import (
    Asked,
    Estimate,
    estimate_constant,
    estimate_crossed,
    estimate_separate,
)
from pymc_vmrp.interpret.plain_rows import plain_rows
from pymc_vmrp.interpret.regression import plain_family
from pymc_vmrp.mrp.groups import Groups
from pymc_vmrp.prediction.rows import OFFSET
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.summaries.summary import describe
from pymc_vmrp.summaries.table import Table

if TYPE_CHECKING:
    from pymc_vmrp.interpret.result import Effects

METHODS = ("ols",)
HIERARCHICAL, CROSSED, SEPARATE, CONSTANT = "hierarchical", "crossed", "separate", "constant"
METHOD, CONTRAST = "method", "contrast"
ENDS = ("lower", "upper")


def compare_plain(
    model: ReadModel, treatment: str, contrasts: Sequence[Contrast], found: Effects, method: str,
    ci_prob: float,
) -> pd.DataFrame:  # fmt: skip
    """The table of :meth:`pymc_vmrp.Effects.compare`."""
    check_choice("method", method, METHODS)
    check_probability("ci_prob", ci_prob)
    if model.encoder.has_offset and treatment in model.encoder.columns_of(OFFSET):
        raise DataError(
            f"compare() leaves offsets as they are, but the model's offset reads the treatment "
            f"{treatment!r}, so that it is part of these effects."
        )
    family = plain_family(model.glmm.family)
    has_t = model.glmm.family.link == "identity"
    asked = Asked(tuple(contrasts), found.is_linear, family, has_t)
    rows = plain_rows(model, treatment, found.groups.names)
    separate, ranks = estimate_separate(asked, rows)
    if rows.covariates.shape[1]:
        crossed = estimate_crossed(asked, rows)
    else:  # groups share no coefficient: the same estimates, and the degrees of freedom of all
        left = float(rows.data.counts.sum() - sum(ranks)) if has_t else np.inf
        crossed = [[replace(one, df=left) for one in row] for row in separate]
    constant = estimate_constant(asked, rows)
    by_method = {CROSSED: crossed, SEPARATE: separate, CONSTANT: constant}
    return _table(found, by_method, rows.groups, ci_prob)


def _table(
    found: Effects, by_method: dict[str, list[list[Estimate]]], groups: Groups, ci_prob: float
) -> pd.DataFrame:
    pieces = []
    empty = _empty_crossings(groups)
    for k, contrast in enumerate(found.contrasts):
        ours = _of_ours(found, k, ci_prob)
        width = (ours["upper"] - ours["lower"]).to_numpy()
        for method, estimates in by_method.items():
            piece = pd.concat([_labels(found), _interval(estimates[k], ci_prob)], axis=1)
            piece["width_ratio"] = (piece["upper"] - piece["lower"]).to_numpy() / width
            pieces.append(piece.assign(**{METHOD: method, CONTRAST: contrast}))
        pieces.append(ours.assign(**{METHOD: HIERARCHICAL, CONTRAST: contrast}))
        for method in (CROSSED, SEPARATE) if len(empty) else ():
            pieces.append(empty.assign(**{METHOD: method, CONTRAST: contrast}))
    full = pd.concat(pieces, ignore_index=True)
    order = {name: i for i, name in enumerate((HIERARCHICAL, *by_method))}
    full = full.sort_values(METHOD, key=lambda names: names.map(order), kind="stable")
    several = [CONTRAST] if len(found.contrasts) > 1 else []
    values = ["estimate", "se", *ENDS, "width_ratio", "note"]
    percent = f"{100 * ci_prob:.4g}"
    named = {"lower": f"ci{percent}_lb", "upper": f"ci{percent}_ub"}
    index = [*range(len(found.groups.names)), *several, METHOD]
    table = full.set_index(index)[values].rename(columns=named)
    return Table(table.rename_axis(index=[*found.groups.names, *several, METHOD]))


def _labels(found: Effects) -> pd.DataFrame:
    """The groups, in columns of numbers: their names may be those of others."""
    return found.labels().set_axis(range(len(found.groups.names)), axis=1)


def _of_ours(found: Effects, k: int, ci_prob: float) -> pd.DataFrame:
    table = describe(found.values[k].T, ci_prob).set_axis(["estimate", "se", *ENDS], axis=1)
    table = pd.concat([_labels(found), table], axis=1).assign(width_ratio=1.0)
    table["note"] = np.where(found.lacking[k], "lacks an arm", "")
    return table


def _interval(estimates: list[Estimate], ci_prob: float) -> pd.DataFrame:
    value, se, df = (
        np.array([getattr(one, name) for one in estimates]) for name in ("value", "se", "df")
    )
    half = stats.t.ppf(0.5 + ci_prob / 2, np.where(df > 0, df, np.nan)) * se
    notes = ["; ".join(one.notes) for one in estimates]
    return pd.DataFrame(
        {"estimate": value, "se": se, "lower": value - half, "upper": value + half, "note": notes}
    )


def _empty_crossings(groups: Groups) -> pd.DataFrame:
    """Combinations of levels that no row has; a warning where they are too many to list."""
    total = int(np.prod([float(n) for n in groups.shape]))
    if groups.is_sparse:
        warn(
            f"{total - groups.size:,} of {total:,} crossed groups of by= have no rows; compare() "
            "does not list them."
        )
        return pd.DataFrame()
    there = set(zip(*(at.tolist() for at in groups.position), strict=True))
    lacking = [at for at in itertools.product(*map(range, groups.shape)) if at not in there]
    if not groups.names or not lacking:
        return pd.DataFrame()
    columns = enumerate(zip(groups.levels, zip(*lacking, strict=True), strict=True))
    return pd.DataFrame({k: [levels[i] for i in at] for k, (levels, at) in columns}).assign(
        estimate=np.nan, se=np.nan, lower=np.nan, upper=np.nan, width_ratio=np.nan, note="no rows"
    )
