"""``pymc-vmrp compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymc_vmrp.cli import options
from pymc_vmrp.cli.console import print_comparison, says_if_interrupted
from pymc_vmrp.cli.outputs import check_picture, figure_bytes, write_csv
from pymc_vmrp.errors import DataError
from pymc_vmrp.files import read_tree, write_bytes


def compare(
    a: Annotated[Path, typer.Argument(help="A fit or estimates (NetCDF).")],
    b: Annotated[Path, typer.Argument(help="Another of the same model, usually by NUTS.")],
    csv: Annotated[Path | None, typer.Option(help="Also write the whole table to a file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it, to a PNG file.")] = None,
    spreadsheet_safe: options.SpreadsheetSafe = False,
) -> None:
    """Compare two results: shift of means, ratio of sds and interval widths, overlap."""
    from pymc_vmrp.plots import draw_comparison
    from pymc_vmrp.summaries.compare import compare as compare_trees

    with says_if_interrupted():
        kind = None if plot is None else check_picture(plot)
        _check_outputs([a, b], [path for path in (csv, plot) if path is not None])
        table = compare_trees(read_tree(a), read_tree(b))
        labels = (a.stem, b.stem) if a.stem != b.stem else (str(a.parent), str(b.parent))
        print_comparison(table, f"{labels[0]} against {labels[1]}")
        picture = None if kind is None else figure_bytes(draw_comparison(table, labels), kind)
        if csv is not None:
            write_csv(table.reset_index(), csv, spreadsheet_safe)
        if plot is not None and picture is not None:
            write_bytes(plot, picture)


def _check_outputs(inputs: list[Path], outputs: list[Path]) -> None:
    read = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in read:
            raise DataError(f"{path} is read, and would be overwritten: choose another name.")
        if path.is_dir():
            raise DataError(f"{path} is a folder: name a file in it.")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise DataError("--csv and --plot name the same file.")
