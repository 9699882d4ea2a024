"""Generalised linear models by maximum likelihood (statsmodels), with robust standard errors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_vmrp.arrays import BoolArray, FloatArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.glmm.families.family import Family

_TOLERANCE = 1e-10  # of coefficients, from step to step
_MOST_STEPS = 30  # by then a coefficient that runs to infinity is near ±30
_RANK = 1e-10  # singular values below this part of the largest are zero
_NOT_SPANNED = 1e-7
_ALONE = 1e-9  # 1 - leverage of a row that its coefficient fits exactly
_EXTREME = 1e-6  # a mean that is this near to the end of its range


@dataclass(frozen=True)
class RegressionData:
    """Rows of a regression.

    Attributes
    ----------
    y : ndarray, shape (n,)
    counts : ndarray, shape (n,)
        How many rows each stands for; positive.
    precision : ndarray, shape (n,)
        1/variance of each row's response, up to a factor.
    offset : ndarray, shape (n,)
    """

    y: FloatArray
    counts: FloatArray
    precision: FloatArray
    offset: FloatArray

    def take(self, rows: Any) -> RegressionData:
        """Some of the rows."""
        return RegressionData(
            self.y[rows], self.counts[rows], self.precision[rows], self.offset[rows]
        )


@dataclass(frozen=True)
class Regression:
    """A fit, in coordinates γ of full rank: coefficients of the scaled columns are ``basis`` γ.

    Attributes
    ----------
    family : Any
        statsmodels'.
    norms : ndarray, shape (k,)
        Scales of the columns.
    basis : ndarray, shape (k, rank)
    gamma : ndarray, shape (rank,)
    influence : ndarray, shape (n, rank)
        Of each row on γ, with HC2's correction; zeros for rows of leverage one.
    alone : ndarray, shape (m, rank)
        Influence of the rows of leverage one, whose errors cannot be seen.
    eta : ndarray, shape (n,)
        Linear predictor of each row, offset included.
    data : RegressionData
    converged : bool
    """

    family: Any
    norms: FloatArray
    basis: FloatArray
    gamma: FloatArray
    influence: FloatArray
    alone: FloatArray
    eta: FloatArray
    data: RegressionData
    converged: bool

    @property
    def rank(self) -> int:
        """Number of coefficients that the rows tell apart."""
        return self.basis.shape[1]

    @property
    def n_columns(self) -> int:
        """Columns of the design that are not zero throughout."""
        return int((self.norms > 0).sum())

    @property
    def degrees_of_freedom(self) -> float:
        """Rows less coefficients."""
        return float(self.data.counts.sum() - self.rank)

    def reduced(self, design: FloatArray) -> FloatArray | None:
        """Rows in coordinates of γ; None where the rows of the fit do not determine one of them."""
        scaled = design / np.where(self.norms > 0, self.norms, 1.0)
        found = scaled @ self.basis
        rest = np.abs(scaled - found @ self.basis.T).max(initial=0.0)
        return found if rest <= _NOT_SPANNED * np.abs(scaled).max(initial=0.0) else None

    def standard_error(self, gradient: FloatArray) -> float:
        """Of a function of γ; NaN where the errors of a row of leverage one come in."""
        # relative to their own size, which is huge where a coefficient runs to infinity
        size = np.linalg.norm(self.alone, axis=1) * np.linalg.norm(gradient)
        if (np.abs(self.alone @ gradient) > _NOT_SPANNED * size).any():
            return np.nan
        return float(np.sqrt(self.data.counts @ (self.influence @ gradient) ** 2))

    def is_extreme(self, eta: FloatArray) -> BoolArray:
        """Rows whose mean is at an end of its range, since a coefficient runs to infinity."""
        if self.converged:
            return np.zeros(len(eta), dtype=bool)
        mean = self.family.fitted(eta)
        if type(self.family).__name__ == "Binomial":
            return np.asarray((mean < _EXTREME) | (mean > 1 - _EXTREME))
        if type(self.family).__name__ == "Poisson":
            return np.asarray(mean < _EXTREME * np.average(self.data.y, weights=self.data.counts))
        return np.zeros(len(eta), dtype=bool)


def plain_family(family: Family) -> Any:
    """The family of statsmodels that estimates the same means.

    Robust standard errors need the mean alone: the t distribution is fitted by least squares,
    overdispersed counts as Poisson, and overdispersed proportions as binomial.

    Raises
    ------
    ModelError
        Where there is none.
    """
    from statsmodels.genmod import families

    links = families.links
    kinds = {
        "gaussian": families.Gaussian, "t": families.Gaussian,
        "bernoulli": families.Binomial, "binomial": families.Binomial,
        "beta_binomial": families.Binomial,
        "poisson": families.Poisson, "negativebinomial": families.Poisson,
        "gamma": families.Gamma,
    }  # fmt: skip
    by_name = {
        "identity": links.Identity, "logit": links.Logit, "probit": links.Probit,
        "cloglog": links.CLogLog, "log": links.Log,
    }  # fmt: skip
    if family.name not in kinds or family.link not in by_name:
        raise ModelError(
            f"compare() has no plain method for family={family.name!r} with link={family.link!r}; "
            f"it knows {', '.join(kinds)}."
        )
    return kinds[family.name](link=by_name[family.link]())


def fit_regression(design: FloatArray, data: RegressionData, family: Any) -> Regression:
    """Fit by maximum likelihood; columns that repeat others are no obstacle.

    Standard errors are HC2 (MacKinnon & White 1985): squared scores over one less leverage, where
    the leverage of a generalised linear model is that of its last weighted least squares, as in
    R's sandwich. Rows count as often as ``counts`` says, so that a row of count 2 is two rows.

    Parameters
    ----------
    design : ndarray, shape (n, k)
    data : RegressionData
    family : statsmodels.genmod.families.Family
    """
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import ModelWarning

    norms = np.sqrt(data.counts @ design**2)
    basis = _row_space(design, norms, data.counts)
    reduced = (design / np.where(norms > 0, norms, 1.0)) @ basis
    model = sm.GLM(
        data.y, reduced, family=family, freq_weights=data.counts, var_weights=data.precision,
        offset=data.offset,
    )  # fmt: skip
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)  # separation is told by the note
        warnings.simplefilter("ignore", RuntimeWarning)
        fitted = model.fit(
            maxiter=_MOST_STEPS, tol_criterion="params", atol=_TOLERANCE, rtol=_TOLERANCE,
            wls_method="qr", scale=1.0,  # its own estimate fails without degrees of freedom
        )  # fmt: skip
    gamma = np.asarray(fitted.params, dtype=float)
    eta = reduced @ gamma + data.offset
    influence, alone = _influence(reduced, data, family, eta)
    return Regression(
        family, norms, basis, gamma, influence, alone, eta, data, bool(fitted.converged)
    )  # fmt: skip


def _row_space(design: FloatArray, norms: FloatArray, counts: FloatArray) -> FloatArray:
    """Orthonormal basis of what the rows determine, of columns scaled to norm one."""
    used = np.flatnonzero(norms > 0)
    scaled = np.sqrt(counts)[:, None] * design[:, used] / norms[used]
    _, singular, right = np.linalg.svd(np.linalg.qr(scaled, mode="r"))
    rank = int((singular > _RANK * singular.max(initial=0.0)).sum())
    inside = np.eye(len(used)) if rank == len(used) else right[:rank].T
    basis = np.zeros((len(norms), rank))
    basis[used] = inside
    return basis


def _influence(
    design: FloatArray, data: RegressionData, family: Any, eta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What one row of each kind adds to the error of γ, HC2; and rows that it cannot be told of."""
    with np.errstate(all="ignore"):
        mean = family.fitted(eta)
        slope = family.link.inverse_deriv(eta)
        variance = family.variance(mean)
    weight = data.precision * slope**2 / variance
    score = data.precision * (data.y - mean) * slope / variance
    root = np.linalg.qr(np.sqrt(data.counts * weight)[:, None] * design, mode="r")
    half = np.linalg.solve(root.T, design.T)  # R⁻ᵀx of each row
    left = 1.0 - weight * (half**2).sum(axis=0)
    to_gamma = np.linalg.solve(root, half).T  # (X'WX)⁻¹x
    alone = left < _ALONE
    factor = np.where(alone, 0.0, score / np.sqrt(np.where(alone, 1.0, left)))
    return factor[:, None] * to_gamma, to_gamma[alone]
