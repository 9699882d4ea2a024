"""Progress bars, drawn by rich."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

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
    start = time.monotonic()

    def update(step: int, elbo: float, change: float) -> None:
        # there is no change from sweep to sweep where each belongs to other hyperparameters
        note = "hyperparameters" if math.isnan(change) else f"change {change:.1e}"
        progress.update(task, completed=step, elbo=elbo, note=note)
        if not progress.live.is_started and (show or time.monotonic() - start > _PATIENCE):
            progress.start()

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()
