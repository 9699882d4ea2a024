"""Fixed chunks of work for threads: what is summed by chunk does not depend on how many run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import NDArray

_THREADS_FROM = 4e6  # operations below which starting threads costs more than it saves

Chunk = tuple[int, int]


def split(costs: NDArray[np.float64], most: int) -> tuple[Chunk, ...]:
    """Consecutive items in at most ``most`` chunks of about the same cost."""
    total = np.cumsum(costs)
    if len(total) == 0:
        return ()
    targets = total[-1] * np.arange(1, most) / most
    edges = np.unique(np.concatenate([[0], np.searchsorted(total, targets) + 1, [len(total)]]))
    edges = edges[edges <= len(total)]
    return tuple((int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True))


def map_chunks[T](
    task: Callable[[int, int], T], chunks: Sequence[Chunk], operations: float
) -> list[T]:
    """``task(first, last)`` of each chunk, in order; on threads where the work is worth it."""
    workers = min(numba.get_num_threads(), len(chunks))
    if workers < 2 or operations < _THREADS_FROM:
        return [task(first, last) for first, last in chunks]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(task, *zip(*chunks, strict=True)))
