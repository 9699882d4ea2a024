"""q(Σ) = InverseWishart: the optimum under priors that are conjugate, given auxiliaries or not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, psi

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.covariance import (
    HuangWand,
    InverseWishart,
    inverse_wishart_log_density,
)
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart


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


def update_inverse_wishart(
    prior: InverseWishart, second_moment: FloatArray, levels: float
) -> InverseWishartFactor:
    """Conjugate: InverseWishart(df + L, Ψ + S)."""
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


def update_improper(
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


def update_huang_wand(
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
    # x = T(x) is increasing and concave (a Schur complement of S + 2ν diag(x) is), so that Newton's
    # steps from above fall to its root (Ortega & Rheinboldt 1970, theorem 13.3.4)
    inverse_a = shape / rate0  # as if Σ⁻¹ were 0: an upper bound
    identity = np.eye(len(inverse_a))
    for _ in range(100):
        precision = np.linalg.inv(second_moment + np.diag(2 * nu * inverse_a))
        rate = rate0 + nu * df * np.diag(precision)
        slopes = 2 * nu**2 * df * (shape / rate**2)[:, None] * precision**2
        step = np.linalg.solve(identity - slopes, inverse_a - shape / rate)
        inverse_a = inverse_a - step
        if np.all(step <= 1e-13 * inverse_a):  # a step up is rounding
            break
    return np.asarray(inverse_a)
