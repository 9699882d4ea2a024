"""Rows of each arm of a treatment by group, and groups that lack one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import BoolArray
from pymc_vmrp.interpret.contrasts import Contrast, arm_codes, arms_of, is_numeric
from pymc_vmrp.interpret.sample import Sample
from pymc_vmrp.mrp.groups import Groups, group_cells
from pymc_vmrp.read_model import ReadModel


def is_factor(model: ReadModel, column: pd.Series) -> bool:
    """Whether values are levels: a number is not, unless a common term has it in ``C()``."""
    named = re.compile(rf"\bC\(\s*`?{re.escape(str(column.name))}`?\s*[,)]")
    return not is_numeric(column) or any(named.search(t.name) for t in model.glmm.common.terms)


def count_arms(
    sample: Sample, treatment: str, groups: Groups, as_levels: bool = False
) -> pd.DataFrame:
    """Rows of each arm in each group; without columns where the treatment is a number.

    ``as_levels`` counts numbers as well, each value an arm.
    """
    column = sample.frame[treatment]
    arms = arms_of(column)
    if is_numeric(column) and len(arms) > 2 and not as_levels:
        return pd.DataFrame(index=range(groups.size))
    codes = arm_codes(column, arms)
    table = np.zeros((groups.size, len(arms)))
    np.add.at(table, (groups.codes, codes), sample.weights)
    return pd.DataFrame(table, columns=arms)


def pooled_groups(
    seen: Sample | None,
    treatment: str,
    contrasts: Sequence[Contrast],
    groups: Groups,
    as_levels: bool = False,
    sample: Sample | None = None,
) -> tuple[BoolArray, ...]:
    """For each contrast, the groups in which the model saw no row of one of its arms.

    What a model takes from other groups depends on the rows that it was fitted to, ``seen``,
    whichever the effects are averaged over. Where those lack the columns of the groups, the rows of
    ``sample`` stand in; without it no group is called pooled.
    """
    if seen is not None and set(groups.names) <= set(seen.frame.columns):
        known = group_cells(seen.frame, groups.names)
        arms = count_arms(seen, treatment, known, as_levels)
        place = {key: row for row, key in enumerate(_keys(known))}
        arms = arms.reindex([place.get(key, -1) for key in _keys(groups)], fill_value=0.0)
    elif sample is not None:
        arms = count_arms(sample, treatment, groups, as_levels)
    else:
        return tuple(np.zeros(groups.size, dtype=bool) for _ in contrasts)
    return tuple(_lacks(arms, contrast) for contrast in contrasts)


def _keys(groups: Groups) -> list[tuple[object, ...]]:
    if not groups.names:
        return [()]
    return list(groups.labels().itertuples(index=False, name=None))


def _lacks(arms: pd.DataFrame, contrast: Contrast) -> BoolArray:
    """Groups without rows of an arm; values of a number that no row has are no arms."""
    empty = np.zeros(len(arms), dtype=bool)
    for value in () if contrast.is_slope else (contrast.low, contrast.high):
        if value in arms.columns:
            empty |= arms[value].to_numpy() == 0
    return empty
