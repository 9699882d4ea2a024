"""`python -m benchmarks COMMAND`: measure, print a table, and save it in benchmarks/results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks import accuracy, speed
from benchmarks.data import SHARED

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
_SHARED = Annotated[Path, typer.Option(help="Folder of the real surveys and references.")]


@app.command("speed")
def speed_command(shared: _SHARED = SHARED, repeats: int = 15) -> None:
    """CCES, 59,810 answers: data frame to converged q; and the time to import the package."""
    _report("speed_cces", speed.cces_fit(shared, repeats))
    _report("speed_job", speed.cces_job(shared))
    _report("speed_import", speed.imports())


@app.command()
def cces(shared: _SHARED = SHARED, samples: int = 20, n: int = 5000) -> None:
    """CCES: error of the states on random samples, by MRP and by raw means."""
    table = accuracy.cces_samples(shared, samples, n)
    _report("cces_samples", table)
    print(f"better than raw in {(table['ratio'] < 1).sum()} of {len(table)} samples")
    print(table[["mrp", "raw", "ratio", "covered_90"]].mean().round(4).to_string())


@app.command()
def reference(shared: _SHARED = SHARED, deep: bool = False) -> None:
    """Against vglmer, NUTS and HMC. --deep adds the Ghitza-Gelman models 7 and 9."""
    published = accuracy.published_algorithm(shared)
    print(
        f"Pólya–Gamma against vglmer 'weak', {len(published)} coefficients: largest |shift| "
        f"{published['shift'].abs().max():.1e} sd, largest |sd ratio - 1| "
        f"{(published['sd_ratio'] - 1).abs().max():.1e}\n"
    )
    _report("nuts_states", accuracy.nuts_states(shared))
    _report("nuts_terms", accuracy.nuts_terms(shared))
    models = (1, 4, 7, 9) if deep else (1, 4)
    _report("ghitza_gelman", accuracy.ghitza_gelman(shared, models))


def _report(name: str, table: pd.DataFrame) -> None:
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)
    with pd.option_context("display.width", 140, "display.max_columns", 20):
        print(f"{name}\n{table.round(4).to_string(index=False)}\n")


if __name__ == "__main__":
    app()
