"""Acceleration of a fixed-point iteration z ← F(z), behind an interface.

An accelerator sees each accepted pair (z, F(z)) and proposes the next z. The caller checks the ELBO:
where a proposal turns out badly it hands the pair to ``learn`` and goes on from the point before.
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
        """The value of ``accelerate=`` that asks for it."""
        ...

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """The next point, after F(``point``) = ``image`` was accepted."""
        ...

    def retry(self, point: FloatArray, image: FloatArray) -> FloatArray | None:
        """Another proposal from the last accepted point, now that ``point`` was rejected.

        None where there is none: the caller then goes to the accepted point's image.
        """
        ...


@dataclass
class Plain:
    """No acceleration: the next point is the image."""

    name: str = "none"

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        return image

    def retry(self, point: FloatArray, image: FloatArray) -> FloatArray | None:
        """See :class:`Accelerator`."""
        return None


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
        How many past differences are combined.
    clip : float

    References
    ----------
    Walker, H. F. and Ni, P. (2011). Anderson acceleration for fixed-point iterations. SIAM
    Journal on Numerical Analysis 49(4), algorithm AA and equation (1.3).
    """

    weights: FloatArray
    clipped: NDArray[np.bool_]
    memory: int = 6
    clip: float = 3.0
    name: str = "anderson"
    _last: tuple[FloatArray, FloatArray, FloatArray] | None = field(default=None, repr=False)
    _residuals: list[FloatArray] = field(default_factory=list, repr=False)
    _images: list[FloatArray] = field(default_factory=list, repr=False)

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        residual = self.weights * (image - point)
        if self._last is not None:
            self._remember(residual - self._last[2], image - self._last[1])
        self._last = (point, image, residual)
        return self._extrapolate()

    def retry(self, point: FloatArray, image: FloatArray) -> FloatArray | None:
        """See :class:`Accelerator`; a rejected pair tells as much of F as an accepted one."""
        self._residuals.clear()
        self._images.clear()
        return None

    def _remember(self, residual: FloatArray, image: FloatArray) -> None:
        self._residuals.append(residual)
        self._images.append(image)
        del self._residuals[: -self.memory], self._images[: -self.memory]

    def _extrapolate(self) -> FloatArray:
        assert self._last is not None
        point, image, residual = self._last
        if not self._residuals:
            return image
        # a relative cut-off keeps near-parallel past steps from blowing up the combination
        gamma = np.linalg.lstsq(np.array(self._residuals).T, residual, rcond=1e-10)[0]
        change = image - point
        for weight, difference in zip(gamma, self._images, strict=True):
            change -= weight * difference
        limited = np.where(self.clipped, np.clip(change, -self.clip, self.clip), change)
        return point + limited
