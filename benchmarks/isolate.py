"""Run a measurement in a fresh process, with a time limit and a cap on its memory.

A measurement is a generator of JSON-able dicts. What it yields arrives at once, so that a process
which dies later does not take it along.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_MARK = "@measured "  # what else a library may print is not ours
_SHARE_OF_MEMORY = 0.75  # a child must not starve what else runs on the machine


@dataclass(frozen=True)
class Outcome:
    """What a measurement yielded, merged into one dict, and why it ended early, if it did."""

    rows: tuple[Row, ...]
    problem: str = ""

    @property
    def merged(self) -> Row:
        """All rows as one dict; later values win."""
        return {key: value for row in self.rows for key, value in row.items()}


def run(
    function: str, arguments: Row, limit: float, on_row: Callable[[Row], None] | None = None
) -> Outcome:
    """Call ``"module:function"`` with ``arguments`` and ``limit`` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.isolate", function, json.dumps(arguments)]
    rows: list[Row] = []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*command, str(limit)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(_MARK):
                    rows.append(json.loads(line.removeprefix(_MARK)))
                    if on_row is not None:
                        on_row(rows[-1])
            code = process.wait()
        finally:
            _end(process)
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    return Outcome(tuple(rows), _problem(code, limit, lines[-1] if lines else ""))


def _end(process: subprocess.Popen[str]) -> None:
    """End the child and what it started, such as a compiler; nothing else is in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start_clock(limit: float) -> None:
    """From now on the process has ``limit`` seconds; called again, it starts anew."""
    # the default action of SIGALRM ends the process even inside compiled code
    signal.setitimer(signal.ITIMER_REAL, limit)


def stop_clock() -> None:
    """Let the process take its time again."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def physical_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _problem(code: int, limit: float, last_line: str) -> str:
    if code == 0:
        return ""
    if code == -signal.SIGALRM:
        return f"timed out after {limit:g} s"
    if code == -signal.SIGKILL:
        return "killed, out of memory perhaps"
    needs = re.search(r"needs? ([\d,.]+ GB)", last_line)
    if needs:
        return f"needs {needs[1]}"
    if "MemoryError" in last_line or "Unable to allocate" in last_line:
        return f"needs more than {_SHARE_OF_MEMORY * physical_memory() / 2**30:.0f} GB"
    return last_line or f"ended with code {code}"


def _main(function: str, arguments: str, limit: str) -> None:
    warnings.simplefilter("ignore")  # a fit that did not converge says so in its row
    most = int(_SHARE_OF_MEMORY * physical_memory())
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    module, _, name = function.partition(":")
    measurement = getattr(importlib.import_module(module), name)
    rows: Iterator[Row] = measurement(**json.loads(arguments), limit=float(limit))
    for row in rows:
        print(_MARK + json.dumps(row), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
