"""Simulation-based calibration: is the truth a typical posterior draw, over many simulations."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import (
    MOST_CORES,
    check_choice,
    check_count,
    check_options,
    check_progressbar,
    check_seed,
)
from pymc_vmrp.calibration.result import Calibration, collect
from pymc_vmrp.calibration.simulation import FAILED, Job, Simulated, simulate_once
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import ConvergenceWarning, VmrpError
from pymc_vmrp.glmm.prior_draws import check_proper
from pymc_vmrp.glmm.responses import one_row_each
from pymc_vmrp.inference.method import Draw, Drawing
from pymc_vmrp.inference.methods import get_method
from pymc_vmrp.processes import run_tasks
from pymc_vmrp.progress import row_progress

if TYPE_CHECKING:
    from pymc_vmrp.inference.method import Method

METHODS = ("sbc", "vsbc")


def calibrate(
    model: Any,
    simulations: int = 100,
    method: str = "sbc",
    *,
    inference_method: str | Method = "cavi",
    fit: Draw | None = None,
    fit_options: Mapping[str, Any] | None = None,
    draws: int = 199,
    random_seed: int | None = None,
    cores: int = 1,
    progressbar: bool | None = None,
) -> Calibration:
    """Simulate from the model, fit, and rank the truth among the posterior draws.

    Each simulation draws everything unknown from the prior and new responses of the model's own
    rows (with their trials, known sds and offsets), fits the model to them, and ranks every true
    value among the draws. The ranks of a method that gives the exact posterior are uniform.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        Its responses are not used, but its rows, priors and family are. All priors must be proper.
        Whole-number weights count as repeated rows.
    simulations : int
        How many data sets. 100 find gross errors; a test of whether an approximation is good
        enough to be used takes 500 or more.
    method : {"sbc", "vsbc"}
        What :meth:`Calibration.table` tests. "sbc": that ranks are uniform (Talts et al. 2018).
        "vsbc": that p = P_q(x < truth) is symmetric around ½, the weaker demand that the middle of
        the approximation be right on average, which many variational fits with too small sds meet
        (Yao et al. 2018). The simulations are the same.
    inference_method : str or Method
        Any of :meth:`pymc_vmrp.Model.fit`, or one of your own; draws of chains are thinned evenly.
    fit : callable, optional
        A plain function in its place: ``fit(glmm, draws, random_seed)`` that returns
        :class:`pymc_vmrp.glmm.draws.Draws` with as many nearly independent draws as asked
        for (thin those of a Markov chain). Must pickle if ``cores`` exceeds 1.
    fit_options : mapping, optional
        Options of the method; for "cavi" those of :meth:`pymc_vmrp.Model.approximate`, such as
        ``{"hyperparameters": "integrated"}``.
    draws : int
        L, the posterior draws that each true value is ranked among.
    random_seed : int, optional
        Results are the same for any number of ``cores``.
    cores : int
        Processes. With more than one, a script must guard its top level by
        ``if __name__ == "__main__":``.
    progressbar : bool, optional
        None shows a bar once the work has taken two seconds.

    Returns
    -------
    Calibration
        With ``table()`` of tests and ``plot()``. Fits that do not converge are ranked all the same,
        and listed; those that fail are listed. Ctrl-C ends the work with the simulations that are
        complete.

    Raises
    ------
    PriorError
        Where a prior is flat: it names the terms.
    DataError
        Where the model has fractional weights.
    VmrpError
        Where no simulation gave draws.

    References
    ----------
    Talts, S., Betancourt, M., Simpson, D., Vehtari, A. and Gelman, A. (2018). Validating Bayesian
    inference algorithms with simulation-based calibration. arXiv:1804.06788.
    Modrák, M., Moon, A. H., Kim, S., Bürkner, P., Huurre, N., Faltejsková, K., Gelman, A. and
    Vehtari, A. (2023). Simulation-based calibration checking for Bayesian computation: the choice
    of test quantities shapes sensitivity. Bayesian Analysis.
    Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018). Yes, but did it work?: evaluating
    variational inference. ICML.

    Examples
    --------
    >>> quick = {"hyperparameters": "mean_field"}
    >>> result = vmrp.calibrate(model, 20, fit_options=quick, random_seed=1)
    >>> table = result.table()
    """
    model = read_model(model, "calibrate()")
    check_count("simulations", simulations, least=2)
    check_choice("method", method, METHODS)
    check_count("draws", draws)
    check_count("cores", cores, most=MOST_CORES)
    check_seed(random_seed)
    check_progressbar(progressbar)
    if fit is not None and not callable(fit):
        raise VmrpError(f"fit must be a function (glmm, draws, random_seed), not {fit!r}.")
    if fit_options is not None:
        check_options("fit_options", fit_options)
    if fit is not None and fit_options is not None:
        raise VmrpError("fit_options= are for methods of this package: leave them out with fit=.")
    check_proper(model.glmm, "calibrate()")
    how = fit
    if how is None:
        chosen = get_method(inference_method)
        how = Drawing(chosen, chosen.take(fit_options or {}))
        chosen.check(model.glmm, how.options)
    job = Job(model.glmm, one_row_each(model.observations), how, draws)
    seeds = np.random.SeedSequence(random_seed).spawn(simulations)
    done: dict[int, Simulated] = {}
    with row_progress(progressbar, simulations, "Calibrating", "simulations") as report:
        try:
            for i, one in run_tasks(partial(simulate_once, job), seeds, cores):
                if isinstance(one, BaseException):
                    one = Simulated(FAILED, f"the worker process was lost: {one}", 0.0, {})
                done[i] = one
                report(len(done))
        except KeyboardInterrupt:
            if not done:
                raise
    result = collect(model.glmm, method, draws, simulations, done)
    _warn_of_problems(result)
    return result


def _warn_of_problems(result: Calibration) -> None:
    problems = []
    if len(result.simulations) < result.requested:
        problems.append(
            f"interrupted after {len(result.simulations)} of {result.requested} simulations"
        )
    if result.failed:
        first = result.simulations.loc[result.failed[0], "message"]
        problems.append(f"{len(result.failed)} failed and have no ranks (the first: {first})")
    if result.not_converged:
        problems.append(
            f"{len(result.not_converged)} did not converge, and are ranked all the same"
        )
    if problems:
        warnings.warn(
            f"calibrate: {'; '.join(problems)}. See .simulations.", ConvergenceWarning, stacklevel=3
        )
