"""Ctrl-C that waits for a moment at which what has been computed can be kept.

Python raises KeyboardInterrupt between any two instructions, also outside of the ``try`` that would
keep a state. Here the signal is only noted, and raised at the next report of the engine, which is
inside that ``try``.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class _Note:
    """Whether Ctrl-C came; a second one is raised at once."""

    def __init__(self) -> None:
        self.armed = False  # whether there is anything to keep yet
        self.came = self.raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.armed or self.came:
            signal.default_int_handler(number, frame)
        self.came = True


class held:
    """Note Ctrl-C while the block runs, once a report or :func:`finish` has armed the note.

    Takes the place of Python's own handler, and of no other; blocks inside each other share one
    note. Where the block comes to its end in spite of Ctrl-C, a warning says so. A block holds all
    up to the end of what the user calls, and its end is next to no code: what comes between that
    and the user's own line would lose the result.
    """

    def __enter__(self) -> _Note:
        handler = signal.getsignal(signal.SIGINT)
        self._outermost = not isinstance(handler, _Note)
        self._note = handler if isinstance(handler, _Note) else _Note()
        self._replaced = (
            threading.current_thread() is threading.main_thread()
            and handler is signal.default_int_handler
        )
        if self._replaced:
            signal.signal(signal.SIGINT, self._note)
        return self._note

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self._outermost:
            return
        note = self._note
        try:
            if self._replaced:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        except KeyboardInterrupt:  # came as the handler changed
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if kind is not None or note.came or not note.armed:
                raise
            note.came = True
        if kind is None and note.came and not note.raised:
            _say_complete()


@contextlib.contextmanager
def interruptible(callback: Callable[..., Any] | None) -> Iterator[Callable[..., None]]:
    """A callback for an engine, which raises KeyboardInterrupt where Ctrl-C came since the last.

    Before the first report there is no state to keep, and Ctrl-C is raised at once.
    """
    with held() as note:

        def report(*progress: Any) -> None:
            note.armed = True
            if callback is not None:
                callback(*progress)
            if note.came and not note.raised:
                note.raised = True
                raise KeyboardInterrupt

        yield report


def finish[T](make: Callable[[], T]) -> T:
    """What ``make`` returns, from a fit that is at hand: a first Ctrl-C does not lose it.

    ``make`` may be called twice: it must do the same again.
    """
    with held() as note:
        note.armed = True
        try:
            return make()
        except KeyboardInterrupt:  # raised by something else than the signal that is noted
            if note.came:
                raise
            note.came = True
            return make()


def _say_complete() -> None:
    warnings.warn(
        "Ctrl-C came when the fit was already there: it is complete and kept. Press it again to "
        "stop what follows.",
        UserWarning,
        stacklevel=4,
    )
