"""Bounds of the likelihood: the sites that they give, and their share of the ELBO.

All are functions of the current marginal η ~ N(μ, v) of each cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.expectations import expectations
from pymc_vmrp.cavi.parameters import ParameterFactor
from pymc_vmrp.glmm.families.family import Expected
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.sites import Sites


@dataclass(frozen=True)
class Evaluation:
    """What a bound makes of marginals N(μ, v) of η.

    Attributes
    ----------
    sites : Sites
        Optimal at these marginals: where the next sweep goes.
    expected_log_likelihood : float
        Lower bound of E log p(y | η, φ), at its tightest for these marginals; with free φ plus
        E log p(φ) − E log q(φ).
    parameters : ParameterFactor or None
        The optimal q(φ) for these marginals, where there are free parameters.
    """

    sites: Sites
    expected_log_likelihood: float
    parameters: ParameterFactor | None = None


class Bound(Protocol):
    """How the likelihood is bounded: its sites and its share of the ELBO, in one pass."""

    @property
    def name(self) -> str:
        """The value of ``bound=`` that asks for it."""
        ...

    @property
    def last(self) -> bool:
        """Whether iterations under it are to converge, and not only to lead up to another."""
        ...

    def evaluate(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """Sites and expected log likelihood at the marginals N(mean, variance) of η − offset."""
        ...

    def refined(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Bound | None:
        """The bound to go on with once the iterations have settled; None where this is the last."""
        ...


@dataclass(frozen=True)
class PolyaGamma:
    """The Pólya–Gamma bound of the published algorithm; no plain sweep can lower its ELBO.

    With c² = μ² + v the site has w = n tanh(c/2)/(2c) and k = y − n/2 − wo. Jaakkola & Jordan
    (2000); Polson, Scott & Windle (2013); Durante & Rigon (2019) for their equality; Goplerud
    (2022).

    Attributes
    ----------
    last : bool
        Whether it is what was asked for, and not only on the way to :class:`Quadrature`.
    """

    last: bool = True
    name: str = "polya-gamma"

    def evaluate(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`; the quadratic term vanishes at the optimal c."""
        successes, trials = glmm.response.statistics
        offset = glmm.response.offset
        total = glmm.response.with_offset(mean)
        half = 0.5 * np.sqrt(total**2 + variance)
        # tanh(x)/x → 1 as x → 0
        ratio = np.where(half > 1e-8, np.tanh(half) / np.maximum(half, 1e-8), 1.0)
        shift = successes - 0.5 * trials
        log_two_cosh = np.logaddexp(half, -half)
        expected = float(shift @ total - trials @ log_two_cosh) + glmm.response.log_base
        precision = 0.25 * trials * ratio
        if offset is not None:
            shift = shift - precision * offset
        return Evaluation(Sites(precision, shift), expected)

    def refined(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Bound | None:
        """See :class:`Bound`."""
        return None if self.last else Quadrature()


@dataclass(frozen=True)
class Quadrature:
    """The exact expectation under a Gaussian: the tight bound, and no bound but the thing itself.

    w = −E[ℓ″(η)] and k = E[ℓ′(η)] + wμ give the optimal Gaussian of the same factorization: Knowles
    & Minka (2011), Khan & Lin (2017), Opper & Archambeau (2009). For likelihoods without free
    parameters.
    """

    name: str = "quadrature"
    last: bool = True

    def evaluate(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Evaluation:
        """See :class:`Bound`."""
        total = glmm.response.with_offset(mean)
        expected = expectations(glmm, total, variance, glmm.family_arguments(()))
        value = float(expected.log_likelihood.sum()) + glmm.response.log_base
        return Evaluation(sites_of(expected, mean), value)

    def refined(self, glmm: GLMM, mean: FloatArray, variance: FloatArray) -> Bound | None:
        """See :class:`Bound`."""
        return None


def sites_of(expected: Expected, mean: FloatArray) -> Sites:
    """The optimal sites, from expectations under N(mean + offset, v)."""
    return Sites(expected.curvature, expected.slope + expected.curvature * mean)
