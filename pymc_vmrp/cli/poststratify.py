"""``pymc-vmrp poststratify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymc_vmrp.cli import options
from pymc_vmrp.cli.console import says_if_interrupted
from pymc_vmrp.cli.estimates import Target, estimate
from pymc_vmrp.cli.inputs import read_fit, read_tables
from pymc_vmrp.cli.model import Specification
from pymc_vmrp.cli.outputs import OF_ESTIMATES, Results


def poststratify(
    fitted: Annotated[Path, typer.Argument(help="fit.nc, as written by 'pymc-vmrp fit'.")],
    survey: options.Survey,
    cells: Annotated[Path, typer.Argument(help="Population cells, one row per cell.")],
    by: options.By = None,
    weights: options.Weights = "n",
    sample_new_groups: options.NewGroups = False,
    join: options.Join = None,
    level_order: options.LevelOrder = None,
    formula: Annotated[
        str | None,
        typer.Option(
            "--formula",
            "-f",
            help="The formula of the fit, where it uses functions that are not taken from a file.",
        ),
    ] = None,
    dropna: Annotated[bool, typer.Option("--dropna", help="As it was given to 'fit'.")] = False,
    seed: options.Seed = 1,
    spreadsheet_safe: options.SpreadsheetSafe = False,
    out: options.Out = Path("vmrp-estimates"),
) -> None:
    """Poststratify a saved fit, for example by other columns than before.

    The survey is read again to rebuild the model's design; its formula is in the fit.
    """
    inputs = [fitted, survey, cells, *(join or [])]
    with says_if_interrupted(), Results(out, OF_ESTIMATES, inputs, spreadsheet_safe) as results:
        saved = read_fit(fitted)
        tables = read_tables(survey, cells, join, level_order, saved.orders)
        specification = Specification(
            saved.formula if formula is None else formula,
            saved.family, saved.link, saved.weights, dropna,
            "saved" if formula is None else "command line",
        )  # fmt: skip
        model = specification.model(tables.survey)
        target = Target(tuple(dict.fromkeys(by or [])), weights, seed, sample_new_groups)
        estimate(model, saved.tree, tables, target, results)
        results.publish()
