"""Checks of plain arguments: a choice, a positive number, a count."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from pymc_vmrp.errors import DataError, VmrpError


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


def check_model(call: str, model: object) -> None:
    """Raise DataError unless ``model`` is a :class:`pymc_vmrp.Model`, as ``call`` needs."""
    if not hasattr(model, "glmm"):
        raise DataError(
            f"{call}: the first argument must be a vmrp.Model, not a {qualified_name(model)}. "
            "What vmrp.fit() returns for models of Bambi and PyMC goes with their own tools, such "
            "as bambi_model.predict(idata)."
        )


def qualified_name(value: object) -> str:
    """The package and the class of a value, such as ``bambi.Model``."""
    cls = type(value)
    package = cls.__module__.split(".")[0]
    return cls.__qualname__ if package == "builtins" else f"{package}.{cls.__qualname__}"
