"""q(β, u | θ): the optimal Gaussian at fixed Σ_j and φ, and its bound on log p(y | θ)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.bounds import sites_of
from pymc_vmrp.cavi.elbo import evidence_lower_bound
from pymc_vmrp.cavi.expectations import expectations, expected_log_likelihood
from pymc_vmrp.cavi.inverse_wishart import inverse, log_determinant
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.factor import SingularPrecision
from pymc_vmrp.solvers.gaussian import Gaussian, Solver
from pymc_vmrp.solvers.sites import Sites

_MOST_SWEEPS = 60
_SMALLEST_STEP = 2.0**-6
_SLACK = 1e-9  # relative loss of the bound that is rounding
_STEP = 1e-4  # in log φ, of central differences


@dataclass(frozen=True)
class Theta:
    """The hyperparameters.

    Attributes
    ----------
    covariances : tuple of ndarray, each of shape (..., d, d)
        Σ_j of each group-specific term; leading dimensions where there are several θ.
    parameters : ndarray, shape (..., k)
        The free parameters φ of the likelihood.
    """

    covariances: tuple[FloatArray, ...]
    parameters: FloatArray

    def __getitem__(self, i: int) -> Theta:
        """One of several θ."""
        return Theta(tuple(c[i] for c in self.covariances), self.parameters[i])


@dataclass(frozen=True)
class Marginals:
    """Mean and variance of η in each cell, its offset left out, shape (N,) each."""

    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Conditional:
    """The fit at one θ.

    Attributes
    ----------
    gaussian : Gaussian or None
        q(β, u | θ); None where it was let go.
    marginals : Marginals or None
        Of η under it; likewise.
    moments : tuple of ndarray, each of shape (d, d)
        Σ_g E[u_g u_g'] of each term.
    log_evidence : float
        E log p(y, β, u | θ) − E log q(β, u | θ): the bound on log p(y | θ), which a Gaussian
        likelihood attains. Flat priors count as 1.
    gap : float
        By how much further sweeps would raise it, to second order.
    sweeps : int
    """

    gaussian: Gaussian | None
    marginals: Marginals | None
    moments: tuple[FloatArray, ...]
    log_evidence: float
    gap: float
    sweeps: int


@dataclass(frozen=True)
class _Sweep:
    gaussian: Gaussian
    marginals: Marginals
    moments: tuple[FloatArray, ...]
    log_evidence: float
    sites: Sites
    target: Sites

    @property
    def gap(self) -> float:
        """½g'XVX'g of the means, with g the change of the sites' slopes, and that of the variances.

        The bound is stationary in q: what a step of the sites gains is quadratic in it.
        """
        precision = self.target.precision - self.sites.precision
        slope = self.target.shift - self.sites.shift - precision * self.marginals.mean
        if not slope.any() and not precision.any():
            return 0.0
        of_mean = 0.5 * float(slope @ self.gaussian.row_response(slope))
        return abs(of_mean) + 0.25 * float(((precision * self.marginals.variance) ** 2).sum())


@dataclass(frozen=True)
class ConditionalModel:
    """Fits q(β, u | θ).

    Attributes
    ----------
    glmm : GLMM
    solver : Solver
    tol : float
        Largest ``gap`` to leave, in units of log evidence.
    """

    glmm: GLMM
    solver: Solver
    tol: float = 3e-3

    def fit(self, theta: Theta, start: Marginals) -> Conditional:
        """Sweep from the sites that are optimal at the marginals ``start``.

        Those of a family that is not log-concave may leave q improper there: their negative
        precisions are then left out, to start with.

        Raises
        ------
        SingularPrecision
            Where that does not make q proper either.
        """
        precisions = tuple(inverse(covariance) for covariance in theta.covariances)
        sites = self._evaluate(theta, start)[0]
        first = self._try(theta, precisions, sites)
        if first is None:
            first = self._sweep(theta, precisions, sites.log_concave(start.mean))
        best, step = first, 1.0
        sweeps, gap = 1, best.gap
        while gap > self.tol and sweeps < _MOST_SWEEPS and step >= _SMALLEST_STEP:
            sites = best.sites.towards(best.target, step)
            candidate = self._try(theta, precisions, sites)
            sweeps += 1
            slack = _SLACK * (1 + abs(best.log_evidence))
            if candidate is None or not candidate.log_evidence >= best.log_evidence - slack:
                step /= 2
                continue
            best, step = candidate, 1.0
            gap = best.gap
        return Conditional(
            best.gaussian, best.marginals, best.moments, best.log_evidence, gap, sweeps
        )

    def gradient(
        self, theta: Theta, conditional: Conditional
    ) -> tuple[tuple[FloatArray, ...], FloatArray]:
        """Of the log evidence, by each Σ_j and by log φ.

        q is optimal, so that only the explicit dependence on θ counts: by Σ it is
        −½LΣ⁻¹ + ½Σ⁻¹SΣ⁻¹ with S = Σ_g E[u_g u_g'].
        """
        by_covariance = []
        groups = zip(self.glmm.groups, theta.covariances, conditional.moments, strict=True)
        for group, covariance, moment in groups:
            precision = inverse(covariance)
            spread = precision @ moment @ precision
            by_covariance.append(0.5 * (spread - len(group.levels) * precision))
        slopes = np.array(
            [self._slope(theta, conditional, k) for k in range(len(theta.parameters))]
        )
        return tuple(by_covariance), slopes

    def _slope(self, theta: Theta, conditional: Conditional, k: int) -> float:
        marginals, ends = conditional.marginals, []
        assert marginals is not None
        mean = self.glmm.response.with_offset(marginals.mean)
        for sign in (1, -1):
            phi = theta.parameters.copy()
            phi[k] *= np.exp(sign * _STEP)
            arguments = self.glmm.family_arguments(phi)
            ends.append(expected_log_likelihood(self.glmm, mean, marginals.variance, arguments))
        return (ends[0] - ends[1]) / (2 * _STEP)

    def _try(self, theta: Theta, precisions: tuple[FloatArray, ...], sites: Sites) -> _Sweep | None:
        try:
            return self._sweep(theta, precisions, sites)
        except SingularPrecision:
            return None

    def _sweep(self, theta: Theta, precisions: tuple[FloatArray, ...], sites: Sites) -> _Sweep:
        gaussian = self.solver.solve(sites, precisions)
        marginals = Marginals(*gaussian.row_moments())
        target, expected = self._evaluate(theta, marginals)
        moments = tuple(gaussian.second_moment(j) for j in range(len(precisions)))
        value = evidence_lower_bound(self.glmm, expected, gaussian, ())
        for group, precision, moment in zip(self.glmm.groups, precisions, moments, strict=True):
            value += _expected_log_effects(precision, moment, len(group.levels))
        return _Sweep(gaussian, marginals, moments, value, sites, target)

    def _evaluate(self, theta: Theta, marginals: Marginals) -> tuple[Sites, float]:
        """Optimal sites and E log p(y | η, φ) at marginals of η."""
        total = self.glmm.response.with_offset(marginals.mean)
        arguments = self.glmm.family_arguments(theta.parameters)
        expected = expectations(self.glmm, total, marginals.variance, arguments)
        value = float(expected.log_likelihood.sum()) + self.glmm.response.log_base
        return sites_of(expected, marginals.mean), value


def _expected_log_effects(precision: FloatArray, moment: FloatArray, levels: int) -> float:
    """E log p(u | Σ)."""
    constant = levels * (log_determinant(precision) - len(precision) * np.log(2 * np.pi))
    return 0.5 * (constant - float((precision * moment).sum()))
