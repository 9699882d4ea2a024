"""Grouping factors with so few levels that the standard deviation of their effects is mostly prior.

With two or three levels the data say little of σ, and a wide prior on it makes the common effect of
the same name (the mean of the population that the levels are a sample of) vague, however well the
levels themselves are known (Gelman 2006, section 3.2; Gelman & Hill 2007, section 21.2).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from pymc_vmrp.errors import PriorWarning
from pymc_vmrp.frontends.formula.effects import Block

_FEW = 3


def warn_of_few_levels(blocks: Sequence[Block], stacklevel: int) -> None:
    """Give a PriorWarning that names the terms with few levels.

    Parameters
    ----------
    blocks : sequence of Block
        Those under the default prior: who gave one has thought about it.
    stacklevel : int
        As of ``warnings.warn``, seen from the caller of this function.
    """
    few = [block for block in blocks if len(block.factor.levels) <= _FEW]
    if not few:
        return
    names = [
        f"'{'+'.join(dict.fromkeys(e.expression for e in block.effects))}|{block.factor.name}' "
        f"({len(block.factor.levels)} levels)"
        for block in few
    ]
    first = names[0].split("'")[1]
    prior = "vmrp.HalfNormal(s)" if len(few[0].effects) == 1 else "vmrp.LKJ(1, vmrp.HalfNormal(s))"
    warnings.warn(
        f"the standard deviations of {', '.join(names)} are mostly prior: so few levels say little "
        "of them, and the intercept or slope that the levels vary around is as vague. Give an "
        f"informative prior, such as priors={{{first!r}: {prior}}} with s the size of differences "
        "between levels that you would expect; or make the factor a common term; or report means "
        "over these very levels (docs/models.md, 'Few levels').",
        PriorWarning,
        stacklevel=stacklevel + 1,
    )
