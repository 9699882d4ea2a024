"""Checks of plain arguments: a choice, a positive number, a count."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from pymc_vmrp.errors import VmrpError


def check_choice(argument: str, value: object, choices: Collection[str]) -> None:
    """Raise VmrpError unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise VmrpError(f"{argument}={value!r} is not known; choose one of {', '.join(choices)}.")


def check_positive(name: str, value: Any) -> None:
    """Raise VmrpError unless ``value`` is a positive, finite number."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise VmrpError(f"{name} must be a positive number, not {value!r}.")


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Raise VmrpError unless ``value`` is a whole number, at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise VmrpError(f"{name} must be a whole number, at least {least}, not {value!r}.")
