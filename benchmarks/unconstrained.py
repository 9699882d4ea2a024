"""Draws in the unconstrained space of a pm.Model: their log density, and their DataTree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import gammaln

from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.results.reports import GlmmReports
from pymc_vmrp.results.sampled import Sampled

FloatArray = NDArray[np.float64]
Points = dict[str, FloatArray]  # value variable → draws of shape (S, ...)


@dataclass(frozen=True)
class Part:
    """Where a value variable stands in a flat vector."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Where the next one starts."""
        return self.start + int(np.prod(self.shape, dtype=int))


def layout(pm_model: Any) -> tuple[Part, ...]:
    """The value variables one after the other, as ``DictToArrayBijection`` has them."""
    parts: list[Part] = []
    for name, value in pm_model.initial_point().items():
        start = parts[-1].stop if parts else 0
        parts.append(Part(name, start, np.shape(value)))
    return tuple(parts)


def points(flat: FloatArray, parts: tuple[Part, ...]) -> Points:
    """Flat draws of shape (S, p) by value variable."""
    return {p.name: flat[:, p.start : p.stop].reshape(-1, *p.shape) for p in parts}


def log_density(glmm: GLMM, pm_model: Any, draws: Points) -> FloatArray:
    """Log p(y, θ) of each draw with the Jacobian of the transforms, shape (S,).

    As in our own log joint density, rows are single trials.
    """
    function = pm_model.compile_logp(jacobian=True)
    return np.array([float(function(p)) for p in _each(draws)]) - log_combinations(glmm)


def log_combinations(glmm: GLMM) -> float:
    """Log binomial coefficients of the cells of a binomial GLMM, which its pm.Model has."""
    y, n = glmm.response.statistics
    return float((gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum())


class ToTree:
    """Compiled once: from draws in the unconstrained space to a DataTree as of ``model.fit``."""

    def __init__(self, glmm: GLMM, observations: Observations, pm_model: Any) -> None:
        self._glmm, self._observations = glmm, observations
        inside = pm_model.unobserved_value_vars
        self._names = [variable.name for variable in inside]
        self._dims = pm_model.named_vars_to_dims
        self._coords = {k: list(v) for k, v in pm_model.coords.items() if v is not None}
        self._function = pm_model.compile_fn(inside, inputs=pm_model.value_vars)

    def __call__(self, draws: Points) -> xr.DataTree:
        """Lay out the draws as one chain."""
        rows = [self._function(point) for point in _each(draws)]
        arrays = {
            name: np.stack([np.asarray(row[i]) for row in rows])[None]
            for i, name in enumerate(self._names)
        }
        variables = {
            name: (("chain", "draw", *self._own_dims(name, value)), value)
            for name, value in arrays.items()
        }
        used = {dim for dims, _ in variables.values() for dim in dims}
        coords = {k: v for k, v in self._coords.items() if k in used}
        raw = xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})
        sample: Draws = read_draws(self._glmm, raw, centred_common=True)
        sampled = Sampled(sample, {}, np.random.default_rng(0))
        return GlmmReports(self._glmm, self._observations).datatree(sampled)

    def _own_dims(self, name: str, value: FloatArray) -> tuple[str, ...]:
        known = self._dims.get(name)
        return tuple(known) if known else tuple(f"{name}_{i}" for i in range(value.ndim - 2))


def _each(draws: Points) -> list[dict[str, FloatArray]]:
    size = len(next(iter(draws.values())))
    return [{name: value[s] for name, value in draws.items()} for s in range(size)]


@dataclass(frozen=True)
class Gaussian:
    """N(mean, LL') with its lower root L of shape (p, p)."""

    mean: FloatArray
    root: FloatArray

    def sample(self, draws: int, seed: int) -> FloatArray:
        """Draws of shape (draws, p)."""
        noise = np.random.default_rng(seed).standard_normal((draws, len(self.mean)))
        return self.mean + noise @ self.root.T

    def log_density(self, x: FloatArray) -> FloatArray:
        """Of draws of shape (S, p)."""
        z = solve_triangular(self.root, (x - self.mean).T, lower=True)
        constant = len(self.mean) * np.log(2 * np.pi) / 2 + np.log(np.diag(self.root)).sum()
        return np.asarray(-0.5 * (z**2).sum(axis=0) - constant)
