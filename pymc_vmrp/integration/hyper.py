"""Coordinates ψ of the hyperparameters θ: unconstrained, and smooth where a σ is zero.

A standard deviation is σ = c·|sinh ψ|: linear near zero, logarithmic beyond c, so that a posterior
which reaches zero and one far from zero both look Gaussian. Correlations of a term with several
effects are canonical partial ones (Lewandowski, Kurowicka & Joe 2009), z = erf(ψ/√2), under which a
uniform z is a standard normal ψ. Parameters of the likelihood are φ = exp ψ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import erf, erfinv

from pymc_vmrp.arrays import BoolArray, FloatArray
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.glmm.priors.lkj import CLOSEST, LKJ, correlation_root, partial_correlations
from pymc_vmrp.glmm.priors.scales import ScalePrior, largest_sigma, smallest_sigma
from pymc_vmrp.glmm.spec import GLMM, GroupEffects
from pymc_vmrp.integration.conditional import Theta

_SMALLEST = 1e-4  # of sinh ψ
_LARGEST = 300.0  # of ψ, before sinh overflows
_STEP = 1e-5  # of central differences of ψ


@dataclass(frozen=True)
class HyperCoordinates:
    """Of each term its d standard deviations, then its d(d − 1)/2 correlations; then log φ.

    Attributes
    ----------
    glmm : GLMM
    scales : tuple of ndarray, each of shape (d,)
        c of each standard deviation, in units of η per unit of the effect's predictor.
    """

    glmm: GLMM
    scales: tuple[FloatArray, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return sum(_n_coordinates(g.d) for g in self.glmm.groups) + len(self.glmm.free_parameters)

    @cached_property
    def folded(self) -> BoolArray:
        """Which coordinates are those of standard deviations: ψ and −ψ mean the same."""
        parts = [np.arange(_n_coordinates(group.d)) < group.d for group in self.glmm.groups]
        return np.concatenate([*parts, np.zeros(len(self.glmm.free_parameters), dtype=bool)])

    @cached_property
    def upper(self) -> FloatArray:
        """Largest ψ that the priors allow, shape (size,)."""
        return self._with_ends(np.full(self.size, np.inf), largest_sigma)

    @cached_property
    def lower(self) -> FloatArray:
        """Smallest ψ that the priors allow, shape (size,); where they have no end, 0 or −inf."""
        return self._with_ends(np.where(self.folded, 0.0, -np.inf), smallest_sigma)

    def _with_ends(self, out: FloatArray, end: Callable[[ScalePrior], float]) -> FloatArray:
        """``out`` with ψ of the ends that priors have."""
        for group, scale, part in self._terms():
            for k, prior in enumerate(_scale_priors(group)):
                out[part.start + k] = np.arcsinh(end(prior) / scale[k])
        for k, prior in enumerate(self.glmm.parameter_priors, self._first_parameter):
            if 0 < end(prior) < np.inf:
                out[k] = np.log(end(prior))
        return out

    @cached_property
    def ends_below(self) -> BoolArray:
        """Which coordinates have a smallest value that is no mirror."""
        return np.isfinite(self.lower) & ~(self.folded & (self.lower == 0))

    def decode(self, psi: FloatArray) -> Theta:
        """θ at ``psi`` of shape (..., size)."""
        covariances = (_covariance(psi[..., part], scale) for _, scale, part in self._terms())
        return Theta(tuple(covariances), np.exp(psi[..., self._first_parameter :]))

    def encode(self, theta: Theta) -> FloatArray:
        """ψ of one θ, shape (size,)."""
        parts = []
        for covariance, scale in zip(theta.covariances, self.scales, strict=True):
            sigma = np.sqrt(np.diag(covariance))
            parts.append(np.arcsinh(sigma / scale))
            correlation = covariance / np.outer(sigma, sigma)
            partial = partial_correlations(np.linalg.cholesky(correlation))
            parts.append(np.sqrt(2) * erfinv(partial))
        return np.concatenate([*parts, np.log(theta.parameters)])

    def log_prior(self, psi: FloatArray) -> FloatArray:
        """Log p(θ) + log |dθ/dψ| at ``psi`` of shape (..., size); θ holds Σ (σ² where d = 1).

        Standard deviations count once, for ψ > 0.
        """
        total = np.zeros(psi.shape[:-1])
        for group, scale, part in self._terms():
            total = total + _log_prior(group, psi[..., part], scale)
        for k, prior in enumerate(self.glmm.parameter_priors, self._first_parameter):
            total = total + prior.log_density_sigma(np.exp(psi[..., k])) + psi[..., k]
        return np.asarray(total)

    def log_jacobian(self, psi: FloatArray) -> FloatArray:
        """Log |dθ/dψ| at ``psi`` of shape (..., size)."""
        total = psi[..., self._first_parameter :].sum(-1)
        for _, scale, part in self._terms():
            total = total + _log_jacobian(psi[..., part], scale)
        return np.asarray(total)

    def separate_log_priors(self, psi: FloatArray) -> FloatArray:
        """Log p(θ_j) + log |dθ_j/dψ_j| of each θ_j with one coordinate; others count as 0.

        Parameters
        ----------
        psi : ndarray, shape (size, n)
            Values of each coordinate.
        """
        out = np.zeros(psi.shape)
        for group, scale, part in self._terms():
            if group.d == 1:
                out[part.start] = _log_prior(group, psi[part].T, scale)
        for k, prior in enumerate(self.glmm.parameter_priors, self._first_parameter):
            out[k] = prior.log_density_sigma(np.exp(psi[k])) + psi[k]
        return out

    def log_prior_gradient(self, psi: FloatArray) -> FloatArray:
        """Gradient of :meth:`log_prior`, by central differences; ``psi`` of shape (n, size)."""
        steps = _STEP * np.eye(self.size)
        here = psi[:, None, :]
        # away from the mirror, where σ would stop at its smallest
        here = np.where(self.folded, np.maximum(here, 2 * _STEP), here)
        out = (self.log_prior(here + steps) - self.log_prior(here - steps)) / (2 * _STEP)
        return np.where(np.isfinite(out), out, 0.0)

    def pull_back(
        self, psi: FloatArray, by_covariance: tuple[FloatArray, ...], by_log_phi: FloatArray
    ) -> FloatArray:
        """Gradients by ψ, shape (n, size), from those by each Σ_j and by log φ.

        Parameters
        ----------
        psi : ndarray, shape (n, size)
        by_covariance : tuple of ndarray, each of shape (n, d, d)
        by_log_phi : ndarray, shape (n, k)
        """
        out = np.zeros(psi.shape)
        for (group, scale, part), gradient in zip(self._terms(), by_covariance, strict=True):
            at = psi[:, part]
            if group.d == 1:
                slope = np.sign(at) * np.cosh(np.clip(at, -_LARGEST, _LARGEST))
                out[:, part] = gradient[:, 0] * 2 * _sigma(at, scale) * scale * slope
                continue
            steps = _STEP * np.eye(at.shape[1])
            ends = [_covariance(at[:, None] + sign * steps, scale) for sign in (1, -1)]
            weighted = (ends[0] - ends[1]) * gradient[:, None]
            out[:, part] = weighted.sum((2, 3)) / (2 * _STEP)
        out[:, self._first_parameter :] = by_log_phi
        return out

    @property
    def _first_parameter(self) -> int:
        return self.size - len(self.glmm.free_parameters)

    def _terms(self) -> Iterator[tuple[GroupEffects, FloatArray, slice]]:
        at = 0
        for group, scale in zip(self.glmm.groups, self.scales, strict=True):
            yield group, scale, slice(at, at + _n_coordinates(group.d))
            at += _n_coordinates(group.d)


def _scale_priors(group: GroupEffects) -> tuple[ScalePrior, ...]:
    """Priors of the standard deviations themselves, where the term has such."""
    if isinstance(group.prior, LKJ):
        return group.prior.scales(group.d)
    return (group.prior,) if isinstance(group.prior, ScalePrior) else ()


def _n_coordinates(d: int) -> int:
    return d * (d + 1) // 2


def _covariance(psi: FloatArray, scale: FloatArray) -> FloatArray:
    """Σ of one term, shape (..., d, d)."""
    d = len(scale)
    sigma = _sigma(psi[..., :d], scale)
    if d == 1:
        return np.asarray(sigma[..., None] ** 2)
    factor = sigma[..., :, None] * correlation_root(_partial(psi[..., d:]), d)
    return np.asarray(factor @ np.swapaxes(factor, -1, -2))


def _sigma(psi: FloatArray, scale: FloatArray | float) -> FloatArray:
    inside = np.minimum(np.abs(psi), _LARGEST)
    return np.asarray(scale * np.maximum(np.sinh(inside), _SMALLEST))


def _partial(psi: FloatArray) -> FloatArray:
    return np.asarray(np.clip(erf(psi / np.sqrt(2)), CLOSEST - 1, 1 - CLOSEST))


def _log_prior(group: GroupEffects, psi: FloatArray, scale: FloatArray) -> FloatArray:
    """Log p(Σ) + log |dΣ/dψ| of one term, for ψ of shape (..., d(d + 1)/2)."""
    covariance = _covariance(psi, scale)
    return covariance_log_density(group.prior, covariance) + _log_jacobian(psi, scale)


def _log_jacobian(psi: FloatArray, scale: FloatArray) -> FloatArray:
    """Log |dΣ/dψ|: 2^d Πσ^d of Σ by (σ, R), that of R by its partial correlations, and by ψ."""
    d = len(scale)
    at = np.minimum(np.abs(psi[..., :d]), _LARGEST)
    log_sigma = np.log(_sigma(psi[..., :d], scale))
    log_cosh = at + np.log1p(np.exp(-2 * at)) - np.log(2)
    total = (np.log(2) + d * log_sigma + np.log(scale) + log_cosh).sum(-1)
    if d == 1:
        return np.asarray(total)
    partial = _partial(psi[..., d:])
    # column j of the factor: (1 − z²) has the power (d − j − 2)/2 (Stan reference, 10.9)
    powers = np.array([0.5 * (d - j - 2) for i in range(d) for j in range(i)])
    total = total + (powers * np.log1p(-(partial**2))).sum(-1)
    log_slope = 0.5 * np.log(2 / np.pi) - 0.5 * psi[..., d:] ** 2
    return np.asarray(total + log_slope.sum(-1))
