"""Reading tables and writing files."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.files import atomic_write, read_table, read_tree

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.tsv", "t.v2.csv"])
def test_tables_are_read_by_their_ending(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        FRAME.to_parquet(path)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    pd.testing.assert_frame_equal(read_table(path), FRAME, check_dtype=False)


def test_bad_files(tmp_path):
    with pytest.raises(vmrp.DataError, match="no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(vmrp.DataError, match="no file"):
        read_tree(tmp_path / "none.nc")
    for name in ("t.xlsx", "t.parquet"):
        (tmp_path / name).write_text("not a table")
        with pytest.raises(vmrp.DataError, match=name):
            read_table(tmp_path / name)
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(vmrp.DataError, match=r"t\.csv"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.nc").write_text("not a tree")
    with pytest.raises(vmrp.DataError, match=r"t\.nc"):
        read_tree(tmp_path / "t.nc")


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
