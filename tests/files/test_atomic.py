"""Writing files: whole or not at all, and nothing left over."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time

import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.files import atomic_write, write_bytes
from pymc_vmrp.files.atomic import clean_up, temporary_name


@contextlib.contextmanager
def full_disk(size=4096):
    """No file of this process may grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("old")
    with contextlib.suppress(RuntimeError), atomic_write(target) as path:
        path.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with atomic_write(target) as path:
        path.write_text("new")
    assert target.read_text() == "new"
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").unlink()
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_message(tmp_path):
    target = tmp_path / "out.nc"
    target.write_text("old")
    with full_disk(), pytest.raises(vmrp.VmrpError, match=r"out\.nc cannot be written: File too"):
        write_bytes(target, bytes(100_000))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folder.csv").mkdir()
    for path in (tmp_path / "taken" / "x.csv", tmp_path / "folder.csv", tmp_path / ("x" * 300)):
        with pytest.raises(vmrp.VmrpError, match="cannot be written"):
            write_bytes(path, b"new")
    assert {p.name for p in tmp_path.iterdir()} == {"taken", "folder.csv"}


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_the_next_time(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pymc_vmrp.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "out.csv"], check=False)
    assert [path.name[:5] for path in tmp_path.iterdir()] == [".tmp-"]
    write_bytes(tmp_path / "out.csv", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_only_what_is_ours_and_abandoned_is_removed(tmp_path):
    ours = temporary_name(".nc")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = temporary_name().replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    elsewhere = ".tmp-00000000-1-0123456789ab.nc"
    old, older_style = ".tmp-00000000-2-0123456789ab", ".tmp-0123456789ab.nc"
    theirs = [".tmp-notes", ".tmp-0123456789ab.nc.bak", "tmp-0123456789ab", ".tmp-0123456789abc"]
    for name in (ours, elsewhere, older_style, *theirs):
        (tmp_path / name).write_text("x")
    for name in (dead, old):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fit.nc").write_text("x")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("x")
    link = temporary_name().replace(f"-{os.getpid()}-", f"-{ended.pid}-")
    (tmp_path / link).symlink_to(precious)
    days_ago = time.time() - 3 * 86_400
    for name in (old, older_style, *theirs):
        os.utime(tmp_path / name, (days_ago, days_ago))
    clean_up(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {ours, elsewhere, "precious", *theirs}
    assert (precious / "data").exists()
