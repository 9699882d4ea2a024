"""Priors on common coefficients that are normal distributions of random variance.

β | λ ~ N(μ, λ²) with a distribution of λ² (Andrews & Mallows 1974; West 1987). Two functions of
S = (β − μ)² say all that either engine needs. The marginal density, with λ integrated out, serves
the exact joint density. Coordinate ascent needs the optimal q(λ) ∝ p(λ) exp(E log p(β | λ)), which
depends on q(β) through S = E(β − μ)² alone: its normalising constant, which is what λ adds to the
ELBO, is the marginal density at S, and E[1/λ²] = −2 d log p/dS (Palmer et al. 2006). So q(λ) is
never tabulated.

References
----------
Andrews, D. F. and Mallows, C. L. (1974). Scale mixtures of normal distributions. Journal of the
Royal Statistical Society B 36(1).
West, M. (1987). On scale mixtures of normal distributions. Biometrika 74(3).
Palmer, J., Wipf, D., Kreutz-Delgado, K. and Rao, B. (2006). Variational EM algorithms for
non-Gaussian latent variable models. Advances in Neural Information Processing Systems 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.arguments import freeze, numbers, positive
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe


class _LocationScale:
    """Fields that hold a location and a scale, checked and under these names."""

    _location_and_scale: ClassVar[tuple[str, str]]

    def __post_init__(self) -> None:
        location, scale = self._location_and_scale
        numbers(f"{type(self).__name__}: {location}", self.location)
        positive(f"{type(self).__name__}: {scale}", getattr(self, scale))
        freeze(self, location)
        freeze(self, scale)

    @property
    def location(self) -> float | Sequence[float]:
        """Centre of the distribution."""
        value: float | Sequence[float] = getattr(self, self._location_and_scale[0])
        return value

    @property
    def scale(self) -> FloatArray:
        """Typical size of β less its location, one number or one per column."""
        return np.asarray(getattr(self, self._location_and_scale[1]), dtype=float)

    def log_densities_of_squares(self, squares: FloatArray) -> FloatArray:
        """Log density of each coefficient at (β − location)², shape (..., k)."""
        raise NotImplementedError

    def log_density_of_squares(self, squares: FloatArray) -> FloatArray:
        """The same summed over the k coefficients."""
        return np.asarray(self.log_densities_of_squares(squares).sum(-1))


@dataclass(frozen=True)
class StudentT(_LocationScale):
    """Student t prior on a common coefficient.

    Heavier tails than the normal: a coefficient that the data hold to be large is shrunk less.
    The variance has an inverse gamma distribution, IG(ν/2, νσ²/2).

    Parameters
    ----------
    nu : float
        Degrees of freedom.
    mu : float or sequence of float
        Location, on the scale of the linear predictor per unit of the predictor.
    sigma : float or sequence of float
        Scale. A sequence gives one value per column of a term.

    References
    ----------
    West, M. (1987). On scale mixtures of normal distributions. Biometrika 74(3).
    Gelman, A., Jakulin, A., Pittau, M. G. and Su, Y.-S. (2008). A weakly informative default prior
    distribution for logistic and other regression models. Annals of Applied Statistics 2(4).
    """

    nu: float
    mu: float | Sequence[float] = 0.0
    sigma: float | Sequence[float] = 1.0

    _location_and_scale: ClassVar[tuple[str, str]] = ("mu", "sigma")

    def __post_init__(self) -> None:
        positive("StudentT: nu", self.nu, scalar=True)
        super().__post_init__()

    def log_densities_of_squares(self, squares: FloatArray) -> FloatArray:
        """Log density of each coefficient at (β − μ)², shape (..., k)."""
        return _student_log_density(squares, self.nu, self.scale)

    def expected_precision(self, squares: FloatArray) -> FloatArray:
        """E[1/λ²] under the optimal q(λ), shape (..., k), given E(β − μ)²."""
        return np.asarray((self.nu + 1) / (self.nu * self.scale**2 + squares))

    def draw_precision(self, rng: np.random.Generator, squares: FloatArray) -> FloatArray:
        """Draw 1/λ² given (β − μ)², shape (k,): gamma."""
        return _draw_gamma_precision(rng, squares, self.nu, self.scale)


@dataclass(frozen=True)
class Cauchy(_LocationScale):
    """Cauchy prior on a common coefficient: Student t with one degree of freedom.

    Parameters
    ----------
    alpha : float or sequence of float
        Location.
    beta : float or sequence of float
        Scale: half of the mass lies within β of the location. A sequence gives one value per
        column of a term.

    References
    ----------
    Gelman, A., Jakulin, A., Pittau, M. G. and Su, Y.-S. (2008). A weakly informative default prior
    distribution for logistic and other regression models. Annals of Applied Statistics 2(4).
    """

    alpha: float | Sequence[float] = 0.0
    beta: float | Sequence[float] = 2.5

    _location_and_scale: ClassVar[tuple[str, str]] = ("alpha", "beta")

    def log_densities_of_squares(self, squares: FloatArray) -> FloatArray:
        """Log density of each coefficient at (β − α)², shape (..., k)."""
        return _student_log_density(squares, 1.0, self.scale)

    def expected_precision(self, squares: FloatArray) -> FloatArray:
        """E[1/λ²] under the optimal q(λ), shape (..., k), given E(β − α)²."""
        return np.asarray(2 / (self.scale**2 + squares))

    def draw_precision(self, rng: np.random.Generator, squares: FloatArray) -> FloatArray:
        """Draw 1/λ² given (β − α)², shape (k,): gamma."""
        return _draw_gamma_precision(rng, squares, 1.0, self.scale)


@dataclass(frozen=True)
class Laplace(_LocationScale):
    """Laplace (double exponential) prior on a common coefficient: the Bayesian lasso.

    The variance has an exponential distribution with mean 2b².

    Parameters
    ----------
    mu : float or sequence of float
        Location.
    b : float or sequence of float
        Scale: the mean of abs(β − μ). A sequence gives one value per column of a term.

    References
    ----------
    Park, T. and Casella, G. (2008). The Bayesian lasso. Journal of the American Statistical
    Association 103(482).
    """

    mu: float | Sequence[float] = 0.0
    b: float | Sequence[float] = 1.0

    _location_and_scale: ClassVar[tuple[str, str]] = ("mu", "b")

    def log_densities_of_squares(self, squares: FloatArray) -> FloatArray:
        """Log density of each coefficient at (β − μ)², shape (..., k)."""
        return np.asarray(-np.log(2 * self.scale) - np.sqrt(squares) / self.scale)

    def expected_precision(self, squares: FloatArray) -> FloatArray:
        """E[1/λ²] under the optimal q(λ), shape (..., k), given E(β − μ)²."""
        return np.asarray(1 / (self.scale * np.sqrt(squares)))

    def draw_precision(self, rng: np.random.Generator, squares: FloatArray) -> FloatArray:
        """Draw 1/λ² given (β − μ)², shape (k,): inverse Gaussian (Park & Casella 2008, sec. 2)."""
        mean = 1 / (self.scale * np.sqrt(squares))
        return np.asarray(rng.wald(mean, np.broadcast_to(self.scale**-2.0, mean.shape)))


ElementwiseMixture = StudentT | Cauchy | Laplace
ScaleMixture = ElementwiseMixture | Horseshoe


def _student_log_density(squares: FloatArray, nu: float, scale: FloatArray) -> FloatArray:
    constant = gammaln(0.5 * (nu + 1)) - gammaln(0.5 * nu) - 0.5 * np.log(nu * np.pi)
    kernel = -0.5 * (nu + 1) * np.log1p(squares / (nu * scale**2))
    return np.asarray(constant - np.log(scale) + kernel)


def _draw_gamma_precision(
    rng: np.random.Generator, squares: FloatArray, nu: float, scale: FloatArray
) -> FloatArray:
    rate = 0.5 * (nu * scale**2 + squares)
    return np.asarray(rng.standard_gamma(0.5 * (nu + 1), squares.shape) / rate)
