"""DataTrees to NetCDF and back; hostile files are in tests/test_security.py."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.files import read_tree, tree_bytes, write_bytes


def test_there_and_back(tmp_path):
    dataset = xr.Dataset(
        {"u": (("chain", "draw", "g"), np.arange(6.0).reshape(1, 2, 3))},
        coords={"g": ["a", "é", "\x1b"]},
        attrs={"formula": "y ~ 1"},
    )
    tree = xr.DataTree.from_dict({"posterior": dataset, "fit/mean": dataset})
    write_bytes(tmp_path / "t.nc", tree_bytes(tree))
    assert read_tree(tmp_path / "t.nc").equals(tree)


def test_no_result(tmp_path):
    (tmp_path / "text.nc").write_text("not a tree")
    (tmp_path / "empty.nc").touch()
    (tmp_path / "folder.nc").mkdir()
    for name, message in {
        "none.nc": "no file",
        "folder.nc": "is a folder",
        "text.nc": "cannot be read as a NetCDF result",
        "empty.nc": "cannot be read as a NetCDF result",
    }.items():
        with pytest.raises(vmrp.DataError, match=message):
            read_tree(tmp_path / name)
