"""Independent tasks, one after the other or in worker processes."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from pymc_vmrp.errors import VmrpError

_task: Callable[[Any], Any] | None = None  # of a worker process, which has this one task


def run_tasks[A, R](
    task: Callable[[A], R], arguments: list[A], cores: int
) -> Iterator[tuple[int, R | BaseException]]:
    """``(i, task(arguments[i]))`` as they are done; an exception where a worker was lost.

    Workers are started afresh ("spawn"): a process that has run numba or BLAS threads is not safe
    to fork. Each uses one thread. Ctrl-C does not reach them: what they are at is finished, but
    not given.

    Parameters
    ----------
    task : callable
        Must pickle where ``cores`` exceeds 1.
    arguments : list
    cores : int
    """
    if cores == 1:
        for i, argument in enumerate(arguments):
            yield i, task(argument)
        return
    try:
        pickled = pickle.dumps(task)
    except Exception as error:
        raise VmrpError(
            f"What is to be run does not pickle ({error}), as other processes need it: define "
            "functions at the top level of a module, or pass cores=1."
        ) from error
    pool = ProcessPoolExecutor(
        min(cores, len(arguments)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(pickled,),
    )
    try:
        futures = {pool.submit(_call, argument): i for i, argument in enumerate(arguments)}
        for future in as_completed(futures):
            lost = future.exception()
            yield futures[future], future.result() if lost is None else lost
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(pickled: bytes) -> None:
    global _task
    import numba
    from threadpoolctl import threadpool_limits

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(limits=1)
    numba.set_num_threads(1)
    _task = pickle.loads(pickled)


def _call(argument: Any) -> Any:
    assert _task is not None
    return _task(argument)
