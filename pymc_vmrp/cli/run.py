"""Fit, estimate, diagnose, refit: the steps of ``fit`` and ``demo``."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import typer

from pymc_vmrp.cli.console import INTERRUPTED, NOT_CONVERGED, console, print_table, say, say_error
from pymc_vmrp.cli.estimates import Target, check_cells, estimate
from pymc_vmrp.cli.inputs import Tables
from pymc_vmrp.cli.model import Specification
from pymc_vmrp.cli.outputs import Results
from pymc_vmrp.cli.refit import Refit
from pymc_vmrp.model import Model

if TYPE_CHECKING:
    import xarray as xr

CAUTION = (
    "The sds of _sigma and _corr, and of effects of factors with few levels, are too small under "
    "mean-field CAVI: use NUTS or Gibbs for them (docs/inference.md)."
)


@dataclass(frozen=True)
class Steps:
    """What is done with a model and its tables; see the options of ``fit``."""

    tables: Tables
    specification: Specification
    target: Target
    draws: int = 1000
    method: str = "cavi"
    nuts_rows: int = 0
    diagnose: bool = False


def run(steps: Steps, results: Results) -> None:
    """Carry out the steps, and publish the results where all of them went well.

    After Ctrl-C what is complete is kept, and a message says what that is.
    """
    doing, complete = "reading the data", False
    try:
        model = steps.specification.model(steps.tables.survey)
        say(model)
        if steps.tables.cells is not None:
            check_cells(model, steps.tables.cells, steps.target)
        refit = _prepare_refit(steps)
        doing = "fitting"
        tree = _fit(model, steps, results)
        doing = "poststratifying"
        table = _report(model, tree, steps, results)
        complete = True
        if steps.diagnose:
            doing = "diagnosing"
            _diagnose(model, tree, steps.target.seed, results)
        if refit is not None:
            doing = "refitting by NUTS"
            refit.run(steps.tables.cells, steps.target, results)
        if steps.target.truth is not None and table is not None:
            _print_errors(table)
    except KeyboardInterrupt:
        _interrupted(doing, complete, results)
    results.publish()
    if _fell_short(tree, steps.draws):
        raise typer.Exit(NOT_CONVERGED)


def _interrupted(doing: str, complete: bool, results: Results) -> None:
    """Say what an interruption kept, and end."""
    if complete:
        results.publish()
        kept = "the results up to there are complete, and written."
    elif (path := results.keep_fit()) is not None:
        kept = (
            f"the fit is kept in {path}, from which 'pymc-vmrp poststratify' goes on; nothing else "
            "was written."
        )
    else:
        kept = f"there was no fit to keep, and nothing was written; {results.out} is as it was."
    say_error(f"while {doing}; {kept}", "Interrupted")
    raise typer.Exit(INTERRUPTED)


def _fit(model: Model, steps: Steps, results: Results) -> xr.DataTree:
    start = time.perf_counter()
    tree = model.fit(
        steps.draws,
        inference_method=steps.method,
        random_seed=steps.target.seed,
        progressbar=None if console.is_terminal else False,
    )
    seconds = time.perf_counter() - start
    say(f"Fitted by {steps.method} in {seconds:.1f} s{_convergence(tree)}.")
    if steps.tables.orders:
        tree.attrs["level_order"] = json.dumps(dict(steps.tables.orders))
    results.tree(tree, "fit.nc")
    return tree


def _convergence(tree: xr.DataTree) -> str:
    if "fit" not in tree.children:
        return ""
    attrs = tree["fit"].attrs
    state = "converged" if attrs["converged"] else "NOT CONVERGED"
    return f" ({attrs['iterations']} sweeps in {attrs['seconds']:.2f} s of it, {state})"


def _fell_short(tree: xr.DataTree, draws: int) -> bool:
    """Whether the fit did not converge, or was interrupted."""
    if "fit" in tree.children:
        return not tree["fit"].attrs["converged"]
    return tree["posterior"].sizes["draw"] < draws


def _report(model: Model, tree: xr.DataTree, steps: Steps, results: Results) -> pd.DataFrame | None:
    """Estimates, or where there are no cells the coefficients."""
    if steps.tables.cells is not None:
        return estimate(model, tree, steps.tables, steps.target, results)
    _print_common(tree)
    if is_mean_field(tree):
        say(CAUTION)
    return None


def is_mean_field(tree: xr.DataTree) -> bool:
    """Whether a fit took hyperparameters and coefficients for independent."""
    return "fit" in tree.children and tree["fit"].attrs["hyperparameters"] == "mean_field"


def _diagnose(model: Model, tree: xr.DataTree, seed: int, results: Results) -> None:
    from pymc_vmrp.diagnostics.diagnose import diagnose

    found = diagnose(model, tree, random_seed=seed)
    say(f"Diagnosis: {found.verdict}.")
    for reason in found.reasons:
        say(f"  - {reason}")
    results.table(found.table, "diagnosis.csv")


def _prepare_refit(steps: Steps) -> Refit | None:
    """The rows to refit and their model, which may fail, before anything takes long."""
    if not steps.nuts_rows:
        return None
    survey, seed = steps.tables.survey, steps.target.seed
    every = steps.nuts_rows >= len(survey)
    part = survey if every else survey.sample(steps.nuts_rows, random_state=seed)
    model = steps.specification.model(part, quiet=True)
    if steps.tables.cells is not None:
        check_cells(model, steps.tables.cells, steps.target)
    return Refit(model, len(part))


def _print_common(tree: xr.DataTree) -> None:
    """Means and intervals of everything but the group-specific effects."""
    posterior = tree["posterior"].to_dataset()
    rows = []
    for name, variable in posterior.data_vars.items():
        if any(str(dim).endswith("__factor_dim") for dim in variable.dims):
            continue
        flat = variable.stack(sample=("chain", "draw")).transpose(..., "sample").to_numpy()
        values = flat.reshape(-1, flat.shape[-1])
        for i, draws in enumerate(values):
            label = str(name) if len(values) == 1 else f"{name}[{i}]"
            low, high = np.quantile(draws, [0.05, 0.95])
            rows.append({"term": label, "mean": draws.mean(), "sd": draws.std(ddof=1)})
            rows[-1] |= {"q05": low, "q95": high}
    print_table(pd.DataFrame(rows), "Common effects and standard deviations")


def _print_errors(table: pd.DataFrame) -> None:
    """Mean absolute error of the estimates and of raw means, and coverage, against the truth."""
    truth = table["truth"]
    covered = int(((table["q05"] <= truth) & (truth <= table["q95"])).sum())
    say(
        f"Mean absolute error against the truth: MRP {(table['mean'] - truth).abs().mean():.3f}, "
        f"raw state means {(table['raw'] - truth).abs().mean():.3f}. The 90% intervals hold the "
        f"truth in {covered} of {len(truth)} states."
    )
