"""Which models can be sampled by Gibbs."""

from __future__ import annotations

from pymc_vmrp.errors import PriorError, VmrpError
from pymc_vmrp.glmm.families import families
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.spec import GLMM


def check_model(glmm: GLMM) -> None:
    """Raise where the sampler cannot honour the model exactly; each message says what can.

    Raises
    ------
    VmrpError
        Where the family has no auxiliary variables that make it quadratic.
    PriorError
        Where the prior of common effects is a Horseshoe, or one of Σ is improper.
    """
    if glmm.family.augment is None:
        able = [f"{f.name} ({f.link} link)" for f in families().values() if f.augment is not None]
        raise VmrpError(
            f"The method 'gibbs' cannot sample family={glmm.family.name!r} with "
            f"link={glmm.family.link!r}; it can {', '.join(able)}. Use 'nuts' in its place."
        )
    for mixture in glmm.common.mixtures:
        if isinstance(mixture.prior, Horseshoe):
            raise PriorError(
                f"The prior of {mixture.name!r} is Horseshoe, which inference_method='gibbs' does "
                "not take. Use inference_method='nuts', or a StudentT or Laplace prior."
            )
    for group in glmm.groups:
        if isinstance(group.prior, LKJ):
            raise PriorError(
                f"The prior of {group.name!r} is LKJ, which the Gibbs sampler does not take: use "
                "inference_method='cavi' or 'nuts', or the prior HuangWand."
            )
        if isinstance(group.prior, ImproperInverseWishart):
            raise PriorError(
                f"The prior {group.prior.kind!r} of {group.name!r} is improper: "
                "inference_method='gibbs' cannot honour it, only inference_method='cavi' can. Give "
                "the term a proper prior, such as HuangWand(), to use it."
            )
