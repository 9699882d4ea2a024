"""Improper priors on the covariance matrix Σ of a group-specific term, by name, as in vglmer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError, PriorWarning

IMPROPER_NAMES = ("jeffreys", "limit", "uniform")


@dataclass(frozen=True)
class ImproperInverseWishart:
    """p(Σ) ∝ |Σ|^(−(df + d + 1)/2): an inverse Wishart with scale matrix 0.

    Asked for by name: ``priors={"1|state": "jeffreys"}``.

    Parameters
    ----------
    kind : {"jeffreys", "limit", "uniform"}
        With df = 0, d − 1 and −(d + 1). Under "uniform" the density is constant in Σ (for d = 1:
        in the variance). Under "jeffreys" and "limit" (the same where d = 1: 1/σ²) the posterior
        has infinite mass near Σ = 0, where the likelihood tends to that of the model without the
        term: q is then a local optimum of the ELBO and the ELBO no bound of anything finite.

    References
    ----------
    Goplerud, M., R package vglmer, ``prior_variance`` of vglmer_control. Gelman, A. (2006). Prior
    distributions for variance parameters in hierarchical models. Bayesian Analysis 1(3), on the
    impropriety under 1/σ² and on how many levels the uniform needs.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in IMPROPER_NAMES:
            raise PriorError(
                f"{self.kind!r} is no improper prior; there are {', '.join(IMPROPER_NAMES)}."
            )

    def df(self, d: int) -> float:
        """Degrees of freedom for a term with d effects."""
        return float({"jeffreys": 0, "limit": d - 1, "uniform": -(d + 1)}[self.kind])

    def log_density(self, covariance: FloatArray) -> FloatArray:
        """Log density of Σ without a constant, for ``covariance`` of shape (..., d, d)."""
        d = covariance.shape[-1]
        return np.asarray(-0.5 * (self.df(d) + d + 1) * np.linalg.slogdet(covariance)[1])


def check_improper(prior: ImproperInverseWishart, d: int, levels: int, term: str) -> None:
    """Raise PriorError where q(Σ) = InverseWishart(df + L, S) would be improper too.

    Warns with a PriorWarning where q is proper and the posterior is not.
    """
    needed = int(d - prior.df(d))  # df + L > d − 1
    if levels < needed:
        raise PriorError(
            f"The prior {prior.kind!r} of {term!r} is improper, and leaves its covariance improper "
            f"a posteriori: with {d} effect(s) it needs at least {needed} levels, and there are "
            f"{levels}. Use HuangWand() or InverseWishart()."
        )
    if prior.kind != "uniform":
        warnings.warn(
            f"Under the prior {prior.kind!r} of {term!r} the posterior is improper at a covariance "
            "of zero, whatever the data: coordinate ascent finds a local optimum, if any. Use "
            "HuangWand() or InverseWishart() but for comparisons.",
            PriorWarning,
            stacklevel=6,
        )
