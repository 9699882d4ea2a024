"""The effects by group that plain regressions estimate, beside those of a hierarchical model."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.arguments import check_choice, check_probability
from pymc_vmrp.interpret.contrasts import Contrast
from pymc_vmrp.interpret.plain_rows import PlainRows, plain_rows
from pymc_vmrp.interpret.regression import Regression, fit_regression, plain_family
from pymc_vmrp.mrp.groups import Groups
from pymc_vmrp.read_model import ReadModel
from pymc_vmrp.summaries.summary import describe
from pymc_vmrp.summaries.table import Table

if TYPE_CHECKING:
    from pymc_vmrp.interpret.result import Effects

METHODS = ("ols",)
HIERARCHICAL, CROSSED, SEPARATE, CONSTANT = "hierarchical", "crossed", "separate", "constant"
METHOD, CONTRAST = "method", "contrast"
ENDS = ("lower", "upper")
_MOST_VALUES = 1 << 27  # of a design: a gigabyte
_TOO_LARGE = "not estimated: the design would take more than a gigabyte"
_SEPARATED = "perfectly separated"


@dataclass(frozen=True)
class Asked:
    """The effects to estimate.

    Attributes
    ----------
    contrasts : tuple of Contrast
    is_linear : bool
        Whether they are those on the linear predictor.
    family : Any
        statsmodels'.
    has_t : bool
        Whether intervals are of the t distribution, as in least squares.
    """

    contrasts: tuple[Contrast, ...]
    is_linear: bool
    family: Any
    has_t: bool


@dataclass(frozen=True)
class Estimate:
    """One effect; NaN where it cannot be had, and the note says why."""

    value: float = np.nan
    se: float = np.nan
    df: float = np.inf
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Design:
    """How rows enter a regression.

    Attributes
    ----------
    rows : PlainRows
    intercepts : ndarray, shape (n, a)
    slopes : ndarray, shape (n, b)
        What the columns of the treatment are crossed with.
    """

    rows: PlainRows
    intercepts: FloatArray
    slopes: FloatArray

    def matrix(self, rows: IntArray, treated: FloatArray) -> FloatArray:
        """Design of some rows, with these values of the treatment."""
        return np.concatenate(
            [self.intercepts[rows], self.crossed(rows, self.rows.coding.columns(treated)),
             self.rows.covariates[rows]], axis=1,
        )  # fmt: skip

    def derivative(self, rows: IntArray) -> FloatArray:
        """Of :meth:`matrix` in a treatment that is a number."""
        return np.concatenate(
            [0 * self.intercepts[rows], self.crossed(rows, np.ones((len(rows), 1))),
             0 * self.rows.covariates[rows]], axis=1,
        )  # fmt: skip

    def crossed(self, rows: IntArray, columns: FloatArray) -> FloatArray:
        """Columns of the treatment within each of the slopes."""
        slopes = self.slopes[rows]
        return (slopes[:, :, None] * columns[:, None, :]).reshape(len(rows), -1)

    @property
    def n_values(self) -> int:
        """Of the matrix of all rows."""
        width = self.intercepts.shape[1] + self.slopes.shape[1] * self.rows.coding.n_columns
        return self.rows.size * (width + self.rows.covariates.shape[1])


def compare_plain(
    model: ReadModel, treatment: str, contrasts: Sequence[Contrast], found: Effects, method: str,
    ci_prob: float,
) -> pd.DataFrame:  # fmt: skip
    """The table of :meth:`pymc_vmrp.Effects.compare`."""
    check_choice("method", method, METHODS)
    check_probability("ci_prob", ci_prob)
    family = plain_family(model.glmm.family)
    has_t = model.glmm.family.link == "identity"
    asked = Asked(tuple(contrasts), found.is_linear, family, has_t)
    rows = plain_rows(model, treatment, found.groups.names)
    separate, ranks = estimate_separate(asked, rows)
    if rows.covariates.shape[1]:
        crossed = estimate_crossed(asked, rows)
    else:  # groups share no coefficient: the same estimates, and the degrees of freedom of all
        left = float(rows.data.counts.sum() - sum(ranks)) if has_t else np.inf
        crossed = [[_with_df(one, left) for one in row] for row in separate]
    constant = estimate_constant(asked, rows)
    by_method = {CROSSED: crossed, SEPARATE: separate, CONSTANT: constant}
    return _table(found, by_method, rows.groups, ci_prob)


# --- the methods: estimates by contrast and group ----------------------------------------------


def estimate_separate(asked: Asked, rows: PlainRows) -> tuple[list[list[Estimate]], list[int]]:
    """A regression of each group's rows alone; and their ranks."""
    by_group, ranks = [], []
    for g in range(rows.groups.size):
        mine = rows.take(np.flatnonzero(rows.group == g))
        ones = np.ones((mine.size, 1))
        design = Design(mine, ones, ones)
        fit = _fit(asked, design)
        by_group.append(_estimates(asked, fit, design, np.arange(mine.size)))
        ranks.append(fit.rank if fit is not None else 0)
    return _turned(by_group), ranks


def estimate_crossed(asked: Asked, rows: PlainRows) -> list[list[Estimate]]:
    """One regression, in which each group has an intercept and effects of its own."""
    groups = _one_hot(rows.group, rows.groups.size)
    design = Design(rows, groups, groups)
    fit = _fit(asked, design)
    return _turned(
        [_estimates(asked, fit, design, np.flatnonzero(one)) for one in groups.T]
    )  # fmt: skip


def estimate_constant(asked: Asked, rows: PlainRows) -> list[list[Estimate]]:
    """One regression with one effect, and main effects of the columns of ``by``."""
    design = Design(rows, rows.main_effects(), np.ones((rows.size, 1)))
    fit = _fit(asked, design)
    return _turned([_estimates(asked, fit, design, np.arange(rows.size))] * rows.groups.size)


def _one_hot(codes: IntArray, n: int) -> FloatArray:
    return np.asarray(codes[:, None] == np.arange(n), dtype=float)


def _turned(by_group: list[list[Estimate]]) -> list[list[Estimate]]:
    return [list(one) for one in zip(*by_group, strict=True)]


def _with_df(one: Estimate, df: float) -> Estimate:
    return Estimate(one.value, one.se, df, one.notes)


def _fit(asked: Asked, design: Design) -> Regression | None:
    if design.n_values > _MOST_VALUES:
        return None
    rows = design.rows
    matrix = design.matrix(np.arange(rows.size), rows.treated)
    return fit_regression(matrix, rows.data, asked.family)


def _estimates(
    asked: Asked, fit: Regression | None, design: Design, target: IntArray
) -> list[Estimate]:
    """Effects averaged over the rows of a target, for each contrast."""
    if fit is None:
        return [Estimate(notes=(_TOO_LARGE,)) for _ in asked.contrasts]
    found = []
    for contrast in asked.contrasts:
        one = _estimate(asked, fit, design, target, contrast)
        found.append(one)
    return found


def _estimate(
    asked: Asked, fit: Regression, design: Design, target: IntArray, contrast: Contrast
) -> Estimate:
    rows = design.rows
    notes = []
    if fit.rank < fit.n_columns:
        notes.append(f"rank {fit.rank} of {fit.n_columns} columns")
    if not fit.converged and not fit.is_extreme(fit.eta).any():
        notes.append("did not converge")
    shares = rows.data.counts[target] / rows.data.counts[target].sum()
    found = (_linear if asked.is_linear else _on_response)(fit, design, target, contrast, shares)
    if found is None:
        why = rows.coding.why_unknown(rows.treated[target], contrast)
        return Estimate(notes=(why or "not determined by the rows", *notes))
    value, gradient, is_separated = found
    df = fit.degrees_of_freedom if asked.has_t else np.inf
    if is_separated:
        kept = np.nan if asked.is_linear else value  # the limit, of a mean at an end of its range
        return Estimate(kept, np.nan, df, (_SEPARATED, *notes))
    se = fit.standard_error(gradient)
    if np.isnan(se):
        notes.insert(0, "one row of an arm")
    elif df <= 0:
        notes.insert(0, "no residual degrees of freedom")
        se = np.nan
    return Estimate(value, se, df, tuple(notes))


Found = tuple[float, FloatArray, bool]


def _linear(
    fit: Regression, design: Design, target: IntArray, contrast: Contrast,
    shares: FloatArray,
) -> Found | None:  # fmt: skip
    """An effect on the linear predictor, its gradient in γ, and whether it is infinite."""
    if contrast.is_slope:
        change = shares @ design.derivative(target)
    else:
        high, low = _counterfactuals(design, target, contrast)
        change = shares @ (high - low)
    gradient = fit.reduced(change[None])
    if gradient is None:
        return None
    at_ends = _is_separated(fit, design, target, contrast)
    return float(gradient[0] @ fit.gamma), gradient[0], at_ends


def _on_response(
    fit: Regression, design: Design, target: IntArray, contrast: Contrast,
    shares: FloatArray,
) -> Found | None:  # fmt: skip
    """An average difference, or derivative, of means; by the delta method."""
    link, offset = fit.family.link, design.rows.data.offset[target]
    if contrast.is_slope:
        x = fit.reduced(design.matrix(target, design.rows.treated[target]))
        change = fit.reduced(design.derivative(target))
        if x is None or change is None:
            return None
        eta = x @ fit.gamma + offset
        slope, curvature = link.inverse_deriv(eta), link.inverse_deriv2(eta)
        along = change @ fit.gamma
        value = shares @ (slope * along)
        gradient = (shares * curvature * along) @ x + (shares * slope) @ change
        return float(value), gradient, bool(fit.is_extreme(eta).any())
    pair = [fit.reduced(one) for one in _counterfactuals(design, target, contrast)]
    high, low = pair
    if high is None or low is None:
        return None
    etas = [one @ fit.gamma + offset for one in (high, low)]
    value = shares @ (fit.family.fitted(etas[0]) - fit.family.fitted(etas[1]))
    gradient = (shares * link.inverse_deriv(etas[0])) @ high
    gradient = gradient - (shares * link.inverse_deriv(etas[1])) @ low
    at_ends = any(fit.is_extreme(eta).any() for eta in etas)
    return float(value), gradient, at_ends


def _counterfactuals(
    design: Design, target: IntArray, contrast: Contrast
) -> tuple[FloatArray, FloatArray]:
    """Design of the target's rows under the high and the low value."""
    coding, n = design.rows.coding, len(target)
    high, low = (
        design.matrix(target, np.full(n, coding.value(v))) for v in (contrast.high, contrast.low)
    )
    return high, low


def _is_separated(
    fit: Regression, design: Design, target: IntArray, contrast: Contrast
) -> bool:
    """Whether a fitted mean of the arms that are compared is at an end of its range."""
    if fit.converged:
        return False
    rows = design.rows
    if contrast.is_slope or rows.coding.arms is None:
        mine = target
    else:
        of_arms = [rows.coding.value(v) for v in (contrast.low, contrast.high)]
        mine = target[np.isin(rows.treated[target], of_arms)]
    return bool(fit.is_extreme(fit.eta[mine]).any())


# --- the table ---------------------------------------------------------------------------------


def _table(
    found: Effects, by_method: dict[str, list[list[Estimate]]], groups: Groups, ci_prob: float
) -> pd.DataFrame:
    pieces = []
    for k, contrast in enumerate(found.contrasts):
        ours = _of_ours(found, k, ci_prob)
        width = (ours["upper"] - ours["lower"]).to_numpy()
        for method, estimates in by_method.items():
            piece = pd.concat([found.labels(), _interval(estimates[k], ci_prob)], axis=1)
            piece["width_ratio"] = (piece["upper"] - piece["lower"]).to_numpy() / width
            pieces.append(piece.assign(**{METHOD: method, CONTRAST: contrast}))
        pieces.append(ours.assign(**{METHOD: HIERARCHICAL, CONTRAST: contrast}))
        empty = _empty_crossings(groups)
        for method in (CROSSED, SEPARATE) if len(empty) else ():
            pieces.append(empty.assign(**{METHOD: method, CONTRAST: contrast}))
    full = pd.concat(pieces, ignore_index=True)
    order = {name: i for i, name in enumerate((HIERARCHICAL, *by_method))}
    full = full.sort_values(METHOD, key=lambda names: names.map(order), kind="stable")
    several = [CONTRAST] if len(found.contrasts) > 1 else []
    values = ["estimate", "se", *ENDS, "width_ratio", "note"]
    percent = f"{100 * ci_prob:.4g}"
    named = {"lower": f"ci{percent}_lb", "upper": f"ci{percent}_ub"}
    index = [*found.groups.names, *several, METHOD]
    return Table(full.set_index(index)[values].rename(columns=named))


def _of_ours(found: Effects, k: int, ci_prob: float) -> pd.DataFrame:
    table = describe(found.values[k].T, ci_prob).set_axis(["estimate", "se", *ENDS], axis=1)
    table = pd.concat([found.labels(), table], axis=1).assign(width_ratio=1.0)
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
        warnings.warn(
            f"{total - groups.size:,} of {total:,} crossed groups of by= have no rows; compare() "
            "does not list them.",
            UserWarning, stacklevel=5,
        )  # fmt: skip
        return pd.DataFrame()
    there = set(zip(*(at.tolist() for at in groups.position), strict=True))
    lacking = [at for at in itertools.product(*map(range, groups.shape)) if at not in there]
    if not groups.names or not lacking:
        return pd.DataFrame()
    columns = zip(groups.names, groups.levels, zip(*lacking, strict=True), strict=True)
    return pd.DataFrame({name: [levels[i] for i in at] for name, levels, at in columns}).assign(
        estimate=np.nan, se=np.nan, lower=np.nan, upper=np.nan, width_ratio=np.nan, note="no rows"
    )
