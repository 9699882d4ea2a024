"""Derivatives by central differences: how far apart values are, and what cannot be moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.prediction.rows import NewRows, new_rows
from pymc_vmrp.read_model import ReadModel

_STEP = 2.0**-10  # of a predictor's scale
_LEAST = 2.0**-34  # of its sd: rounding errors grow as steps shrink


def half_steps(x: FloatArray, sd: float) -> FloatArray:
    """How far below and above its value each row is evaluated.

    2⁻¹⁰ sds of the predictor, and no more than 2⁻¹⁰ of the value itself: logarithms and powers
    bend on the scale of their argument, and end at zero.
    """
    scale = sd or 1.0
    return np.asarray(_STEP * np.clip(np.abs(x), scale * _LEAST / _STEP, scale))


@contextmanager
def moving(
    model: ReadModel, frame: pd.DataFrame, moved: Sequence[pd.DataFrame], what: str, name: str,
    argument: str,
) -> Iterator[None]:  # fmt: skip
    """Refuse a number that groups are made of; say of errors beside rows' values that they are.

    Parameters
    ----------
    model : ReadModel
    frame, moved : DataFrame
        The rows, and the same a little below and above the values of ``name``.
    what : str
        What messages call the rows.
    name, argument : str
        The predictor, and the argument that asks for its slope.
    """
    try:
        _check_groups(model, frame, moved, what, name)
        yield
    except _Moved as error:
        raise DataError(f"{argument} {error}") from None
    except DataError as error:
        if not _is_readable(model, frame, what):
            raise
        raise DataError(
            f"{argument} evaluates the model a little below and above the values that {name!r} "
            f"has, where it fails: {error}"
        ) from error


class _Moved(DataError):
    """Values beside those of a predictor would be new groups."""


def _check_groups(
    model: ReadModel, frame: pd.DataFrame, moved: Sequence[pd.DataFrame], what: str, name: str
) -> None:
    # one row tells: no value between those that are known has a group
    own, *beside = (_read(model, one.iloc[:1], what) for one in (frame, *moved))
    for rows in beside:
        for block, new, old in zip(rows.encoder.blocks, rows.unseen, own.unseen, strict=False):
            if set(new) - set(old):
                raise _Moved(
                    "is for predictors whose values may change a little, but groups of "
                    f"{block.factor.name!r} are made of {name!r}: compare two of its values."
                )


def _is_readable(model: ReadModel, frame: pd.DataFrame, what: str) -> bool:
    """Whether the rows as they are can be read, and have no new levels that may be refused."""
    try:
        rows = _read(model, frame, what)
        rows.encoder.encode(rows.encoder.prepare(frame, what), rows.unseen, what)
    except DataError:
        return False
    return not any(rows.unseen)


def _read(model: ReadModel, frame: pd.DataFrame, what: str) -> NewRows:
    return new_rows(model.glmm, model.encoder, frame, what, len(frame))
