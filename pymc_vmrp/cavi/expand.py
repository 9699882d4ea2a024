"""Parameter expansion: move q along directions that the likelihood hardly sees, between sweeps.

Coordinate ascent is slow where u and Σ determine each other. Put u_g = R ũ_g and Σ = RΣ̃R': as R
changes, q keeps its form and every u_g'Σ⁻¹u_g its value, and the ELBO is the likelihood's local
quadratic in R plus what p(Σ) makes of it. Maximising it over R moves u and Σ at once, without
another solve: parameter-expanded variational Bayes (Qi & Jaakkola 2006; PX-EM: Liu, Rubin & Wu
1998), in Goplerud (2022) the *translation* expansion. The *mean* expansion moves the mean of a
term's effects into the common effect that they vary around; under a joint q(β, u) the Gaussian step
has nearly done that already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray
from pymc_vmrp.cavi.covariance import CovarianceFactor, update_covariance
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.written import centred_coefficients
from pymc_vmrp.solvers.gaussian import Gaussian
from pymc_vmrp.solvers.quadratic import Quadratic

EXPANSIONS = ("translation", "mean", "none")

_STEPS, _HALVINGS = 3, 5  # close enough: the next sweep goes on from there
_LARGEST_STEP, _SMALL_STEP = 1.5, 1e-3  # far moves would leave the quadratic's range
_PRIOR_CURVATURE = 2.0  # of p(Σ) in a log scale: about its degrees of freedom


def translate(quadratic: Quadratic, factors: Sequence[CovarianceFactor]) -> tuple[FloatArray, ...]:
    """E[Σ_j⁻¹] after transforms R_j that raise the ELBO: a few damped Newton steps from R = I.

    Scales (d = 1) move in log r, and correlated terms in the entries of R. At a fixed point of
    coordinate ascent the gradient is zero, and nothing moves.
    """
    expanded = _Expanded(quadratic, tuple(factors))
    x = expanded.start()
    value, gradient, curvature = expanded.gain(x)
    for _ in range(_STEPS):
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, _LARGEST_STEP / max(np.abs(step).max(), 1e-300))
        for _ in range(_HALVINGS):
            candidate = expanded.gain(x + step)
            if candidate[0] >= value:
                break
            step = 0.5 * step
        else:
            break
        x = x + step
        value, gradient, curvature = candidate
        if np.abs(step).max() < _SMALL_STEP:
            break
    out = []
    for factor, transform in zip(factors, expanded.transforms(x), strict=True):
        inverse = np.linalg.inv(transform)
        precision = inverse.T @ factor.expected_precision @ inverse
        out.append(0.5 * (precision + precision.T))
    return tuple(out)


@dataclass(frozen=True)
class _Expanded:
    """The ELBO as a function of the transforms, up to a constant."""

    quadratic: Quadratic
    factors: tuple[CovarianceFactor, ...]

    @cached_property
    def _parts(self) -> tuple[slice, ...]:
        sizes = [factor.d**2 for factor in self.factors]
        ends = np.cumsum(sizes)
        return tuple(slice(end - size, end) for end, size in zip(ends, sizes, strict=True))

    @cached_property
    def _scalar(self) -> BoolArray:
        return np.concatenate([np.full(f.d**2, f.d == 1) for f in self.factors])

    def start(self) -> FloatArray:
        """Coordinates of R = I."""
        return np.concatenate([np.eye(f.d).ravel() if f.d > 1 else [0.0] for f in self.factors])

    def _entries(self, x: FloatArray) -> FloatArray:
        return np.where(self._scalar, np.exp(np.where(self._scalar, x, 0.0)), x)

    def transforms(self, x: FloatArray) -> list[FloatArray]:
        """R of each term; x holds its columns one after the other."""
        r = self._entries(x)
        pairs = zip(self._parts, self.factors, strict=True)
        return [r[part].reshape(factor.d, factor.d).T for part, factor in pairs]

    def gain(self, x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient, and a positive definite matrix in place of the negative Hessian."""
        h = self.quadratic.curvature[1:, 1:]
        slope = self.quadratic.slope[1:] - self.quadratic.curvature[1:, 0]
        r = self._entries(x)
        inner = np.where(self._scalar, r, 1.0)  # dR/dx
        product = h @ r
        value = float(slope @ r - 0.5 * r @ product)
        gradient = (slope - product) * inner
        # the second derivative of exp(x) adds −gradient; its size keeps the matrix definite
        curvature = h * np.outer(inner, inner)
        diagonal = np.where(self._scalar, np.abs(gradient), 0.0)
        for part, factor, transform in zip(
            self._parts, self.factors, self.transforms(x), strict=True
        ):
            if factor.d > 1 and not np.linalg.det(transform) > 0:
                return -np.inf, gradient, curvature
            if not factor.transformable:
                gradient[part] = 0.0
                curvature[part, :] = curvature[:, part] = 0.0
                diagonal[part] = 1.0
                continue
            prior, prior_gradient = factor.log_prior_of_transformed(transform)
            value += prior
            gradient[part] += prior_gradient.T.ravel() * inner[part]
            diagonal[part] += _PRIOR_CURVATURE * factor.d
        curvature[np.diag_indices_from(curvature)] += diagonal
        return value, gradient, curvature


def recentre(
    glmm: GLMM,
    gaussian: Gaussian,
    factors: Sequence[CovarianceFactor],
    prior: FloatArray | None = None,
) -> tuple[FloatArray, ...]:
    """E[Σ_j⁻¹] after the mean of each term's effects moved into its common effect.

    η stays as it is: u − c and β + Tc, with c where E log p(β) + Σ_j E log p(u_j | Σ_j) is highest.
    ``prior`` holds the expected prior precision of each β; None: that of its normal priors.
    """
    common = glmm.common
    sizes = [group.d for group in glmm.groups]
    first = np.cumsum([0, *sizes])
    averages = [
        gaussian.mean[glmm.group_slice(j)].reshape(-1, d).mean(0) for j, d in enumerate(sizes)
    ]
    matrix, right = np.zeros((first[-1], first[-1])), np.zeros(first[-1])
    for j, (group, factor) in enumerate(zip(glmm.groups, factors, strict=True)):
        part = slice(first[j], first[j + 1])
        matrix[part, part] = len(group.levels) * factor.expected_precision
        right[part] = matrix[part, part] @ averages[j]
    shifts, free = mean_shifts(glmm)
    precision = common.normal_precision if prior is None else prior
    matrix += shifts.T @ (precision[:, None] * shifts)
    right += shifts.T @ (precision * (common.prior_mean - gaussian.mean[: common.size]))
    c = np.zeros(first[-1])
    if len(free):
        # effects that have no common counterpart stay where they are
        c[free] = np.linalg.lstsq(matrix[np.ix_(free, free)], right[free], rcond=None)[0]
    out = []
    for j, (group, mean) in enumerate(zip(glmm.groups, averages, strict=True)):
        step, n = c[first[j] : first[j + 1]], len(group.levels)
        cross = np.outer(mean, step)
        moment = gaussian.second_moment(j) - n * (cross + cross.T - np.outer(step, step))
        out.append(update_covariance(group.prior, moment, n).expected_precision)
    return tuple(out)


def mean_shifts(glmm: GLMM) -> tuple[FloatArray, IntArray]:
    """How β makes up for shifts c of the effects of all levels: with u − c and β + Tc, η stays.

    Returns
    -------
    shifts : ndarray, shape (common coefficients, Σd)
        T; one column for each effect of each term, zero where it has no common counterpart.
    free : ndarray
        The columns that do have one.
    """
    common = glmm.common
    first = np.cumsum([0, *(group.d for group in glmm.groups)])
    shifts, free = np.zeros((common.size, first[-1])), []
    columns = _common_columns(glmm)
    for j, group in enumerate(glmm.groups):
        basis = np.eye(group.d) if group.basis is None else group.basis
        counterparts = [columns.get((effect.expression, effect.label)) for effect in group.effects]
        for a in range(group.d):
            # what a unit of effect a is as written, and so what the common effects must make up
            made_of = np.flatnonzero(basis[:, a])
            if any(counterparts[b] is None for b in made_of):
                continue
            written = np.zeros(glmm.n_coefficients)
            for b in made_of:
                written[counterparts[b]] = basis[b, a]
            shifts[:, first[j] + a] = centred_coefficients(glmm, written)[: common.size]
            free.append(first[j] + a)
    return shifts, np.array(free, dtype=np.int64)


def _common_columns(glmm: GLMM) -> dict[tuple[str, str | None], int]:
    """Common coefficient of every common effect, by expression and label."""
    common = glmm.common
    columns: dict[tuple[str, str | None], int] = {("1", None): 0} if common.intercept else {}
    for term in common.terms:
        labels: Sequence[str | None] = term.labels or (None,)
        for k, label in enumerate(labels):
            columns[term.name, label] = int(common.intercept) + term.start + k
    return columns
