"""Reading tables that may be damaged, empty or not what they say."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile

import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.files import read_table

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
TEXT = FRAME.to_csv(index=False)


@pytest.mark.parametrize(
    "name",
    ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zip", "t.parquet", "t.tsv", "t.v2.csv"],
)
def test_tables_are_read_by_their_ending(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        FRAME.to_parquet(path)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    pd.testing.assert_frame_equal(read_table(path), FRAME, check_dtype=False)


def test_categories_of_parquet_keep_their_order(tmp_path):
    levels = pd.CategoricalDtype(["young", "middle", "old"], ordered=True)
    frame = pd.DataFrame({"age": pd.Series(["old", "young"], dtype=levels)})
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["age"].dtype == levels


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return path.read_bytes()


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


LONG = (TEXT + "3,z\n" * 500).encode()
DAMAGED = {
    "empty.csv": b"",
    "blank.csv": b"\n\n \n",
    "latin.csv": "a,b\n1,é\n".encode("latin-1"),
    "utf16.csv": TEXT.encode("utf-16"),
    "ragged.csv": b"a,b\n1,2\n1,2,3\n",
    "wide.csv": b"a,b\n1,2,3\n4,5,6\n",
    "twice.csv": b"a,a\n1,2\n",
    "quoted_twice.csv": b'\xef\xbb\xbf\n"a, b","a, b"\n1,2\n',
    "quote.csv": b'a,b\n1,"2\n',
    "not.csv.gz": b"not gzipped",
    "cut.csv.gz": gzip.compress(LONG)[:-9],
    "flipped.csv.gz": flipped(gzip.compress(LONG), 25),
    "cut.csv.xz": lzma.compress(LONG)[:-20],
    "not.csv.xz": b"not packed",
    "flipped.csv.xz": flipped(lzma.compress(LONG), 45),
    "cut.csv.bz2": bz2.compress(LONG)[:-9],
    "not.csv.zip": b"PK\x03\x04junk",
    "not.parquet": b"PAR1junkPAR1",
    "none.parquet": b"",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_one_message(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(vmrp.DataError, match=rf"{name} cannot be read as a table: \S"):
        read_table(tmp_path / name)


def test_archives_hold_one_file(tmp_path):
    zipped(tmp_path / "two.csv.zip", ("a.csv", TEXT), ("b.csv", TEXT))
    zipped(tmp_path / "none.csv.zip")
    content = zipped(tmp_path / "cut.csv.zip", ("a.csv", LONG.decode()))
    (tmp_path / "cut.csv.zip").write_bytes(content[:-30])
    (tmp_path / "flipped.csv.zip").write_bytes(flipped(content, 45))
    for name in ("two", "none", "cut", "flipped"):
        with pytest.raises(vmrp.DataError, match=f"{name}.csv.zip cannot be read as a table"):
            read_table(tmp_path / f"{name}.csv.zip")


def test_what_is_no_table(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "t.xlsx").write_text("not a table")
    for name, message in {
        "none.csv": "no file",
        "folder.csv": "is a folder",
        "t.xlsx": "must end in",
        "none.csv/x.csv": "no file",
    }.items():
        with pytest.raises(vmrp.DataError, match=message):
            read_table(tmp_path / name)


def test_a_column_is_one_kind_in_all_its_rows(tmp_path):
    """Read in blocks, a column could be numbers in the first and text in the last of them."""
    codes = [*["1"] * 300_000, "A"]
    pd.DataFrame({"g": codes}).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")["g"].unique().tolist() == ["1", "A"]
