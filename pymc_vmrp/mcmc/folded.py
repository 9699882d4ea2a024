"""An unconstrained coordinate of a standard deviation that is smooth where it is zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from pymc_vmrp.glmm.priors.covariance import HuangWand
from pymc_vmrp.glmm.priors.scales import Exponential, HalfCauchy, HalfNormal, HalfStudentT


@dataclass(frozen=True)
class Folded(Transform):  # type: ignore[misc]
    """σ = c·|sinh ψ|: linear near zero, logarithmic beyond c.

    log σ has a long tail where the posterior of σ reaches zero, which a chain takes long to come
    back from; in ψ it passes through zero. ψ and −ψ are one σ, so the density of ψ, taken for one
    of the two, is right up to a factor of two.

    Attributes
    ----------
    scale : float
        c.
    """

    scale: float
    name = "folded"

    def forward(self, value: Any, *inputs: Any) -> Any:
        """ψ ≥ 0 of σ."""
        return pt.arcsinh(value / self.scale)

    def backward(self, value: Any, *inputs: Any) -> Any:
        """σ of ψ."""
        return self.scale * pt.abs(pt.sinh(value))

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        """Log |dσ/dψ|; for large ψ, cosh would overflow long after NUTS has turned back."""
        return pt.log(self.scale * pt.cosh(value))


def can_fold(prior: object) -> bool:
    """Whether the density of σ under the prior is finite and positive at zero."""
    return isinstance(prior, HuangWand | Exponential | HalfCauchy | HalfNormal | HalfStudentT)
