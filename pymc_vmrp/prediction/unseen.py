"""Levels of new rows that the survey never saw: drawn, warned of, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from pymc_vmrp.errors import DataError, warn
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.prediction.rows import NewRows, refuse_unseen


def check_unseen(rows: NewRows, allowed: bool | None) -> None:
    """Let new levels be drawn from N(0, Σ), or not: a different spelling looks the same.

    Parameters
    ----------
    rows : NewRows
    allowed : bool or None
        True draws any, False refuses any. None warns, and refuses a factor of which all levels are
        new.

    Raises
    ------
    DataError
        Names the factor, its levels in both tables, and the remedy.
    """
    unseen = rows.unseen_levels
    if allowed or not unseen:
        return
    if allowed is False:
        refuse_unseen(rows)
    frame, what = rows.frame, rows.what
    factors = {block.factor.name: block.factor for block in rows.encoder.blocks}
    if rows.strange:
        known = {
            part: level
            for factor in factors.values()
            for part, level in factor.parts().items()
            if part in rows.strange
        }
        told = [
            f"{part!r} ({what} have {_some(frame, part, unseen)}; the survey has "
            f"{abbreviate(known[part], 3)})"
            for part in rows.strange
        ]
        raise DataError(
            f"{what} and the survey have no level in common in {'; '.join(told)}. Spell them alike "
            "in both tables; or, if all of them are new, pass sample_new_groups=True, which draws "
            "their effects from N(0, Σ)."
        )
    told = []
    for name, factor in factors.items():
        new = unseen.get(name, [])
        if not new or len(factor.parts()) > 1:
            continue  # what is new of combinations is no sign of a misspelling
        total = frame[name].nunique() if name in frame.columns else None
        share = "" if total is None else f"{total - len(new)} of the {total} levels of "
        told.append(
            f"{share}{name!r} in {what}; new: {abbreviate(new, 3)} (the survey has "
            f"{abbreviate(factor.levels, 3)})"
        )
    if told:
        warn(
            f"the survey has seen {'; and '.join(told)}. New levels are drawn from N(0, Σ): check "
            "that both tables spell them alike."
        )


def _some(frame: pd.DataFrame, part: str, unseen: Mapping[str, Sequence[str]]) -> str:
    values = frame[part].drop_duplicates().tolist() if part in frame.columns else unseen.get(part)
    return abbreviate(values or [], 3)
