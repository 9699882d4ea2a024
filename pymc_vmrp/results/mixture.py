"""MixturePosterior: q(θ)q(β, u | θ), a Gaussian for each of many θ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.cavi.weights import systematic_counts
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint_of
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.written import written_covariance
from pymc_vmrp.integration.conditional import Theta
from pymc_vmrp.integration.integrate import IntegratedFit
from pymc_vmrp.solvers.blas import one_blas_thread


@dataclass(frozen=True)
class _Moments:
    mean: FloatArray
    sd: FloatArray
    common: FloatArray  # covariance matrix of β


@dataclass(frozen=True)
class MixturePosterior:
    """q(θ)q(β, u | θ), with q(θ) as weighted points.

    θ holds every Σ_j and the likelihood's free parameters φ.

    Attributes
    ----------
    glmm : GLMM
        The model it approximates.
    fit : IntegratedFit
        The points, and how they were found.
    """

    glmm: GLMM
    fit: IntegratedFit

    @property
    def elbo(self) -> float:
        """Log ∫ p̂(y | θ)p(θ)dθ: a lower bound on log p(y), but for the error of the sum over θ."""
        return self.fit.elbo

    @property
    def converged(self) -> bool:
        """Whether the points are worth as many draws of θ as was asked for."""
        return self.fit.converged

    @property
    def weights(self) -> FloatArray:
        """Of each θ, shape (n,)."""
        return self.fit.exploration.weights

    @cached_property
    def _moments(self) -> _Moments:
        """By the law of total variance."""
        p, k = self.glmm.n_coefficients, self.glmm.common.size
        # around a point near the mean, so that squares do not cancel
        with one_blas_thread():
            centre = self.fit.gaussian(int(np.argmax(self.weights))).mean
            first, second, common = np.zeros(p), np.zeros(p), np.zeros((k, k))
            for i, weight in enumerate(self.weights):
                gaussian = self.fit.gaussian(i)
                moved = gaussian.mean - centre
                first += weight * moved
                second += weight * (moved**2 + gaussian.variances())
                of_beta = gaussian.marginal_covariance(np.arange(k))
                common += weight * (np.outer(moved[:k], moved[:k]) + of_beta)
        common -= np.outer(first[:k], first[:k])
        return _Moments(centre + first, np.sqrt(second - first**2), common)

    def mean(self) -> FloatArray:
        """E[β, u], shape (p,), of the centred design."""
        return self._moments.mean

    def sd(self) -> FloatArray:
        """Posterior sd of each coefficient, shape (p,)."""
        return self._moments.sd

    def common_covariance(self) -> FloatArray:
        """Posterior covariance of β, shape (k, k)."""
        return self._moments.common

    def covariance(self, index: IntArray) -> FloatArray:
        """Posterior covariance of some coefficients, shape (k, k); a pass over all points."""
        first, second = np.zeros(len(index)), np.zeros((len(index),) * 2)
        centre = self.mean()[index]
        with one_blas_thread():
            for i, weight in enumerate(self.weights):
                gaussian = self.fit.gaussian(i)
                moved = gaussian.mean[index] - centre
                first += weight * moved
                second += weight * (np.outer(moved, moved) + gaussian.marginal_covariance(index))
        return second - np.outer(first, first)

    def sigma_moments(self) -> list[tuple[FloatArray, FloatArray]]:
        """Mean and sd of each term's standard deviations, shape (d,) each, as written."""
        pairs = zip(self.glmm.groups, self.fit.theta.covariances, strict=True)
        written = [written_covariance(group, c) for group, c in pairs]
        return [self._mean_and_sd(np.sqrt(np.einsum("skk->sk", c))) for c in written]

    def level_covariances(self, j: int) -> FloatArray:
        """Posterior covariance of the effects of each level of block j, shape (L, d, d)."""
        index = self.glmm.group_index(j)
        centre = self.mean()[index]
        total = np.zeros((*index.shape, index.shape[1]))
        with one_blas_thread():
            for i, weight in enumerate(self.weights):
                gaussian = self.fit.gaussian(i)
                moved = gaussian.mean[index] - centre
                own = gaussian.level_covariances(index)
                total += weight * (moved[:, :, None] * moved[:, None] + own)
        return total

    def parameter_moments(self) -> tuple[FloatArray, FloatArray] | None:
        """Mean and sd of φ, shape (k,) each; None where there is none."""
        phi = self.fit.theta.parameters
        return self._mean_and_sd(phi) if phi.shape[1] else None

    def _mean_and_sd(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = self.weights @ values
        return mean, np.sqrt(self.weights @ (values - mean) ** 2)

    def sample(self, draws: int, random_seed: int | np.random.Generator | None = None) -> Draws:
        """Draws from q: θ by its weight, then (β, u) given θ.

        Each θ is drawn its expected number of times, rounded up or down at random, which is less
        noisy than independent draws. There are as many different θ as points at most.

        Parameters
        ----------
        draws : int
        random_seed : int or Generator, optional
        """
        check_count("draws", draws)
        check_seed(random_seed, generator=True)
        rng = np.random.default_rng(random_seed)
        counts = systematic_counts(rng, self.weights, draws)
        chosen = np.repeat(np.arange(len(counts)), counts)
        coefficients = np.empty((draws, self.glmm.n_coefficients))
        order = rng.permutation(draws)
        at = 0
        with one_blas_thread():
            for i in np.flatnonzero(counts):
                size = int(counts[i])
                coefficients[order[at : at + size]] = self.fit.gaussian(int(i)).sample(rng, size)
                at += size
        point = np.empty(draws, dtype=np.int64)
        point[order] = chosen
        theta = self.fit.theta
        return Draws(
            coefficients, tuple(c[point] for c in theta.covariances), theta.parameters[point]
        )

    def log_density(self, draws: Draws) -> FloatArray:
        """Log q(β, u, Σ, φ) of each draw, shape (draws,).

        q(θ) is the density p̂(y | θ)p(θ)/∫p̂(y | θ)p(θ)dθ that the points stand for. (β, u | θ) is
        solved for again at θ that are not among the points.
        """
        flat = np.hstack(
            [*(c.reshape(len(draws), -1) for c in draws.covariances), draws.parameters]
        )
        distinct, which = np.unique(flat, axis=0, return_inverse=True)
        out = np.empty(len(draws))
        with one_blas_thread():
            for j in range(len(distinct)):
                same = np.flatnonzero(which == j)
                theta = Theta(
                    tuple(c[same[0]] for c in draws.covariances), draws.parameters[same[0]]
                )
                gaussian, log_theta = self.fit.at(theta)
                out[same] = gaussian.log_density(draws.coefficients[same]) + log_theta
        return out - self.elbo

    def log_joint(self, draws: Draws) -> FloatArray:
        """Exact log p(y, β, u, Σ, φ) of each draw, shape (draws,)."""
        return log_joint_of(self.glmm, draws)

    def trace(self) -> FloatArray:
        """ELBO of each sweep of the mean-field fit, and that of the mixture."""
        return np.array([*self.fit.first.elbo, self.elbo])

    def attributes(self) -> dict[str, str | int | float]:
        """What a DataTree's ``fit`` group says of the fit."""
        fit, exploration = self.fit, self.fit.exploration
        return {
            "converged": int(fit.converged),  # NetCDF has no booleans
            "stopped": fit.stopped,
            "iterations": fit.iterations,
            "warmup_steps": len(fit.first.elbo),
            "seconds": fit.seconds,
            "factorization": "joint",
            "hyperparameters": "integrated",
            "theta_points": len(exploration.weights),
            "theta_evaluations": exploration.evaluations,
            "theta_ess": exploration.ess,
            "theta_error": exploration.missed,
            "theta_disagreement": exploration.disagreement,
            "theta_drop": exploration.drop,
            "theta_size": exploration.psi.shape[1],
            "bound": fit.first.bound,
            "solver": fit.model.solver.name,
            "accelerator": fit.first.accelerator,
            "expansion": fit.first.expansion,
        }

    def __repr__(self) -> str:
        fit, exploration = self.fit, self.fit.exploration
        state = "converged" if fit.converged else f"NOT converged ({fit.stopped})"
        return (
            f"MixturePosterior({self.glmm.n_coefficients} coefficients at "
            f"{len(exploration.weights)} θ worth {exploration.ess:.0f} draws, {state} after "
            f"{fit.iterations} sweeps in {fit.seconds:.2f} s, ELBO {self.elbo:.3f})"
        )
