"""The Gibbs sampler: effective draws a second, the parts of an iteration, and who has the tails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import accuracy
from pymc_vmrp.cavi.inverse_wishart import inverse
from pymc_vmrp.gibbs.covariances import draw_covariance
from pymc_vmrp.gibbs.iteration import draw_sites, iterate, move_along_paths, set_up
from pymc_vmrp.gibbs.sampler import run_chains, sample_chains
from pymc_vmrp.gibbs.starts import dispersed_starts
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread

CHAINS, TUNE = 4, 500
TERM = "1|eth"


def speed(shared: Path, draws: int = 1000, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Smallest effective sample sizes, and those a second of one core's time; tuning counts."""
    import arviz as az

    rows = []
    for case in accuracy.nuts_cases(shared):
        if names and case.name not in names:
            continue
        glmm = case.model().glmm
        starts = dispersed_starts(glmm, CHAINS, np.random.default_rng(1))
        run_chains(glmm, starts, 3, random_seed=1)  # compiles what is not compiled yet
        began = time.process_time()  # one thread; other processes would add to what a clock says
        run = sample_chains(glmm, starts, draws, TUNE, random_seed=1)
        seconds = time.process_time() - began
        log_sigma = np.stack([0.5 * np.log(c[..., 0, 0]) for c in run.draws.covariances], -1)
        worst = [
            min(float(az.ess(x[..., k])) for k in range(x.shape[-1]))
            for x in (log_sigma, run.draws.coefficients)
        ]
        rows.append(
            {
                "data": case.name,
                "cells": glmm.n_cells,
                "coefficients": glmm.n_coefficients,
                "draws": CHAINS * draws,
                "cpu_seconds": seconds,
                "wall_seconds": run.seconds,
                "ms_an_iteration": 1e3 * seconds / (CHAINS * (draws + TUNE)),
                "ess_log_sigma": worst[0],
                "ess_coefficient": worst[1],
                "ess_log_sigma_a_second": worst[0] / seconds,
                "ess_coefficient_a_second": worst[1] / seconds,
            }
        )
    return pd.DataFrame(rows)


def pieces(shared: Path, repeats: int = 200) -> pd.DataFrame:
    """Milliseconds of a core in the parts of an iteration: medians."""
    cases = accuracy.nuts_cases(shared)
    return pd.DataFrame([{"data": c.name, **_pieces(c.model().glmm, repeats)} for c in cases])


def _pieces(glmm: GLMM, repeats: int) -> dict[str, float]:
    rng, setup = np.random.default_rng(1), set_up(glmm)
    starts = dispersed_starts(glmm, 1, rng)
    state = setup.state(
        starts.coefficients[0], [c[0] for c in starts.covariances], starts.parameters[0]
    )
    with one_blas_thread():
        for _ in range(20):
            state = iterate(setup, state, rng)
        sites = draw_sites(glmm, state.eta, state.parameters, rng)
        precisions = [inverse(c) for c in state.covariances]
        prior = glmm.common.normal_precision
        gaussian = setup.solver.solve(sites, precisions)

        def covariances() -> None:
            for j, group in enumerate(glmm.groups):
                u = state.coefficients[glmm.group_slice(j)].reshape(-1, group.d)
                draw_covariance(rng, group.prior, state.covariances[j], u.T @ u, len(u))

        parts: dict[str, Callable[[], Any]] = {
            "polya_gamma": lambda: draw_sites(glmm, state.eta, state.parameters, rng),
            "solve": lambda: setup.solver.solve(sites, precisions),
            "draw": lambda: gaussian.sample(rng, 1),
            "predictors": lambda: setup.design.row_products(state.coefficients),
            "covariances": covariances,
            "paths": lambda: move_along_paths(setup, state, sites, prior, rng),
            "iteration": lambda: iterate(setup, state, rng),
        }
        return {name: _median_ms(part, repeats) for name, part in parts.items()}


def _median_ms(function: Callable[[], Any], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.thread_time()
        function()
        seconds.append(time.thread_time() - began)
    return 1e3 * float(np.median(seconds))


def tails(shared: Path, draws: int = 25_000) -> pd.DataFrame:
    """Sds of the effects of a factor of 4 levels and of its σ: NUTS, Gibbs, integrated.

    ``error`` is the Monte Carlo error of Gibbs, by a jackknife over stretches of the chains.
    """
    case = accuracy.nuts_cases(shared)[0]
    model, reference = case.model(), pd.read_csv(case.terms)
    glmm = model.glmm
    starts = dispersed_starts(glmm, CHAINS, np.random.default_rng(1))
    gibbs = run_chains(glmm, starts, draws, TUNE, random_seed=1).flat()
    integrated = model.approximate(hyperparameters="integrated", theta_ess=2000).sample(100_000, 1)
    group = next(j for j, g in enumerate(glmm.groups) if g.name == TERM)
    start, levels = glmm.group_starts[group], glmm.groups[group].levels
    names = [(TERM, level) for level in levels] + [(f"{g.name}_sigma", "") for g in glmm.groups]

    def values(sample: Draws, k: int) -> np.ndarray:
        if k < len(levels):
            return sample.coefficients[:, start + k]
        return 0.5 * np.log(sample.covariances[k - len(levels)][:, 0, 0])

    rows = []
    for k, (term, level) in enumerate(names):
        x, other = values(gibbs, k), values(integrated, k)
        of_nuts = reference[reference["term"] == term]
        row = {"parameter": f"{term}[{level}]" if level else f"log {term}"}
        row |= {"gibbs_sd": x.std(), "error": _error_of_sd(x), "integrated_sd": other.std()}
        if level:
            row["nuts_sd"] = float(of_nuts.set_index("level").loc[level, "sd"])
        else:
            for way, sample in (("gibbs", x), ("integrated", other)):
                row |= {f"{way}_q{q}": np.exp(np.quantile(sample, q / 100)) for q in (5, 50, 95)}
            row |= {f"nuts_q{q}": float(of_nuts[f"q{q:02d}"].iloc[0]) for q in (5, 50, 95)}
        rows.append(row)
    return pd.DataFrame(rows)


def _error_of_sd(x: np.ndarray, stretches: int = 80) -> float:
    parts = np.array_split(x - x.mean(), stretches)
    sums = np.array([[len(p), p.sum(), p @ p] for p in parts])
    n, first, second = (sums.sum(0) - sums).T  # each stretch left out
    sds = np.sqrt(second / n - (first / n) ** 2)
    return float(np.sqrt((stretches - 1) * sds.var()))
