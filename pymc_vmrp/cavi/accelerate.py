"""Acceleration of a fixed-point iteration z ← F(z), behind an interface.

An accelerator sees each accepted pair (z, F(z)) and proposes the next z. The caller checks the
ELBO and calls ``restart`` where the proposal turns out badly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Accelerator(Protocol):
    """Proposes the next point of a fixed-point iteration."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """The next point, after F(``point``) = ``image``."""
        ...

    def restart(self) -> None:
        """Forget the past."""
        ...


@dataclass
class Plain:
    """No acceleration: the next point is the image."""

    name: str = "none"

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        return image

    def restart(self) -> None:
        """See :class:`Accelerator`."""


@dataclass
class Anderson:
    """Anderson acceleration (type II).

    Parameters
    ----------
    weights : ndarray
        Weight of each coordinate in the least-squares norm.
    clipped : ndarray of bool
        Coordinates whose change per step is limited to ±``clip``.
    memory : int
        How many past steps are combined.

    References
    ----------
    Walker, H. F. and Ni, P. (2011). Anderson acceleration for fixed-point iterations. SIAM
    Journal on Numerical Analysis 49(4), algorithm AA and equation (1.3).
    """

    weights: FloatArray
    clipped: NDArray[np.bool_]
    memory: int = 8
    clip: float = 3.0
    name: str = "anderson"
    _residuals: list[FloatArray] = field(default_factory=list, repr=False)
    _images: list[FloatArray] = field(default_factory=list, repr=False)

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        self._residuals.append(self.weights * (image - point))
        self._images.append(image)
        del self._residuals[: -self.memory - 1], self._images[: -self.memory - 1]
        if len(self._residuals) == 1:
            return image
        differences = np.diff(np.array(self._residuals), axis=0)
        image_differences = np.diff(np.array(self._images), axis=0)
        # a relative cut-off keeps near-parallel past steps from blowing up the combination
        gamma = np.linalg.lstsq(differences.T, self._residuals[-1], rcond=1e-10)[0]
        proposal = image - gamma @ image_differences
        change = proposal - point
        limited = np.where(self.clipped, np.clip(change, -self.clip, self.clip), change)
        return point + limited

    def restart(self) -> None:
        """See :class:`Accelerator`."""
        self._residuals.clear()
        self._images.clear()
