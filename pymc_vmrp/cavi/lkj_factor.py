"""q(Σ) under an LKJ prior: weighted points, as p(σ)|R|^(η − 1) is conjugate to nothing.

The optimal q(Σ) ∝ p(Σ) |Σ|^(−L/2) exp(−½ tr(S Σ⁻¹)) has few coordinates: log σ_k (a
logit where the prior has an upper end), and inverse hyperbolic tangents of partial correlations.
Points are draws of a multivariate t at its mode in them, from the same quasi-random numbers every
time, so that the factor is a smooth function of S; importance weights make up for the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import expit, gammaln, logit, logsumexp
from scipy.stats import chi2, norm, qmc

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.weights import systematic_counts
from pymc_vmrp.glmm.priors.lkj import LKJ, correlation_root, partial_correlations
from pymc_vmrp.glmm.priors.scales import largest_sigma, smallest_sigma

_POINTS = 2**11
_TAIL = 5.0  # degrees of freedom of the t
_WIDER = 1.1  # its scale, in sds of the normal at the mode
_CANDIDATES = 20  # draws of the t for each that is kept
_MOST_STEPS, _STEP, _SMALL = 60, 1e-3, 1e-8  # of Newton's method, its differences, its end
_INSIDE = 0.01  # share of the support of σ by which it starts off the ends


@dataclass(frozen=True)
class _Kernel:
    """Log of p(Σ) |Σ|^(−L/2) exp(−½ tr(S Σ⁻¹)) |dΣ/dx|, as a function of coordinates x."""

    prior: LKJ
    second_moment: FloatArray
    levels: float

    @cached_property
    def _ends(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest σ that the priors allow, shape (d,) each."""
        scales = self.prior.scales(len(self.second_moment))
        return np.array([smallest_sigma(s) for s in scales]), np.array(
            [largest_sigma(s) for s in scales]
        )

    def _sigma(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """σ and log dσ/dx: low + eˣ, or where there is an upper end a logistic curve."""
        low, high = self._ends
        bounded = np.isfinite(high)
        width = np.where(bounded, high - low, 1.0)
        inside = np.where(bounded, x, 0.0)
        sigma = low + np.where(bounded, width * expit(inside), np.exp(np.where(bounded, 0.0, x)))
        slope = np.log(width) - np.logaddexp(0, inside) - np.logaddexp(0, -inside)
        return sigma, np.where(bounded, slope, x)

    def covariances(self, x: FloatArray) -> FloatArray:
        """Σ at x of shape (n, k)."""
        d = len(self.second_moment)
        root = self._sigma(x[:, :d])[0][:, :, None] * correlation_root(np.tanh(x[:, d:]), d)
        return np.asarray(root @ np.swapaxes(root, 1, 2))

    def of_covariances(self, covariances: FloatArray) -> FloatArray:
        """The same without the Jacobian."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            trace = np.einsum("ij,nji->n", self.second_moment, np.linalg.inv(covariances))
            log_det = np.linalg.slogdet(covariances)[1]
            total = self.prior.log_density(covariances) - 0.5 * (self.levels * log_det + trace)
        return np.where(np.isnan(total), -np.inf, total)

    def __call__(self, x: FloatArray) -> FloatArray:
        """At x of shape (n, k); −∞ outside of the support."""
        d = len(self.second_moment)
        powers = np.array([0.5 * (d - j - 2) for i in range(d) for j in range(i)])
        # log(1 − tanh²), which does not round to log 0
        log_left = 2 * (math.log(2) - np.logaddexp(x[:, d:], -x[:, d:]))
        with np.errstate(divide="ignore"):
            sigma, slope = self._sigma(x[:, :d])
            by_sigma = (d * np.log(sigma) + slope).sum(1)
        jacobian = d * math.log(2) + by_sigma + log_left @ (powers + 1)
        return self.of_covariances(self.covariances(x)) + jacobian

    def start(self) -> FloatArray:
        """A point inside of the support, near what S alone says."""
        d = len(self.second_moment)
        sigma = np.sqrt(np.diag(self.second_moment) / self.levels)
        low, high = self._ends
        bounded = np.isfinite(high)
        share = (sigma - low) / np.where(bounded, high - low, 1.0)
        at = np.where(
            bounded,
            logit(np.clip(share, _INSIDE, 1 - _INSIDE)),
            np.log(np.maximum(sigma - low, np.maximum(_INSIDE * sigma, 1e-100))),
        )
        spread = np.sqrt(np.diag(self.second_moment))
        correlation = self.second_moment / np.outer(spread, spread)
        shrunk = 0.9 * correlation + 0.1 * np.eye(d)
        return np.concatenate([at, np.arctanh(partial_correlations(np.linalg.cholesky(shrunk)))])

    def mode(self) -> tuple[FloatArray, FloatArray]:
        """Where it is largest, and the lower root of the inverse curvature there."""
        x = self.start()
        value = float(self(x[None])[0])
        for _ in range(_MOST_STEPS):
            gradient, root = self._local(x)
            step = root @ (root.T @ gradient)
            step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
            for halvings in range(30):
                moved = x + 0.5**halvings * step
                found = float(self(moved[None])[0])
                if found > value:
                    break
            else:
                break
            done = float(np.abs(moved - x).max()) < _SMALL
            x, value = moved, found
            if done:
                break
        return x, self._local(x)[1]

    def _local(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient, and the lower root of the inverse of the negative Hessian, by differences."""
        k = len(x)
        steps = _STEP * np.eye(k)
        pairs = [(a, b) for a in range(k) for b in range(a)]
        crossed = [steps[a] + steps[b] for a, b in pairs]
        moves = np.array([np.zeros(k), *steps, *-steps, *crossed, *(-c for c in crossed)])
        values = self(x + moves)
        centre, up, down = values[0], values[1 : k + 1], values[k + 1 : 2 * k + 1]
        plus, minus = np.split(values[2 * k + 1 :], 2)
        with np.errstate(invalid="ignore"):
            gradient = (up - down) / (2 * _STEP)
            curvature = np.diag(-(up - 2 * centre + down) / _STEP**2)
            for (a, b), p, m in zip(pairs, plus, minus, strict=True):
                both = -(p - 2 * centre + m) / _STEP**2
                curvature[a, b] = curvature[b, a] = 0.5 * (both - curvature[a, a] - curvature[b, b])
        if not np.isfinite(curvature).all() or not np.isfinite(gradient).all():
            # at an end of the numbers: a width as the likelihood has it
            return np.zeros(k), np.eye(k) / math.sqrt(2 * self.levels)
        eigenvalues, vectors = np.linalg.eigh(curvature)
        least = 0.1 * max(float(eigenvalues.max()), 1.0) / (10 + self.levels)
        inverse = (vectors / np.maximum(eigenvalues, least)) @ vectors.T
        return gradient, np.linalg.cholesky(inverse)


@dataclass(frozen=True)
class LkjFactor:
    """q(Σ) as weighted points; see :class:`CovarianceFactor`.

    Attributes
    ----------
    kernel : _Kernel
        Its density but for the normaliser.
    mode : ndarray, shape (k,)
    root : ndarray, shape (k, k)
        Of the t's scale matrix.
    covariances : ndarray, shape (n, d, d)
    weights : ndarray, shape (n,)
        Sum to 1.
    log_normaliser : float
    """

    kernel: _Kernel
    mode: FloatArray
    root: FloatArray
    covariances: FloatArray
    weights: FloatArray
    log_normaliser: float
    transformable: bool = False

    @property
    def d(self) -> int:
        """See :class:`CovarianceFactor`."""
        return self.covariances.shape[-1]

    @cached_property
    def expected_precision(self) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return np.einsum("n,nij->ij", self.weights, np.linalg.inv(self.covariances))

    @property
    def elbo(self) -> float:
        """See :class:`CovarianceFactor`: the normaliser, as q is optimal."""
        return self.log_normaliser - 0.5 * self.kernel.levels * self.d * math.log(2 * math.pi)

    def log_prior_of_transformed(self, transform: FloatArray) -> tuple[float, FloatArray]:
        """Not of this factor: it is not ``transformable``."""
        raise NotImplementedError

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`CovarianceFactor`; new draws of the t, resampled by their weights."""
        size, k = _CANDIDATES * draws, len(self.mode)
        z = rng.standard_normal((size, k)) / np.sqrt(rng.chisquare(_TAIL, (size, 1)) / _TAIL)
        x = self.mode + z @ self.root.T
        log_weight = self.kernel(x) - _log_t(z, self.root)
        weight = np.exp(log_weight - log_weight.max())
        counts = systematic_counts(rng, weight / weight.sum(), draws)
        return self.kernel.covariances(rng.permutation(np.repeat(x, counts, axis=0)))

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return self.kernel.of_covariances(covariance) - self.log_normaliser

    def sigma_moments(self, basis: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """See :class:`CovarianceFactor`."""
        covariances = self.covariances
        if basis is not None:
            covariances = basis @ covariances @ basis.T
        sigma = np.sqrt(np.einsum("nkk->nk", covariances))
        mean = self.weights @ sigma
        return mean, np.sqrt(self.weights @ (sigma - mean) ** 2)


def update_lkj(prior: LKJ, second_moment: FloatArray, levels: float) -> LkjFactor:
    """The optimal q(Σ) given S = Σ_g E[u_g u_g']; see :func:`update_covariance`."""
    kernel = _Kernel(prior, second_moment, levels)
    mode, root = kernel.mode()
    root = _WIDER * root
    z = _points(len(mode))
    x = mode + z @ root.T
    log_weight = kernel(x) - _log_t(z, root)
    log_sum = float(logsumexp(log_weight))
    return LkjFactor(
        kernel, mode, root, kernel.covariances(x), np.exp(log_weight - log_sum),
        log_sum - math.log(len(z)),
    )  # fmt: skip


def _log_t(z: FloatArray, root: FloatArray) -> FloatArray:
    """Log density of a multivariate t at its location plus root·z."""
    k = len(root)
    constant = gammaln(0.5 * (_TAIL + k)) - gammaln(0.5 * _TAIL) - 0.5 * k * math.log(_TAIL * np.pi)
    log_det = np.log(np.diag(root)).sum()
    return np.asarray(constant - log_det - 0.5 * (_TAIL + k) * np.log1p((z**2).sum(1) / _TAIL))


@lru_cache(maxsize=8)
def _points(k: int) -> FloatArray:
    """Quasi-random draws of a standard multivariate t, shape (n, k)."""
    uniform = np.clip(qmc.Sobol(k + 1, seed=20090101).random(_POINTS), 1e-12, 1 - 1e-12)
    scale = np.sqrt(chi2.ppf(uniform[:, -1:], _TAIL) / _TAIL)
    return np.asarray(norm.ppf(uniform[:, :-1]) / scale)
