"""Draws of a GLMM as a DataTree and back, under its own names or those of another library."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.glmm.variables import coords, posterior_variables
from pymc_vmrp.results.idata import (
    add_fit,
    build_tree,
    check_memory_of_draws,
    constant_data,
    data_digest,
    log_likelihood_of_rows,
    moments,
    named_dataset,
    note,
    observed_data,
    read_draws,
    stats_dataset,
)
from pymc_vmrp.results.importance import joint_k
from pymc_vmrp.results.layout import (
    Layout,
    draw_unseen,
    relabelled,
    unseen_log_density,
    unseen_moments,
)
from pymc_vmrp.results.log_prior import log_prior_variables
from pymc_vmrp.results.sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class GlmmReports:
    """Reports of a model of rows of data; see :class:`pymc_vmrp.read_model.Reports`.

    Attributes
    ----------
    glmm : GLMM
    observations : Observations
    layout : Layout, optional
        Names of another library; None leaves those of ``glmm.variables``.
    """

    glmm: GLMM
    observations: Observations
    layout: Layout | None = None

    def check_memory(self, draws: int, log_likelihood: bool) -> None:
        """Refuse before the fit what would run out of memory after it."""
        check_memory_of_draws(self.glmm, draws, self.observations if log_likelihood else None)

    def datatree(
        self,
        sampled: Sampled,
        *,
        log_likelihood: bool = False,
        log_prior: bool = False,
        progressbar: bool | None = None,
    ) -> xr.DataTree:
        """Draws, rows and how the fit went; ``progressbar`` is not needed."""
        import xarray as xr

        glmm, observations, draws = self.glmm, self.observations, sampled.draws
        named = posterior_variables(glmm, draws.coefficients, draws.covariances, draws.parameters)
        also: Any = 0.0
        if self.layout is not None:
            # a copy: the same draws again, should an interruption have this done twice
            unseen = draw_unseen(self.layout, named, copy.deepcopy(sampled.rng))
            also = unseen_log_density(self.layout, named, unseen)
            named = relabelled(self.layout, named, unseen)
        every = coords(glmm) if self.layout is None else self.layout.coords
        sizes = draws.coefficients.shape[:2]
        sample = {dim: np.arange(n) for dim, n in zip(("chain", "draw"), sizes, strict=True)}
        groups = {"posterior": named_dataset(named, every, sample)}
        if sampled.stats:
            added = dict.fromkeys(sampled.stats, also)
            groups["sample_stats"] = stats_dataset(sampled.stats, added, sample)
        if log_likelihood:
            values = log_likelihood_of_rows(glmm, draws, observations)
            groups["log_likelihood"] = xr.Dataset(
                {observations.name: (("chain", "draw", "__obs__"), values)},
                coords={**sample, "__obs__": observations.index},
            )
        if log_prior:
            densities = log_prior_variables(glmm, draws)
            if self.layout is not None:
                densities = relabelled(self.layout, densities, {}, partly=True)
            groups["log_prior"] = named_dataset(densities, every, sample)
        groups["observed_data"] = observed_data(observations)
        groups["constant_data"] = constant_data(glmm, observations)
        tree = build_tree(groups, None if self.layout is None else self.layout.interface)
        tree.attrs["data_digest"] = data_digest(glmm)
        note(tree, sampled.noted)
        return self._with_fit(tree, sampled)

    def _with_fit(self, tree: xr.DataTree, sampled: Sampled) -> xr.DataTree:
        """How the fit went, and the moments of what the draws are from."""
        posterior = sampled.posterior
        if posterior is None:
            return tree
        mean, sd = moments(posterior)
        if self.layout is None:
            return add_fit(tree, posterior, mean, sd, coords(self.glmm))
        of_unseen = unseen_moments(self.layout, mean, sd)
        mean, sd = (
            relabelled(self.layout, named, unseen)
            for named, unseen in zip((mean, sd), of_unseen, strict=True)
        )
        tree = add_fit(tree, posterior, mean, sd, self.layout.coords)
        tree["fit"].attrs |= joint_k(tree)
        return tree

    def draws(self, idata: xr.DataTree, argument: str = "idata") -> Draws:
        """Draws of the GLMM from a fit of the model."""
        return read_draws(self.glmm, idata, argument=argument, layout=self.layout)
