"""One step of slice sampling of a number."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_MOST_STEPS = 40  # out, in all; a bound keeps the step exact (Neal 2003, section 4.1)


def slice_sample(
    rng: np.random.Generator, log_density: Callable[[float], float], x: float, width: float
) -> float:
    """A draw that leaves a density invariant, from the point x; stepping out, then shrinking.

    Parameters
    ----------
    rng : Generator
    log_density : callable
        Up to a constant; −inf (or nan) outside of the support. Finite at ``x``.
    x : float
    width : float
        About the size of a slice: it changes the cost and not the distribution.

    References
    ----------
    Neal, R. M. (2003). Slice sampling. Annals of Statistics 31(3), figures 3 and 5.
    """
    level = float(log_density(x)) - rng.standard_exponential()
    low = x - width * rng.random()
    high = low + width
    left = int(_MOST_STEPS * rng.random())
    right = _MOST_STEPS - 1 - left
    while left > 0 and log_density(low) > level:
        low, left = low - width, left - 1
    while right > 0 and log_density(high) > level:
        high, right = high + width, right - 1
    while True:
        proposal = low + (high - low) * rng.random()
        if log_density(proposal) > level:
            return proposal
        if proposal < x:
            low = proposal
        else:
            high = proposal
        if not high - low > 1e-14 * (1 + math.fabs(x)):
            return x  # what is left of the slice is x itself, up to rounding
