"""Tasks shared out between threads."""

from __future__ import annotations

import threading
import time

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm import threads as module
from pymc_vmrp.glmm.threads import map_chunks, map_tasks, share_out, split


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("n_tasks", [0, 1, 2, 5, 100])
def test_every_task_once(monkeypatch, threads, n_tasks):
    monkeypatch.setattr("numba.get_num_threads", lambda: threads)
    done, ran_on, lock = [], set(), threading.Lock()

    def kernel(offset, low, high):
        with lock:
            done.extend(range(offset + low, offset + high))
            ran_on.add((low, high))

    share_out(kernel, n_tasks, 1000)
    assert sorted(done) == list(range(1000, 1000 + n_tasks))
    assert len(ran_on) == max(1, min(threads, n_tasks))


def test_one_call_for_little_work(monkeypatch):
    monkeypatch.setattr("numba.get_num_threads", lambda: 4)
    calls = []
    share_out(lambda low, high: calls.append((low, high)), 10, parallel=False)
    assert calls == [(0, 10)]


def test_an_error_on_another_thread_is_raised(monkeypatch):
    monkeypatch.setattr("numba.get_num_threads", lambda: 2)

    def kernel(low, high):
        if low > 0:
            raise MemoryError

    with pytest.raises(MemoryError):
        share_out(kernel, 2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=200), st.integers(1, 20))
def test_split_covers_every_item_once_and_evenly(costs, most):
    chunks = split(np.array(costs), most)
    assert 1 <= len(chunks) <= most
    assert [i for first, last in chunks for i in range(first, last)] == list(range(len(costs)))
    share = sum(costs) / most
    for first, last in chunks:
        assert sum(costs[first:last]) <= share + max(costs[first:last]) + 1e-6 * share


@pytest.mark.parametrize("operations", [0.0, 1e9])
def test_map_chunks_keeps_the_order_and_raises_what_a_task_raises(operations):
    chunks = [(i, i + 1) for i in range(7)]
    assert map_chunks(lambda first, last: first * last, chunks, operations) == [
        i * (i + 1) for i in range(7)
    ]

    def fails(first, last):
        if first == 3:
            raise ValueError("in a thread")

    with pytest.raises(ValueError, match="in a thread"):
        map_chunks(fails, chunks, operations)


def test_map_chunks_uses_threads_only_where_the_work_is_worth_it(monkeypatch):
    def no_pool(*arguments):
        raise AssertionError("a pool was started")

    monkeypatch.setattr(module, "ThreadPoolExecutor", no_pool)
    assert map_chunks(lambda first, last: last, [(0, 1), (1, 2)], 10.0) == [1, 2]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tasks_come_in_order_each_on_one_thread(threads):
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        with np.errstate(over="ignore"):
            found = list(
                map_tasks(
                    lambda i: (i, numba.get_num_threads(), np.geterr()["over"]), range(20), 1e9
                )
            )
    finally:
        numba.set_num_threads(before)
    assert [i for i, _, _ in found] == list(range(20))
    assert {(n, over) for _, n, over in found} == {(1, "ignore")}


def test_an_error_ends_the_other_tasks():
    started = []

    def task(i):
        started.append(i)
        if i == 0:
            raise ZeroDivisionError
        time.sleep(0.01)

    with pytest.raises(ZeroDivisionError):
        list(map_tasks(task, range(1000), 1e9))
    assert len(started) < 100
