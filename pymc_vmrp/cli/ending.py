"""How a command ends that was interrupted before it had anything to keep."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import typer

from pymc_vmrp.cli.console import say_error
from pymc_vmrp.cli.run import INTERRUPTED


@contextlib.contextmanager
def says_if_interrupted() -> Iterator[None]:
    """Say after Ctrl-C that nothing was written; typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        say_error("before there was anything to keep; nothing was written.", "Interrupted")
        raise typer.Exit(INTERRUPTED) from None
