"""Checks of the arguments of priors."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import PriorError


def numbers(name: str, value: Any, scalar: bool = False) -> FloatArray:
    """``value`` as finite numbers, or a PriorError that names the argument."""
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "iuf" or not raw.size:  # True and "1" would pass for 1.0
            raise TypeError
        array = raw.astype(float)
    except (TypeError, ValueError):
        raise PriorError(f"{name} must be a number, not {value!r}.") from None
    if not np.isfinite(array).all():
        raise PriorError(f"{name} must be finite, not {value!r}.")
    if scalar and array.ndim:
        raise PriorError(f"{name} must be one number, not {value!r}.")
    return array


def positive(name: str, value: Any, scalar: bool = False) -> None:
    """Raise a PriorError that names the argument unless ``value`` is positive."""
    if not np.all(numbers(name, value, scalar) > 0):
        raise PriorError(f"{name} must be positive, not {value!r}.")


def freeze(prior: Any, field_name: str) -> None:
    """Store an array as nested tuples, so that priors compare and hash by value."""
    value = getattr(prior, field_name)
    if np.ndim(value):
        nested = np.asarray(value, dtype=float).tolist()
        frozen = tuple(tuple(row) if isinstance(row, list) else row for row in nested)
        object.__setattr__(prior, field_name, frozen)
