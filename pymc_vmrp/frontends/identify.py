"""What the data cannot tell: improper posteriors are refused, and sds without data warned of."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.optimize import linprog
from scipy.special import expit

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, PriorWarning, warn
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.glmm.families.family import Family, Statistics
from pymc_vmrp.glmm.spec import CommonEffects, Effect, GroupEffects, same_levels

_NEWTON_STEPS = 12
_LARGEST_PREDICTOR = 15.0  # beyond it, probabilities lose their digits

_FAR_ZERO = 10.0  # sds of a predictor from its mean
_ROUNDING = 1e-9  # relative: what differs by less is constant

_REMEDY = "give them proper priors (such as Normal(0, 2.5)) or leave some out"


def warn_of_single_answers(groups: tuple[GroupEffects, ...], trials: FloatArray) -> None:
    """Warn of grouping factors whose every level has a single 0/1 answer.

    Such answers have the same distribution whatever the sd of an intercept by level, given the
    other effects: the result would be the approximation's, not the data's.
    """
    for group in groups:
        if group.m > 1 or group.is_smooth:
            continue
        answers = np.bincount(group.members[:, 0], weights=trials, minlength=len(group.levels))
        if len(group.levels) > 1 and answers.max() <= 1:
            warn(
                f"every level of {group.factor!r} has a single answer: 0/1 answers cannot tell "
                f"the sd of {group.name!r}; its posterior is not to be trusted. Leave it out."
            )


def warn_of_far_zeros(groups: tuple[GroupEffects, ...], trials: FloatArray) -> None:
    """Warn of slopes that vary independently of intercepts at a far zero of their predictor.

    Independence there means that no two groups cross near the data: slopes that differ between
    groups then need huge intercepts, which the prior holds to be next to impossible.
    """
    share = trials / trials.sum()
    for together in same_levels(groups):
        blocks = [groups[j] for j in together if groups[j].m == 1]
        ones = [group for group in blocks if group.d == 1 and np.ptp(group.values) == 0]
        for group in blocks if ones else []:
            if any(effect.expression == "1" for effect in group.effects) and group.d > 1:
                continue
            for effect, column in zip(group.effects, group.values.T, strict=True):
                mean = float(share @ column)
                sd = float(np.sqrt(share @ (column - mean) ** 2))
                if abs(mean) > _FAR_ZERO * sd > _ROUNDING * abs(mean):
                    _warn_of_far_zero(group, effect, abs(mean) / sd)


def _warn_of_far_zero(group: GroupEffects, effect: Effect, sds: float) -> None:
    name = group.title if group.title is not None else f"{effect.name}|{group.factor}"
    warn(
        f"the slopes {name!r} are independent of the intercepts of the same groups where their "
        f"predictor is 0, which lies {sds:,.0f} sds away from its mean: as if slopes that differ "
        "were unlikely. Subtract the mean from the predictor first, or use correlated effects, "
        "such as (x|g) of a vmrp.Model.",
        PriorWarning,
    )


def check_identified(common: CommonEffects, family: Family, statistics: Statistics) -> None:
    """Raise DataError where flat priors leave some direction of β without an upper bound.

    Group-specific effects have proper priors and cannot make such a direction proper, so the
    columns with flat priors decide alone.

    References
    ----------
    Albert, A. and Anderson, J. A. (1984). On the existence of maximum likelihood estimates in
    logistic regression models. Biometrika 71(1). The linear programme is that of Konis, K.
    (2007), Linear programming algorithms for detecting separated data in binary logistic
    regression models, DPhil thesis, University of Oxford.
    """
    flat = np.isinf(common.prior_sd)
    if not flat.any():
        return
    names = np.array(_column_names(common))[flat]
    design, successes, trials = _aggregate(
        common.design(common.columns)[:, flat], *_answers(family, statistics)
    )
    scale = np.abs(design).max(axis=0, initial=0.0)
    design = design / np.where(scale > 0, scale, 1.0)
    _check_rank(design, names)
    if not _overlaps(design, successes, trials):
        _check_separation(design, successes, trials, names)


def _answers(family: Family, statistics: Statistics) -> tuple[FloatArray, FloatArray]:
    """Successes and trials that bound η from the sides that the response does.

    A count of 0 bounds a log rate from above alone, as a failure does; any other number bounds η
    from both sides, as a success and a failure do.
    """
    if family.response == "binary" or (family.response == "proportion" and family.pools):
        return statistics[0], statistics[1]
    y, weight = statistics[:2]
    if family.response == "proportion":
        return weight * y, weight * statistics[2]
    used = (weight > 0).astype(float)
    if family.response == "count":
        return used * (y > 0), 2 * used - used * (y == 0)
    return used, 2 * used


def _column_names(common: CommonEffects) -> list[str]:
    names = ["Intercept"] if common.intercept else []
    for term in common.terms:
        names += [f"{term.name}[{label}]" for label in term.labels] if term.labels else [term.name]
    return names


def _aggregate(
    design: FloatArray, successes: FloatArray, trials: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum over equal rows, and leave out rows without trials."""
    if not (trials > 0).all():
        keep = trials > 0
        design, successes, trials = design[keep], successes[keep], trials[keep]
    cells = collapse([pd.Series(column) for column in design.T], len(design))
    return design[cells.first], cells.sum(successes), cells.sum(trials)


def _check_rank(design: FloatArray, names: NDArray[np.str_]) -> None:
    small = np.linalg.qr(design, mode="r")  # pivoting over all rows would take far longer
    triangle, order = qr(small, mode="r", pivoting=True)[:2]
    diagonal = np.zeros(design.shape[1])
    found = np.abs(np.diag(triangle))
    diagonal[: len(found)] = found
    dependent = diagonal <= 1e-10 * max(diagonal[0], 1e-300)
    if dependent.any():
        which = abbreviate(names[order[dependent]].tolist())
        raise DataError(
            f"Columns with flat priors are collinear: {which} can be written in terms of the "
            f"others; {_REMEDY}."
        )


def _overlaps(design: FloatArray, successes: FloatArray, trials: FloatArray) -> bool:
    """Whether Newton's method proves, quickly, that no b separates; False decides nothing.

    At a point where Newton's step d changes no linear predictor by 1, v = y − np − np(1−p)·Xd has
    X'v = 0 and the signs of y − np where all trials of a row succeed or none does. A separating b
    would give Σ v·Xb > 0, as X has full rank.
    """
    beta = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        eta = design @ beta
        if np.abs(eta).max() > _LARGEST_PREDICTOR:
            return False
        p = expit(eta)
        hessian = design.T @ (design * (trials * p * (1 - p))[:, None])
        try:
            step = np.linalg.solve(hessian, design.T @ (successes - trials * p))
        except np.linalg.LinAlgError:
            return False
        if np.abs(design @ step).max() < 0.5:  # well below 1: rounding cannot make the difference
            return True
        beta = beta + step
    return False


def _check_separation(
    design: FloatArray, successes: FloatArray, trials: FloatArray, names: NDArray[np.str_]
) -> None:
    """Look for b with Xb ≥ 0 where all trials succeed, ≤ 0 where none does, and = 0 elsewhere."""
    all_fail, all_succeed = successes == 0, successes == trials
    mixed = ~(all_fail | all_succeed)
    signed = np.where(all_succeed, 1.0, -1.0)[~mixed, None] * design[~mixed]
    if len(signed) == 0:
        return
    equal = np.linalg.qr(design[mixed], mode="r") if mixed.any() else None  # the same null space
    solution = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        A_eq=equal,
        b_eq=None if equal is None else np.zeros(len(equal)),
        bounds=(-1, 1),
        method="highs",
    )
    if solution.status == 0 and -solution.fun > 1e-6:
        involved = names[np.abs(solution.x) > 1e-6].tolist()
        raise DataError(
            f"Under flat priors the response is perfectly separated by {abbreviate(involved)}: the "
            "estimates would be infinite. Give these terms proper priors, such as Normal(0, 2.5)."
        )
