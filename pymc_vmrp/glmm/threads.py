"""Sharing out the tasks of a compiled loop between threads.

Plain threads, not numba's ``prange``. GNU OpenMP's threads spin while they wait for each other: on
2 busy cores a call that takes 0.8 ms on one thread took 9 ms with ``prange``, and 0.9 ms with plain
threads. OpenMP also ends a process that was forked from one that had used it; and every parallel
loop takes numba most of a second to compile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from typing import Any

import numba
import numpy as np

from pymc_vmrp.arrays import FloatArray

Chunk = tuple[int, int]

CHUNKS = 8  # keep a few cores busy; fixed, so that sums come in the same order

_OPERATIONS = 4e6  # below which starting threads costs more than it saves


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


def split(costs: FloatArray, most: int) -> tuple[Chunk, ...]:
    """Consecutive items in at most ``most`` chunks (first, last + 1) of about the same cost."""
    total = np.cumsum(costs)
    inner = np.searchsorted(total, total[-1] * np.arange(1, most) / most) + 1
    edges = np.unique(np.minimum(np.concatenate([[0], inner, [len(total)]]), len(total)))
    return tuple((int(a), int(b)) for a, b in pairwise(edges))


def worth_threads(operations: float) -> bool:
    """Whether so many multiplications are worth starting threads."""
    return operations >= _OPERATIONS


def map_chunks[T](
    task: Callable[[int, int], T], chunks: Sequence[Chunk], operations: float
) -> list[T]:
    """``task(first, last)`` of each chunk, in order.

    Chunks that depend on the model alone give sums that do not depend on the number of threads.

    Parameters
    ----------
    task : callable
        Spends its time in functions compiled with ``nogil=True``.
    chunks : sequence of (int, int)
    operations : float
        Rough count of multiplications, to decide whether threads pay.
    """
    threads = min(numba.get_num_threads(), len(chunks))
    if threads < 2 or not worth_threads(operations):
        return [task(first, last) for first, last in chunks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(task, *zip(*chunks, strict=True)))


def map_tasks[S, T](task: Callable[[S], T], items: Sequence[S], operations: float) -> Iterator[T]:
    """``task(item)`` of each item, in order; several at a time, each on one thread.

    Parameters
    ----------
    task : callable
        Must not depend on the other items, and spend its time in functions that release the lock.
    items : sequence
    operations : float
        Rough count of multiplications of one task, to decide whether threads pay.
    """
    threads = min(numba.get_num_threads(), len(items))
    if threads < 2 or not worth_threads(operations):
        yield from map(task, items)
        return
    # loops inside a task would compete with the other tasks for the cores
    pool = ThreadPoolExecutor(threads, initializer=numba.set_num_threads, initargs=(1,))
    try:
        # numpy's error state belongs to the context
        for future in [pool.submit(copy_context().run, task, item) for item in items]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
