"""The process's one limit of BLAS threads, shared by overlapping fits."""

from __future__ import annotations

from threading import Barrier, Thread

import numpy as np
from threadpoolctl import threadpool_info

from pymc_vmrp.solvers.blas import one_blas_thread


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_overlapping_users_leave_things_as_they_were():
    """Each restoring what it found would leave the limit in force for good."""
    before, seen = threads(), []
    first_in, second_in, first_out = Barrier(2), Barrier(2), Barrier(2)

    def first():
        with one_blas_thread():
            first_in.wait()
            second_in.wait()
        first_out.wait()

    def second():
        first_in.wait()
        with one_blas_thread():
            seen.append(threads())
            second_in.wait()
            first_out.wait()

    for _ in range(2):
        pair = [Thread(target=first), Thread(target=second)]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        assert threads() == before
    assert set(np.ravel(seen)) == {1}


def test_the_limit_ends_with_an_error():
    before = threads()
    try:
        with one_blas_thread():
            raise ValueError
    except ValueError:
        pass
    assert threads() == before
