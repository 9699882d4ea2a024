"""The commands put together, and how they end: one message and an exit code."""

from __future__ import annotations

import sys
import warnings

import typer

from pymc_vmrp.cli.compare import compare
from pymc_vmrp.cli.console import say_error, show_warning
from pymc_vmrp.cli.demo import demo
from pymc_vmrp.cli.fit import fit
from pymc_vmrp.cli.poststratify import poststratify
from pymc_vmrp.errors import VmrpError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Multilevel regression and poststratification in seconds, checked by NUTS. "
    "Start with [bold]pymc-vmrp demo[/bold].",
)
for command in (demo, fit, poststratify, compare):
    app.command()(command)


def main() -> None:
    """Run the command line.

    Ends with 0; 1 after an error of the package or of a file; 2 where the command cannot be read;
    3 where a fit did not converge; 130 after Ctrl-C.
    """
    warnings.showwarning = show_warning
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an é on a terminal of ASCII is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except (VmrpError, OSError) as error:  # a file that cannot be read or written, too
        say_error(error)
        return 1
    except MemoryError:
        say_error("there is not enough memory.")
        return 1
    except typer.Abort:
        say_error("nothing was written.", "Aborted:")
        return 1
    except Exception as error:
        # typer's own errors say how the command is to be written; older ones are click's
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ != "NoArgsIsHelpError":
            say_error(f"{error.format_message()} Try --help.")
        return int(getattr(error, "exit_code", 2))
