"""The GLMM: the one description of the model that every door builds and every engine reads.

η = X̃β + Σ_j Z_j u_j, where X̃ holds the intercept and the centred common columns, and u_{j,g} ~
N_d(0, Σ_j) for each level g of grouping factor j. A row of Z_j touches one level, or several with
values of their own (memberships): so are splines and random walks written. Coefficients are laid
out in one vector ``[β, block 1, block 2, ...]``; inside a block they run level by level, effect by
effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from pymc_vmrp.arrays import AnyArray, FloatArray, IndexArray, IntArray, SmallIntArray
from pymc_vmrp.glmm.families.family import Family, Rows, Statistics
from pymc_vmrp.glmm.memberships import is_ordered
from pymc_vmrp.glmm.priors.covariance import CovariancePrior
from pymc_vmrp.glmm.priors.mixtures import ScaleMixture
from pymc_vmrp.glmm.priors.scales import ScalePrior


@dataclass(frozen=True)
class Response:
    """Sufficient statistics of the response, one entry per cell.

    Attributes
    ----------
    name : str
        Name of the response as the formula writes it.
    statistics : tuple of ndarray, shape (N,) each
        What the family's functions take: of counted successes, (successes, trials).
    log_base : float
        Log of the factors of the likelihood that depend on the response alone, such as
        Σ log C(n_i, y_i) over the original rows (0 for Bernoulli rows).
    offset : ndarray, shape (N,), or None
        Known part of η.
    """

    name: str
    statistics: Statistics
    log_base: float = 0.0
    offset: FloatArray | None = None

    def with_offset(self, mean: FloatArray) -> FloatArray:
        """``mean`` of η without its offset, shape (N,), with it."""
        return mean if self.offset is None else mean + self.offset


@dataclass(frozen=True)
class Observations:
    """The response of each respondent, in the order of the data.

    Attributes
    ----------
    name : str
    rows : Rows
        Of any numeric dtype: 0/1 responses are held as int8, and all trials as one number.
    offset : ndarray, shape (rows,), or None
        Known part of each row's η that ``rows`` has not absorbed.
    cell : ndarray of integers, shape (rows,)
        Which cell of the GLMM each row fell into.
    labels : callable
        Makes ``index`` when it is asked for: text for each of millions of rows would be a burden.
    """

    name: str
    rows: Rows
    offset: FloatArray | None
    cell: IndexArray
    labels: Callable[[], AnyArray]

    @property
    def whole_offset(self) -> FloatArray | None:
        """Known part of each row's η, absorbed or not."""
        return self.offset if self.rows.offset is None else self.rows.offset

    @property
    def index(self) -> AnyArray:
        """Labels of the rows, the data frame's own index."""
        return self.labels()


@dataclass(frozen=True)
class FamilyParameter:
    """An auxiliary parameter of the likelihood, such as σ.

    Attributes
    ----------
    name : str
        Bambi's name; also that of its variable in the DataTree.
    prior : ScalePrior or float
        A number fixes the parameter.
    span : (float, float)
        Where its logarithm is looked for at first.
    """

    name: str
    prior: ScalePrior | float
    span: tuple[float, float]


@dataclass(frozen=True)
class CommonTerm:
    """A common term and the columns it owns.

    Attributes
    ----------
    name : str
        Bambi's name of the term; also the name of its variable in the DataTree.
    labels : tuple of str or None
        Coordinates of its columns, or None for a term with one numeric column.
    start, stop : int
        Its columns in ``CommonEffects.columns``.
    """

    name: str
    labels: tuple[str, ...] | None
    start: int
    stop: int


@dataclass(frozen=True)
class Mixture:
    """A prior of coefficients of β that is a normal distribution of random variance.

    Attributes
    ----------
    name : str
        The term it belongs to, or ``"common"`` where it ties the columns of several terms.
    index : tuple of int
        Its coefficients in β.
    prior : ScaleMixture
    """

    name: str
    index: tuple[int, ...]
    prior: ScaleMixture


@dataclass(frozen=True)
class CommonEffects:
    """Intercept and common ("fixed") effects.

    Attributes
    ----------
    columns : ndarray, shape (N, k)
        Design columns without the intercept, before ``center`` is subtracted.
    terms : tuple of CommonTerm
    intercept : bool
        Whether there is an intercept; it comes first in β.
    center : ndarray, shape (k,)
        What is subtracted from each column (zeros when predictors are not centred). The prior
        of the intercept holds at this point of the predictors.
    prior_mean, prior_sd : ndarray, shape (intercept + k,)
        Location of the prior of β, and the sd of normal priors: ``inf`` marks a flat prior, and
        ``nan`` one in ``mixtures``.
    mixtures : tuple of Mixture
        Priors that are neither normal nor flat.
    basis : ndarray, shape (k, k), or None
        ``columns`` are the columns as the formula writes them times this matrix, and slopes as
        written are this matrix times those of ``columns``. None for the identity.
    """

    columns: FloatArray
    terms: tuple[CommonTerm, ...]
    intercept: bool
    center: FloatArray
    prior_mean: FloatArray
    prior_sd: FloatArray
    mixtures: tuple[Mixture, ...] = ()
    basis: FloatArray | None = None

    @property
    def size(self) -> int:
        """Number of coefficients, the intercept included."""
        return int(self.intercept) + self.center.size

    @property
    def normal_precision(self) -> FloatArray:
        """Precision of normal priors, shape (size,): 0 for flat ones, nan for mixtures."""
        return np.asarray(self.prior_sd**-2.0)

    def design(self, columns: FloatArray) -> FloatArray:
        """X̃ for the given raw columns: the intercept's ones and the centred columns."""
        centred = columns - self.center
        if not self.intercept:
            return centred
        return np.column_stack([np.ones(len(columns)), centred])

    def reported_intercept(self, beta: FloatArray) -> FloatArray:
        """The un-centred intercept, for draws of β of shape (..., intercept + k)."""
        return np.asarray(beta[..., 0] - beta[..., 1:] @ self.center)


@dataclass(frozen=True)
class Effect:
    """One of the d effects of a group-specific block.

    Attributes
    ----------
    expression : str
        ``"1"`` for an intercept, else the name of the term that varies by group.
    label : str or None
        Coordinate of the column where the expression has several, else None.
    """

    expression: str
    label: str | None = None

    @property
    def name(self) -> str:
        """Readable name, such as ``1``, ``x`` or ``eth[Black]``."""
        return self.expression if self.label is None else f"{self.expression}[{self.label}]"


@dataclass(frozen=True)
class Report:
    """Linear combinations of a block's effects (d = 1) that results show in their place.

    Attributes
    ----------
    labels : tuple of str
        Names of the K combinations.
    forward : ndarray, shape (K, L)
        Combinations from effects.
    backward : ndarray, shape (L, K)
        Effects from combinations: ``backward @ forward`` is the identity.
    """

    labels: tuple[str, ...]
    forward: FloatArray
    backward: FloatArray


@dataclass(frozen=True)
class GroupEffects:
    """One block of group-specific ("random") effects that share one covariance matrix.

    Attributes
    ----------
    factor : str
        Name of the grouping factor, such as ``state`` or ``state:age``.
    effects : tuple of Effect
        The d effects that vary over the levels.
    levels : tuple of str
        Names of the L levels that occur in the data.
    codes : ndarray of int32, shape (N,) or (N, m)
        Level of each cell; or its m levels (its memberships), in ascending order. Where a cell
        would touch one level twice, both values are in the last of the two, the first has zeros.
    values : ndarray, shape (N, d) or (N, m, d)
        What each effect is multiplied by in each cell (ones for an intercept), for each
        membership. Both arrays may be read-only, and one row or one number in memory where rows
        are alike.
    prior : CovariancePrior
        Prior of Σ (of σ where d = 1).
    title : str, optional
        Name of a block that is not written with a bar, such as the smooth ``s(x)``.
    is_smooth : bool
        Whether effects are coefficients of a basis, which say nothing one by one.
    report : Report, optional
        What results show in place of the effects.
    basis : ndarray, shape (d, d), optional
        ``values`` are what the formula writes times this matrix: centred, where the block has an
        intercept, and in units of their sds. Effects as written are this matrix times those of
        ``values``, and their covariance matrix is basis·Σ·basis'. ``prior`` holds for Σ. None for
        the identity.
    """

    factor: str
    effects: tuple[Effect, ...]
    levels: tuple[str, ...]
    codes: SmallIntArray
    values: FloatArray
    prior: CovariancePrior
    title: str | None = None
    is_smooth: bool = False
    report: Report | None = None
    basis: FloatArray | None = None

    def __post_init__(self) -> None:
        # the compiled loops do not check bounds: a wrong width would scramble the fit
        if self.values.shape != (*self.codes.shape, self.d):
            raise AssertionError(f"{self.name}: values {self.values.shape} for {self.d} effects")
        if self.codes.size and not 0 <= self.codes.min() <= self.codes.max() < len(self.levels):
            raise AssertionError(f"{self.name}: codes outside of its {len(self.levels)} levels")
        if not is_ordered(self.members, self.member_values):
            raise AssertionError(f"{self.name}: memberships out of order")

    @property
    def d(self) -> int:
        """Number of effects per level."""
        return len(self.effects)

    @property
    def members(self) -> SmallIntArray:
        """Levels of each cell, shape (N, m)."""
        return self.codes if self.codes.ndim == 2 else self.codes[:, None]

    @property
    def member_values(self) -> FloatArray:
        """Values of each cell's memberships, shape (N, m, d)."""
        return self.values if self.values.ndim == 3 else self.values[:, None]

    @property
    def m(self) -> int:
        """Number of memberships per cell."""
        return self.members.shape[1]

    @property
    def name(self) -> str:
        """Such as ``1|state`` or ``1+x|state``, or the title."""
        if self.title is not None:
            return self.title
        expressions = list(dict.fromkeys(effect.expression for effect in self.effects))
        return "+".join(expressions) + "|" + self.factor

    @property
    def size(self) -> int:
        """Number of coefficients, L·d."""
        return len(self.levels) * self.d


def same_levels(groups: Sequence[GroupEffects]) -> list[list[int]]:
    """Positions of the blocks whose effects vary over the same levels in every cell."""
    found: dict[object, list[int]] = {}
    for j, group in enumerate(groups):
        key = j if group.m > 1 else group.codes.tobytes()
        found.setdefault(key, []).append(j)
    return list(found.values())


@dataclass(frozen=True)
class DesignRows:
    """Fixed-width sparse rows: row i has value ``values[i, k]`` in column ``columns[i, k]``."""

    columns: SmallIntArray
    values: FloatArray

    def sparse(self, p: int) -> csr_array:
        """The same rows as a sparse matrix with p columns."""
        n, width = self.columns.shape
        entries = (self.values.ravel(), self.columns.ravel(), np.arange(n + 1) * width)
        return csr_array(entries, shape=(n, p))

    def dense(self, p: int) -> FloatArray:
        """The same rows as a dense (N, p) matrix, for tests and small problems."""
        return np.asarray(self.sparse(p).toarray())


@dataclass(frozen=True)
class GLMM:
    """A hierarchical generalised linear model on cells. Engines read it; nothing changes it."""

    family: Family
    response: Response
    common: CommonEffects
    groups: tuple[GroupEffects, ...]
    parameters: tuple[FamilyParameter, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of distinct design rows."""
        return len(self.response.statistics[0])

    @cached_property
    def free_parameters(self) -> tuple[FamilyParameter, ...]:
        """The auxiliary parameters of the likelihood that are not fixed."""
        return tuple(p for p in self.parameters if isinstance(p.prior, ScalePrior))

    @cached_property
    def parameter_priors(self) -> tuple[ScalePrior, ...]:
        """Priors of the free parameters."""
        return tuple(p.prior for p in self.parameters if isinstance(p.prior, ScalePrior))

    def family_arguments(self, free: Iterable[Any]) -> tuple[Any, ...]:
        """φ as the family's functions take it: the fixed parameters beside the ``free`` ones."""
        values = iter(free)
        return tuple(
            next(values) if isinstance(p.prior, ScalePrior) else p.prior for p in self.parameters
        )

    @cached_property
    def n_coefficients(self) -> int:
        """Length p of the coefficient vector."""
        return self.common.size + sum(group.size for group in self.groups)

    @cached_property
    def group_starts(self) -> tuple[int, ...]:
        """First coefficient of each block."""
        sizes = [self.common.size, *(group.size for group in self.groups)]
        return tuple(int(start) for start in np.cumsum(sizes)[:-1])

    @cached_property
    def rows(self) -> DesignRows:
        """The design as fixed-width rows, one per cell."""
        return design_rows(
            self.common.design(self.common.columns),
            [(g.codes, g.values) for g in self.groups],
            self.group_starts,
        )

    def group_slice(self, j: int) -> slice:
        """Where block j lies in the coefficient vector."""
        return slice(self.group_starts[j], self.group_starts[j] + self.groups[j].size)

    def group_index(self, j: int) -> IntArray:
        """Coefficient of each effect of each level of block j, shape (L, d)."""
        where = self.group_slice(j)
        return np.arange(where.start, where.stop).reshape(-1, self.groups[j].d)

    def __repr__(self) -> str:
        blocks = ", ".join(f"{g.name} ({len(g.levels)} levels)" for g in self.groups)
        return (
            f"GLMM({self.family.name}, {self.n_cells} cells, {self.n_coefficients} coefficients; "
            f"{self.common.size} common; {blocks or 'no group-specific terms'})"
        )


def design_rows(
    common: FloatArray,
    groups: list[tuple[SmallIntArray, FloatArray]],
    starts: tuple[int, ...],
) -> DesignRows:
    """Code common columns and group-specific effects as fixed-width rows.

    Parameters
    ----------
    common : ndarray, shape (N, k)
        Intercept and centred common columns.
    groups : list of (codes, values)
        Level of each row, shape (N,), and what each effect is multiplied by, shape (N, d); or
        levels, shape (N, m), and values, shape (N, m, d).
    starts : tuple of int
        First coefficient of each block.
    """
    n, k = common.shape
    width = k + sum(math.prod(values.shape[1:]) for _, values in groups)
    columns = np.empty((n, width), dtype=np.int32)
    cells = np.empty((n, width))
    columns[:, :k] = np.arange(k)
    cells[:, :k] = common
    at = k
    for (codes, values), start in zip(groups, starts, strict=True):
        d = values.shape[-1]
        members = codes.T if codes.ndim == 2 else codes[None]
        for i, level in enumerate(members):
            columns[:, at : at + d] = start + level[:, None] * d + np.arange(d)
            cells[:, at : at + d] = values[:, i] if values.ndim == 3 else values
            at += d
    return DesignRows(columns, cells)
