"""Which rows are left out together: at random within like responses, or whole groups."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import AnyArray, IndexArray, IntArray


def stratified_folds(y: AnyArray, folds: int, rng: np.random.Generator) -> IntArray:
    """Fold of each row, shape (rows,): of any run of ``folds`` like responses one in each fold."""
    n = len(y)
    order = np.lexsort([rng.random(n), y])
    runs = rng.permuted(np.tile(np.arange(folds), (-(-n // folds), 1)), axis=1)
    out = np.empty(n, dtype=np.int64)
    out[order] = runs.ravel()[:n]
    return out


def grouped_folds(group: IndexArray, folds: int, rng: np.random.Generator) -> IntArray:
    """Fold of each row, shape (rows,): levels whole, the largest first into the smallest fold.

    There are as many folds as levels at most.
    """
    sizes = np.bincount(group)
    levels = rng.permutation(np.flatnonzero(sizes))
    levels = levels[np.argsort(-sizes[levels], kind="stable")]
    filled = np.zeros(min(folds, len(levels)))
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    for level in levels:
        fold_of[level] = np.argmin(filled)
        filled[fold_of[level]] += sizes[level]
    return fold_of[group]
