"""The factors q(Σ_j): inverse Wishart where conjugate, else a grid over log σ (d = 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaln, psi

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.covariance import (
    CovariancePrior,
    HuangWand,
    InverseWishart,
    inverse_wishart_log_density,
)
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import ScalePrior, largest_sigma


class CovarianceFactor(Protocol):
    """A fitted q(Σ) of one block of L levels with d effects."""

    @property
    def d(self) -> int:
        """Number of effects."""
        ...

    @property
    def transformable(self) -> bool:
        """Whether every RΣR' is in the support of the prior."""
        ...

    @property
    def expected_precision(self) -> FloatArray:
        """E[Σ⁻¹], shape (d, d)."""
        ...

    @property
    def elbo(self) -> float:
        """E[log p(u | Σ) + log p(Σ) − log q(Σ)], auxiliaries included."""
        ...

    def log_prior_of_transformed(self, transform: FloatArray) -> tuple[float, FloatArray]:
        """E[log p(RΣR')] + log |dRΣR'/dΣ| and its gradient as functions of R = transform.

        Only of factors that are ``transformable``.
        """
        ...

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """Draws of Σ, shape (draws, d, d)."""
        ...

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log q(Σ) for ``covariance`` of shape (draws, d, d)."""
        ...

    def sigma_moments(self, basis: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Mean and sd of each standard deviation σ_k, shape (d,) each (inf where undefined).

        With a ``basis`` M, shape (d, d), those of MΣM'.
        """
        ...


def update_covariance(
    prior: CovariancePrior, second_moment: FloatArray, levels: float
) -> CovarianceFactor:
    """The optimal q(Σ) given Σ_g E[u_g u_g'].

    Parameters
    ----------
    prior : CovariancePrior
    second_moment : ndarray, shape (d, d)
    levels : float
        Number of levels L of the grouping factor; of rows, for the σ of a Gaussian likelihood.
    """
    if isinstance(prior, HuangWand):
        return _update_huang_wand(prior, second_moment, levels)
    if isinstance(prior, LKJ):
        from pymc_vmrp.cavi.lkj_factor import update_lkj

        return update_lkj(prior, second_moment, levels)
    if isinstance(prior, InverseWishart):
        return _update_inverse_wishart(prior, second_moment, levels)
    if isinstance(prior, ImproperInverseWishart):
        return _update_improper(prior, second_moment, levels)
    return _update_grid(prior, float(second_moment[0, 0]), levels)


@dataclass(frozen=True)
class InverseWishartFactor:
    """q(Σ) = InverseWishart(df, scale).

    ``prior_df`` and ``prior_scale`` are those of p(Σ), given the auxiliaries where there are any.
    """

    df: float
    scale: FloatArray
    elbo: float
    prior_df: float
    prior_scale: FloatArray
    transformable: bool = True

    @property
    def d(self) -> int:
        """See :class:`CovarianceFactor`."""
        return len(self.scale)

    @property
    def expected_precision(self) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return np.asarray(self.df * inverse(self.scale))

    def log_prior_of_transformed(self, transform: FloatArray) -> tuple[float, FloatArray]:
        """See :class:`CovarianceFactor`: −ν₀ log |R| − ½ tr(Ψ₀ R⁻ᵀ E[Σ⁻¹] R⁻¹)."""
        back = inverse(transform)
        precision = back.T @ self.expected_precision @ back
        weighted = precision @ self.prior_scale
        value = -self.prior_df * log_determinant(transform) - 0.5 * float(np.trace(weighted))
        return value, weighted @ back.T - self.prior_df * back.T

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return inverse_wishart_draws(rng, self.df, self.scale, draws)

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return inverse_wishart_log_density(covariance, self.df, self.scale)

    def sigma_moments(self, basis: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """See :class:`CovarianceFactor`; m'Σm is inverse gamma with shape (df − d + 1)/2."""
        shape = 0.5 * (self.df - len(self.scale) + 1)
        scale = self.scale if basis is None else basis @ self.scale @ basis.T
        rate = 0.5 * np.diag(scale)
        if shape <= 0.5:
            return np.full(len(rate), np.inf), np.full(len(rate), np.inf)
        mean = np.sqrt(rate) * np.exp(gammaln(shape - 0.5) - gammaln(shape))
        if shape <= 1:
            return mean, np.full(len(rate), np.inf)
        return mean, np.sqrt(np.maximum(rate / (shape - 1) - mean**2, 0))


def inverse_wishart_draws(
    rng: np.random.Generator, df: float, scale: FloatArray, draws: int
) -> FloatArray:
    """Draws of InverseWishart(df, scale), shape (draws, d, d), for any real df > d − 1.

    By Bartlett's decomposition of the precision (Odell & Feiveson 1966).
    """
    d = len(scale)
    if d == 1:
        return np.asarray(scale / rng.chisquare(df, (draws, 1, 1)))
    bartlett = np.zeros((draws, d, d))
    for i in range(d):
        bartlett[:, i, i] = np.sqrt(rng.chisquare(df - i, draws))
        bartlett[:, i, :i] = rng.standard_normal((draws, i))
    # Σ⁻¹ = LBB'L' with LL' = scale⁻¹, so that Σ = M'M with M = (LB)⁻¹
    back = np.linalg.inv(np.linalg.cholesky(np.linalg.inv(scale)) @ bartlett)
    return np.asarray(np.swapaxes(back, 1, 2) @ back)


# Most terms have one effect, and numpy's linear algebra on 1 × 1 matrices would take as long as the
# rest of a small model's sweep: hence plain arithmetic where d = 1.
def inverse(matrix: FloatArray) -> FloatArray:
    """Inverse of a small matrix."""
    return 1 / matrix if len(matrix) == 1 else np.linalg.inv(matrix)


def log_determinant(matrix: FloatArray) -> float:
    """Log |matrix| of a small matrix."""
    if len(matrix) == 1:
        # a step too far may have lost all digits of it: its ELBO is then no number
        return math.log(matrix[0, 0]) if matrix[0, 0] > 0 else math.nan
    return float(np.linalg.slogdet(matrix)[1])


def _trace_of_ratio(matrix: FloatArray, scale: FloatArray) -> float:
    """Trace of scale⁻¹ matrix."""
    if len(matrix) == 1:
        return float(matrix[0, 0] / scale[0, 0])
    return float(np.trace(np.linalg.solve(scale, matrix)))


def _log_multigamma(x: float, d: int) -> float:
    """Log of the multivariate gamma function."""
    halves = sum(math.lgamma(x - 0.5 * i) for i in range(d))
    return 0.25 * d * (d - 1) * math.log(math.pi) + halves


def _expected_log_det_precision(df: float, scale: FloatArray) -> float:
    d = len(scale)
    digammas = sum(float(psi(0.5 * (df - i))) for i in range(d))
    return digammas + d * math.log(2) - log_determinant(scale)


def _inverse_wishart_entropy(df: float, scale: FloatArray, log_det_precision: float) -> float:
    d = len(scale)
    return (
        _log_multigamma(0.5 * df, d)
        + 0.5 * df * d
        + 0.5 * df * d * math.log(2)
        - 0.5 * df * log_determinant(scale)
        - 0.5 * (df + d + 1) * log_det_precision
    )


def _expected_log_inverse_wishart(
    df0: float, expected_log_det_scale: float, trace: float, d: int, log_det_precision: float
) -> float:
    """E log IW(Σ; df0, Ψ0), given E log |Ψ0|, E tr(Ψ0 Σ⁻¹) and E log |Σ⁻¹|."""
    return (
        0.5 * df0 * expected_log_det_scale
        - 0.5 * df0 * d * math.log(2)
        - _log_multigamma(0.5 * df0, d)
        + 0.5 * (df0 + d + 1) * log_det_precision
        - 0.5 * trace
    )


def _expected_log_effects(
    second_moment: FloatArray, levels: float, df: float, scale: FloatArray, log_det_precision: float
) -> float:
    """E log p(u | Σ)."""
    d = len(scale)
    trace = df * _trace_of_ratio(second_moment, scale)
    return 0.5 * levels * (log_det_precision - d * math.log(2 * math.pi)) - 0.5 * trace


def _update_inverse_wishart(
    prior: InverseWishart, second_moment: FloatArray, levels: float
) -> InverseWishartFactor:
    d = len(second_moment)
    df0, scale0 = prior.parameters(d)
    df, scale = df0 + levels, scale0 + second_moment
    log_det = _expected_log_det_precision(df, scale)
    elbo = (
        _expected_log_effects(second_moment, levels, df, scale, log_det)
        + _expected_log_inverse_wishart(
            df0, log_determinant(scale0), df * _trace_of_ratio(scale0, scale), d, log_det
        )
        + _inverse_wishart_entropy(df, scale, log_det)
    )
    return InverseWishartFactor(df, scale, elbo, df0, scale0)


def _update_improper(
    prior: ImproperInverseWishart, second_moment: FloatArray, levels: float
) -> InverseWishartFactor:
    """As under an inverse Wishart with scale 0, whose density has no constant."""
    d = len(second_moment)
    df0 = prior.df(d)
    df, scale = df0 + levels, second_moment
    log_det = _expected_log_det_precision(df, scale)
    elbo = (
        _expected_log_effects(second_moment, levels, df, scale, log_det)
        + 0.5 * (df0 + d + 1) * log_det
        + _inverse_wishart_entropy(df, scale, log_det)
    )
    return InverseWishartFactor(df, scale, elbo, df0, np.zeros((d, d)))


def _update_huang_wand(
    prior: HuangWand, second_moment: FloatArray, levels: float
) -> InverseWishartFactor:
    """Iterate q(Σ) and q(a) to their joint optimum.

    q(Σ) = IW(ν + d − 1 + L, 2ν diag(E[1/a]) + S), q(a_k) = IG((ν + d)/2, 1/A_k² + νE[Σ⁻¹]_kk).
    """
    d, nu = len(second_moment), prior.nu
    rate0 = prior.scales(d) ** -2
    df0 = nu + d - 1
    df, shape = df0 + levels, 0.5 * (nu + d)
    inverse_a = _expected_inverse_a(second_moment, nu, rate0, df, shape)
    scale0 = np.diag(2 * nu * inverse_a)
    scale = second_moment + scale0
    precision = df * inverse(scale)
    rate = rate0 + nu * np.diag(precision)
    inverse_a = shape / rate
    log_a = np.log(rate) - psi(shape)  # E log a under IG(shape, rate)
    trace = float(2 * nu * inverse_a @ np.diag(precision))
    log_det0 = float(d * math.log(2 * nu) - log_a.sum())
    # E log p(a_k) and the entropy of q(a_k)
    log_p_a = 0.5 * np.log(rate0) - math.lgamma(0.5) - 1.5 * log_a - rate0 * inverse_a
    entropy_a = shape + np.log(rate) + math.lgamma(shape) - (1 + shape) * psi(shape)
    log_det = _expected_log_det_precision(df, scale)
    elbo = (
        _expected_log_effects(second_moment, levels, df, scale, log_det)
        + _expected_log_inverse_wishart(df0, log_det0, trace, d, log_det)
        + _inverse_wishart_entropy(df, scale, log_det)
        + float((log_p_a + entropy_a).sum())
    )
    return InverseWishartFactor(df, scale, elbo, df0, scale0)


def _expected_inverse_a(
    second_moment: FloatArray, nu: float, rate0: FloatArray, df: float, shape: float
) -> FloatArray:
    """E[1/a_k] at the joint optimum of q(Σ) and q(a)."""
    if len(second_moment) == 1:
        # x = shape/(r0 + ν df/(S + 2νx)) is a quadratic in x with one positive root
        s = second_moment[0, 0]
        b = rate0 * s + nu * df - 2 * nu * shape
        return np.asarray(
            2 * shape * s / (b + np.sqrt(b**2 + 8 * nu * rate0 * shape * s)), dtype=float
        )
    inverse_a = shape / rate0  # as if Σ⁻¹ were 0: an upper bound
    for _ in range(1000):
        scale = second_moment + np.diag(2 * nu * inverse_a)
        updated = shape / (rate0 + nu * df * np.diag(np.linalg.inv(scale)))
        if np.all(np.abs(updated - inverse_a) <= 1e-13 * updated):
            return np.asarray(updated)
        inverse_a = updated
    return np.asarray(inverse_a)


@dataclass(frozen=True)
class GridFactor:
    """q(σ) of a term with one effect, tabulated on an even grid of t = log σ.

    ``log_density_t`` is the normalised log density of t at the grid points.
    """

    t: FloatArray
    log_density_t: FloatArray
    elbo: float
    prior: ScalePrior
    d: int = 1

    @property
    def transformable(self) -> bool:
        """See :class:`CovarianceFactor`."""
        return largest_sigma(self.prior) == math.inf

    @property
    def _mass(self) -> FloatArray:
        mass = np.exp(self.log_density_t)
        mass[[0, -1]] *= 0.5  # the trapezoid rule
        return np.asarray(mass / mass.sum())

    @property
    def expected_precision(self) -> FloatArray:
        """See :class:`CovarianceFactor`."""
        return np.array([[self._mass @ np.exp(-2 * self.t)]])

    def log_prior_of_transformed(self, transform: FloatArray) -> tuple[float, FloatArray]:
        """See :class:`CovarianceFactor`; here E log p(rσ) + log r, by central differences."""
        r, step = float(transform[0, 0]), 1e-5

        def value(log_r: float) -> float:
            return float(self._mass @ self.prior.log_density_sigma(np.exp(self.t + log_r))) + log_r

        log_r = math.log(r)
        slope = (value(log_r + step) - value(log_r - step)) / (2 * step)
        return value(log_r), np.array([[slope / r]])

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`CovarianceFactor`; by the inverse distribution function."""
        cumulative = np.concatenate([[0.0], np.cumsum(self._mass)])
        step = self.t[1] - self.t[0]
        edges = np.append(self.t - 0.5 * step, self.t[-1])
        edges[0] = self.t[0]
        t = np.interp(rng.random(draws), cumulative / cumulative[-1], edges)
        return np.asarray(np.exp(2 * t)[:, None, None])

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """See :class:`CovarianceFactor`; dt/dσ² = 1/(2σ²)."""
        variance = covariance[:, 0, 0]
        log_t = np.interp(
            0.5 * np.log(variance), self.t, self.log_density_t, left=-np.inf, right=-np.inf
        )
        return np.asarray(log_t - np.log(2 * variance))

    def sigma_moments(self, basis: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """See :class:`CovarianceFactor`."""
        sigma = np.exp(self.t) * (1.0 if basis is None else abs(basis[0, 0]))
        mean = self._mass @ sigma
        return np.array([mean]), np.array([np.sqrt(self._mass @ (sigma - mean) ** 2)])


_FEWEST = 50  # points of a grid between which a density can be interpolated
_FINEST = 1e-13  # steps of a grid relative to its numbers, near the spacing of floats


def _update_grid(prior: ScalePrior, second_moment: float, levels: float) -> GridFactor:
    """q(σ) ∝ p(σ) σ^(−L) exp(−S/(2σ²)), normalised over t = log σ by the trapezoid rule."""

    def log_kernel(t: FloatArray) -> FloatArray:
        return (
            prior.log_density_sigma(np.exp(t))
            + (1 - levels) * t
            - 0.5 * second_moment * np.exp(-2 * t)
        )

    # locate the mass on a wide coarse grid, then tabulate where it is within e^-45 of its mode
    centre = 0.5 * np.log(max(second_moment, 1e-300) / levels)
    most = math.log(largest_sigma(prior)) if largest_sigma(prior) < math.inf else math.inf
    coarse = min(centre, most) + np.linspace(-20, 20, 2001)
    coarse = np.append(coarse[coarse < most], most) if most < math.inf else coarse
    t, values, width = coarse, log_kernel(coarse), 0
    while width < _FEWEST:  # again where the mass is narrow, as under a limit far below the data
        inside = np.flatnonzero(values >= values.max() - 45)
        low, high = t[max(inside[0] - 1, 0)], t[min(inside[-1] + 1, len(t) - 1)]
        t = np.linspace(low, high, 1201)
        if t[1] - t[0] <= _FINEST * abs(t[0]):
            break
        values = log_kernel(t)
        width = int(np.count_nonzero(values >= values.max() - 45))
    values = log_kernel(t)
    top = values.max()
    log_z = top + np.log(np.trapezoid(np.exp(values - top), t))
    elbo = float(log_z - 0.5 * levels * np.log(2 * np.pi))
    return GridFactor(t, values - log_z, elbo, prior)
