"""Ctrl-C at any moment: once there is a state it is kept, and never lost to KeyboardInterrupt."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.inference import approximation
from pymc_vmrp.inference.methods import gibbs
from pymc_vmrp.interrupts import finish, held, interruptible

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.integers(0, 2, 60), "x": rng.normal(size=60)})
    frame["g"] = np.resize(list("abcde"), 60)
    return vmrp.Model("y ~ x + (1|g)", frame)


class CtrlC:
    """Sends SIGINT at the n-th call of a function of the package."""

    def __init__(self, n):
        self.n, self.calls = n, 0

    def __call__(self, frame, event, arg):
        if event == "call" and "/pymc_vmrp/" in frame.f_code.co_filename:
            self.calls += 1
            if self.calls == self.n:
                signal.raise_signal(signal.SIGINT)

    def during(self, work):
        sys.setprofile(self)
        try:
            return work()
        finally:
            sys.setprofile(None)


def counted(monkeypatch, module, name, reports):
    """Count what a progress bar is told: after the first report there is a state."""
    original = getattr(module, name)

    def wrapped(*arguments):
        context = original(*arguments)
        inner = type(context).__enter__(context)

        class Counted:
            def __enter__(self):
                def report(*progress):
                    reports.append(progress)
                    if inner is not None:
                        inner(*progress)

                return report

            def __exit__(self, *error):
                return type(context).__exit__(context, *error)

        return Counted()

    monkeypatch.setattr(module, name, wrapped)


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"hyperparameters": "mean_field"}, 24),
        ({"hyperparameters": "integrated", "theta_ess": 5.0}, 5),
    ],
)
def test_no_interrupt_of_cavi_escapes(model, monkeypatch, options, times):
    reports: list[object] = []
    counted(monkeypatch, approximation, "sweep_progress", reports)

    def fit():
        return model.fit(50, random_seed=1, **options)

    whole = fit()
    never = CtrlC(0)
    never.during(fit)
    rng = np.random.default_rng(1)
    ends = {"escaped": 0, "interrupted": 0, "complete": 0}
    for n in rng.integers(1, never.calls, times):
        reports.clear()
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                tree = CtrlC(int(n)).during(fit)
        except KeyboardInterrupt:
            assert not reports
            ends["escaped"] += 1
            continue
        assert np.isfinite(tree["posterior"]["x"]).all()
        assert caught  # that it came is said
        if tree["fit"].attrs["converged"]:
            assert "complete and kept" in str(caught[-1].message)
            np.testing.assert_array_equal(tree["posterior"]["x"], whole["posterior"]["x"])
            ends["complete"] += 1
        else:
            ends["interrupted"] += 1
    assert ends["interrupted"] > times / 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_interrupt_of_the_last_calls_escapes(model):
    """From the fit's last sweep up to the return to the user's line."""

    def fit():
        return model.fit(5, random_seed=1, hyperparameters="mean_field")

    fit()  # imports what it needs
    counter = CtrlC(0)
    counter.during(fit)
    for n in range(counter.calls - 12, counter.calls + 1):
        with pytest.warns(UserWarning, match="complete and kept") as caught:
            tree = CtrlC(n).during(fit)
        assert caught[-1].filename == __file__
        assert tree.attrs["formula"] == model.formula


def test_ctrl_c_at_the_change_of_handlers_is_the_blocks(monkeypatch):
    original = signal.signal

    def late(number, handler):
        original(number, handler)
        if handler is signal.default_int_handler:
            monkeypatch.undo()
            signal.raise_signal(signal.SIGINT)

    def block(armed):
        with held() as note:
            note.armed = armed
            monkeypatch.setattr(signal, "signal", late)

    with pytest.warns(UserWarning, match="complete and kept"):
        block(armed=True)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):  # there is nothing to keep
        block(armed=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_interrupt_of_gibbs_escapes(model, monkeypatch):
    rng = np.random.default_rng(1)
    options = {"inference_method": "gibbs", "tune": 0, "chains": 2, "random_seed": 1}
    kept = []
    for wait in rng.uniform(0.0, 0.3, 10):
        reports: list[object] = []
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counted(patch, gibbs, "chain_progress", reports)
            timer = threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            try:
                kept.append(model.fit(400, **options)["posterior"].sizes["draw"])
                timer.join()
            except KeyboardInterrupt:
                assert not reports or min(reports[-1][0]) == 0
    assert any(draws < 400 for draws in kept)


def test_the_first_report_arms_and_a_second_ctrl_c_is_raised():
    with pytest.raises(KeyboardInterrupt), interruptible(None):
        signal.raise_signal(signal.SIGINT)  # nothing to keep yet
    with interruptible(None) as report:
        report()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            report()
    with interruptible(None) as report:
        report()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            report()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_is_left_to_do_is_finished():
    def interrupted_once(done=[]):  # noqa: B006
        done.append(1)
        if len(done) == 1:
            raise KeyboardInterrupt
        return len(done)

    with pytest.warns(UserWarning, match="complete and kept"):
        assert finish(interrupted_once) == 2
    with pytest.warns(UserWarning, match="complete and kept"):
        assert finish(lambda: signal.raise_signal(signal.SIGINT) or 3) == 3


def test_a_handler_of_somebody_else_is_left_alone():
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(1))
    try:
        with held():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == [1]


def test_other_threads_have_no_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(finish(lambda: 1)))
    thread.start()
    thread.join()
    assert found == [1]
