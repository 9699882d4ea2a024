"""Checks of the model that was fitted: leave-one-out, and predictive checks, as findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import BoolArray, FloatArray
from pymc_vmrp.diagnostics.finding import CARE, FINE, NO_TRUST, NOTE, Finding
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.responses import take_rows
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.results.importance import largest_k, smoothed_weights
from pymc_vmrp.selection.loo import loo
from pymc_vmrp.selection.pointwise import distinct_rows

if TYPE_CHECKING:
    from pymc_vmrp.read_model import ReadModel


_SMALLEST_P, _CARE_Z, _NO_Z = 0.01, 3.0, 5.0
_SHARE_OF_BAD_K = 0.01  # of the rows, whose leave-one-out estimates cannot be trusted
_MOST_OF_LOO = 4e7  # numbers of a matrix of log likelihoods


def leave_one_out(
    model: ReadModel, draws: Draws, ratio: FloatArray | None, rng: np.random.Generator
) -> Iterator[Finding]:
    """The expected log predictive density, and rows that decide their own prediction.

    Parameters
    ----------
    model : ReadModel
    draws : Draws
        With one sample dimension.
    ratio : ndarray, shape (draws,), or None
        Log p(θ, y) − log q(θ) of an approximation's draws.
    rng : Generator
        Chooses rows where there are too many.
    """
    observations = model.observations
    n = len(observations.cell)
    most = max(1, int(_MOST_OF_LOO / len(draws)))
    alone = only_rows_of_a_level(model.glmm, observations)
    distinct = distinct_rows(observations)
    if distinct.size > most:
        chosen = np.sort(rng.choice(n, min(n, most), replace=False))
        alone, distinct = alone[chosen], distinct_rows(take_rows(observations, chosen))
    found = corrected = loo(model.glmm, distinct, draws)
    if ratio is not None and smoothed_weights(ratio)[1] <= largest_k(len(ratio)):
        corrected = loo(model.glmm, distinct, draws, ratio)
    rows = len(distinct.index)
    elpd = float(corrected.elpd[distinct.index].sum()) * n / rows
    p_loo = float((found.lpd - found.elpd)[distinct.index].sum()) * n / rows
    part = "" if rows == n else f", from {rows:,} of {n:,} rows"
    yield Finding(
        "LOO", "elpd", elpd, np.nan, NOTE,
        f"Expected log predictive density {elpd:.1f}, effective number of parameters "
        f"{p_loo:.1f}{part}.",
    )  # fmt: skip
    large = (found.k > found.threshold)[distinct.index]
    yield from _large_k(large[~alone])
    yield from _large_k_alone(large[alone], rows)


def _large_k(large: BoolArray) -> Iterator[Finding]:
    if not len(large):
        return
    bad = float(large.mean())
    verdict = CARE if bad > _SHARE_OF_BAD_K else FINE
    meaning = (
        f"{bad:.1%} of the rows decide their own prediction: look at them, and compare models by "
        "vmrp.select(criterion='kfold')."
        if verdict == CARE
        else "Hardly any row decides its own prediction."
    )
    yield Finding(
        "LOO", "rows with large k-hat", bad, (None, _SHARE_OF_BAD_K), verdict, meaning
    )  # fmt: skip


def _large_k_alone(large: BoolArray, rows: int) -> Iterator[Finding]:
    """Without its only row an effect has but its prior, however good the fit is."""
    bad = float(large.mean()) if len(large) else 0.0
    if bad <= _SHARE_OF_BAD_K:
        return
    yield Finding(
        "LOO", "the same, alone in a level", bad, np.nan, NOTE,
        f"{len(large):,} of {rows:,} rows are the only ones of a level. Without its row such a "
        f"level is as unknown as a new one, so that LOO cannot be had from one fit ({bad:.0%} of "
        "these rows have a large k-hat, and elpd is not to be relied on): compare models by "
        "vmrp.select(criterion='kfold'). It says nothing against the fit.",
    )  # fmt: skip


def only_rows_of_a_level(glmm: GLMM, observations: Observations) -> BoolArray:
    """Rows that touch a level of a grouping factor which no other row touches.

    Smooths and random walks share their effects among all rows. A row whose weight is above one
    stands for several.
    """
    alone = np.zeros(len(observations.cell), dtype=bool)
    once = observations.rows.ones <= 1
    for group in glmm.groups:
        if group.is_smooth:
            continue
        levels = group.members[observations.cell]
        touched = (group.member_values != 0).any(-1)[observations.cell]
        count = np.bincount(levels[touched], minlength=len(group.levels))
        alone |= (touched & (count[levels] == 1)).any(-1)
    return alone & once


def predictive(check: pd.Series) -> Finding:
    """One posterior predictive check, with ``what``, ``z`` and ``p``."""
    p, z = float(check["p"]), abs(float(check["z"]))
    verdict = FINE
    if p < _SMALLEST_P and z > _CARE_Z:
        verdict = NO_TRUST if z > _NO_Z else CARE
    meaning = (
        f"In {check['what']} the data are as the model replicates them."
        if verdict == FINE
        else f"In {check['what']} the data are not as the model replicates them "
        f"(z = {check['z']:.1f}): change the model, for example its family or terms."
    )
    return Finding(
        "predictive check", str(check["what"]), p, (_SMALLEST_P, None), verdict, meaning
    )  # fmt: skip
