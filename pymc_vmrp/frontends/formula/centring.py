"""Designs centred so that nothing depends on where the zero of a predictor lies.

A column with a numeric predictor is replaced by what its margins do not explain: x by its distance
from the mean, x·z by what is left of it after 1, x and z. The margins of a column are the columns
of the same block made of some of its components (Nelder 1977), and earlier functions of the same
variables, such as x of ``I(x**2)``. Whatever is added to x moves a column along its margins alone,
so the centred columns stay what they are, and priors of their coefficients hold for all zeros.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from formulae.terms.call import Call
from formulae.terms.terms import Intercept

from pymc_vmrp.arrays import FloatArray

_REFINEMENTS = 3  # of least squares by normal equations
_NOTHING_LEFT = 1e-9  # sd of a centred column relative to its own: rounding alone


@dataclass(frozen=True)
class ColumnParts:
    """What a design column is a product of.

    Attributes
    ----------
    term : int
        Position of its term in the block.
    numeric : frozenset
        Its numeric components, each with its column.
    variables : frozenset of str
        Data columns that these use.
    factors : frozenset of str
        Its categorical components.
    degree : int
        What powers are sorted by: 0 of plain variables, 1 of arithmetic such as ``I(x**2)``,
        1, 2, ... of the columns of ``poly(x, raw=True)``. -1 of all other functions.
    """

    term: int
    numeric: frozenset[tuple[str, int]] = frozenset()
    variables: frozenset[str] = frozenset()
    factors: frozenset[str] = frozenset()
    degree: int = 0

    @property
    def order(self) -> tuple[int, bool, int, int]:
        """Margins come first."""
        return len(self.numeric), self.degree != 0, self.term, self.degree

    def is_margin_of(self, other: ColumnParts) -> bool:
        """Whether ``other`` is measured from this column."""
        if not self.factors <= other.factors or self.order >= other.order:
            return False
        if self.numeric < other.numeric:
            return True
        powers = self.degree >= 0 and other.degree > 0 and self.variables <= other.variables
        return powers and len(self.numeric) == len(other.numeric)


def column_parts(expressions: Sequence[Any]) -> list[ColumnParts]:
    """The parts of every column of evaluated expressions, in their order."""
    out = []
    for term, expression in enumerate(expressions):
        if isinstance(expression, Intercept):
            out.append(ColumnParts(term))
            continue
        components = expression.components
        numeric = [c for c in components if c.kind != "categoric"]
        variables = frozenset(str(name) for c in numeric for name in _variables(c))
        factors = frozenset(str(c.name) for c in components if c.kind == "categoric")
        for index in np.ndindex(*map(_width, components)):
            own = [(c, i) for c, i in zip(components, index, strict=True) if c.kind != "categoric"]
            degrees = [_degree(c, i) for c, i in own]
            columns = frozenset((str(c.name), i) for c, i in own)
            degree = -1 if -1 in degrees else sum(degrees)
            out.append(ColumnParts(term, columns, variables, factors, degree))
    return out


def _degree(component: Any, column: int) -> int:
    """See :class:`ColumnParts`."""
    if not isinstance(component, Call):
        return 0
    if component.call.callee == "I":
        return 1
    learned = getattr(component.call, "stateful_transform", None)
    return column + 1 if getattr(learned, "raw", False) else -1


def _width(component: Any) -> int:
    shape = np.shape(component.value)
    return int(shape[1]) if len(shape) > 1 else 1


def _variables(component: Any) -> Collection[str]:
    names = component.var_names
    return [names] if isinstance(names, str) else list(names)


def centring_basis(
    values: FloatArray,
    parts: Sequence[ColumnParts],
    weights: FloatArray,
    fixed: Collection[int] = (),
    intercept_apart: bool = False,
) -> FloatArray | None:
    """M, such that values @ M are the centred columns; None where that changes nothing.

    Parameters
    ----------
    values : ndarray, shape (N, d)
        Columns as the formula writes them.
    parts : sequence of ColumnParts
    weights : ndarray, shape (N,)
        How much each row counts.
    fixed : collection of int
        Columns that stay as they are.
    intercept_apart : bool
        Whether an intercept outside of these columns takes up constants.
    """
    d = values.shape[1]
    basis = np.eye(d)
    constant = None if intercept_apart else _constant(values, parts)
    root = np.sqrt(weights / weights.sum())
    centred: dict[int, FloatArray] = {}

    def column(k: int) -> FloatArray:
        out = values[:, k]
        return out - (root**2) @ out if intercept_apart else out

    for k in sorted(range(d), key=lambda k: parts[k].order):
        own = column(k)
        margins = [j for j in range(d) if parts[j].is_margin_of(parts[k])]
        if not parts[k].numeric or k in fixed or not set(margins).isdisjoint(fixed):
            centred[k] = own
            continue
        directions = [basis[:, j] for j in margins]
        columns = [centred[j] for j in margins]
        if constant is not None and not any(not parts[j].numeric for j in margins):
            directions.append(constant)
            columns.append(values @ constant)
        left, coefficients = _residual(own, columns, root)
        if _size(left, root) <= _NOTHING_LEFT * _size(own, root):
            centred[k] = own  # collinear: what is left are rounding errors
            continue
        centred[k] = left
        for direction, coefficient in zip(directions, coefficients, strict=True):
            basis[:, k] -= coefficient * direction
    return None if np.array_equal(basis, np.eye(d)) else basis


def column_scales(
    values: FloatArray,
    basis: FloatArray | None,
    parts: Sequence[ColumnParts],
    weights: FloatArray,
) -> FloatArray:
    """Typical size of each centred column, shape (d,): 1 of intercepts and categories.

    The sd of a numeric predictor, over the rows of its category where it is one's.
    """
    centred = values if basis is None else values @ basis
    out = np.ones(len(parts))
    for k, part in enumerate(parts):
        if not part.numeric:
            continue
        own = centred[:, k]
        share = weights * (values[:, k] != 0) if part.factors else weights
        total = share.sum()
        if total == 0:
            continue
        mean = share @ own / total
        sd = np.sqrt(share @ (own - mean) ** 2 / total)
        # a "slope" on a constant is an intercept in other units
        out[k] = sd if sd > _NOTHING_LEFT * abs(mean) else abs(mean)
    return np.where(out > 0, out, 1.0)


def _constant(values: FloatArray, parts: Sequence[ColumnParts]) -> FloatArray | None:
    """Which sum of columns is 1 in every row: an intercept, or all levels of a factor."""
    for term in dict.fromkeys(part.term for part in parts):
        own = np.array([part.term == term for part in parts])
        if any(part.numeric for part in parts if part.term == term):
            continue
        if np.all(values[:, own].sum(1) == 1):
            return own.astype(float)
    return None


def _residual(
    own: FloatArray, columns: Sequence[FloatArray], root: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What weighted least squares on some columns leaves of a column, and the coefficients."""
    if not columns:
        return own, np.zeros(0)
    sizes = np.array([max(_size(column, root), 1e-300) for column in columns])
    weighted = np.column_stack([root * c / s for c, s in zip(columns, sizes, strict=True)])
    inverse = np.linalg.pinv(weighted.T @ weighted, hermitian=True)
    left, total = own, np.zeros(len(columns))
    for _ in range(_REFINEMENTS):  # the first leaves rounding errors of the size of a far mean
        step = inverse @ (weighted.T @ (root * left)) / sizes
        total += step
        left = own - sum(t * column for t, column in zip(total, columns, strict=True))
    return left, total


def _size(column: FloatArray, root: FloatArray) -> float:
    return float(np.linalg.norm(root * column))
