"""The one place that prints: names, levels and paths come from data, and are shown as they are.

Nothing passes through rich's markup (``[red]``), its emoji codes (``:b:``) or its highlighter, and
control characters are escaped (:mod:`pymc_vmrp.text`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pymc_vmrp.text import one_line, printable, shown

NOT_CONVERGED, INTERRUPTED = 3, 130  # exit codes


class _Console(Console):
    """A console that lets the work go on when nobody reads any more (``| head``)."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


console = _Console()
errors = Console(stderr=True)


def say(text: object) -> None:
    """Print text of one or more lines."""
    console.print(Text(printable(text, keep="\n")), soft_wrap=True)


def say_warning(message: object) -> None:
    """Print a warning in one line, to stderr."""
    _say_labelled("Warning:", "yellow", message)


def say_error(message: object, label: str = "Error:") -> None:
    """Print an error in one line, to stderr."""
    _say_labelled(label, "bold red", message)


def show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """What ``warnings.showwarning`` is on the command line: one line, without the place in code."""
    if issubclass(category, UserWarning):
        say_warning(message)


def print_table(frame: pd.DataFrame, title: str) -> None:
    """Print a data frame, numbers to three digits."""
    table = Table(title=Text(printable(title)))
    for name in frame.columns:
        numeric = pd.api.types.is_float_dtype(frame[name])
        table.add_column(Text(shown(name)), justify="right" if numeric else "left")
    for row in frame.itertuples(index=False):
        cells = zip(frame.columns, row, strict=True)
        table.add_row(*(Text(_cell(str(name), value)) for name, value in cells))
    console.print(table)


def print_comparison(table: pd.DataFrame, title: str) -> None:
    """Print what :func:`pymc_vmrp.compare` found, as means over each variable's elements."""
    summary = table.assign(**{"|shift|": table["shift"].abs()}).groupby("variable", sort=False)
    frame = summary[["|shift|", "sd_ratio", "width_ratio", "overlap"]].mean()
    frame.insert(0, "elements", summary.size().astype(str))
    print_table(frame.reset_index(), title)


@contextlib.contextmanager
def says_if_interrupted() -> Iterator[None]:
    """Say after Ctrl-C that nothing was written; typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        say_error("before there was anything to keep; nothing was written.", "Interrupted")
        raise typer.Exit(INTERRUPTED) from None


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if name == "population" else f"{value:.3f}"
    return shown(value)


def _say_labelled(label: str, style: str, message: object) -> None:
    errors.print(Text.assemble((label, style), " ", one_line(message)), soft_wrap=True)
