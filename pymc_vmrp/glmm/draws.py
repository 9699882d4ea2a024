"""Draws of everything unknown in a GLMM, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pymc_vmrp.arrays import AnyArray, FloatArray


@dataclass(frozen=True)
class Draws:
    """Draws of everything unknown in a GLMM.

    Attributes
    ----------
    coefficients : ndarray, shape (draws, p)
        ``[β, u]`` as laid out in the GLMM, of its centred design.
    covariances : tuple of ndarray, each of shape (draws, d, d)
        Σ_j of each group-specific block, of its centred design.
    parameters : ndarray, shape (draws, k)
        The free parameters φ of the likelihood, in the order of ``GLMM.free_parameters``.
    untouched : ndarray, shape (draws, u), optional
        Standardised effects that the library of the model knows, but none of the GLMM's rows.
    """

    coefficients: FloatArray
    covariances: tuple[FloatArray, ...]
    parameters: FloatArray
    untouched: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.coefficients)

    def map(self, function: Callable[[FloatArray], FloatArray]) -> Draws:
        """The draws with each array as ``function`` makes it."""
        return Draws(
            function(self.coefficients),
            tuple(map(function, self.covariances)),
            function(self.parameters),
            None if self.untouched is None else function(self.untouched),
        )

    def flat(self) -> Draws:
        """Draws of shape (chain, draw, ...) with the chains one after the other."""
        return self.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]))

    def take(self, index: AnyArray | slice) -> Draws:
        """The draws with these positions along the first sample dimension."""
        return self.map(lambda x: x[index])

    def as_chain(self) -> Draws:
        """Draws of shape (draws, ...) as those of one chain, shape (1, draws, ...)."""
        return self.map(lambda x: x[None])
