"""Read tables, and write files so that a half-written one is never left behind."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pymc_vmrp.errors import DataError

if TYPE_CHECKING:
    import xarray as xr


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV (also gzipped), TSV or Parquet file, known by its ending."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((s for s in reversed(suffixes) if s not in (".gz", ".bz2", ".xz", ".zip")), "")
    try:
        if kind in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if kind == ".csv":
            return pd.read_csv(path)
        if kind in (".tsv", ".tab"):
            return pd.read_csv(path, sep="\t")
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}.") from error
    raise DataError(f"{path} must end in .csv, .csv.gz, .tsv or .parquet.")


def read_tree(path: Path) -> xr.DataTree:
    """Read a DataTree from NetCDF into memory."""
    import xarray as xr

    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a NetCDF result: {error}.") from error


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to ``path`` if all goes well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not made by tempfile, whose files nobody else may read
    temporary = path.with_name(f".tmp-{secrets.token_hex(6)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
