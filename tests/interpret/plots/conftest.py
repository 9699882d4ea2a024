"""Effects with known values, made without a fit."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from pymc_vmrp.interpret.result import Effects
from pymc_vmrp.mrp.groups import group_cells


def made_effects(contrasts=("1 - 0",), leave_out=(), lacking=(), scale="response", **levels):
    """Effects by crossed columns; group g has the mean of ``means[g]``, every draw around it."""
    combinations = list(itertools.product(*levels.values()))
    rows = [row for row in combinations if row not in leave_out]
    frame = pd.DataFrame(rows, columns=list(levels))
    groups = group_cells(frame, list(levels)) if levels else group_cells(pd.DataFrame([0]), [])
    rng = np.random.default_rng(3)
    size = groups.size
    values = rng.normal(0.3, 0.4, (len(contrasts), size, 1)) + rng.normal(
        0, 0.1, (len(contrasts), size, 60)
    )
    without = np.isin(np.arange(size), lacking)
    return Effects(
        treatment="t", scale=scale, contrasts=tuple(contrasts), groups=groups, values=values,
        weights=rng.integers(5, 40, size).astype(float),
        arms=pd.DataFrame(np.ones((size, 2)), columns=[0, 1]), parts={"t": values},
        common=("t",), is_linear=True, chains=1, lacking=tuple(without for _ in contrasts),
        again=lambda *_: None,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make():
    return made_effects


@pytest.fixture(scope="session")
def twelve():
    """By a column of text and a number."""
    return made_effects(g=["a", "b", "c", "d"], k=[0, 1, 2])


@pytest.fixture(scope="session")
def many():
    """128 groups."""
    return made_effects(
        region=["Africa", "Asia", "Eastern Europe", "South America"],
        **{f"column_{i}": ["no such thing", "that there is"] for i in range(5)},
    )


def row_labels(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def overlaps(figure, texts):
    """Pairs of texts that cover each other, once drawn."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [
        (a, b) for a, b in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
    ]  # fmt: skip


def smallest_font(figure):
    from matplotlib.text import Text

    return min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text())
