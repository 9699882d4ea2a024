"""How many Gaussian variables share a standard deviation of which the prior says next to nothing.

Whoever writes a pm.Model gives every prior, so that only wide ones are worth a warning.
"""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.frontends.pymc.recognise import Recognised
from pymc_vmrp.frontends.pymc.scales import Scale
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import ScalePrior
from pymc_vmrp.glmm.spec import GroupEffects

_FAR = 2.5  # effects beyond it, in units of the linear predictor per scale of the response
_MASS = 0.1  # of a wide prior, for effects of such a size; HalfNormal(1) has 0.01 there
_GRID = np.linspace(-30.0, 30.0, 4001)  # of log σ


def levels_under_wide_priors(recognised: Recognised) -> dict[str, tuple[int, str]]:
    """Number of levels, and the variable with the wide prior, by name of Gaussian variables."""
    parts, terms = recognised.translation.parts, recognised.translation.terms
    rows = recognised.translation.likelihood.rows
    unit = float(np.std(rows.y)) if recognised.glmm.family.scaled else 1.0
    if not 0 < unit < np.inf:
        return {}
    owners: list[tuple[tuple[Scale, ...], int | None]]
    owners = [((block.scale,), None) for block in terms.blocks]
    owners += [(vector.scales, vector.hyper) for vector in terms.vectors]
    found = {}
    for group, (scales, joint) in zip(recognised.glmm.groups, owners, strict=True):
        far = _FAR * unit / _sizes(group)
        for k, prior in enumerate(_priors(group)):
            if _mass_beyond(prior, float(far[k])) > _MASS:
                h = scales[k].hyper if scales else joint
                assert h is not None
                found[group.factor] = len(group.levels), str(parts.hypers[h].name)
                break
    return found


def _priors(group: GroupEffects) -> tuple[ScalePrior, ...]:
    if isinstance(group.prior, LKJ):
        return tuple(group.prior.scales(group.d))
    assert isinstance(group.prior, ScalePrior)
    return (group.prior,)


def _sizes(group: GroupEffects) -> FloatArray:
    """Typical size of what each effect is multiplied by, where it is, shape (d,)."""
    values = group.member_values.reshape(-1, group.d)
    there = np.maximum((values != 0).sum(axis=0), 1)
    sizes = np.sqrt((values**2).sum(axis=0) / there)
    return np.where(sizes > 0, sizes, 1.0)


def _mass_beyond(prior: ScalePrior, limit: float) -> float:
    """Prior probability of σ > ``limit``, by a sum over log σ around it."""
    with np.errstate(all="ignore"):
        log_density = prior.log_density_sigma(limit * np.exp(_GRID)) + _GRID
        density = np.exp(log_density - np.nanmax(log_density))
    density = np.nan_to_num(density, nan=0.0, posinf=0.0)
    return float(density[_GRID > 0].sum() / density.sum())
