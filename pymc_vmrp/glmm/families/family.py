"""What a response family is: one record of functions of η, the response and the parameters.

A family describes log p(y | η, φ) of one row, and how rows with the same η are pooled into cells.
φ are its auxiliary parameters (a standard deviation, a shape ...), all positive. The *statistics*
of the cells are a few arrays whose meaning is the family's own; every function below takes them as
it made them. To add a family, write one file beside this one (docs/developer/families.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.priors.scales import ScalePrior

Statistics = tuple[FloatArray, ...]
TwoArrays = tuple[FloatArray, FloatArray]
Parameters = tuple[Any, ...]  # numbers, or arrays that broadcast against η


@dataclass(frozen=True)
class Rows:
    """The response of each row of the data.

    Attributes
    ----------
    y : ndarray, shape (rows,)
        Of any numeric dtype.
    trials : ndarray, shape (rows,), or None
        Trials behind each y, of families that count successes.
    weights : ndarray, shape (rows,), or None
        How many rows each row stands for; None is 1.
    offset : ndarray, shape (rows,), or None
        Known part of η, of families that absorb it into their statistics.
    sd : ndarray, shape (rows,), or None
        Known standard deviation of each y, of responses written ``se(y, sd)``.
    """

    y: AnyArray
    trials: AnyArray | None = None
    weights: FloatArray | None = None
    offset: FloatArray | None = None
    sd: FloatArray | None = None

    def weighted(self, values: AnyArray) -> AnyArray:
        """``values`` times the weights; without weights the same array, not a copy."""
        return values if self.weights is None else values * self.weights

    @property
    def ones(self) -> FloatArray:
        """The weights, ones without."""
        return np.broadcast_to(1.0, len(self.y)) if self.weights is None else self.weights


class Expected(NamedTuple):
    """Expectations under η ~ N(μ, v) for each cell, shape (N,) each."""

    log_likelihood: FloatArray  # E ℓ
    slope: FloatArray  # E ℓ′
    curvature: FloatArray  # −E ℓ″


@dataclass(frozen=True)
class Parameter:
    """An auxiliary parameter of a likelihood; positive.

    Attributes
    ----------
    name : str
        Bambi's name; also the name of its variable in the DataTree.
    prior : callable
        Default prior, given the sd of the response.
    span : (float, float)
        Where its logarithm is looked for at first; relative to the log sd of the response for
        families that are ``scaled``, if ``relative``.
    relative : bool
    """

    name: str
    prior: Callable[[float], ScalePrior]
    span: tuple[float, float]
    relative: bool = False


def no_constants(rows: Rows) -> FloatArray:
    """Nothing that depends on the response alone."""
    return np.broadcast_to(0.0, len(rows.y))


def log_binomial_coefficients(rows: Rows) -> FloatArray:
    """Log C(n, y) of each row's successes y of n trials."""
    y, n = rows.y, rows.trials
    assert n is not None
    return np.asarray(gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1))


def one_by_one(rows: Rows, cells: Cells) -> Statistics:
    """(y, weight) of cells whose rows agree in the response too."""
    return rows.y[cells.first].astype(float), cells.sum(rows.ones)


@dataclass(frozen=True)
class Family:
    """A response family with one linear predictor.

    Attributes
    ----------
    name : str
        Bambi's name.
    link : str
        Name of the link function.
    response : {"binary", "proportion", "count", "positive", "real"}
        What the response column holds.
    inverse_link : callable
        E[y | η] (per trial, where there are trials) from η.
    log_likelihood : callable
        ℓ(η, statistics, φ) of each cell, without ``constants``. η and the statistics broadcast.
    derivatives : callable
        ℓ′ and ℓ″ in η, of the same arguments.
    pool : callable
        Statistics of the cells, from :class:`Rows` and :class:`Cells`.
    start : callable
        (mean, variance) of η in each cell to start from, given the statistics.
    likelihood : callable
        PyMC's likelihood: (name, η, statistics, parameters by name, dims) → None, called inside a
        ``pm.Model``. It may leave out factors that depend on the data alone.
    draw : callable
        New responses: (rng, η, trials, φ) → y.
    parameters : tuple of Parameter
    constants : callable
        Log of the factors of each row's likelihood that depend on its response alone.
    expectations : callable, optional
        :class:`Expected` in closed form, from (mean, variance, statistics, φ); without it the
        engine uses Gauss–Hermite quadrature of ``log_likelihood`` and ``derivatives``.
    form : {"logistic", "gaussian"}, optional
        What ℓ is, where the engines have a way of their own for it: yη − n log(1 + e^η) of
        statistics (y, n), or normal with statistics (mean, n, sum of squares) and φ = (σ,).
    log_concave : bool
        Whether ℓ″ ≤ 0 everywhere.
    pools : bool
        Whether rows with the same predictors but different responses share a cell.
    absorbs_offset : bool
        Whether ``pool`` takes offsets into the statistics, so that rows with different offsets
        share a cell.
    scaled : bool
        Whether η is on the scale of the response, so that default priors grow with its sd.
    centre : callable, optional
        Where the intercept's default prior lies, given the statistics and the offsets of the cells
        that ``pool`` has not absorbed (or None); without it at 0.
    parent : str
        Bambi's name of the mean, under which predictions store it.
    augment : callable, optional
        Draws auxiliary variables given which ℓ is quadratic in η: (rng, η, statistics, φ) → w and
        k of each cell, so that it is −½wη² + kη up to what does not depend on η. Families that
        have it can be sampled by Gibbs.
    """

    name: str
    link: str
    response: str
    inverse_link: Callable[[FloatArray], FloatArray]
    log_likelihood: Callable[[FloatArray, Statistics, Parameters], FloatArray]
    derivatives: Callable[[FloatArray, Statistics, Parameters], TwoArrays]
    pool: Callable[[Rows, Cells], Statistics]
    start: Callable[[Statistics], TwoArrays]
    likelihood: Callable[[str, Any, Statistics, dict[str, Any], str], None]
    draw: Callable[..., AnyArray]
    parameters: tuple[Parameter, ...] = ()
    constants: Callable[[Rows], FloatArray] = no_constants
    expectations: Callable[[FloatArray, FloatArray, Statistics, Parameters], Expected] | None = None
    form: str | None = None
    log_concave: bool = True
    pools: bool = False
    absorbs_offset: bool = False
    scaled: bool = False
    centre: Callable[[Statistics, FloatArray | None], float] | None = None
    parent: str = "mu"
    augment: (
        Callable[[np.random.Generator, FloatArray, Statistics, Parameters], TwoArrays] | None
    ) = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle the package's own families by name; another's functions must pickle themselves."""
        from pymc_vmrp.glmm.families import families, get_family

        if families().get((self.name, self.link)) is self:
            return get_family, (self.name, self.link)
        values = tuple(getattr(self, one.name) for one in fields(self))
        return Family, values

    def __repr__(self) -> str:
        return f"Family({self.name!r}, link={self.link!r})"
