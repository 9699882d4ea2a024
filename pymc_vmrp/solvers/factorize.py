"""Which coefficients q(β, u) holds together: the choice of a factorization, and its solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.choose import choose_solver, physical_memory
from pymc_vmrp.solvers.collapsed import CollapsedSolver
from pymc_vmrp.solvers.gaussian import Solver
from pymc_vmrp.solvers.product import Part, ProductSolver, submodel

FACTORIZATIONS = ("joint", "partial", "strong", "collapsed")

_MOST_KEPT = 200  # coefficients that are kept by default; their cost is cubic
# matrices alive at once: kept × kept, and others × kept in two states
_KEPT_MATRICES, _CROSS_MATRICES = 12, 8


def factorized_solver(
    glmm: GLMM,
    factorization: str = "joint",
    kept: Sequence[str] | None = None,
    solver: str = "auto",
    expand: bool = False,
) -> Solver:
    """The solver of q(β, u) under a factorization; see :meth:`pymc_vmrp.Model.approximate`.

    Raises
    ------
    VmrpError
        Where ``kept`` names no term of the model, or does not go with the factorization; or where
        the model does not fit into memory.
    """
    if factorization == "collapsed":
        if solver != "auto":
            raise VmrpError("factorization='collapsed' has its own solver: leave solver='auto'.")
        names = default_kept(glmm) if kept is None else kept
        kept_terms = _kept_terms(glmm, names)
        by_level = _largest_by_level(glmm, kept_terms)
        border = tuple(j for j in kept_terms if j != by_level)
        _check_memory(glmm, border)
        return CollapsedSolver(glmm, border, by_level)
    if kept is not None:
        raise VmrpError("kept= goes with factorization='collapsed' only.")
    if factorization == "joint":
        return choose_solver(glmm, solver, expand)
    joint = _mean_solver(glmm, solver)
    everything = tuple(range(len(glmm.groups)))
    terms = [everything] if factorization == "partial" else [(j,) for j in everything]
    parts = []
    if glmm.common.size:
        own = choose_solver(submodel(glmm, True, ()), "dense", expand)
        parts.append(Part(own, slice(0, glmm.common.size), ()))
    for groups in terms:
        if groups:
            where = slice(glmm.group_slice(groups[0]).start, glmm.group_slice(groups[-1]).stop)
            own = choose_solver(submodel(glmm, False, groups), "auto", expand)
            parts.append(Part(own, where, groups))
    return ProductSolver(glmm, joint, tuple(parts))


def _mean_solver(glmm: GLMM, solver: str) -> Solver:
    """A solver of the joint model, or conjugate gradients where that does not fit into memory."""
    try:
        return choose_solver(glmm, solver)
    except VmrpError:
        if solver != "auto":
            raise
        return CollapsedSolver(glmm)


def default_kept(glmm: GLMM) -> tuple[str, ...]:
    """Main effects: the smallest, as long as they have 200 coefficients together; the largest."""
    main = sorted(
        (group for group in glmm.groups if ":" not in group.factor), key=lambda group: group.size
    )
    sizes = np.cumsum([group.size for group in main])
    names = [group.name for group, size in zip(main, sizes, strict=True) if size <= _MOST_KEPT]
    if len(names) < len(main) and main[-1].size > _MOST_KEPT:
        names.append(main[-1].name)
    return tuple(names)


def _largest_by_level(glmm: GLMM, kept: tuple[int, ...]) -> int | None:
    """The kept term that is too large for the border, if its levels are independent given it."""
    large = [j for j in kept if glmm.groups[j].size > _MOST_KEPT]
    if not large:
        return None
    largest = max(large, key=lambda j: glmm.groups[j].size)
    where, first = glmm.group_slice(largest), glmm.rows.columns[0]
    entries = np.count_nonzero((first >= where.start) & (first < where.stop))
    return largest if entries == glmm.groups[largest].d else None  # else rows share levels


def _check_memory(glmm: GLMM, kept: tuple[int, ...]) -> None:
    b = glmm.common.size + sum(glmm.groups[j].size for j in kept)
    needed = 8.0 * b * (_KEPT_MATRICES * b + _CROSS_MATRICES * (glmm.n_coefficients - b))
    if needed > physical_memory():
        raise VmrpError(
            f"factorization='collapsed' with {b:,} of {glmm.n_coefficients:,} coefficients kept "
            f"would need {needed / 2**30:,.0f} GB of memory. Name fewer terms in kept=."
        )


def _kept_terms(glmm: GLMM, names: Sequence[str]) -> tuple[int, ...]:
    known = [group.name for group in glmm.groups]
    if isinstance(names, str):
        raise VmrpError(f"kept must be a sequence of terms such as ({names!r},), not one string.")
    for name in names:
        if name not in known:
            raise VmrpError(
                f"kept has {name!r}, which is no group-specific term of the model; there are "
                f"{', '.join(map(repr, known)) or 'none'}."
            )
    return tuple(j for j, name in enumerate(known) if name in set(names))
