"""Effects by group from plain regressions: all groups in one, each alone, one effect for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.interpret.contrasts import Contrast
from pymc_vmrp.interpret.plain_rows import PlainRows
from pymc_vmrp.interpret.regression import Regression, fit_regression

_MOST_VALUES = 1 << 27  # of a design: a gigabyte
_TOO_LARGE = "not estimated: the design would take more than a gigabyte"
_SEPARATED = "perfectly separated"
_EXACT = 1e-9  # a standard error below this part of the answers is zero


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


_NO_ROWS = Estimate(notes=("no rows",))


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


def estimate_separate(asked: Asked, rows: PlainRows) -> tuple[list[list[Estimate]], list[int]]:
    """A regression of each group's rows alone; and their ranks."""
    by_group, ranks = [], []
    for g in range(rows.groups.size):
        mine = rows.take(np.flatnonzero(rows.group == g))
        if not mine.size:
            by_group.append([_NO_ROWS] * len(asked.contrasts))
            continue
        ones = np.ones((mine.size, 1))
        design = Design(mine, ones, ones)
        fit = _fit(asked, design)
        by_group.append(_estimates(asked, fit, design, np.arange(mine.size)))
        ranks.append(fit.rank)
    return _turned(by_group), ranks


def estimate_crossed(asked: Asked, rows: PlainRows) -> list[list[Estimate]]:
    """One regression, in which each group has an intercept and effects of its own."""
    if _is_too_large(rows, rows.groups.size, rows.groups.size):
        return _not_estimated(asked, rows.groups.size)
    groups = np.asarray(rows.group[:, None] == np.arange(rows.groups.size), dtype=float)
    design = Design(rows, groups, groups)
    fit = _fit(asked, design)
    return _turned(
        [_estimates(asked, fit, design, np.flatnonzero(one)) for one in groups.T]
    )  # fmt: skip


def estimate_constant(asked: Asked, rows: PlainRows) -> list[list[Estimate]]:
    """One regression with one effect, and main effects of the columns of ``by``."""
    if _is_too_large(rows, 1 + sum(n - 1 for n in rows.groups.shape), 1):
        return _not_estimated(asked, rows.groups.size)
    design = Design(rows, rows.main_effects(), np.ones((rows.size, 1)))
    fit = _fit(asked, design)
    return _turned([_estimates(asked, fit, design, np.arange(rows.size))] * rows.groups.size)


def _turned(by_group: list[list[Estimate]]) -> list[list[Estimate]]:
    return [list(one) for one in zip(*by_group, strict=True)]


def _is_too_large(rows: PlainRows, intercepts: int, slopes: int) -> bool:
    width = intercepts + slopes * rows.coding.n_columns + rows.covariates.shape[1]
    return rows.size * width > _MOST_VALUES


def _not_estimated(asked: Asked, groups: int) -> list[list[Estimate]]:
    return [[Estimate(notes=(_TOO_LARGE,))] * groups for _ in asked.contrasts]


def _fit(asked: Asked, design: Design) -> Regression:
    rows = design.rows
    matrix = design.matrix(np.arange(rows.size), rows.treated)
    return fit_regression(matrix, rows.data, asked.family)


def _estimates(asked: Asked, fit: Regression, design: Design, target: IntArray) -> list[Estimate]:
    """Effects averaged over the rows of a target, for each contrast."""
    if not len(target):
        return [_NO_ROWS] * len(asked.contrasts)
    return [_estimate(asked, fit, design, target, contrast) for contrast in asked.contrasts]


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
    how = _linear if asked.is_linear else _on_response
    with np.errstate(over="ignore", invalid="ignore"):  # means of a separated arm
        found = how(fit, design, target, contrast, shares)
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
    elif se <= _EXACT * np.abs(rows.data.y[target]).max():
        notes.insert(0, "answers are fitted exactly")
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


def _is_separated(fit: Regression, design: Design, target: IntArray, contrast: Contrast) -> bool:
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
