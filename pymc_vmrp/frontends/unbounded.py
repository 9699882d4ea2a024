"""Responses that are fitted exactly: the likelihood's own parameter then has no posterior.

Where the linear predictor can meet every response, the density of a gaussian, t or gamma response
grows without bound as σ → 0 or α → ∞: of W rows (repeats by weights included) and a design of rank
r, as σ^−(W−r) or α^((W−r)/2). Few priors end that. It is so where a response is constant within the
levels of a factor, or where weights repeat rows each of which is a level of its own.
"""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray, SmallIntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import Rows
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.spec import GLMM, GroupEffects

# the parameter, the power of it with which each row more than the rank multiplies the likelihood,
# two values of it on the way to where it ends, and a prior that stops it
_OF_FAMILY = {
    ("gaussian", "identity"): ("sigma", -1.0, (1e-30, 1e-40), "InverseGamma(2, 1)"),
    ("t", "identity"): ("sigma", -1.0, (1e-30, 1e-40), "InverseGamma(2, 1)"),
    ("gamma", "log"): ("alpha", 0.5, (1e30, 1e40), "Gamma(2, 0.1)"),
}
_EXACT = 1e-9  # of the range of what is fitted
_SOME = 200  # cells that are tried first
_MOST_OPERATIONS = 2e7  # for which the whole design is tried


def check_bounded(glmm: GLMM, rows: Rows, offset: FloatArray | None, cells: Cells) -> None:
    """Raise DataError where the posterior of σ or α is improper, since the response is met exactly.

    Parameters
    ----------
    glmm : GLMM
    rows : Rows
    offset : ndarray, shape (rows,), or None
    cells : Cells
        Of the rows.

    Notes
    -----
    In small models every exact fit is found, in others those by the common effects and the
    intercepts of one factor, the finest.
    """
    known = _OF_FAMILY.get((glmm.family.name, glmm.family.link))
    if known is None:
        return
    name, power, ends, remedy = known
    free = [parameter for parameter in glmm.free_parameters if parameter.name == name]
    excess = float(rows.ones.sum()) - min(cells.size, glmm.n_coefficients)
    if not free or excess <= 0 or _bounds(free[0].prior, power * excess, ends):  # type: ignore[arg-type]
        return
    target = np.log(rows.y) if glmm.family.link == "log" else np.asarray(rows.y, dtype=float)
    scale = float(np.ptp(target))
    if offset is not None:
        target = target - offset
    first = target[cells.first]
    if np.abs(target - first[cells.index]).max() > _EXACT * scale:
        return
    with np.errstate(all="ignore"):
        which = _what_meets(glmm, first, scale)
    if which is None:
        return
    weights = "" if rows.weights is None else "give no row a weight above 1, or "
    repeats = "" if rows.weights is None else " (a row of weight w stands for w that are alike)"
    raise DataError(
        f"The model meets the response {glmm.response.name!r} exactly, by {which}{repeats}. "
        f"With no residuals {name!r} goes to {'0' if power < 0 else 'infinity'}, and its posterior "
        f"is improper. Leave a term out, or {weights}give {name!r} a prior that ends it, such as "
        f"priors={{{name!r}: vmrp.{remedy}}} at the scale of residuals that you would expect."
    )


def _what_meets(glmm: GLMM, target: FloatArray, scale: float) -> str | None:
    """What meets the cells' responses exactly, in words; None where nothing does."""
    group, codes = _finest(glmm.groups), None
    if group is not None:
        codes = group.members[:, 0]
        if _met(codes, np.empty((glmm.n_cells, 0)), target, scale):
            return f"an intercept for each level of {group.factor!r}"
    elif glmm.common.intercept:
        codes = np.zeros(glmm.n_cells, dtype=np.int32)
    n, p = glmm.n_cells, glmm.n_coefficients
    if glmm.groups and n * p * min(n, p) <= _MOST_OPERATIONS:
        return "its terms" if _no_residuals(_dense(glmm), target, scale) else None
    return "its terms" if _met(codes, glmm.common.columns, target, scale) else None


def _dense(glmm: GLMM) -> FloatArray:
    """The whole design, shape (cells, coefficients)."""
    n = glmm.n_cells
    parts = [np.ones((n, int(glmm.common.intercept))), glmm.common.columns]
    for group in glmm.groups:
        part = np.zeros((n, len(group.levels), group.d))
        for m in range(group.m):
            part[np.arange(n), group.members[:, m]] += group.member_values[:, m]
        parts.append(part.reshape(n, -1))
    return np.hstack(parts)


def _bounds(prior: ScalePrior, power: float, ends: tuple[float, float]) -> bool:
    """Whether a prior times parameter^power can be integrated up to the end of its support."""
    near, far = np.asarray(ends)
    with np.errstate(all="ignore"):
        low, high = (float(prior.log_density_sigma(np.asarray(value))) for value in (near, far))
    if not np.isfinite(high):
        return True
    slope = (high - low) / float(np.log(far) - np.log(near)) + power + 1  # of the log of θ·density
    return slope > 0 if far < near else slope < 0


def _finest(groups: tuple[GroupEffects, ...]) -> GroupEffects | None:
    """The block of most levels among those that have an intercept."""
    able = [
        group
        for group in groups
        if group.m == 1 and ((np.ptp(group.values, axis=0) == 0) & (group.values[0] != 0)).any()
    ]
    return max(able, key=lambda group: len(group.levels), default=None)


def _met(
    codes: SmallIntArray | None, columns: FloatArray, target: FloatArray, scale: float
) -> bool:
    """Whether ``columns``, and a number for each level, fit ``target`` exactly."""
    if codes is None:
        return _no_residuals(columns, target, scale)
    some = np.argsort(codes, kind="stable")[: max(_SOME, 5 * columns.shape[1])]
    for which in (some, slice(None)):
        own = codes[which]
        both = np.column_stack([target[which], columns[which]])
        counts = np.maximum(np.bincount(own), 1)
        means = np.stack([np.bincount(own, weights=column) / counts for column in both.T], axis=1)
        within = both - means[own]
        if not _no_residuals(within[:, 1:], within[:, 0], scale):
            return False
    return True


def _no_residuals(columns: FloatArray, target: FloatArray, scale: float) -> bool:
    left = target
    if columns.shape[1]:
        sizes = np.abs(columns).max(axis=0)
        scaled = columns / np.where(sizes > 0, sizes, 1.0)
        left = target - scaled @ np.linalg.lstsq(scaled, target, rcond=None)[0]
    return bool(np.abs(left).max() <= _EXACT * scale)
