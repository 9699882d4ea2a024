"""Which coefficients can be solved block by block: the partition behind the arrowhead solver.

Given the border, the blocks are independent: no row touches two of them. Blocks are the levels of
one grouping factor, with every coefficient whose level belongs to one of them ("nested" levels).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pymc_vmrp.arrays import IntArray
from pymc_vmrp.glmm.spec import GLMM, GroupEffects

_JOINED = 4  # of how many of the largest terms pairs are tried as partition factors


@dataclass(frozen=True)
class Partition:
    """Coefficients split into blocks and a border.

    Attributes
    ----------
    factor : str
        What the blocks are the levels of.
    cells : ndarray of int64, shape (N,)
        Block of each cell.
    levels : tuple of (ndarray of int64, shape (L,)) or None
        For each group-specific term the block of each of its levels, or None for the border.
    n_blocks : int
    """

    factor: str
    cells: IntArray
    levels: tuple[IntArray | None, ...]
    n_blocks: int

    def has(self, j: int) -> bool:
        """Whether the levels of term j belong to blocks."""
        return self.levels[j] is not None

    def block_sizes(self, groups: Sequence[GroupEffects]) -> IntArray:
        """Coefficients in each block."""
        sizes = np.zeros(self.n_blocks, dtype=np.int64)
        for group, levels in zip(groups, self.levels, strict=True):
            if levels is not None:
                sizes += group.d * np.bincount(levels, minlength=self.n_blocks)
        return sizes

    def border_size(self, glmm: GLMM) -> int:
        """Coefficients in the border."""
        return glmm.n_coefficients - int(self.block_sizes(glmm.groups).sum())


def candidates(glmm: GLMM) -> Iterator[Partition]:
    """Partitions worth considering: by each term's factor, and by what two large terms share."""
    groups = glmm.groups
    seen = []
    for j, group in enumerate(groups):
        if group.m > 1 or group.factor in (other.factor for other in groups[:j]):
            continue
        codes = group.members[:, 0].astype(np.int64)
        partition = _by_codes(glmm, group.factor, codes, len(group.levels))
        seen.append(partition)
        yield partition
    single = [j for j, group in enumerate(groups) if group.m == 1]
    largest = sorted(single, key=lambda j: -groups[j].size)[:_JOINED]
    for i, j in combinations(largest, 2):
        if any(p.n_blocks > 1 and p.has(i) and p.has(j) for p in seen):
            continue  # their own factor is a term, and a candidate already
        codes, size = _components(groups[i], groups[j])
        if size > 1:
            name = f"what {groups[i].factor} and {groups[j].factor} share"
            yield _by_codes(glmm, name, codes, size)


def _by_codes(glmm: GLMM, factor: str, codes: IntArray, size: int) -> Partition:
    levels = tuple(_nested(group, codes, size) for group in glmm.groups)
    return Partition(factor, codes, levels, size)


def _nested(group: GroupEffects, codes: IntArray, size: int) -> IntArray | None:
    """The block of each level, or None where a level meets two blocks, or a cell's levels do."""
    if len(group.levels) < size:
        return None  # quickly: some block would have no level
    block = np.full(len(group.levels), -1, dtype=np.int64)
    for members in group.members.T:
        block[members] = codes
    if not all(np.array_equal(block[members], codes) for members in group.members.T):
        return None
    empty = np.flatnonzero(block < 0)  # no row touches these: any block will do
    block[empty] = empty % size
    return block


def _components(a: GroupEffects, b: GroupEffects) -> tuple[IntArray, int]:
    """Blocks of levels of two factors that no cell connects."""
    n_a, n_b = len(a.levels), len(b.levels)
    ours, theirs = a.members[:, 0], b.members[:, 0].astype(np.int64)
    edges = (np.ones(len(ours), dtype=np.int8), (ours, n_a + theirs))
    graph = coo_array(edges, shape=(n_a + n_b, n_a + n_b))
    _, labels = connected_components(graph, directed=False)
    _, codes = np.unique(labels[ours], return_inverse=True)
    return codes.astype(np.int64), int(codes.max()) + 1
