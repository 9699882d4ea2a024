"""Write files so that a half-written one is never left behind, whatever ends the process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from pymc_vmrp.errors import DataError, VmrpError

_TEMPORARY = re.compile(r"\.tmp-(?:([0-9a-f]{8})-([0-9]{1,10})-)?[0-9a-f]{12}(?:\.[A-Za-z0-9]+)?")
_DAY = 86_400.0


def check_is_file(path: Path) -> None:
    """Raise DataError where ``path`` is not a file."""
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it.")
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if not path.is_file():
        raise DataError(f"{path} is not a regular file: copy what it holds into one.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none.

    Raises
    ------
    VmrpError
        Where it cannot be written; what was there before is unchanged then.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder, renamed to ``path`` if all goes well."""
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clean_up(path.parent)
        temporary = path.with_name(temporary_name(path.suffix))
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what the system says of a write into one message."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise VmrpError(f"{path} cannot be written: {reason}. It was left as it was.") from error


def temporary_name(suffix: str = "") -> str:
    """A name that says whose temporary file it is, so that a later process can remove it."""
    # not made by tempfile, whose files nobody else may read
    plain = suffix if re.fullmatch(r"\.[A-Za-z0-9]+", suffix) else ""
    return f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(6)}{plain}"


def clean_up(folder: Path) -> None:
    """Remove temporary files and folders that killed processes left in ``folder``."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _TEMPORARY.fullmatch(path.name)
            if match and _is_abandoned(path, match[1], match[2]):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a folder, if the system lets us."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_abandoned(path: Path, host: str | None, pid: str | None) -> bool:
    if host == _host() and pid is not None and os.name == "posix" and not _runs(int(pid)):
        return True
    return time.time() - path.lstat().st_mtime > _DAY  # another machine's, or a number used again


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks only; of Windows, where it would end the process, we do not ask
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def _host() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until the file is on the disk: a full one may say so only now."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
