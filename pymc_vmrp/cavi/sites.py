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


@dataclass(frozen=True)
class Evaluation:
    """What a bound makes of marginals N(μ, v) of η.

    Attributes
    ----------
    sites : Sites
        Optimal at these marginals: where the next sweep goes.
    expected_log_likelihood : float
        Lower bound of E log p(y | η), at its tightest for these marginals.
    """

    sites: Sites
    expected_log_likelihood: float


class Bound(Protocol):
    """How the likelihood is bounded: its sites and its share of the ELBO, in one pass."""

    @property
    def name(self) -> str:
        """The value of ``bound=`` that asks for it."""
        ...

    @property
    def constant_shift(self) -> bool:
        """Whether k does not depend on the marginals."""
        ...

    def evaluate(self, response: Response, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """Sites and expected log likelihood at the marginals N(mean, variance) of η."""
        ...


@dataclass(frozen=True)
class PolyaGamma:
    """The Pólya–Gamma bound of the published algorithm; no plain sweep can lower its ELBO.

    With c² = μ² + v the site has w = n tanh(c/2)/(2c) and k = y − n/2. Jaakkola & Jordan (2000);
    Polson, Scott & Windle (2013); Durante & Rigon (2019) for their equality; Goplerud (2022).
    """

    name: str = "polya-gamma"
    constant_shift: bool = True

    def evaluate(self, response: Response, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`; the quadratic term vanishes at the optimal c."""
        half = 0.5 * np.sqrt(mean**2 + variance)
        # tanh(x)/x → 1 as x → 0
        ratio = np.where(half > 1e-8, np.tanh(half) / np.maximum(half, 1e-8), 1.0)
        shift = response.successes - 0.5 * response.trials
        log_two_cosh = np.logaddexp(half, -half)
        expected = float(shift @ mean - response.trials @ log_two_cosh) + response.log_base
        return Evaluation(Sites(0.25 * response.trials * ratio, shift), expected)


@dataclass(frozen=True)
class Quadrature:
    """The exact expectation under a Gaussian: the tight bound, and no bound but the thing itself.

    w = −E[ℓ″(η)] and k = E[ℓ′(η)] + wμ give the optimal Gaussian of the same factorization: Knowles
    & Minka (2011), Khan & Lin (2017), Opper & Archambeau (2009). For the logistic likelihood the
    one-dimensional integrals are those of a scale mixture of probits, in closed form.
    """

    name: str = "quadrature"
    constant_shift: bool = False

    def evaluate(self, response: Response, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`."""
        softplus, probability, slope = (np.empty_like(mean) for _ in range(3))
        logistic_expectations(mean, variance, softplus, probability, slope)
        precision = response.trials * slope
        shift = response.successes - response.trials * probability + precision * mean
        expected = float(response.successes @ mean - response.trials @ softplus)
        return Evaluation(Sites(precision, shift), expected + response.log_base)


BOUNDS: dict[str, Bound] = {bound.name: bound for bound in (Quadrature(), PolyaGamma())}
