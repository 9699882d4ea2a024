"""What priors on β of random variance add to coordinate ascent; see ``glmm/priors/mixtures.py``.

Their expected precisions E[1/λ²] are natural parameters of q(β, u). The optimal q(λ) depends on
q(β) through E(β − μ)² alone, so nothing else of it is kept.
"""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.spec import CommonEffects
from pymc_vmrp.solvers.gaussian import Gaussian


def starting_scales(common: CommonEffects) -> FloatArray:
    """E[1/λ²] where every coefficient is of its prior's typical size."""
    parts = [
        m.prior.expected_precision(np.broadcast_to(m.prior.scale**2, len(m.index)))
        for m in common.mixtures
    ]
    return _joined(parts)


def expected_scales(common: CommonEffects, gaussian: Gaussian) -> FloatArray:
    """E[1/λ²] under the optimal q(λ), mixture after mixture."""
    squares = _expected_squares(common, gaussian)
    return _joined([m.prior.expected_precision(squares[list(m.index)]) for m in common.mixtures])


def expected_log_mixtures(common: CommonEffects, gaussian: Gaussian) -> float:
    """E[log p(β | λ) + log p(λ) − log q(λ)] at the optimal q(λ), summed over the mixtures."""
    if not common.mixtures:
        return 0.0
    squares = _expected_squares(common, gaussian)
    return sum(
        float(m.prior.log_density_of_squares(squares[list(m.index)])) for m in common.mixtures
    )


def prior_precision(common: CommonEffects, scales: FloatArray) -> FloatArray:
    """Expected prior precision of every β, given E[1/λ²] of those in mixtures."""
    precision = common.normal_precision
    if common.mixtures:
        precision[[i for m in common.mixtures for i in m.index]] = scales
    return precision


def _expected_squares(common: CommonEffects, gaussian: Gaussian) -> FloatArray:
    mean = gaussian.mean[: common.size] - common.prior_mean
    return np.asarray(mean**2 + gaussian.variances()[: common.size])


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.empty(0)
