"""Progress bars, drawn by rich."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pymc_vmrp.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

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
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        SpinnerColumn(),
        TextColumn("CAVI sweep {task.completed}"),
        TextColumn("ELBO {task.fields[elbo]:.3f}  {task.fields[note]}"),
        TimeElapsedColumn(),
    )
    task = progress.add_task("cavi", total=None, elbo=float("nan"), note="")
    with _drawn_when_long(progress, show) as draw:

        def update(step: int, elbo: float, change: float) -> None:
            # there is no change from sweep to sweep where each belongs to other hyperparameters
            note = "hyperparameters" if math.isnan(change) else f"change {change:.1e}"
            progress.update(task, completed=step, elbo=elbo, note=note)
            draw()

        yield update


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
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("Gibbs, {task.fields[chains]} chains"), BarColumn(), MofNCompleteColumn(),
        TextColumn("iterations  {task.fields[each]}"), TimeRemainingColumn(),
    )  # fmt: skip
    task = progress.add_task("gibbs", total=chains * iterations, chains=chains, each="")
    with _drawn_when_long(progress, show) as draw:

        def update(done: Sequence[int]) -> None:
            each = "slowest chain " + str(min(done))
            progress.update(task, completed=sum(done), each=each)
            draw()

        yield update


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
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        TextColumn("{task.fields[label]}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeRemainingColumn(),
    )  # fmt: skip
    # the label may hold a name of the user's, which is neither markup nor a format
    task = progress.add_task("rows", total=rows, label=printable(label), unit=printable(unit))
    with _drawn_when_long(progress, show) as draw:

        def update(done: int) -> None:
            progress.update(task, completed=done)
            draw()

        yield update


@contextlib.contextmanager
def _drawn_when_long(progress: Progress, show: bool | None) -> Iterator[Callable[[], None]]:
    """A function that draws the bar, at once if asked for, else when the work turns out long."""
    start = time.monotonic()
    is_notebook = progress.console.is_jupyter
    progress.live.transient = is_notebook  # whose outputs are kept
    # rich would warn that it needs ipywidgets, and draw nothing
    is_able = not is_notebook or find_spec("ipywidgets") is not None

    def draw() -> None:
        is_due = show or time.monotonic() - start > _PATIENCE
        if is_able and is_due and not progress.live.is_started:
            progress.start()

    try:
        yield draw
    finally:
        if progress.live.is_started:
            progress.stop()
