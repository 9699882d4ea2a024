"""Memory of this process."""

from __future__ import annotations

import contextlib
import re
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")
_MB = 1e6


def peak_mb() -> float:
    """Most memory this process has held since :func:`forget_peak`, in MB."""
    # ru_maxrss is never reset, and starts at the peak of the process that started this one
    peak = _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB if peak is None else peak


def resident_mb() -> float:
    """Memory this process holds now, in MB; its peak where the system does not say."""
    now = _status("VmRSS")
    return peak_mb() if now is None else now


def forget_peak() -> None:
    """Let the peak start from what is held now, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> float | None:
    try:
        found = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024 / _MB
