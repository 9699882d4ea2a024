"""Read tables of people and of cells from files that may be damaged, huge or not what they say."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pandas as pd

from pymc_vmrp.errors import DataError
from pymc_vmrp.files.atomic import check_is_file
from pymc_vmrp.solvers.choose import physical_memory

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_PARQUET = (".parquet", ".pq")
_MEMORY_SHARE = 0.5  # of physical memory, for a file's content
_BLOCK = 2**20


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV (also compressed: .gz, .bz2, .xz, .zip) or Parquet file, by its ending.

    Raises
    ------
    DataError
        Where there is no such file, it is damaged, would not fit into memory, or its columns do
        not have names of their own.
    """
    check_is_file(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packing = suffixes.pop() if suffixes and suffixes[-1] in _OPENERS else ""
    kind = suffixes[-1] if suffixes else ""
    if kind not in _SEPARATORS and (kind not in _PARQUET or packing):
        raise DataError(f"{path} must end in .csv, .csv.gz, .tsv or .parquet.")
    try:
        if kind in _PARQUET:
            frame = _read_parquet(path)
        else:
            frame = _read_text(_content(path, packing), _SEPARATORS[kind])
    except MemoryError:
        raise DataError(f"{path} does not fit into memory.") from None
    except DataError as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} cannot be read as a table: it is not UTF-8 text ({error.reason}). Save it as "
            "UTF-8."
        ) from error
    except Exception as error:  # each library of each format raises its own
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be read as a table: {reason}.") from error
    _check_names(list(frame.columns), path)
    return frame


def _check_names(names: list[Any], path: Path) -> None:
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{path} has more than one column called {repeated[0]!r}: keep one.")


def _read_text(content: bytes, separator: str) -> pd.DataFrame:
    content = content.removeprefix(codecs.BOM_UTF8)
    header = next(csv.reader(io.StringIO(_first_line(content)), delimiter=separator), [])
    repeated = [name for i, name in enumerate(header) if name and name in header[:i]]
    if repeated:  # pandas would call the second one name.1
        raise DataError(f"it has more than one column called {repeated[0]!r}: keep one.")
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            # in one piece: else a column may be numbers in some blocks of rows and text in others
            return pd.read_csv(
                io.BytesIO(content), sep=separator, low_memory=False, index_col=False
            )
        except pd.errors.ParserWarning as error:
            raise DataError("its rows have more fields than its first line has names.") from error


def _first_line(content: bytes) -> str:
    """The first line that is not blank, as pandas sees it."""
    end = len(content)
    for start in _line_starts(content):
        end = content.find(b"\n", start)
        line = content[start : end if end >= 0 else len(content)]
        if line.strip():
            return line.decode().rstrip("\r")
    return ""


def _line_starts(content: bytes) -> Iterator[int]:
    start = 0
    while 0 <= start < len(content):
        yield start
        start = content.find(b"\n", start) + 1
        if start == 0:
            return


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with path.open("rb") as file:  # a path would be taken for a data set, or a place in the cloud
        parquet = pq.ParquetFile(file)
        meta = parquet.metadata
        _check_size(8 * meta.num_rows * meta.num_columns)
        return parquet.read().to_pandas()


def _content(path: Path, packing: str) -> bytes:
    """What a file holds, unpacked as far as memory allows."""
    parts, size = [], 0
    with _OPENERS[packing](path) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            _check_size(size)
            parts.append(block)
    return b"".join(parts)


def _check_size(size: int) -> None:
    if size > _MEMORY_SHARE * physical_memory():
        raise DataError("what it holds does not fit into memory.")


@contextmanager
def _only_member(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise DataError(f"the archive holds {len(names)} files, and must hold one.")
        with archive.open(names[0]) as file:
            yield file


_OPENERS: dict[str, Callable[[Path], Any]] = {
    "": lambda path: path.open("rb"),
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zip": _only_member,
}
