"""Sizes and marks that pictures of effects share, in inches and points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymc_vmrp.errors import DataError
from pymc_vmrp.interpret.plots.estimates import Estimates

FloatArray = NDArray[np.float64]

SMALL, FONT = 7, 8  # points
MOST_ROWS = 500  # a picture of more is longer than files of pictures hold
_CHARACTER = 0.0075  # inches per point of size
MANY_ROWS = 40  # from which on they are closer


def text_width(labels: Sequence[str], size: float = FONT) -> float:
    """Room that the longest of some labels needs."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    return _CHARACTER * size * longest + 0.1


def row_size(rows: int, methods: int = 1) -> tuple[float, int]:
    """Height of a row, and the size of its label."""
    height, font = (0.2, FONT) if rows <= MANY_ROWS else (0.16, SMALL)
    return height + 0.06 * (methods - 1), font


def check_rows(rows: int, remedy: str) -> None:
    """Refuse a picture that no file would hold."""
    if rows > MOST_ROWS:
        raise DataError(f"A picture has at most {MOST_ROWS} rows, not {rows:,}: {remedy}")


def name_rows(axis: Any, labels: Sequence[str], font: int) -> None:
    """A row each, the first on top."""
    axis.set_yticks(range(len(labels)), labels, fontsize=font)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="y", lw=0.3)
    axis.tick_params(axis="x", labelsize=FONT)


def zero_line(axis: Any) -> None:
    """Where there is no effect."""
    axis.axvline(0, color="0.4", lw=0.8, zorder=0)


def average_line(axis: Any, average: float, **options: Any) -> None:
    """The average effect; under what else is there, unless a ``zorder`` is given."""
    axis.axvline(average, **({"color": "C2", "lw": 1, "ls": "--", "zorder": 0} | options))


def draw_intervals(
    axis: Any,
    estimates: Estimates,
    y: FloatArray,
    hollow: NDArray[np.bool_],
    *,
    color: str,
    marker: str,
    label: str,
) -> None:
    """Points and their intervals, those that are there; hollow ones where asked for."""
    bounded = np.isfinite(estimates.low) & np.isfinite(estimates.high)
    axis.hlines(
        y[bounded], estimates.low[bounded], estimates.high[bounded], color=color, lw=1, zorder=2
    )
    style: dict[str, Any] = {"ls": "", "marker": marker, "ms": 4, "color": color, "zorder": 3}
    axis.plot(estimates.mean[~hollow], y[~hollow], label=label, **style)
    if hollow.any():
        axis.plot(
            estimates.mean[hollow], y[hollow], mfc="white", **style,
            label=f"{label}, the group lacks an arm",
        )  # fmt: skip
