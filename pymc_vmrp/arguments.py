"""Checks of plain arguments, which name the argument: choices, numbers, flags, seeds, names.

Every public function asks here, so that a wrong argument means the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from pymc_vmrp.errors import VmrpError

MOST = 1_000_000_000  # of a count: more steps or rows than that are a slip
MOST_DRAWS = 10**15  # of draws, whose memory is looked at where they are made
MOST_CORES = 1024


def check_choice(argument: str, value: object, choices: Collection[str]) -> None:
    """Raise VmrpError unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise VmrpError(f"{argument}={value!r} is not known; choose one of {', '.join(choices)}.")


def check_positive(name: str, value: Any, most: float = math.inf) -> None:
    """Raise VmrpError unless ``value`` is a positive, finite number, at most ``most``."""
    if not _is_real(value) or not 0 < float(value) < math.inf or float(value) > most:
        bound = "" if math.isinf(most) else f", at most {most:,.6g}"
        raise VmrpError(f"{name} must be a positive number{bound}, not {_shown(value)}.")


def check_probability(name: str, value: Any) -> None:
    """Raise VmrpError unless ``value`` lies between 0 and 1, ends left out."""
    if not _is_real(value) or not 0 < float(value) < 1:
        raise VmrpError(f"{name} must lie between 0 and 1, not {_shown(value)}.")


def check_count(name: str, value: Any, least: int = 1, most: int = MOST) -> None:
    """Raise VmrpError unless ``value`` is a whole number from ``least`` to ``most``."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or not least <= int(value) <= most:
        above = f" and at most {most:,}" if whole and int(value) > most else ""
        raise VmrpError(
            f"{name} must be a whole number, at least {least}{above}, not {_shown(value)}."
        )


def check_flag(name: str, value: Any) -> None:
    """Raise VmrpError unless ``value`` is True or False: text such as "no" would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise VmrpError(f"{name} must be True or False, not {_shown(value)}.")


def check_progressbar(value: Any) -> None:
    """Raise VmrpError unless ``value`` is True, False or None."""
    if value is not None and not isinstance(value, bool | np.bool_):
        raise VmrpError(f"progressbar must be True, False or None, not {_shown(value)}.")


def check_seed(value: Any, generator: bool = False, name: str = "random_seed") -> None:
    """Raise VmrpError unless ``value`` is None, a whole number from 0, or an allowed Generator."""
    if value is None or (generator and isinstance(value, np.random.Generator)):
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        also = ", a numpy Generator" if generator else ""
        raise VmrpError(
            f"{name} must be a whole number, at least 0{also} or None, not {_shown(value)}."
        )


def check_text(name: str, value: Any, what: str = "text") -> None:
    """Raise VmrpError unless ``value`` is a string that is not empty; ``what`` it stands for."""
    if not isinstance(value, str) or not value:
        raise VmrpError(f"{name} must be {what}, not {_shown(value)}.")


def names_of(name: str, value: Any, what: str = "a name or a list of names") -> list[str] | None:
    """One name or several as a list; None stays None.

    Raises
    ------
    VmrpError
        Where ``value`` is anything else.
    """
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        raise VmrpError(f"{name} must be {what}, or None, not {_shown(value)}.")
    return list(names)


def refuse_given(method: str, remedy: str, **arguments: Any) -> None:
    """Raise VmrpError where an argument was given that ``method`` has no use for."""
    for name, value in arguments.items():
        if value is not None:
            raise VmrpError(f"{name}= is not for {method}: {remedy}")


def check_options(name: str, value: Any) -> None:
    """Raise VmrpError unless ``value`` maps names of options to their values."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise VmrpError(f"{name} must be a dict of options by name, not {_shown(value)}.")


def qualified_name(value: object) -> str:
    """The package and the class of a value, such as ``bambi.Model``."""
    cls = type(value)
    package = cls.__module__.split(".")[0]
    return cls.__qualname__ if package == "builtins" else f"{package}.{cls.__qualname__}"


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _shown(value: object) -> str:
    """A value as an error shows it: numbers and text as written, the rest by its class."""
    if value is None or isinstance(value, str | bool | Real | complex | np.generic):
        text = repr(value.item() if isinstance(value, np.generic) else value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, list | tuple | dict | set) and len(repr(value)) <= 60:
        return repr(value)
    return f"a {qualified_name(value)}"
