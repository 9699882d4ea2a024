"""Tables of results in benchmarks/results, saved while measuring."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from benchmarks.isolate import Row

_FOLDER = Path(__file__).parent / "results"


def save(name: str, table: pd.DataFrame, folder: Path = _FOLDER) -> None:
    """Write one table."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{name}.csv", index=False)


@dataclass
class Measured:
    """Rows of this run; its file also keeps rows of earlier runs that have another key.

    Attributes
    ----------
    name : str
        Of the file.
    keys : tuple of str
        Columns that tell rows apart.
    rows : list of dict
    folder : Path
        Of the file.
    """

    name: str
    keys: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    folder: Path = _FOLDER

    def add(self, row: Row) -> None:
        """Take one more row and save at once, so that an interruption loses nothing."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.rows.append(row | {"measured": now, "revision": _revision()})
        save(self.name, self.merged(), self.folder)

    def merged(self) -> pd.DataFrame:
        """Rows of this run and of earlier runs, as they are in the file."""
        tables = [self._earlier(), pd.DataFrame(self.rows)]
        both = pd.concat([table for table in tables if len(table)], ignore_index=True)
        return both.drop_duplicates(list(self.keys), keep="last")

    def table(self) -> pd.DataFrame:
        """Rows of this run."""
        return pd.DataFrame(self.rows).drop(columns=["measured", "revision"])

    def _earlier(self) -> pd.DataFrame:
        path = self.folder / f"{self.name}.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _revision() -> str:
    """The commit that was measured, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, cwd=_FOLDER.parent)
        return done.stdout.strip()
    return ""
