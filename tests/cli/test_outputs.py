"""Results are in place all together, or the folder is as it was."""

from __future__ import annotations

import os

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.cli import outputs
from pymc_vmrp.cli.outputs import OF_ESTIMATES, OF_FIT, Results, csv_bytes
from tests.files.test_atomic import full_disk

TREE = xr.DataTree.from_dict({"posterior": xr.Dataset({"x": (("chain", "draw"), [[1.0] * 5000])})})
TABLE = pd.DataFrame({"g": ["a"], "mean": [0.5]})


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in (*OF_FIT[:1], *OF_ESTIMATES, "diagnosis.csv", "mine.txt"):
        (folder / name).write_text(f"old {name}")
    return folder


def test_all_are_replaced_and_what_is_stale_is_removed(folder, capsys):
    with Results(folder, OF_FIT) as results:
        results.tree(TREE, "fit.nc")
        results.table(TABLE, "estimates.csv")
        assert content(folder)["estimates.csv"] == b"old estimates.csv"
        results.publish()
    assert set(content(folder)) == {"fit.nc", "estimates.csv", "mine.txt"}
    assert content(folder)["estimates.csv"] == b"g,mean\na,0.5\n"
    said = capsys.readouterr().out
    assert "fit.nc, estimates.csv" in said
    assert "Removed" in said
    assert "diagnosis.csv" in said


def test_estimates_leave_the_fit_alone(folder):
    with Results(folder, OF_ESTIMATES) as results:
        results.table(TABLE, "estimates.csv")
        results.publish()
    assert set(content(folder)) == {"fit.nc", "estimates.csv", "mine.txt", "diagnosis.csv"}
    assert content(folder)["fit.nc"] == b"old fit.nc"


def fail(folder, error):
    with Results(folder, OF_FIT) as results:
        results.tree(TREE, "fit.nc")
        results.table(TABLE, "estimates.csv")
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_run_that_fails_changes_nothing(folder, error):
    before = content(folder)
    with pytest.raises(error):
        fail(folder, error)
    assert content(folder) == before


def test_a_run_that_fails_leaves_no_folder(tmp_path):
    with pytest.raises(RuntimeError):
        fail(tmp_path / "a" / "b", RuntimeError)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_changes_nothing(folder):
    before = content(folder)
    message = r"fit\.nc cannot be written: File too large"
    with full_disk(), pytest.raises(vmrp.VmrpError, match=message):
        fail(folder, RuntimeError)
    assert content(folder) == before


@pytest.mark.parametrize("at", range(4))
def test_a_replacement_that_fails_half_way_is_undone(folder, monkeypatch, at):
    before = content(folder)
    done = []
    original = os.replace

    def replace(source, target):
        if len(done) == at and ".tmp-" in str(source) and "before" not in str(source):
            done.append(None)
            raise OSError(28, "No space left on device")
        done.append(target)
        original(source, target)

    with Results(folder, OF_FIT) as results:
        for name in ("estimates.csv", "comparison.csv", "diagnosis.csv"):
            results.table(TABLE, name)
        results.tree(TREE, "fit.nc")
        monkeypatch.setattr(outputs.os, "replace", replace)
        with pytest.raises(vmrp.VmrpError, match="No space left"):
            results.publish()
    assert {k: v for k, v in content(folder).items() if not k.startswith(".tmp-")} == before


def test_folders_and_inputs_are_not_overwritten(folder):
    with pytest.raises(vmrp.DataError, match="is read, and would be overwritten"):
        Results(folder, OF_FIT, [folder / ".." / "out" / "estimates.csv"])
    (folder / "comparison.csv").mkdir()
    with pytest.raises(vmrp.DataError, match=r"comparison\.csv is a folder"):
        Results(folder, OF_FIT)
    with (
        pytest.raises(vmrp.DataError, match="cannot be used as a folder"),
        Results(folder / "mine.txt", OF_FIT),
    ):
        pass


def test_after_an_interruption_the_fit_can_be_kept(folder):
    before = content(folder)
    with Results(folder, OF_FIT) as results:
        assert results.keep_fit() is None
        results.tree(TREE, "fit.nc")
        assert results.keep_fit() == folder / "fit-interrupted.nc"
    after = content(folder)
    assert len(after.pop("fit-interrupted.nc")) > 1000
    assert after == before


def test_csv_for_spreadsheets():
    frame = pd.DataFrame({"=a": ["=1", "-x", "b=c", None], "n": [-1.0, 2, 3, 4]})
    assert csv_bytes(frame, safe=True) == b"'=a,n\n'=1,-1.0\n'-x,2.0\nb=c,3.0\n,4.0\n"
    assert csv_bytes(frame).startswith(b"=a,n\n=1,-1.0\n")


def test_pictures_are_made_in_memory(folder):
    with Results(folder, OF_FIT) as results:
        results.figure(plt.figure(), "estimates.png")
        results.publish()
    assert content(folder)["estimates.png"].startswith(b"\x89PNG")
