"""Grouping factors with so few levels that the standard deviation of their effects is mostly prior.

With two or three levels the data say little of σ, and a wide prior on it makes the common effect of
the same name (the mean of the population that the levels are a sample of) vague, however well the
levels themselves are known (Gelman 2006, section 3.2; Gelman & Hill 2007, section 21.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pymc_vmrp.errors import PriorWarning, warn

_FEW = 3


def warn_of_few_levels(levels: Mapping[str, int], example: Callable[[str], str]) -> None:
    """Give one PriorWarning that names the terms with few levels.

    Parameters
    ----------
    levels : mapping of str to int
        How many levels each term has that nobody gave an informative prior.
    example : callable
        The name of a term → an informative prior of it as the user would write it, of scale s.
    """
    few = {name: n for name, n in levels.items() if n <= _FEW}
    if not few:
        return
    names = ", ".join(f"{name!r} ({n} level{'s' * (n > 1)})" for name, n in few.items())
    warn(
        f"the standard deviations of {names} are mostly prior: so few levels say little of them, "
        "and the intercept or slope that the levels vary around is as vague. Give an informative "
        f"prior, such as {example(next(iter(few)))} with s the size of differences between levels "
        "that you would expect; or make the factor a common term; or report means over these very "
        "levels (docs/models.md, 'Few levels').",
        PriorWarning,
    )
