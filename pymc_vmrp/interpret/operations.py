"""How mean responses are compared, and derivatives scaled: by name, or by a user's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError

Operation = Callable[..., FloatArray]

COMPARISONS: dict[str, Operation] = {
    "diff": lambda reference, contrast: contrast - reference,
    "ratio": lambda reference, contrast: contrast / reference,
    "lift": lambda reference, contrast: (contrast - reference) / reference,
}
SLOPES: dict[str, Operation] = {
    "dydx": lambda derivative, x, y: derivative,
    "eyex": lambda derivative, x, y: derivative * (x / y),
    "eydx": lambda derivative, x, y: derivative / y,
    "dyex": lambda derivative, x, y: derivative * x,
}


def find_operation(
    argument: str, given: Any, known: Mapping[str, Operation]
) -> tuple[Operation, str]:
    """The function that is asked for, and what it is called."""
    if isinstance(given, str) and given in known:
        return known[given], given
    if callable(given):
        name = getattr(given, "__name__", type(given).__name__)
        return partial(_called, given, name), name
    raise DataError(
        f"{argument}= must be one of {', '.join(map(repr, known))} or a function, not {given!r}."
    )


def _called(function: Operation, name: str, *arrays: FloatArray) -> FloatArray:
    """What a user's function makes of arrays, which it may not change."""
    for one in arrays:
        one.flags.writeable = False
    try:
        found = np.asarray(function(*arrays))
    except Exception as error:
        raise DataError(
            f"The function {name!r} raised {type(error).__name__} ({error}) when called with "
            f"{len(arrays)} arrays of shape {arrays[0].shape}."
        ) from error
    if found.dtype.kind not in "iufb":
        raise DataError(f"The function {name!r} returned {found.dtype} values, not real numbers.")
    return found
