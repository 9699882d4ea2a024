"""Progress bars, drawn by rich."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from pymc_vmrp.text import printable

_PATIENCE = 2.0  # seconds of work before a bar appears unasked


@contextlib.contextmanager
def sweep_progress(show: bool | None) -> Iterator[Callable[[int, float, float], None] | None]:
    """A callback that shows the sweep, the ELBO and the change.

    Parameters
    ----------
    show : bool or None
        None shows the bar once the work has taken two seconds.
    """
    if show is False:
        yield None
        return
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("CAVI sweep {task.completed}"),
        TextColumn("ELBO {task.fields[elbo]:.3f}  {task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with _drawn_when_long(show, columns, total=None, elbo=float("nan"), note="") as update:

        def report(step: int, elbo: float, change: float) -> None:
            # there is no change from sweep to sweep where each belongs to other hyperparameters
            note = "hyperparameters" if math.isnan(change) else f"change {change:.1e}"
            update(completed=step, elbo=elbo, note=note)

        yield report


@contextlib.contextmanager
def chain_progress(
    show: bool | None, chains: int, iterations: int
) -> Iterator[Callable[[Sequence[int]], None] | None]:
    """A callback that shows how many iterations each chain has made, and the time left.

    Parameters
    ----------
    show : bool or None
        None shows the bar once the work has taken two seconds.
    chains : int
    iterations : int
        Of each chain, tuning included.
    """
    if show is False:
        yield None
        return
    title, total = f"Gibbs, {chains} chains", chains * iterations
    with _drawn_when_long(show, _counting(), total=total, label=title, unit="") as update:

        def report(done: Sequence[int]) -> None:
            update(completed=sum(done), unit=f"iterations  slowest chain {min(done)}")

        yield report


@contextlib.contextmanager
def row_progress(
    show: bool | None, rows: int, label: str, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """A callback that shows how many of the rows are done, and the time left.

    Parameters
    ----------
    show : bool or None
        None shows the bar once the work has taken two seconds.
    rows : int
    label : str
        What is done to them.
    unit : str
        What they are.
    """
    if show is False:
        yield lambda _: None
        return
    named = {"label": printable(label), "unit": printable(unit)}
    with _drawn_when_long(show, _counting(), total=rows, **named) as update:
        yield lambda done: update(completed=done)


def _counting() -> tuple[Any, ...]:
    """What is done, how much of it in a bar and as a number, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    # a label may hold a name of the user's, which is neither markup nor a format
    label, unit = (TextColumn(f"{{task.fields[{f}]}}", markup=False) for f in ("label", "unit"))
    return label, BarColumn(), MofNCompleteColumn(), unit, TimeRemainingColumn()


@contextlib.contextmanager
def _drawn_when_long(
    show: bool | None, columns: tuple[Any, ...], **fields: Any
) -> Iterator[Callable[..., None]]:
    """A bar's ``update``; it is drawn at once if asked for, else when the work turns out long."""
    from rich.progress import Progress

    progress = Progress(*columns)
    task = progress.add_task("", **fields)
    start = time.monotonic()
    is_notebook = progress.console.is_jupyter
    progress.live.transient = is_notebook  # whose outputs are kept
    # rich would warn that it needs ipywidgets, and draw nothing
    is_able = not is_notebook or find_spec("ipywidgets") is not None

    def update(**changed: Any) -> None:
        progress.update(task, **changed)
        is_due = show or time.monotonic() - start > _PATIENCE
        if is_able and is_due and not progress.live.is_started:
            progress.start()

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()
