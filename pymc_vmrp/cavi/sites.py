"""Sites: the local quadratic in η that stands in for each cell's likelihood.

A site has a precision w and a shift k, so that the cell adds −½wη² + kη to log q(β, u). Both
bounds are functions of the current marginal η ~ N(μ, v) of each cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.cavi.logistic import logistic_expectations
from pymc_vmrp.glmm.spec import Response

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sites:
    """Precision w and shift k of each cell's site, shape (N,) each."""

    precision: FloatArray
    shift: FloatArray

    def towards(self, other: Sites, step: float) -> Sites:
        """The natural parameters a fraction ``step`` of the way to ``other``."""
        return Sites(
            (1 - step) * self.precision + step * other.precision,
            (1 - step) * self.shift + step * other.shift,
        )


class Bound(Protocol):
    """How the likelihood is bounded: its sites and its share of the ELBO."""

    @property
    def name(self) -> str:
        """The value of ``bound=`` that asks for it."""
        ...

    @property
    def monotone(self) -> bool:
        """Whether a plain sweep can never lower the ELBO."""
        ...

    def sites(self, response: Response, mean: FloatArray, variance: FloatArray) -> Sites:
        """Sites that are optimal at the marginals N(mean, variance) of η."""
        ...

    def expected_log_likelihood(
        self, response: Response, mean: FloatArray, variance: FloatArray
    ) -> float:
        """Lower bound of E log p(y | η), at its tightest for these marginals."""
        ...


@dataclass(frozen=True)
class PolyaGamma:
    """The Pólya–Gamma bound of the published algorithm.

    With c² = μ² + v the site has w = n tanh(c/2)/(2c) and k = y − n/2. Jaakkola & Jordan (2000);
    Polson, Scott & Windle (2013); Durante & Rigon (2019) for their equality; Goplerud (2022).
    """

    name: str = "polya-gamma"
    monotone: bool = True

    def sites(self, response: Response, mean: FloatArray, variance: FloatArray) -> Sites:
        """See :class:`Bound`."""
        half = 0.5 * np.sqrt(mean**2 + variance)
        # tanh(x)/x → 1 as x → 0
        ratio = np.where(half > 1e-8, np.tanh(half) / np.maximum(half, 1e-8), 1.0)
        return Sites(0.25 * response.trials * ratio, response.successes - 0.5 * response.trials)

    def expected_log_likelihood(
        self, response: Response, mean: FloatArray, variance: FloatArray
    ) -> float:
        """See :class:`Bound`; the quadratic term vanishes at the optimal c."""
        half = 0.5 * np.sqrt(mean**2 + variance)
        log_two_cosh = np.logaddexp(half, -half)
        shift = response.successes - 0.5 * response.trials
        return float(shift @ mean - response.trials @ log_two_cosh) + response.log_base


@dataclass(frozen=True)
class Quadrature:
    """The exact expectation under a Gaussian: the tight bound.

    w = −E[ℓ″(η)] and k = E[ℓ′(η)] + wμ give the optimal Gaussian of the same factorization: Knowles
    & Minka (2011), Khan & Lin (2017), Opper & Archambeau (2009). For the logistic likelihood the
    one-dimensional integrals are those of a scale mixture of probits, in closed form.
    """

    name: str = "quadrature"
    monotone: bool = False

    def sites(self, response: Response, mean: FloatArray, variance: FloatArray) -> Sites:
        """See :class:`Bound`."""
        _, probability, slope = _expectations(mean, variance)
        precision = response.trials * slope
        shift = response.successes - response.trials * probability + precision * mean
        return Sites(precision, shift)

    def expected_log_likelihood(
        self, response: Response, mean: FloatArray, variance: FloatArray
    ) -> float:
        """See :class:`Bound`; here it is no bound but the expectation itself."""
        softplus, _, _ = _expectations(mean, variance)
        return float(response.successes @ mean - response.trials @ softplus) + response.log_base


def _expectations(
    mean: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    softplus, probability, slope = (np.empty_like(mean) for _ in range(3))
    logistic_expectations(mean, variance, softplus, probability, slope)
    return softplus, probability, slope


BOUNDS: dict[str, Bound] = {bound.name: bound for bound in (Quadrature(), PolyaGamma())}
