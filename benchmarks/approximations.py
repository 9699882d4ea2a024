"""ADVI of PyMC and Pathfinder of pymc-extras, with the densities of their draws."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import pymc_vmrp as vmrp
from benchmarks.fitted import Fitted, Settings, need
from benchmarks.unconstrained import (
    Gaussian,
    Part,
    ToTree,
    layout,
    log_combinations,
    log_density,
    points,
)
from pymc_vmrp.cavi.weights import systematic_counts
from pymc_vmrp.results.importance import smoothed_weights

FloatArray = NDArray[np.float64]

_MOST_RUNS = 10
_LEAST_GAIN = 0.5  # of the ELBO, from one quarter of a run to the next


def advi(
    model: vmrp.Model, settings: Settings, full_rank: bool = False, resampled: bool = False
) -> Fitted:
    """ADVI as ``pm.fit`` runs it; the first step is taken for compilation.

    Runs of ``settings.steps`` follow each other until one gains little, or there were enough.
    Resampling takes the draws again by their Pareto-smoothed weights, systematically, whatever k̂
    is: what rstan's ``vb``, and so rstanarm, does.
    """
    import pymc as pm

    start = time.perf_counter()
    pm_model = model.to_pymc()
    kind = pm.FullRankADVI if full_rank else pm.ADVI
    inference = kind(model=pm_model, random_seed=settings.seed)
    inference.fit(1, progressbar=False)
    to_tree = ToTree(model.glmm, model.observations, pm_model)
    compiled = time.perf_counter()
    runs, gain = 0, float("inf")
    while runs < _MOST_RUNS and gain > _LEAST_GAIN:
        inference.refine(settings.steps, progressbar=False)
        runs, gain = runs + 1, drift(-np.asarray(inference.hist[-settings.steps :]))
    gaussian, parts = _gaussian(inference.approx, full_rank)
    flat = gaussian.sample(settings.draws, settings.seed)
    tree = to_tree(points(flat, parts))
    end = time.perf_counter()
    log_ratio = log_density(model.glmm, pm_model, points(flat, parts)) - gaussian.log_density(flat)
    extra = {"steps": runs * settings.steps, "drift": gain}
    if resampled:
        again = time.perf_counter()
        tree, distinct = resample(tree, log_ratio, settings.seed)
        end += time.perf_counter() - again
        extra["distinct"] = distinct
    return Fitted(tree, end - compiled, compiled - start, log_ratio, extra)


def drift(elbo: FloatArray) -> float:
    """Gain of the mean ELBO from the third quarter of the steps to the last."""
    quarter = max(1, len(elbo) // 4)
    return float(elbo[-quarter:].mean() - elbo[-2 * quarter : -quarter].mean())


def _gaussian(approx: Any, full_rank: bool) -> tuple[Gaussian, tuple[Part, ...]]:
    mean = np.asarray(approx.mean.eval())
    if full_rank:
        root = np.linalg.cholesky(np.asarray(approx.cov.eval()))
    else:
        root = np.diag(np.asarray(approx.std.eval()))
    parts = [Part(name, s.start, shape) for name, s, shape, _ in approx.ordering.values()]
    return Gaussian(mean, root), tuple(parts)


def resample(tree: xr.DataTree, log_ratio: FloatArray, seed: int) -> tuple[xr.DataTree, int]:
    """As many draws again, by their Pareto-smoothed weights; and how many of them differ.

    ``vmrp.resample`` does so too, but refuses where k̂ is too large for the result to mean much.
    """
    weights, _ = smoothed_weights(log_ratio)
    counts = systematic_counts(np.random.default_rng(seed), weights, len(weights))
    chosen = np.repeat(np.arange(len(counts)), counts)
    posterior = tree["posterior"].to_dataset().isel(draw=chosen)
    posterior = posterior.assign_coords(draw=np.arange(len(chosen)))
    out = xr.DataTree.from_dict({"posterior": posterior})
    out.attrs |= tree.attrs
    return out, int((counts > 0).sum())


def pathfinder(model: vmrp.Model, settings: Settings, paths: int = 4) -> Fitted:
    """Multi-path Pathfinder as ``pymc_extras.fit_pathfinder`` runs it, its resampling left out.

    Draws of all paths count alike. The ratio of a draw is that to its own path's Gaussian, as in
    the resampling of Zhang et al. (2022).
    """
    need("pymc_extras", "pip install 'pymc-vmrp[pathfinder]'")
    from pymc_extras.inference.pathfinder.lbfgs import LBFGSConfig
    from pymc_extras.inference.pathfinder.multipath import multipath_pathfinder

    start = time.perf_counter()
    pm_model = model.to_pymc()
    parts = layout(pm_model)
    to_tree = ToTree(model.glmm, model.observations, pm_model)
    compiled = time.perf_counter()
    result = multipath_pathfinder(
        pm_model,
        num_paths=paths,
        num_draws=settings.draws,
        num_draws_per_path=settings.draws // paths,
        num_elbo_draws=10,  # this and the jitter are the package's defaults
        jitter=2.0,
        lbfgs_config=LBFGSConfig().set_default_maxcor(parts[-1].stop),
        importance_sampling=None,
        progressbar=False,
        parallel=False,  # worker processes took 8 times as long on 2 cores: 85 against 11 s
        random_seed=settings.seed,
    )
    flat = np.asarray(result.samples).reshape(-1, parts[-1].stop)
    ratio = (result.logP - result.logQ).ravel() - log_combinations(model.glmm)
    drawing = time.perf_counter()
    tree = to_tree(points(flat, parts))
    drawn = time.perf_counter() - drawing
    return Fitted(
        tree,
        result.compute_time + drawn,
        compiled - start + result.compile_time,
        np.asarray(ratio),
        {"note": f"{len(result.samples)} of {paths} paths"},
    )
