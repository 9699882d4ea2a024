"""Cross-validation by fits to parts of the rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import logsumexp

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import ConvergenceWarning
from pymc_vmrp.glmm.responses import take_rows
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.inference.method import Draw
from pymc_vmrp.processes import run_tasks
from pymc_vmrp.selection.pointwise import distinct_rows, log_likelihoods
from pymc_vmrp.selection.training import training


@dataclass(frozen=True)
class Kfold:
    """Predictive densities of left-out rows.

    Attributes
    ----------
    elpd : ndarray, shape (rows,)
        Log p(y_i | rows of the other folds).
    not_converged : int
        How many fits did not converge.
    """

    elpd: FloatArray
    not_converged: int


@dataclass(frozen=True)
class _Task:
    glmm: GLMM
    observations: Observations
    fold: IntArray
    method: Draw
    draws: int


def kfold(
    glmm: GLMM,
    observations: Observations,
    fold: IntArray,
    method: Draw,
    draws: int,
    random_seed: int | None,
    cores: int = 1,
    report: Callable[[int], None] = lambda _: None,
) -> Kfold:
    """Fit to the rows outside of each fold, and evaluate the density of those inside.

    Parameters
    ----------
    glmm : GLMM
    observations : Observations
        Without weights.
    fold : ndarray of integers, shape (rows,)
        Numbered from 0 on.
    method : callable
        (GLMM, draws, random seed) → Draws.
    draws : int
    random_seed : int, optional
    cores : int
        Processes that fits are shared out to.
    report : callable
        Told how many folds are done.
    """
    task = _Task(glmm, observations, fold, method, draws)
    seeds = np.random.SeedSequence(random_seed).spawn(int(fold.max()) + 1)
    elpd = np.empty(len(fold))
    problems = 0
    results = run_tasks(partial(_one_fold, task), list(enumerate(seeds)), cores)
    for done, (k, result) in enumerate(results, 1):
        if isinstance(result, BaseException):
            raise result
        values, converged = result
        elpd[fold == k] = values
        problems += not converged
        report(done)
    return Kfold(elpd, problems)


def _one_fold(task: _Task, argument: tuple[int, np.random.SeedSequence]) -> tuple[FloatArray, bool]:
    """Log predictive density of each row of one fold; and whether its fit converged."""
    k, seed = argument
    of_fit, of_levels = seed.spawn(2)
    part = training(task.glmm, task.observations, np.flatnonzero(task.fold != k))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        draws = task.method(part.glmm, task.draws, int(of_fit.generate_state(1)[0]))
    draws = part.extend(draws, np.random.default_rng(of_levels))
    left_out = distinct_rows(take_rows(task.observations, np.flatnonzero(task.fold == k)))
    out = np.empty(left_out.size)
    for rows, values in log_likelihoods(task.glmm, left_out.observations, draws):
        out[rows] = logsumexp(values, axis=1) - np.log(task.draws)
    converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return out[left_out.index], converged
