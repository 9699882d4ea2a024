"""What the models share: the data of groups, and their effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm


def groups(seed: int, n: int = 300, levels: int = 12) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(0, levels, n)


def grid(seed: int, rows: int, columns: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Every combination of a row and a column."""
    return np.random.default_rng(seed), *np.divmod(np.arange(rows * columns), columns)


def expit(eta: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-eta))


def effects(levels: int) -> Any:
    """Centred effects ``u`` of so many levels, with a half-normal ``sd``."""
    return pm.Normal("u", 0, pm.HalfNormal("sd", 1), shape=levels)
