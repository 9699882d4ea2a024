"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Survey = Annotated[
    Path,
    typer.Argument(help="Survey: CSV (also .gz, .bz2, .xz, .zip), TSV or Parquet file."),
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", help="Column of the cells to estimate by; repeat it for several."),
]
Weights = Annotated[str, typer.Option(help="Column of the cells that holds population counts.")]
Join = Annotated[
    list[Path] | None,
    typer.Option(
        "--join",
        help="Table merged onto survey and cells by the columns they share, such as one row per "
        "state with its predictors; repeat it for several.",
    ),
]
LevelOrder = Annotated[
    list[str] | None,
    typer.Option(
        "--level-order",
        help="Order of a text column's levels, as 'age=18-29,30-44,45+' (levels with commas in "
        "double quotes); repeat it for several columns.",
    ),
]
NewGroups = Annotated[
    bool,
    typer.Option(
        "--sample-new-groups",
        help="Draw the effects of levels that the survey never saw anew without a warning, also "
        "where it saw none of a factor's levels in the cells (else an error).",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of all random numbers.")
]
Draws = Annotated[int, typer.Option(min=2, help="Posterior draws (per chain).")]
SpreadsheetSafe = Annotated[
    bool,
    typer.Option(
        "--spreadsheet-safe",
        help="Put ' before text in CSV files that a spreadsheet would run as a formula.",
    ),
]
