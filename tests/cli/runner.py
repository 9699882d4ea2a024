"""Run the command line in this process."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from pymc_vmrp.cli import console, main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(*arguments: object, folder: Path | None = None, code: int | None = 0) -> Ended:
    """Run a command; ``code`` is the exit code it must end with, None for any."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    with (
        mock.patch.object(sys, "argv", ["pymc-vmrp", *map(str, arguments)]),
        mock.patch.dict(os.environ, {"COLUMNS": "160"}),
        # consoles read it when they are made, which may have been before
        mock.patch.object(console.console, "_width", 160),
        mock.patch.object(console.errors, "_width", 160),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        try:
            os.chdir(folder or before)
            main()
        except SystemExit as end:
            ended = Ended(int(end.code or 0), out.getvalue(), err.getvalue())
        finally:
            os.chdir(before)
    assert code is None or ended.code == code, ended
    return ended
