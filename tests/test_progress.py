"""Progress bars."""

from __future__ import annotations

import warnings

import pytest
import rich
from rich.progress import Progress

from pymc_vmrp import progress
from pymc_vmrp.progress import row_progress, sweep_progress


def test_not_wanted():
    with sweep_progress(False) as callback:
        assert callback is None


def test_wanted(capsys):
    with sweep_progress(True) as callback:
        callback(3, -12.5, 1e-3)
    assert "ELBO -12.500" in capsys.readouterr().out


def test_unasked_after_a_while_only(capsys, monkeypatch):
    with sweep_progress(None) as callback:
        callback(1, -1.0, 1.0)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with sweep_progress(None) as callback:
        callback(2, -1.0, 1.0)
    assert "CAVI sweep 2" in capsys.readouterr().out


def test_rows(capsys, monkeypatch):
    for show in (False, None):
        with row_progress(show, 10, "Predicting") as report:
            report(5)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with row_progress(None, 10, "Predicting") as report:
        report(5)
    out = capsys.readouterr().out
    assert "Predicting" in out
    assert "5/10 rows" in out


@pytest.mark.parametrize("show", [True, None])
def test_a_notebook_without_ipywidgets_has_no_bar_and_no_warning(show, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(rich.get_console(), "is_jupyter", True)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with row_progress(show, 10, "Predicting") as report:
            report(5)
            report(10)
    assert not told
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("is_notebook", [True, False])
def test_a_notebook_keeps_no_bar(is_notebook, monkeypatch):
    """Where ipywidgets draws it, it goes when the work is done; a terminal keeps it."""
    monkeypatch.setattr(rich.get_console(), "is_jupyter", is_notebook)
    monkeypatch.setattr(progress, "find_spec", lambda name: object())
    started = []
    monkeypatch.setattr(Progress, "start", lambda self: started.append(self))
    with progress._drawn_when_long(True, ()) as update:
        update()
    (drawn,) = started
    assert drawn.live.transient == is_notebook
