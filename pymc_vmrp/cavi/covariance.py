"""The factors q(Σ_j): what all have in common, and which one a prior has as its optimum."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.grid_factor import update_grid
from pymc_vmrp.cavi.inverse_wishart import (
    update_huang_wand,
    update_improper,
    update_inverse_wishart,
)
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ


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
        return update_huang_wand(prior, second_moment, levels)
    if isinstance(prior, LKJ):
        from pymc_vmrp.cavi.lkj_factor import update_lkj

        return update_lkj(prior, second_moment, levels)
    if isinstance(prior, InverseWishart):
        return update_inverse_wishart(prior, second_moment, levels)
    if isinstance(prior, ImproperInverseWishart):
        return update_improper(prior, second_moment, levels)
    return update_grid(prior, float(second_moment[0, 0]), levels)
