"""Progress bars, drawn by rich."""

from __future__ import annotations

import contextlib
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
        TextColumn("ELBO {task.fields[elbo]:.3f}  change {task.fields[change]:.1e}"),
        TimeElapsedColumn(),
    )
    task = progress.add_task("cavi", total=None, elbo=float("nan"), change=float("nan"))
    start = time.monotonic()

    def update(step: int, elbo: float, change: float) -> None:
        progress.update(task, completed=step, elbo=elbo, change=change)
        if not progress.live.is_started and (show or time.monotonic() - start > _PATIENCE):
            progress.start()

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()
