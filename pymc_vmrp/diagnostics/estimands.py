"""Estimands: the scalars by which a posterior is judged, as functions of draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import linear_predictors
from pymc_vmrp.glmm.spec import GLMM, GroupEffects, Observations
from pymc_vmrp.glmm.variables import (
    Variables,
    coords,
    covariance_variables,
    parameter_variables,
    written_common_variables,
)
from pymc_vmrp.glmm.written import written_coefficients
from pymc_vmrp.results.sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel

Chosen = Callable[["xr.DataTree"], Any]

GROUP_MEAN = "mean responses by group"
COMMON = "common effects"
GROUP_EFFECT = "group-specific effects"
HYPERPARAMETER = "hyperparameters"
CHOSEN = "chosen estimands"

_MOST_LEVELS = 100  # of a factor: half of them those with the most data, half those with the least


@dataclass(frozen=True)
class Values:
    """Estimands of each draw.

    Attributes
    ----------
    names : tuple of str
    kinds : tuple of str
        One of the constants above for each.
    draws : ndarray, shape (chain, draw, estimands)
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    draws: FloatArray


@dataclass(frozen=True)
class Estimands:
    """What to compute of every draw.

    Attributes
    ----------
    model : ReadModel
    chosen : callable, optional
        The user's own, from a DataTree of draws to a DataTree, Dataset or DataArray with dimensions
        chain and draw. Without it: the mean response of the rows with each level of each grouping
        factor and of all rows, the common and the group-specific effects. In both cases also the
        logarithms of the standard deviations and of the likelihood's parameters, and Fisher's z of
        the correlations.
    """

    model: ReadModel
    chosen: Chosen | None = None

    def __call__(self, draws: Draws) -> Values:
        """Of draws with dimensions (chain, draw, ...)."""
        parts = [(kind, *elements) for kind, named in self._parts(draws) for elements in named]
        return Values(
            tuple(name for _, names, _ in parts for name in names),
            tuple(kind for kind, names, _ in parts for _ in names),
            np.concatenate([values for _, _, values in parts], axis=-1),
        )

    def _parts(self, draws: Draws) -> Iterator[tuple[str, list[tuple[list[str], FloatArray]]]]:
        glmm = self.model.glmm
        if self.chosen is not None:
            sampled = Sampled(draws, {}, np.random.default_rng(0))
            tree = self.model.reports.datatree(sampled, progressbar=False)
            yield CHOSEN, _chosen_elements(self.chosen(tree))
        else:
            if not self.model.no_mean:
                yield GROUP_MEAN, [group_means(glmm, self.model.observations, draws)]
            yield COMMON, _elements(glmm, _common(glmm, draws))
            yield (
                GROUP_EFFECT,
                [part for j in range(len(glmm.groups)) for part in self._effects(draws, j)],
            )
        yield HYPERPARAMETER, _elements(glmm, _hyperparameters(glmm, draws))

    def _effects(self, draws: Draws, j: int) -> list[tuple[list[str], FloatArray]]:
        """Effects of block j, of some levels where there are many."""
        glmm = self.model.glmm
        group = glmm.groups[j]
        if group.is_smooth:
            return []  # the coefficients of a basis say nothing by themselves
        u = written_coefficients(glmm, draws.coefficients)[..., glmm.group_slice(j)]
        kept = _kept_levels(group, _sizes(self.model.observations, glmm.n_cells))
        u = u.reshape(*u.shape[:-1], -1, group.d)[..., kept, :]
        labels = [f"{group.factor}={group.levels[level]}" for level in kept]
        return [
            ([f"{effect.name}|{label}" for label in labels], u[..., k])
            for k, effect in enumerate(group.effects)
        ]


def group_means(
    glmm: GLMM, observations: Observations, draws: Draws
) -> tuple[list[str], FloatArray]:
    """Mean response of the rows with each level of each factor, and of all rows.

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
    draws : Draws
        With dimensions (chain, draw, ...).

    Returns
    -------
    names : list of str
    means : ndarray, shape (chain, draw, names)
        Per trial where responses are counts of successes; rows count as their weights say.
    """
    sizes = _sizes(observations, glmm.n_cells)
    names, members = ["all rows"], [csr_array(sizes[None])]
    seen = set()
    for group in glmm.groups:
        if group.m > 1 or group.factor in seen:
            continue
        seen.add(group.factor)
        kept = _kept_levels(group, sizes)
        row = np.full(len(group.levels), -1)
        row[kept] = np.arange(len(kept))
        of_cell = row[group.codes]
        inside = np.flatnonzero((of_cell >= 0) & (sizes > 0))
        members.append(
            csr_array((sizes[inside], (of_cell[inside], inside)), shape=(len(kept), len(sizes)))
        )
        names += [f"{group.factor}={group.levels[level]}" for level in kept]
    flat = draws.flat()
    totals = np.zeros((len(names), len(flat)))
    for cells, eta in linear_predictors(glmm.rows, flat.coefficients.T, glmm.response.offset):
        mean = glmm.family.inverse_link(eta)
        low = 0
        for part in members:
            totals[low : low + part.shape[0]] += part[:, cells] @ mean
            low += part.shape[0]
    weight = np.concatenate([np.asarray(part.sum(1)).ravel() for part in members])
    means = totals / weight[:, None]
    return names, means.T.reshape(*draws.coefficients.shape[:2], -1)


def _sizes(observations: Observations, n_cells: int) -> FloatArray:
    """Rows of each cell, or their trials, shape (N,); weights count."""
    rows = observations.rows
    trials = rows.ones if rows.trials is None else rows.weighted(rows.trials)
    return np.bincount(
        observations.cell, weights=np.broadcast_to(trials, rows.y.shape), minlength=n_cells
    )


def _kept_levels(group: GroupEffects, sizes: FloatArray) -> IntArray:
    """Levels to report: all, or those with the most and the least data; without data none."""
    data = np.zeros(len(group.levels))
    for member in group.members.T:
        np.add.at(data, member, sizes)
    order = np.argsort(-data, kind="stable")
    order = order[data[order] > 0]
    if len(order) > _MOST_LEVELS:
        half = _MOST_LEVELS // 2
        order = np.concatenate([order[:half], order[-half:]])
    return np.sort(order)


def _common(glmm: GLMM, draws: Draws) -> Variables:
    return written_common_variables(glmm, written_coefficients(glmm, draws.coefficients))


def _hyperparameters(glmm: GLMM, draws: Draws) -> Variables:
    named: Variables = {}
    for group, covariance in zip(glmm.groups, draws.covariances, strict=True):
        for name, (dims, value) in covariance_variables(glmm, group, covariance).items():
            is_scale = name.endswith("_sigma")
            with np.errstate(divide="ignore"):
                moved = np.log(value) if is_scale else np.arctanh(value)
            named[f"log {name}" if is_scale else f"z {name}"] = (dims, moved)
    for name, (dims, value) in parameter_variables(glmm, draws.parameters).items():
        named[f"log {name}"] = (dims, np.log(value))
    return named


def _elements(glmm: GLMM, variables: Variables) -> list[tuple[list[str], FloatArray]]:
    """Names and draws of every element of variables of shape (chain, draw, ...)."""
    labels = coords(glmm)
    out = []
    for name, (dims, value) in variables.items():
        names = [name] if not dims else [f"{name}[{label}]" for label in labels[dims[-1]]]
        out.append((names, np.asarray(value).reshape(*value.shape[:2], -1)))
    return out


def _chosen_elements(found: Any) -> list[tuple[list[str], FloatArray]]:
    import xarray as xr

    if isinstance(found, xr.DataTree):
        found = found["posterior"].to_dataset()
    if isinstance(found, xr.DataArray):
        found = found.to_dataset(name=found.name or "estimand")
    if not isinstance(found, xr.Dataset) or not {"chain", "draw"} <= set(found.dims):
        raise DataError(
            "estimands= must be a function from a DataTree of draws to a DataTree, Dataset or "
            "DataArray with dimensions chain and draw, such as "
            "lambda idata: vmrp.poststratify(model, idata, cells, by='state')."
        )
    out = []
    for name, array in found.data_vars.items():
        stacked = array.transpose("chain", "draw", ...)
        dims = stacked.dims[2:]
        values = stacked.to_numpy().astype(float)
        values = values.reshape(*values.shape[:2], -1)
        labels = [
            ", ".join(str(stacked[dim].to_numpy()[i]) for dim, i in zip(dims, index, strict=True))
            for index in np.ndindex(*stacked.shape[2:])
        ]
        names = [f"{name}[{label}]" if label else str(name) for label in labels]
        present = ~np.isnan(values).all((0, 1))  # combinations of by= without a cell
        out.append(([n for n, p in zip(names, present, strict=True) if p], values[..., present]))
    return out
