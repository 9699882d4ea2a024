"""Response families: log likelihood, its expectation under a Gaussian, and the link.

A family is one small object. The engines need ℓ(η) for a cell, its first two derivatives, and
their expectations over η ~ N(μ, v).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from pymc_vmrp.errors import FormulaError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """A response family whose cells are described by successes y and trials n.

    Attributes
    ----------
    name : str
        Bambi's name of the family.
    link : str
        Name of the link function.
    """

    name: str
    link: str = "logit"

    def inverse_link(self, eta: FloatArray) -> FloatArray:
        """Probability of success at linear predictor η."""
        return np.asarray(expit(eta))

    def log_likelihood(
        self, eta: FloatArray, successes: FloatArray, trials: FloatArray
    ) -> FloatArray:
        """ℓ(η) = yη − n log(1 + e^η), without the binomial coefficient."""
        return np.asarray(successes * eta - trials * np.logaddexp(0, eta))

    def derivatives(
        self, eta: FloatArray, successes: FloatArray, trials: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """ℓ′(η) and ℓ″(η)."""
        p = expit(eta)
        return successes - trials * p, -trials * p * (1 - p)


BERNOULLI = Family("bernoulli")
BINOMIAL = Family("binomial")
FAMILIES = {family.name: family for family in (BERNOULLI, BINOMIAL)}


def get_family(name: str) -> Family:
    """The family with Bambi's name ``name``; FormulaError where there is none."""
    try:
        return FAMILIES[name]
    except (KeyError, TypeError):
        raise FormulaError(
            f"family={name!r} is not supported; choose one of {', '.join(FAMILIES)}."
        ) from None


def log_binomial_coefficients(successes: FloatArray, trials: FloatArray) -> float:
    """Σ log C(n_i, y_i)."""
    terms = gammaln(trials + 1) - gammaln(successes + 1) - gammaln(trials - successes + 1)
    return float(terms.sum())
