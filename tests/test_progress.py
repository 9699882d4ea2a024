"""Progress bars."""

from __future__ import annotations

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
