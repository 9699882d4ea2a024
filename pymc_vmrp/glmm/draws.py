"""Draws of everything unknown in a GLMM, as arrays."""

from __future__ import annotations

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

    def flat(self) -> Draws:
        """Draws of shape (chain, draw, ...) with the chains one after the other."""
        chains, draws = self.coefficients.shape[:2]
        return Draws(
            self.coefficients.reshape(chains * draws, -1),
            tuple(c.reshape(-1, *c.shape[2:]) for c in self.covariances),
            self.parameters.reshape(chains * draws, self.parameters.shape[-1]),
            None if self.untouched is None else self.untouched.reshape(chains * draws, -1),
        )

    def take(self, index: AnyArray) -> Draws:
        """The draws with these positions along the first sample dimension."""
        return Draws(
            self.coefficients[index],
            tuple(covariance[index] for covariance in self.covariances),
            self.parameters[index],
            None if self.untouched is None else self.untouched[index],
        )
