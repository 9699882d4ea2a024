"""The likelihood's own parameters: their priors, and the scale they grow with."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.frontends.bambi_priors import is_bambi_prior, parameter_prior
from pymc_vmrp.glmm.families.family import Family, Rows
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.spec import FamilyParameter


def response_scale(family: Family, rows: Rows) -> float:
    """What default priors grow with: the sd of a response that η is on the scale of."""
    if not family.scaled:
        return 1.0
    share = rows.ones / rows.ones.sum()
    y = rows.y - (0.0 if rows.offset is None else rows.offset)
    sd = float(np.sqrt(share @ (y - share @ y) ** 2))
    if not np.isfinite(sd):
        raise DataError("The response is of an extreme scale: rescale it.")
    if sd == 0:
        raise DataError("The response, less its offset, is the same in every row with a weight.")
    return sd


def family_parameters(
    family: Family, scale: float, priors: Mapping[str, Any] | None, fixed: bool
) -> tuple[FamilyParameter, ...]:
    """The likelihood's own parameters, with the priors given or the family's defaults."""
    given = priors if isinstance(priors, Mapping) else {}
    out = []
    for parameter in family.parameters:
        prior = given.get(parameter.name, parameter.prior(scale))
        if is_bambi_prior(prior):
            prior = parameter_prior(prior, parameter.name)
        if fixed and parameter.name in given:
            raise PriorError(
                f"{parameter.name!r} is known from the response's standard deviations: give it no "
                "prior."
            )
        if fixed:
            prior = 1.0
        elif isinstance(prior, Real) and not isinstance(prior, bool):
            prior = float(prior)
            if not 0 < prior < np.inf:
                raise PriorError(f"{parameter.name!r} must be fixed at a positive number.")
        elif not isinstance(prior, ScalePrior):
            raise PriorError(
                f"The prior of {parameter.name!r} must be one on a positive number, such as "
                f"HalfNormal(1) or Gamma(2, 0.1), or a number that fixes it, not {prior!r}."
            )
        shift = np.log(scale) if parameter.relative else 0.0
        span = (parameter.span[0] + shift, parameter.span[1] + shift)
        out.append(FamilyParameter(parameter.name, prior, span))
    return tuple(out)
