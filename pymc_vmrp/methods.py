"""Inference methods as functions: a GLMM in, nearly independent draws out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pymc_vmrp.approximation import approximate
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM

Method = Callable[[GLMM, int, int], Draws]
"""(model, number of draws, random seed) → draws."""


@dataclass(frozen=True)
class Cavi:
    """Coordinate ascent, with the options of :meth:`pymc_vmrp.Model.approximate`."""

    options: Mapping[str, Any]

    def __call__(self, glmm: GLMM, draws: int, random_seed: int) -> Draws:
        """Fit q, and draw from it."""
        posterior = approximate(glmm, **self.options)
        if posterior.fit.stopped == "interrupted":  # the engine keeps Ctrl-C to itself
            raise KeyboardInterrupt
        return posterior.sample(draws, random_seed)
