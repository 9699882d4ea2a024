"""The files of one run: in place all together at its end, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import typer

from pymc_vmrp.cli.console import INTERRUPTED, say, say_error
from pymc_vmrp.errors import DataError
from pymc_vmrp.files import tree_bytes, write_bytes
from pymc_vmrp.files.atomic import clean_up, remove, reported, temporary_name
from pymc_vmrp.interrupts import finish

if TYPE_CHECKING:
    import xarray as xr

FIT, FIT_INTERRUPTED = "fit.nc", "fit-interrupted.nc"
OF_ESTIMATES = ("estimates.nc", "estimates.csv", "estimates.png")
OF_FIT = (FIT, FIT_INTERRUPTED, *OF_ESTIMATES, "diagnosis.csv", "comparison.csv", "comparison.png")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Results:
    """Results on their way into a folder.

    They wait in a temporary folder inside it, so that what an earlier run left there stays whole
    until :meth:`publish`, which replaces all of ``owned`` at once: files of that run which this one
    does not write are removed, since they belong to another fit.

    Parameters
    ----------
    out : Path
    owned : collection of str
        Names that the command may write.
    inputs : iterable of Path
        Files that are read, and must not be overwritten.
    safe : bool
        Whether text in CSV files that a spreadsheet would run is marked as text.
    """

    def __init__(
        self,
        out: Path,
        owned: Collection[str],
        inputs: Iterable[Path | None] = (),
        safe: bool = False,
    ) -> None:
        self.out, self.owned, self.safe = out, owned, safe
        self.names: list[str] = []
        for path in inputs:
            if path is not None and path.parent.resolve() == out.resolve() and path.name in owned:
                raise DataError(
                    f"{path} is read, and would be overwritten or removed: choose another --out."
                )
        try:
            folders = [n for n in owned if (out / n).is_dir() and not (out / n).is_symlink()]
        except OSError as error:
            raise _unusable(out, error) from error
        if folders:
            raise DataError(f"{out / folders[0]} is a folder: move it, or choose another --out.")

    def __enter__(self) -> Self:
        """Make the folder, before work that takes long."""
        self._made = [p for p in (self.out, *self.out.parents) if not p.exists()]
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            clean_up(self.out)
            self._stage = self.out / temporary_name()
            self._stage.mkdir()
        except OSError as error:
            self._leave_nothing()
            raise _unusable(self.out, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind that was not published."""
        finish(self._leave_nothing)

    def _leave_nothing(self) -> None:
        if hasattr(self, "_stage"):
            remove(self._stage)
        for folder in self._made:  # the innermost first
            with contextlib.suppress(OSError):  # not empty: published
                folder.rmdir()

    def tree(self, tree: xr.DataTree, name: str) -> None:
        """Add a DataTree, as NetCDF."""
        self._add(name, tree_bytes(tree))

    def table(self, frame: pd.DataFrame, name: str) -> None:
        """Add a table, as CSV."""
        self._add(name, csv_bytes(frame, self.safe))

    def figure(self, figure: Any, name: str) -> None:
        """Add a picture, as PNG."""
        self._add(name, figure_bytes(figure, "png"))

    def _add(self, name: str, content: bytes) -> None:
        with reported(self.out / name):
            _write(self._stage / name, content)
        self.names.append(name)

    def publish(self) -> None:
        """Put all files in their place, and say so."""
        stale = [n for n in self.owned if n not in self.names and os.path.lexists(self.out / n)]
        try:
            finish(lambda: self._replace(stale))
        except KeyboardInterrupt:  # pressed twice
            say_error(f"while files were put in place; look what is in {self.out}.", "Interrupted")
            raise typer.Exit(INTERRUPTED) from None
        names = ", ".join(self.names)
        say(f"Wrote to {self.out.resolve()}: {names}")
        if stale:
            say(f"Removed what an earlier run had left there: {', '.join(stale)}")

    def _replace(self, stale: list[str]) -> None:
        before = self._stage / "before"
        before.mkdir(exist_ok=True)
        touched: list[str] = []
        try:
            with reported(self.out):
                for name in (*self.names, *stale):
                    _keep_copy(self.out / name, before / name)
                for name in self.names:
                    if (self._stage / name).exists():  # not moved by an interrupted call
                        touched.append(name)
                        os.replace(self._stage / name, self.out / name)
                for name in stale:
                    touched.append(name)
                    (self.out / name).unlink(missing_ok=True)
        except Exception:
            for name in touched:
                _put_back(before / name, self.out / name)
            raise

    def keep_fit(self) -> Path | None:
        """After Ctrl-C: put the fit beside what the folder holds; None where there is none yet."""
        if FIT not in self.names:
            return None
        with reported(self.out / FIT_INTERRUPTED):
            os.replace(self._stage / FIT, self.out / FIT_INTERRUPTED)
        return self.out / FIT_INTERRUPTED


def _unusable(out: Path, error: OSError) -> DataError:
    return DataError(
        f"--out {out} cannot be used as a folder for the results: {error.strerror or error}."
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file in a temporary folder, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _keep_copy(path: Path, copy: Path) -> None:
    if not os.path.lexists(path) or os.path.lexists(copy):
        return
    try:
        os.link(path, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):  # a file system without links
        shutil.copy2(path, copy, follow_symlinks=False)


def _put_back(copy: Path, path: Path) -> None:
    with contextlib.suppress(OSError):
        if os.path.lexists(copy):
            os.replace(copy, path)
        else:
            path.unlink(missing_ok=True)


def csv_bytes(frame: pd.DataFrame, safe: bool = False) -> bytes:
    """A table as CSV; ``safe`` puts ' before text that a spreadsheet would run."""
    if safe:
        frame = frame.rename(columns=_as_text)
        text = frame.select_dtypes(exclude=["number", "bool"]).columns
        frame = frame.assign(**{name: frame[name].astype(object).map(_as_text) for name in text})
    return frame.to_csv(index=False).encode("utf-8", errors="backslashreplace")


def _as_text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def figure_bytes(figure: Any, kind: str) -> bytes:
    """A picture as the bytes of a PNG, PDF or SVG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format=kind)
    return buffer.getvalue()


def write_csv(frame: pd.DataFrame, path: Path, safe: bool = False) -> None:
    """Write a table to a CSV file of the user's choice."""
    write_bytes(path, csv_bytes(frame, safe))


def check_picture(path: Path) -> str:
    """The format of a picture by its ending: png, pdf or svg."""
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise DataError(f"The picture {path} must end in .png, .pdf or .svg.")
    return path.suffix.lower().lstrip(".")
