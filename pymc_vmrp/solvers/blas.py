"""One BLAS thread at a time: matrices are small, and threads of our own share out the blocks.

Two BLAS threads save a third of the time from 800 rows on an idle machine, and cost up to ten times
as much where another process has one of the cores; results would depend on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

# BLAS has one number of threads for the whole process. Were each of two overlapping fits to restore
# what it found, the last one would restore the limit itself: only the first sets one.
_lock = threading.Lock()
_limited = False


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; nothing is done while another thread's limit is in force."""
    global _limited
    with _lock:
        first, _limited = not _limited, True
    if not first:
        yield
        return
    try:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
    finally:
        with _lock:
            _limited = False
