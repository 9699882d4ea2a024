"""Rows that touch several levels of one factor: the order in which engines read them.

Compiled loops read one triangle of a matrix, and add each pair of a row's entries once: levels must
ascend along a row, and no two of its values may belong to one level.
"""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import AnyArray, FloatArray, SmallIntArray


def order_members(codes: SmallIntArray, values: AnyArray) -> tuple[SmallIntArray, AnyArray]:
    """Memberships of each row in ascending order of their levels, as ``GroupEffects`` wants them.

    Where a row touches one level twice, the values are added up in the last of the two.

    Parameters
    ----------
    codes : ndarray, shape (N, m)
    values : ndarray, shape (N, m, d)
    """
    order = np.argsort(codes, axis=1, kind="stable")
    codes = np.take_along_axis(codes, order, axis=1)
    values = np.take_along_axis(values, order[:, :, None], axis=1)
    for i in range(codes.shape[1] - 1):
        twice = codes[:, i] == codes[:, i + 1]
        values[twice, i + 1] += values[twice, i]
        values[twice, i] = 0.0
    return codes.astype(np.int32), values


def is_ordered(members: SmallIntArray, values: FloatArray) -> bool:
    """Whether levels ascend along each row, and of two equal ones the first has zeros."""
    distinct = members[:1] if members.strides[0] == 0 else members  # all rows may be alike
    for i in range(members.shape[1] - 1):
        step = distinct[:, i + 1] - distinct[:, i]
        if (step < 0).any():
            return False
        if (step == 0).any() and values[np.broadcast_to(step == 0, len(members)), i].any():
            return False
    return True
