"""How busy the machine was with other work while something was measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # idle and iowait in the first line of /proc/stat
_KINDS = 8  # user to steal; guest time is part of user

_MOST_OTHERS = 0.25  # processors; a rival on one of two slowed two BLAS threads 3 to 60 times
_TICKS = 0.02  # seconds that counting in ticks can be off


@dataclass(frozen=True)
class Clock:
    """Seconds at one moment: of the wall, of this process, and of all processors at work."""

    wall: float
    own: float
    all: float

    @classmethod
    def now(cls) -> Clock:
        """Read the clocks."""
        return cls(time.perf_counter(), time.process_time(), _busy())


def others(start: Clock, end: Clock) -> float:
    """Processors that other work kept busy between two moments (nan where unknown).

    What a hypervisor took away counts too. Read in ticks of 10 ms: rough for short fits.
    """
    used = (end.all - start.all) - (end.own - start.own)
    return max(0.0, used / (end.wall - start.wall)) if used == used else used


def quiet(start: Clock, end: Clock) -> bool:
    """Whether other work was too little to matter; taken for granted where unknown."""
    wall = end.wall - start.wall
    return not others(start, end) * wall > _MOST_OTHERS * wall + _TICKS


def _busy() -> float:
    try:
        first = _STAT.read_text().splitlines()[0].split()[1:]
        ticks = [int(field) for field in first[:_KINDS]]
        return sum(t for i, t in enumerate(ticks) if i not in _IDLE) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return float("nan")
