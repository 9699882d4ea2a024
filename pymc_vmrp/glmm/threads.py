"""Sharing out the tasks of a compiled loop between threads.

Plain threads, not numba's ``prange``. GNU OpenMP's threads spin while they wait for each other: on
2 busy cores a call that takes 0.8 ms on one thread took 9 ms with ``prange``, and 0.9 ms with plain
threads. OpenMP also ends a process that was forked from one that had used it; and every parallel
loop takes numba most of a second to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba


def share_out(
    kernel: Callable[..., Any], n_tasks: int, *arguments: Any, parallel: bool = True
) -> None:
    """Call ``kernel(*arguments, low, high)`` for ranges that cover the tasks, on a thread each.

    There are as many threads as ``numba.set_num_threads`` says.

    Parameters
    ----------
    kernel : callable
        Compiled with ``nogil=True``. What it does for a task must not depend on the other tasks:
        then nothing depends on the number of threads.
    n_tasks : int
    *arguments
        The arguments before ``low`` and ``high``.
    parallel : bool, default True
        Whether the work is worth more than one thread, which costs 0.1 ms.
    """
    threads = min(numba.get_num_threads(), n_tasks) if parallel else 1
    if threads <= 1:
        kernel(*arguments, 0, n_tasks)
        return
    cuts = [n_tasks * thread // threads for thread in range(threads + 1)]
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(kernel, *arguments, *cuts[t : t + 2]) for t in range(1, threads)]
        kernel(*arguments, *cuts[:2])
    for other in others:
        other.result()  # raises what the thread raised
