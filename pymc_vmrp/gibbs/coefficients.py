"""Prior precisions of the common effects, drawn where they are random."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.spec import CommonEffects


def draw_prior_precisions(
    common: CommonEffects, beta: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """1/λ² of each common effect given β, shape (k,): the normal prior's, or drawn.

    Student t, Cauchy and Laplace priors are normals of random variance λ², which is drawn anew from
    its conditional in each iteration and forgotten.
    """
    precision = common.normal_precision
    for mixture in common.mixtures:
        assert not isinstance(mixture.prior, Horseshoe)
        index = list(mixture.index)
        squares = (beta[index] - common.prior_mean[index]) ** 2
        precision[index] = mixture.prior.draw_precision(rng, squares)
    return precision
