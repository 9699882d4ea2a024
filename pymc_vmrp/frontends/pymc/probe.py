"""The columns of a linear function, found by evaluating it: numbers in, numbers out.

η = A z of one latent vector z of n elements, of which a row touches one (an index), a few
(memberships) or all (a matrix product). Evaluated at z = (1, ..., 1) and z = (1, 2, ..., n), a row
that touches one element shows its value and, by their ratio, which one it is; a third evaluation at
random z tells whether that is so. Rows that touch several elements are taken apart by random
partitions of the elements, in whose parts they touch one at a time; few elements one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack

from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray

Function = Callable[[FloatArray], FloatArray]

_FEW = 48  # elements that are probed one by one where rows touch several
_PARTS = 48  # of a random partition
_ROUNDS = 8  # partitions that are tried
_MOSTLY = 0.8  # share of rows that a part must resolve
_MOST_VALUES = 4e8  # rows × elements, to probe one by one
_SMALL = 1e-9  # relative, of what is rounding
_DIGITS = 12  # that are kept, so that equal values are equal


@dataclass(frozen=True)
class Columns:
    """The columns A of a linear function, and how to see their scales again.

    Attributes
    ----------
    matrix : csr_array, shape (N, n)
    probes : ndarray of bool, shape (probes, n)
        Sets of elements which, evaluated together, show each element by itself in some row.
    probe, row : ndarray of int, shape (n,)
        In which set and in which row; −1 for elements that no row touches.
    """

    matrix: csr_array
    probes: BoolArray
    probe: IntArray
    row: IntArray

    @property
    def touched(self) -> BoolArray:
        """Which elements any row touches, shape (n,)."""
        return self.row >= 0

    def scales(self, function: Function) -> FloatArray:
        """Values of each element's column in its row, under another linear function, shape (n,)."""
        out = np.full(len(self.row), np.nan)
        for k, members in enumerate(self.probes):
            own = np.flatnonzero((self.probe == k) & self.touched)
            if len(own):
                out[own] = function(members.astype(float))[self.row[own]]
        return out


def probe_columns(function: Function, n: int, rng: np.random.Generator) -> Columns | None:
    """Find A of ``function(z) = A z``; None where it is too large to be taken apart.

    Parameters
    ----------
    function : callable
        z of shape (n,) → A z of shape (N,).
    n : int
    rng : Generator
        For random probes; the result does not depend on them.
    """
    everything = np.ones(n, dtype=bool)
    single = _rows_of_one(function, everything, rng)
    if single is not None and single.resolved.all():
        row = np.flatnonzero(single.value)
        element = single.element[row]
        shape = len(single.value), n
        probe = np.zeros(len(row), dtype=np.int64)
        return _columns(shape, single.value[row], row, element, everything[None], probe)
    if n > _FEW:
        found = _by_partitions(function, n, rng)
        if found is not None:
            return found
    first = function(np.zeros(n))
    if n * len(first) > _MOST_VALUES:
        return None
    columns = [csc_array(_rounded(function(unit))[:, None]) for unit in np.eye(n)]
    matrix = hstack(columns, format="coo")
    row, element = (index.astype(np.int64) for index in matrix.coords)
    return _columns(matrix.shape, matrix.data, row, element, np.eye(n, dtype=bool), element)


@dataclass(frozen=True)
class _Single:
    """What rows show that touch at most one of a set of elements."""

    value: FloatArray
    element: IntArray
    resolved: BoolArray


def _rows_of_one(
    function: Function, members: BoolArray, rng: np.random.Generator
) -> _Single | None:
    index = np.flatnonzero(members)
    z = np.zeros(len(members))
    z[index] = 1.0
    value = function(z)
    z[index] = np.arange(1, len(index) + 1)
    ranked = function(z)
    z[index] = rng.uniform(0.5, 1.5, len(index))
    mixed = function(z)
    size = float(np.abs(np.concatenate([value, ranked, mixed])).max(initial=0.0))
    if not np.isfinite(size):
        return None
    empty = np.abs(mixed) <= 1e-13 * size
    with np.errstate(all="ignore"):
        position = np.where(empty, 1.0, ranked / value)
    position = np.where(np.isfinite(position), np.round(position), 0.0)
    inside = (position >= 1) & (position <= len(index))
    element = index[np.where(inside, position, 1).astype(np.int64) - 1]
    slack = _SMALL * np.abs(value) + 1e-14 * size
    exact = np.abs(mixed - value * z[element]) <= slack
    exact &= np.abs(ranked - value * position) <= slack * len(index)
    return _Single(np.where(empty, 0.0, value), element, empty | (inside & exact))


def _by_partitions(function: Function, n: int, rng: np.random.Generator) -> Columns | None:
    """Rows are taken from the first partition in whose parts they touch one element at a time."""
    left: BoolArray | None = None
    entries = []
    probes: list[BoolArray] = []
    for _ in range(_ROUNDS):
        part = rng.permutation(n) % _PARTS
        members = [part == k for k in range(_PARTS)]
        found = [single for own in members if (single := _rows_of_one(function, own, rng))]
        if len(found) < _PARTS or any(single.resolved.mean() < _MOSTLY for single in found):
            return None  # rows touch many
        resolved = np.all([single.resolved for single in found], axis=0)
        left = np.ones(len(resolved), dtype=bool) if left is None else left
        for k, single in enumerate(found):
            own = np.flatnonzero((single.value != 0) & resolved & left)
            probe = np.full(len(own), len(probes) + k)
            entries.append((single.value[own], own, single.element[own], probe))
        probes += members
        left &= ~resolved
        if not left.any():
            values, row, element, probe = (np.concatenate(x) for x in zip(*entries, strict=True))
            return _columns((len(left), n), values, row, element, np.array(probes), probe)
    return None


def _columns(
    shape: tuple[int, int],
    values: FloatArray,
    row: IntArray,
    element: IntArray,
    probes: BoolArray,
    probe: IntArray,
) -> Columns:
    """Of each element the entry with the largest value; ``probe`` is that which showed an entry."""
    order = np.argsort(np.abs(values), kind="stable")  # the last write wins: the largest
    n = shape[1]
    chosen_row, chosen_probe = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
    chosen_row[element[order]] = row[order]
    chosen_probe[element[order]] = probe[order]
    matrix = csr_array((_rounded(values), (row, element)), shape=shape)
    return Columns(matrix, probes, chosen_probe, chosen_row)


def _rounded(values: FloatArray) -> FloatArray:
    """Without what the difference of two numbers of the same size leaves at the end."""
    size = float(np.abs(values).max(initial=0.0))
    if size == 0 or not np.isfinite(size):
        return values
    unit = 10.0 ** (np.ceil(np.log10(size)) - _DIGITS)
    rounded = np.round(values / unit) * unit
    nearest = np.round(values, _DIGITS)
    return np.asarray(np.where(np.abs(nearest - values) <= 1e-13 * size, nearest, rounded))
