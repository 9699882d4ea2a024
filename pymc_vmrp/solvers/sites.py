"""Sites: the local quadratic in η that stands in for each cell's likelihood.

A site has a precision w and a shift k, so that the cell adds −½wη² + kη to log q(β, u), where η is
the linear predictor without its offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray


@dataclass(frozen=True)
class Sites:
    """Precision w and shift k of each cell's site, shape (N,) each."""

    precision: FloatArray
    shift: FloatArray

    def towards(self, other: Sites, step: float) -> Sites:
        """The natural parameters a fraction ``step`` of the way to ``other``."""
        return Sites(
            (1 - step) * self.precision + step * other.precision,
            (1 - step) * self.shift + step * other.shift,
        )

    def log_concave(self, mean: FloatArray) -> Sites:
        """The same slopes at ``mean`` of η, and no negative precisions."""
        slope = self.shift - self.precision * mean
        precision = np.maximum(self.precision, 0)
        return Sites(precision, slope + precision * mean)
