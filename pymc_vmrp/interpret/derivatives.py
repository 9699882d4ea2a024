"""Derivatives by central differences: how far apart values are, and what cannot be moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.interpret.versions import Versions
from pymc_vmrp.prediction.rows import NewRows, new_rows
from pymc_vmrp.read_model import ReadModel

_STEP = 2.0**-10  # of a predictor's scale
_LEAST = 2.0**-24  # of its sd: rounding errors grow as steps shrink


def half_steps(x: FloatArray, sd: float) -> FloatArray:
    """How far below and above its value each row is evaluated.

    2⁻¹⁰ sds of the predictor, and no more than 2⁻¹⁰ of the value itself: logarithms and powers
    bend on the scale of their argument, and end at zero.
    """
    scale = sd or 1.0
    return np.asarray(_STEP * np.clip(np.abs(x), scale * _LEAST / _STEP, scale))


@contextmanager
def moving(
    model: ReadModel, frame: pd.DataFrame, what: str, name: str, argument: str
) -> Iterator[None]:
    """Say of errors that arise below and above rows' values, and not at them, that they do."""
    try:
        yield
    except DataError as error:
        if not _is_readable(model, frame, what):
            raise
        raise DataError(
            f"{argument} evaluates the model a little below and above the values that {name!r} "
            f"has, where it fails: {error}"
        ) from error


def check_moved(versions: Versions, frame: pd.DataFrame, name: str, argument: str) -> None:
    """Refuse a number that groups are made of: values beside its own would be new groups."""
    if not any(map(any, (rows.unseen for rows in versions.rows))):
        return
    own = _read(versions.model, frame, versions.rows[0].what).unseen
    for rows in versions.rows:
        for block, new, old in zip(rows.encoder.blocks, rows.unseen, own, strict=False):
            if set(new) - set(old):
                raise DataError(
                    f"{argument} is for predictors whose values may change a little, but groups of "
                    f"{block.factor.name!r} are made of {name!r}: compare two of its values."
                )


def _is_readable(model: ReadModel, frame: pd.DataFrame, what: str) -> bool:
    try:
        rows = _read(model, frame, what)
        rows.encoder.encode(rows.encoder.prepare(frame, what), rows.unseen, what)
    except DataError:
        return False
    return True


def _read(model: ReadModel, frame: pd.DataFrame, what: str) -> NewRows:
    return new_rows(model.glmm, model.encoder, frame, what, len(frame))
