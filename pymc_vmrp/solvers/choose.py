"""Which Gaussian solver a model gets: the cheapest that fits into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.gaussian import Solver
from pymc_vmrp.solvers.layout import lay_out
from pymc_vmrp.solvers.partition import Partition, candidates
from pymc_vmrp.solvers.partitioned import PartitionedSolver

SOLVERS = ("auto", "dense", "partitioned")

_DENSE_MATRICES = 6  # p × p matrices alive at once in a dense sweep
_BORDER_MATRICES = 7  # b × b matrices alive at once in a partitioned sweep, those of chunks besides
_BLOCK_MATRICES = 6  # copies of the blocks' matrices: three a state, and two states
# measured on 2 cores, in seconds: per p³ of a dense sweep, per multiplication in blocks, per block,
# and what the bookkeeping of blocks adds to a sweep
_DENSE_SECONDS, _BLOCK_SECONDS, _SECONDS_A_BLOCK = 1e-10, 1.2e-10, 5e-7
_SECONDS_OF_BOOKKEEPING = 5e-4


@dataclass(frozen=True)
class Plan:
    """A way to solve, with its estimated cost.

    Attributes
    ----------
    partition : Partition or None
        None is the dense solver.
    seconds : float
        Estimate for one sweep, without what every solver spends on the rows.
    memory : float
        Bytes.
    """

    partition: Partition | None
    seconds: float
    memory: float


def choose_solver(glmm: GLMM, solver: str = "auto", expand: bool = False) -> Solver:
    """The solver for this model; an error where none fits into memory.

    Parameters
    ----------
    glmm : GLMM
    solver : {"auto", "dense", "partitioned"}
    expand : bool
        Whether its Gaussians are to provide the quadratic that parameter expansion needs.

    Raises
    ------
    VmrpError
        Where the model needs more memory than there is, or cannot be partitioned.
    """
    options = _plans(glmm, solver)
    if not options:
        raise VmrpError(
            "solver='partitioned' needs a group-specific term, and the model has none. Use 'auto'."
        )
    memory = physical_memory()
    best = min(options, key=lambda plan: plan.seconds if plan.memory < memory else np.inf)
    if best.memory > memory:
        raise VmrpError(_too_large(glmm, min(plan.memory for plan in options), memory))
    if best.partition is None:
        return DenseSolver(glmm, expand)
    return PartitionedSolver(glmm, lay_out(glmm, best.partition), expand)


def _plans(glmm: GLMM, solver: str) -> Sequence[Plan]:
    p = float(glmm.n_coefficients)
    plans = []
    if solver in ("auto", "dense"):
        plans.append(Plan(None, _DENSE_SECONDS * p**3, _DENSE_MATRICES * 8 * p**2))
    if solver in ("auto", "partitioned"):
        plans += [_partitioned_plan(glmm, partition) for partition in candidates(glmm)]
    return plans


def _partitioned_plan(glmm: GLMM, partition: Partition) -> Plan:
    n = partition.block_sizes(glmm.groups).astype(float)
    border = float(partition.border_size(glmm))
    t = np.minimum(border, _touched(glmm, partition))
    in_blocks = (n**3 + 2 * n**2 * t + 2 * n * t**2 + t**2).sum()
    seconds = (
        _DENSE_SECONDS * border**3
        + _BLOCK_SECONDS * in_blocks
        + _SECONDS_A_BLOCK * len(n)
        + _SECONDS_OF_BOOKKEEPING
    )
    memory = 8 * (_BORDER_MATRICES * border**2 + _BLOCK_MATRICES * (n**2 + n * t).sum())
    return Plan(partition, float(seconds), float(memory))


def _touched(glmm: GLMM, partition: Partition) -> np.ndarray:
    """At most how many border coefficients each block touches: by its rows, and by the levels."""
    rows = np.bincount(partition.cells, minlength=partition.n_blocks)
    total = np.full(partition.n_blocks, float(glmm.common.size))
    for group, levels in zip(glmm.groups, partition.levels, strict=True):
        if levels is None:
            total += group.d * np.minimum(group.m * rows, len(group.levels))
    return total


def _too_large(glmm: GLMM, needed: float, memory: float) -> str:
    sizes = {"common terms": glmm.common.size} | {f"({g.name})": g.size for g in glmm.groups}
    largest = max(sizes, key=lambda name: sizes[name])
    return (
        f"The model has {glmm.n_coefficients:,} coefficients, {sizes[largest]:,} of them in "
        f"{largest}; solving for them would need {needed / 2**30:,.0f} GB of memory, and this "
        f"machine has {memory / 2**30:,.0f} GB. Use factorization='collapsed' or a coarser "
        "grouping factor."
    )


def physical_memory() -> float:
    """Bytes of memory, or infinity where the system does not say (Windows has no sysconf)."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
