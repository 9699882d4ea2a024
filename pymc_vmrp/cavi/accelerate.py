"""Acceleration of a fixed-point iteration z ← F(z), behind an interface.

An accelerator sees each accepted pair (z, F(z)) and proposes the next z. The caller checks the
ELBO: where a proposal turns out badly it calls ``reject`` and goes on from the last image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.arrays import BoolArray, FloatArray

_SKETCH = 50_000  # coordinates are plenty to find a handful of weights by least squares


class Accelerator(Protocol):
    """Proposes the next point of a fixed-point iteration."""

    @property
    def name(self) -> str:
        """The value of ``accelerate=`` that asks for it."""
        ...

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """The next point, after F(``point``) = ``image`` was accepted."""
        ...

    def reject(self) -> None:
        """Forget what led to the last proposal: it lowered the ELBO."""
        ...


@dataclass
class Plain:
    """No acceleration: the next point is the image."""

    name: str = "none"

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        return image

    def reject(self) -> None:
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
        How many past differences are combined.
    clip : float

    References
    ----------
    Walker, H. F. and Ni, P. (2011). Anderson acceleration for fixed-point iterations. SIAM
    Journal on Numerical Analysis 49(4), algorithm AA and equation (1.3).
    """

    weights: FloatArray
    clipped: BoolArray
    memory: int = 6
    clip: float = 3.0
    name: str = "anderson"
    _last: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)
    _residuals: list[FloatArray] = field(default_factory=list, repr=False)
    # single precision halves the memory; what it loses vanishes with the differences
    _images: list[NDArray[np.float32]] = field(default_factory=list, repr=False)

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        residual = (self.weights * (image - point))[self._sketch]
        if self._last is not None:
            self._residuals.append(residual - self._last[1])
            self._images.append((image - self._last[0]).astype(np.float32))
            del self._residuals[: -self.memory], self._images[: -self.memory]
        self._last = (image, residual)
        change = image - point
        for weight, difference in zip(self._combination(residual), self._images, strict=True):
            change -= weight * difference
        limited = np.where(self.clipped, np.clip(change, -self.clip, self.clip), change)
        return point + limited

    def reject(self) -> None:
        """See :class:`Accelerator`; the last accepted pair stays."""
        self._residuals.clear()
        self._images.clear()

    @cached_property
    def _sketch(self) -> BoolArray | slice:
        """Coordinates whose residuals decide: all, or what is clipped and a scatter of the rest."""
        size = len(self.weights)
        if size < 2 * _SKETCH:
            return slice(None)
        # multiplicative hashing (Knuth 1998, section 6.4): even strides could miss a kind of cell
        hashed = (np.arange(size, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(2**32)
        return self.clipped | (hashed < 2**32 * (_SKETCH / size))

    def _combination(self, residual: FloatArray) -> FloatArray:
        """The least-squares combination of past differences of residuals."""
        if not self._residuals:
            return np.empty(0)
        differences = np.array(self._residuals).T
        # a relative cut-off keeps near-parallel past steps from blowing up the combination
        return np.asarray(np.linalg.lstsq(differences, residual, rcond=1e-10)[0])


@dataclass
class Squarem:
    """Squared extrapolation, scheme S3: two steps, then one along both.

    With r = F(z) − z and v = (F(F(z)) − F(z)) − r, go to z − 2αr + α²v, α = −‖r‖/‖v‖ ≤ −1, and take
    one plain step from there.

    Parameters
    ----------
    weights : ndarray
        Weight of each coordinate in the norms.
    clipped : ndarray of bool
        Coordinates whose change per extrapolation is limited to ±``clip``.
    clip : float

    References
    ----------
    Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the
    convergence of any EM algorithm. Scandinavian Journal of Statistics 35, equations (6) and (9).
    """

    weights: FloatArray
    clipped: BoolArray
    clip: float = 3.0
    name: str = "squarem"
    _first: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)  # z and r
    _extrapolated: bool = field(default=False, repr=False)

    def propose(self, point: FloatArray, image: FloatArray) -> FloatArray:
        """See :class:`Accelerator`."""
        if self._extrapolated:  # the plain step that steadies the extrapolation
            self.reject()
            return image
        if self._first is None:
            self._first = (point, image - point)
            return image
        start, r = self._first
        v = (image - point) - r
        size = float(np.linalg.norm(self.weights * v))
        self._extrapolated = True
        if size == 0.0:
            return image
        alpha = -max(1.0, float(np.linalg.norm(self.weights * r)) / size)
        change = -2 * alpha * r + alpha**2 * v
        return start + np.where(self.clipped, np.clip(change, -self.clip, self.clip), change)

    def reject(self) -> None:
        """See :class:`Accelerator`."""
        self._first = None
        self._extrapolated = False


ACCELERATORS: dict[str, Callable[[FloatArray, BoolArray], Accelerator]] = {
    "anderson": Anderson,
    "squarem": Squarem,
    "none": lambda weights, clipped: Plain(),
}
