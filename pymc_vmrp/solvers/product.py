"""q(β, u) as a product of independent Gaussians: the strong and partial factorizations.

For given sites and E[Σ⁻¹] the target is Gaussian with precision P and P m = h. The best product of
Gaussians over parts of the coefficients has the same mean m, and the precision of each part is its
block of P (mean field on a Gaussian: Bishop 2006, section 10.1.2). So a solver of the joint model
gives the mean, and solvers of the parts, each with the others' mean as an offset, give the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.gaussian import Gaussian, Solver
from pymc_vmrp.solvers.quadratic import Quadratic, n_products, product_slope, product_slots
from pymc_vmrp.solvers.sites import Sites

_ROWS = 2**16  # at a time, where every product of a row is held


@dataclass(frozen=True)
class Part:
    """Coefficients that are independent of all others in q.

    Attributes
    ----------
    solver : Solver
        Of the model with these terms alone.
    coefficients : slice
        Where they lie in the coefficient vector.
    groups : tuple of int
        Group-specific terms among them; none where they are the common effects.
    """

    solver: Solver
    coefficients: slice
    groups: tuple[int, ...]


@dataclass(frozen=True)
class ProductSolver:
    """Solves for each part on its own, around the mean of the joint Gaussian.

    Attributes
    ----------
    glmm : GLMM
    joint : Solver
        Of the whole model, for the mean.
    parts : tuple of Part
        In the order of the coefficients.
    """

    glmm: GLMM
    joint: Solver
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """See :class:`Solver`: how the mean is solved for."""
        return self.joint.name

    @property
    def operations(self) -> float:
        """See :class:`Solver`."""
        return self.joint.operations + sum(part.solver.operations for part in self.parts)

    @cached_property
    def design(self) -> DenseSolver:
        """Products with X."""
        return DenseSolver(self.glmm)

    def solve(
        self,
        sites: Sites,
        precisions: Sequence[FloatArray],
        common: FloatArray | None = None,
    ) -> ProductGaussian:
        """See :class:`Solver`."""
        joint = self.joint.solve(sites, precisions, common)
        design, parts = self.design, []
        total = design.row_products(joint.mean)
        for part in self.parts:
            own = np.zeros_like(joint.mean)
            own[part.coefficients] = joint.mean[part.coefficients]
            others = total - design.row_products(own)
            around = Sites(sites.precision, sites.shift - sites.precision * others)
            own_precisions = [precisions[j] for j in part.groups]
            beta = None if part.groups else common  # group-specific terms stand without β
            parts.append(part.solver.solve(around, own_precisions, beta))
        mean = np.concatenate([part.mean for part in parts])
        return ProductGaussian(self, sites, joint, tuple(parts), mean)


@dataclass(frozen=True)
class ProductGaussian:
    """Independent Gaussians, one after the other in the coefficient vector."""

    solver: ProductSolver
    sites: Sites
    joint: Gaussian
    parts: tuple[Gaussian, ...]
    mean: FloatArray

    @property
    def log_det_precision(self) -> float:
        """See :class:`Gaussian`."""
        return float(sum(part.log_det_precision for part in self.parts))

    def variances(self) -> FloatArray:
        """See :class:`Gaussian`."""
        return np.concatenate([part.variances() for part in self.parts])

    def marginal_covariance(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`."""
        out = np.zeros((len(index), len(index)))
        for part, where in self._each():
            inside = np.flatnonzero((index >= where.start) & (index < where.stop))
            own = part.marginal_covariance(index[inside] - where.start)
            out[np.ix_(inside, inside)] = own
        return out

    def level_covariances(self, index: IntArray) -> FloatArray:
        """See :class:`Gaussian`; the effects of a level are in one part."""
        out = np.zeros((*index.shape, index.shape[1]))
        for part, where in self._each():
            inside = (index[:, 0] >= where.start) & (index[:, 0] < where.stop)
            out[inside] = part.level_covariances(index[inside] - where.start)
        return out

    def row_moments(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`Gaussian`; moments of independent sums add up."""
        moments = [part.row_moments() for part in self.parts]
        means, variances = zip(*moments, strict=True)
        return np.sum(means, axis=0), np.sum(variances, axis=0)

    def row_response(self, gradient: FloatArray) -> FloatArray:
        """See :class:`Gaussian`; the mean is the joint Gaussian's, and responds as it does."""
        return self.joint.row_response(gradient)

    def quadratic(self) -> Quadratic:
        """See :class:`Gaussian`; of independent parts the products of means are expected."""
        glmm, design = self.solver.glmm, self.solver.design
        curvature = _curvature_at(glmm, self.sites.precision, self.mean)
        first = np.cumsum([1, *(group.d**2 for group in glmm.groups)])
        for part, own in zip(self.solver.parts, self.parts, strict=True):
            inside = own.quadratic().curvature
            if part.groups:
                slots = np.concatenate([np.arange(first[j], first[j + 1]) for j in part.groups])
                curvature[np.ix_(slots, slots)] = inside[1:, 1:]
            else:
                curvature[0, 0] = inside[0, 0]
        right = design.transposed_product(self.sites.shift)
        return Quadratic(curvature, product_slope(glmm, right, self.mean))

    def second_moment(self, j: int) -> FloatArray:
        """See :class:`Gaussian`."""
        for part, gaussian in zip(self.solver.parts, self.parts, strict=True):
            if j in part.groups:
                return gaussian.second_moment(part.groups.index(j))
        raise AssertionError(f"no part holds term {j}")

    def sample(self, rng: np.random.Generator, draws: int) -> FloatArray:
        """See :class:`Gaussian`."""
        return np.concatenate([part.sample(rng, draws) for part in self.parts], axis=1)

    def log_density(self, coefficients: FloatArray) -> FloatArray:
        """See :class:`Gaussian`."""
        parts = [part.log_density(coefficients[:, where]) for part, where in self._each()]
        return np.sum(parts, axis=0)

    def _each(self) -> list[tuple[Gaussian, slice]]:
        wheres = [part.coefficients for part in self.solver.parts]
        return list(zip(self.parts, wheres, strict=True))


def submodel(glmm: GLMM, common: bool, groups: Sequence[int]) -> GLMM:
    """The model with some of its terms alone, on the same cells.

    Parameters
    ----------
    glmm : GLMM
    common : bool
        Whether to keep the common effects.
    groups : sequence of int
        Group-specific terms to keep.
    """
    effects = glmm.common
    if not common:
        none = np.zeros(0)
        effects = replace(
            effects,
            columns=np.empty((glmm.n_cells, 0)),
            terms=(),
            intercept=False,
            center=none,
            prior_mean=none,
            prior_sd=none,
            mixtures=(),
        )
    return replace(glmm, common=effects, groups=tuple(glmm.groups[j] for j in groups))


def _curvature_at(glmm: GLMM, weights: FloatArray, mean: FloatArray) -> FloatArray:
    """Σ_i w_i φ_i φ_i' with the coefficients at their mean; see :class:`Quadratic`."""
    rows, slots = glmm.rows, product_slots(glmm)
    out = np.zeros((n_products(glmm),) * 2)
    for at in range(0, glmm.n_cells, _ROWS):
        columns, values = rows.columns[at : at + _ROWS], rows.values[at : at + _ROWS]
        products = np.zeros((len(columns), len(out)))
        # every row has an entry of the same effect and term at the same place
        for k, column in enumerate(columns[0]):
            effect, size, first = slots[column]
            for b in range(size):
                u = mean[columns[:, k] - effect + b]
                products[:, first + b * size + effect] += values[:, k] * u
        out += (products.T * weights[at : at + _ROWS]) @ products
    return out
