"""``pymc-vmrp demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymc_vmrp.cli import options
from pymc_vmrp.cli.console import say, says_if_interrupted
from pymc_vmrp.cli.estimates import Target
from pymc_vmrp.cli.inputs import Tables
from pymc_vmrp.cli.model import Specification
from pymc_vmrp.cli.outputs import OF_FIT, Results
from pymc_vmrp.cli.run import Steps, run

_MOST_ROWS = 10_000_000


def demo(
    out: options.Out = Path("vmrp-demo"),
    n: Annotated[int, typer.Option(min=50, max=_MOST_ROWS, help="Respondents to simulate.")] = 5000,
    nuts_n: Annotated[
        int,
        typer.Option(min=0, max=_MOST_ROWS, help="Respondents in the NUTS refit (0: no refit)."),
    ] = 1000,
    seed: options.Seed = 2018,
) -> None:
    """Simulate a survey and its population, fit, poststratify, refit by NUTS, and compare.

    Writes the fit (NetCDF), the state estimates (CSV) and two pictures (PNG).
    """
    from pymc_vmrp.simulation import simulate

    with says_if_interrupted(), Results(out, OF_FIT) as results:
        simulation = simulate(n=n, random_seed=seed)
        say(f"Simulated {n:,} respondents of a population in {len(simulation.cells):,} cells.")
        truth = simulation.truth.set_index("state")["truth"]
        steps = Steps(
            Tables(simulation.survey, simulation.cells),
            Specification(simulation.formula),
            Target(("state",), seed=seed, truth=truth),
            nuts_rows=nuts_n,
            diagnose=True,
        )
        run(steps, results)
