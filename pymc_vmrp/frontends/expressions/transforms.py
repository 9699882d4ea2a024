"""Transformations that learn from the data: scale, center, poly and bs, where rows have weights.

A row of weight w teaches them what w such rows would. With equal weights they are formulae's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from formulae.transforms import BSpline as FormulaeBSpline
from formulae.transforms import Offset

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, FormulaError

MOST_DEGREES = 50  # of a polynomial: beyond, rounding is all there is
MOST_FUNCTIONS = 1000  # of a basis
MOST_SPLINE_DEGREES = 5  # that FITPACK evaluates


def offset(x: Any) -> Offset:
    """``offset(x)``: a known part of the linear predictor."""
    return Offset(pd.Series(x) if isinstance(x, np.ndarray) and x.ndim == 1 else x)


class Center:
    """``center(x)``: x less its mean."""

    __stateful_transform__ = True
    weights: FloatArray | None = None

    def __init__(self) -> None:
        self.mean: float | None = None

    def __call__(self, x: Any) -> Any:
        """Learn the first time."""
        if self.mean is None:
            self.mean = self._learn(np.asarray(x, dtype=float))
            self.weights = None
        return x - self.mean

    def _learn(self, x: FloatArray) -> float:
        """The mean."""
        return float(np.average(x, weights=self.weights))


class Scale(Center):
    """``scale(x)``: x less its mean, over its standard deviation."""

    sd = 1.0

    def __call__(self, x: Any) -> Any:
        """Learn the first time."""
        return super().__call__(x) / self.sd

    def _learn(self, x: FloatArray) -> float:
        mean = super()._learn(x)
        self.sd = float(np.sqrt(np.average((x - mean) ** 2, weights=self.weights)))
        if self.sd == 0:
            raise DataError("its argument is the same in every row")
        return mean


class Poly:
    """``poly(x, degree, raw=False)``: polynomials that are orthonormal over the rows."""

    __stateful_transform__ = True
    weights: FloatArray | None = None

    def __init__(self) -> None:
        self.degree: int | None = None
        self.raw = False
        self.center = 0.0  # of x, from where the recursion is stable
        self.shifts: list[float] = []
        self.norms: list[float] = []

    def __call__(self, x: Any, degree: int = 1, raw: bool = False) -> FloatArray:
        """Learn the polynomials the first time."""
        values = np.asarray(x, dtype=float)
        if values.ndim != 1:
            raise FormulaError("poly() takes one column")
        if self.degree is None:
            self._learn(values, degree, raw)
        assert self.degree is not None
        if self.raw:
            return np.column_stack([values**k for k in range(1, self.degree + 1)])
        columns = self._recursion(values)[1:]
        return np.column_stack(
            [c / np.sqrt(n) for c, n in zip(columns, self.norms[1:], strict=True)]
        )

    def _learn(self, x: FloatArray, degree: Any, raw: bool) -> None:
        if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)) or degree < 1:
            raise FormulaError(f"the degree of poly() must be a whole number, not {degree!r}")
        weights = np.ones(len(x)) if self.weights is None else self.weights
        if degree > MOST_DEGREES:
            raise FormulaError(f"the degree of poly() is at most {MOST_DEGREES}, not {degree}")
        distinct = len(np.unique(x[weights > 0]))
        if degree >= distinct:
            raise DataError(
                f"a polynomial of degree {degree} needs {degree + 1} distinct values, and there "
                f"are {distinct}"
            )
        self.degree, self.raw, self.weights = int(degree), bool(raw), None
        if raw:
            return
        self.center = float(np.average(x, weights=weights))
        self._recursion(x, weights)

    def _recursion(self, x: FloatArray, weights: FloatArray | None = None) -> list[FloatArray]:
        """The polynomials, not normed; with weights, their shifts and norms are learned."""
        assert self.degree is not None
        x = x - self.center
        columns = [np.ones(len(x))]
        for i in range(self.degree + 1):
            if weights is not None:
                squares = weights * columns[i] ** 2
                self.norms.append(float(squares.sum()))
                self.shifts.append(float(squares @ x) / self.norms[i])
            if i < self.degree:
                nxt = (x - self.shifts[i]) * columns[i]
                if i > 0:
                    nxt -= self.norms[i] / self.norms[i - 1] * columns[i - 1]
                columns.append(nxt)
        return columns


class BSpline(FormulaeBSpline):  # type: ignore[misc]
    """``bs(x, df, knots, degree, ...)``: a basis of B-splines, its inner knots at quantiles."""

    __stateful_transform__ = True
    weights: FloatArray | None = None

    def _initialize(
        self,
        x: Any,
        df: Any,
        knots: Any,
        degree: Any,
        intercept: Any,
        lower_bound: Any,
        upper_bound: Any,
    ) -> None:
        values = np.asarray(x, dtype=float)
        if values.ndim != 1:
            raise FormulaError("bs() takes one column")
        weights = self.weights
        self.weights = None
        if not isinstance(degree, int):
            raise FormulaError(f"degree= of bs() must be a whole number, not {degree!r}")
        if degree > MOST_SPLINE_DEGREES or (isinstance(df, int) and df > MOST_FUNCTIONS):
            raise FormulaError(
                f"bs() takes at most df={MOST_FUNCTIONS} and degree={MOST_SPLINE_DEGREES}"
            )
        if isinstance(df, int) and knots is None:
            inner = df - degree - (0 if not intercept else 1)
            if inner > 0:
                at = np.linspace(0, 1, inner + 2)[1:-1]
                knots, df = weighted_quantiles(values, at, weights), None
        super()._initialize(values, df, knots, degree, intercept, lower_bound, upper_bound)


def weighted_quantiles(x: FloatArray, at: FloatArray, weights: FloatArray | None) -> FloatArray:
    """``np.quantile`` of the values of x, where each is repeated as often as its weight says."""
    if weights is None:
        return np.asarray(np.quantile(x, at))
    order = np.argsort(x, kind="stable")
    order = order[weights[order] > 0]
    until = np.cumsum(weights[order])
    since = until - weights[order]
    last = np.maximum(until - 1, since)  # a value fills the places from since to last
    places = np.column_stack([since, last]).ravel()
    return np.interp(np.asarray(at) * places[-1], places, np.repeat(x[order], 2))
