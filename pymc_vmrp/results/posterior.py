"""VariationalPosterior: the fitted q, its moments, draws and density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.cavi.augment import augment
from pymc_vmrp.cavi.run import Fit
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint_of
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread


@dataclass(frozen=True)
class VariationalPosterior:
    """q(β, u) Π_j q(Σ_j) q(φ), fitted by coordinate ascent.

    Attributes
    ----------
    glmm : GLMM
        The model it approximates.
    fit : Fit
        How the iterations went: ELBO, convergence, sweeps, seconds.
    """

    glmm: GLMM
    fit: Fit

    @property
    def elbo(self) -> float:
        """Evidence lower bound at the end."""
        return self.fit.state.elbo

    @property
    def converged(self) -> bool:
        """Whether the change per sweep fell below the tolerance."""
        return self.fit.converged

    def mean(self) -> FloatArray:
        """E[β, u], shape (p,), of the centred design."""
        return self.fit.state.gaussian.mean

    def sd(self) -> FloatArray:
        """Posterior sd of each coefficient, shape (p,)."""
        return np.sqrt(self.fit.state.gaussian.variances())

    def covariance(self, index: IntArray) -> FloatArray:
        """Posterior covariance of some coefficients, shape (k, k)."""
        return self.fit.state.gaussian.marginal_covariance(index)

    def common_covariance(self) -> FloatArray:
        """Posterior covariance of β, shape (k, k)."""
        index = np.arange(self.glmm.common.size)
        return self.fit.state.gaussian.marginal_covariance(index)

    def sigma_moments(self) -> list[tuple[FloatArray, FloatArray]]:
        """Mean and sd of each term's standard deviations, shape (d,) each, as written."""
        return [
            factor.sigma_moments(group.basis)
            for group, factor in zip(self.glmm.groups, self.fit.state.factors, strict=True)
        ]

    def level_covariances(self, j: int) -> FloatArray:
        """Posterior covariance of the effects of each level of block j, shape (L, d, d)."""
        return self.fit.state.gaussian.level_covariances(self.glmm.group_index(j))

    def parameter_moments(self) -> tuple[FloatArray, FloatArray] | None:
        """Mean and sd of φ, shape (k,) each; None where there is none."""
        parameters = self.fit.state.parameters
        return None if parameters is None else parameters.moments()

    def sample(self, draws: int, random_seed: int | np.random.Generator | None = None) -> Draws:
        """Independent draws from q.

        Parameters
        ----------
        draws : int
        random_seed : int or Generator, optional
        """
        check_count("draws", draws)
        check_seed(random_seed, generator=True)
        rng = np.random.default_rng(random_seed)
        with one_blas_thread():
            coefficients = self.fit.state.gaussian.sample(rng, draws)
        covariances = tuple(factor.sample(rng, draws) for factor in self.fit.state.factors)
        parameters = self.fit.state.parameters
        phi = np.empty((draws, 0)) if parameters is None else parameters.sample(rng, draws)
        return Draws(coefficients, covariances, phi)

    def augment(
        self, draws: int | Draws, random_seed: int | np.random.Generator | None = None
    ) -> Draws:
        """Draws from q, improved by one step of marginally augmented variational Bayes.

        Each draw moves the effects of all levels of a term against the common effect of the same
        name, by an amount drawn from its exact conditional. That restores much of the uncertainty
        of common effects that a factorized q leaves out. No linear predictor of the data changes,
        so estimates for levels in the data stay what they are. The draws are nearer to the
        posterior than those of q, but no longer have a density: ``log_density`` is not theirs.

        Parameters
        ----------
        draws : int or Draws
            How many to draw from q, or draws from it.
        random_seed : int or Generator, optional

        References
        ----------
        Goplerud, M. (2022). Fast and accurate estimation of non-nested binomial hierarchical
        models using variational inference. Bayesian Analysis 17(2); ``MAVB`` in vglmer.
        """
        check_seed(random_seed, generator=True)
        rng = np.random.default_rng(random_seed)
        before = draws if isinstance(draws, Draws) else self.sample(draws, rng)
        moved = augment(self.glmm, before.coefficients, before.covariances, rng)
        return Draws(moved, before.covariances, before.parameters)

    def log_density(self, draws: Draws) -> FloatArray:
        """Log q(β, u, Σ, φ) of each draw, shape (draws,); the auxiliaries of Σ are left out."""
        with one_blas_thread():
            total = self.fit.state.gaussian.log_density(draws.coefficients)
        for factor, covariance in zip(self.fit.state.factors, draws.covariances, strict=True):
            total = total + factor.log_density(covariance)
        if self.fit.state.parameters is not None:
            total = total + self.fit.state.parameters.log_density(draws.parameters)
        return total

    def log_joint(self, draws: Draws) -> FloatArray:
        """Exact log p(y, β, u, Σ, φ) of each draw, shape (draws,)."""
        return log_joint_of(self.glmm, draws)

    def trace(self) -> FloatArray:
        """ELBO after each accepted sweep."""
        return np.array(self.fit.elbo)

    def attributes(self) -> dict[str, str | int | float]:
        """What a DataTree's ``fit`` group says of the fit."""
        fit = self.fit
        return {
            "converged": int(fit.converged),  # NetCDF has no booleans
            "stopped": fit.stopped,
            "iterations": fit.iterations,
            "warmup_steps": fit.warmup,
            "change": fit.change,
            "seconds": fit.seconds,
            "factorization": fit.factorization,
            "hyperparameters": "mean_field",
            "bound": fit.bound,
            "solver": fit.solver,
            "accelerator": fit.accelerator,
            "expansion": fit.expansion,
        }

    def __repr__(self) -> str:
        fit = self.fit
        state = "converged" if fit.converged else "NOT converged"
        return (
            f"VariationalPosterior({self.glmm.n_coefficients} coefficients, bound={fit.bound!r}, "
            f"{state} after {fit.iterations} sweeps in {fit.seconds:.2f} s, ELBO {self.elbo:.3f})"
        )
