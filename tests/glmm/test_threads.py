"""Tasks shared out between threads."""

from __future__ import annotations

import threading

import pytest

from pymc_vmrp.glmm.threads import share_out


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
