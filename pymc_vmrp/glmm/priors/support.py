"""Which priors the engines honour exactly: the one place that refuses the others.

Coordinate ascent and NUTS read the same model, so a prior is taken only if both honour it exactly.
What is refused is never replaced by something near it; the message says who can honour it.
"""

from __future__ import annotations

from typing import Never

from pymc_vmrp.errors import PriorError
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import ScalePrior

_NEITHER = "Neither coordinate ascent nor NUTS honours it here"
_ELSEWHERE = "a model written in PyMC or Bambi, sampled by NUTS, can"

# what users of other packages ask for, and what comes nearest
_LKJ = "take vmrp.LKJ(eta, sd=HalfNormal(1)), with any prior on one sd"
_TRUNCATED = "leave out the bounds, or give a Normal whose mu and sigma make them improbable"
_NEAREST = {
    "LKJ": _LKJ,
    "LKJCorr": _LKJ,
    "LKJCholeskyCov": _LKJ,
    "TruncatedNormal": _TRUNCATED,
    "Truncated": _TRUNCATED,
}


def check_covariance_prior(prior: CovariancePrior, d: int, term: str) -> None:
    """Raise PriorError where ``prior`` cannot serve a group-specific term with d effects."""
    if isinstance(prior, ScalePrior) and d > 1:
        name = type(prior).__name__
        raise PriorError(
            f"The prior of {term!r} is {name}, which is a prior on one standard deviation, but the "
            f"term has {d} correlated effects. Say LKJ(1, sd={name}(...)), which gives each of "
            "them this prior and their correlations one of their own; or write the term with || so "
            "that its effects are independent."
        )
    if isinstance(prior, HuangWand | LKJ):
        prior.scales(d)
    elif isinstance(prior, InverseWishart):
        prior.parameters(d)


def refuse_unknown(name: str, term: str, what: str, known: tuple[str, ...]) -> Never:
    """Raise the PriorError of a named prior that is none of ``known``, the priors of ``what``."""
    nearest = _NEAREST.get(name, f"for {what} use one of {', '.join(known)}")
    raise PriorError(f"The prior of {term!r} is {name}. {_NEITHER}; {_ELSEWHERE}. Here, {nearest}.")
