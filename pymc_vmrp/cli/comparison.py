"""The printed table of a comparison."""

from __future__ import annotations

import pandas as pd

from pymc_vmrp.cli.console import print_table


def print_comparison(table: pd.DataFrame, title: str) -> None:
    """Print what :func:`pymc_vmrp.compare` found, as means over each variable's elements."""
    summary = table.assign(**{"|shift|": table["shift"].abs()}).groupby("variable", sort=False)
    columns = ["|shift|", "sd_ratio", "width_ratio", "overlap"]
    frame = summary[columns].mean()
    frame.insert(0, "elements", summary.size().astype(str))
    print_table(frame.reset_index(), title)
