"""Reading a model without a word but our own."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from pytensor import config  # type: ignore[attr-defined]

_NOT_FOR_USERS = (RuntimeWarning, FutureWarning, DeprecationWarning)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of what PyTensor and numpy report of odd points reaches stderr.

    A graph is evaluated where a sampler would never go, and rewritten although it may be one that
    is refused. A rewrite of PyTensor that fails leaves the graph as it was, and logs a traceback
    of hundreds of lines; what matters of it shows in the values, which are compared with PyMC's.
    """
    logger = logging.getLogger("pytensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # a stack trace for each new node would take a third of the time
        with (
            config.change_flags(traceback__limit=0),
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
        ):
            for category in _NOT_FOR_USERS:
                warnings.simplefilter("ignore", category)
            yield
    finally:
        logger.setLevel(level)
