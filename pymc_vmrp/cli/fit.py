"""``pymc-vmrp fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymc_vmrp.cli import options
from pymc_vmrp.cli.console import says_if_interrupted
from pymc_vmrp.cli.estimates import Target
from pymc_vmrp.cli.inputs import read_tables
from pymc_vmrp.cli.model import Specification
from pymc_vmrp.cli.outputs import OF_FIT, Results
from pymc_vmrp.cli.run import Steps, run
from pymc_vmrp.errors import DataError
from pymc_vmrp.inference.methods import METHODS as INFERENCE_METHODS

_LEAST_DRAWS_TO_DIAGNOSE = 100


def fit(
    survey: options.Survey,
    formula: Annotated[
        str, typer.Option("--formula", "-f", help="Such as 'y ~ male + (1|state) + (1|age)'.")
    ],
    family: Annotated[
        str,
        typer.Option(
            help="bernoulli for a 0/1 response, binomial for p(successes, trials), gaussian, "
            "poisson, negativebinomial, gamma, t, beta_binomial."
        ),
    ] = "bernoulli",
    link: Annotated[str | None, typer.Option(help="logit, probit or cloglog.")] = None,
    survey_weights: Annotated[
        str | None, typer.Option(help="Column of the survey with weights of its rows.")
    ] = None,
    cells: Annotated[
        Path | None,
        typer.Option("--cells", help="Population cells, one row per cell, with counts."),
    ] = None,
    by: options.By = None,
    weights: options.Weights = "n",
    sample_new_groups: options.NewGroups = False,
    join: options.Join = None,
    level_order: options.LevelOrder = None,
    method: Annotated[
        str, typer.Option(help=f"Inference method: {', '.join(INFERENCE_METHODS)}.")
    ] = "cavi",
    nuts_rows: Annotated[
        int,
        typer.Option(
            min=0, help="Refit by NUTS on this many random rows and compare (0: no refit)."
        ),
    ] = 0,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Check whether the fit can be trusted.")
    ] = False,
    dropna: Annotated[
        bool, typer.Option("--dropna", help="Leave out rows with missing values, and say how many.")
    ] = False,
    draws: options.Draws = 1000,
    seed: options.Seed = 1,
    spreadsheet_safe: options.SpreadsheetSafe = False,
    out: options.Out = Path("vmrp-fit"),
) -> None:
    """Fit a survey and, given population cells, poststratify it.

    Example: pymc-vmrp fit survey.csv -f 'y ~ male + (1|state)' --cells census.csv --by state
    """
    if by and cells is None:
        raise DataError("--by needs --cells: the population to estimate for.")
    if diagnose and draws < _LEAST_DRAWS_TO_DIAGNOSE:
        raise DataError(
            f"--diagnose needs --draws of at least {_LEAST_DRAWS_TO_DIAGNOSE}, not {draws}."
        )
    inputs = [survey, cells, *(join or [])]
    with says_if_interrupted(), Results(out, OF_FIT, inputs, spreadsheet_safe) as results:
        steps = Steps(
            read_tables(survey, cells, join, level_order),
            Specification(formula, family, link, survey_weights, dropna),
            Target(tuple(dict.fromkeys(by or [])), weights, seed, sample_new_groups),
            draws,
            method,
            nuts_rows,
            diagnose,
        )
        run(steps, results)
