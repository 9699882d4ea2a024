"""`effects`: how a treatment's effect differs across groups, as draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import (
    check_choice,
    check_flag,
    check_progressbar,
    check_seed,
    check_text,
)
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.interpret.arms import count_arms, is_factor, pooled_groups
from pymc_vmrp.interpret.comparators import compare_plain
from pymc_vmrp.interpret.contrasts import Contrast, find_contrasts
from pymc_vmrp.interpret.derivatives import half_steps, moving
from pymc_vmrp.interpret.result import Effects, group_columns
from pymc_vmrp.interpret.sample import Sample, given_sample, own_sample, seen_sample
from pymc_vmrp.interpret.versions import (
    Versions,
    make_versions,
    mean_designs,
    mean_responses,
    shares_of,
    with_value,
)
from pymc_vmrp.mrp.groups import Groups, group_cells
from pymc_vmrp.prediction.predict import rows_at_a_time
from pymc_vmrp.prediction.rows import OFFSET
from pymc_vmrp.read_model import ReadModel

if TYPE_CHECKING:
    import xarray as xr


SCALES = ("response", "link")
_SAME = 1e-9  # effects closer than this part of their size are equal by construction


@dataclass(frozen=True)
class Question:
    """Which effect is asked for, of a fit.

    Attributes
    ----------
    model : ReadModel
    draws : Draws
        With one sample dimension.
    chains : int
    treatment : str
    contrasts : tuple of Contrast
    seen : Sample or None
        The rows that the model was fitted to, where they are known.
    as_levels : bool
        Whether the treatment's values are arms, numbers included.
    scale : {"response", "link"}
    sample_new_groups : bool or None
    random_seed : int, Generator or None
    progressbar : bool or None
    """

    model: ReadModel
    draws: Draws
    chains: int
    treatment: str
    contrasts: tuple[Contrast, ...]
    seen: Sample | None
    as_levels: bool
    scale: str
    sample_new_groups: bool | None
    random_seed: int | np.random.Generator | None
    progressbar: bool | None

    @property
    def is_linear(self) -> bool:
        """Whether effects are those on the linear predictor."""
        return self.scale == "link" or self.model.glmm.family.link == "identity"


def effects(
    model: Any,
    idata: xr.DataTree,
    treatment: str,
    by: str | Sequence[str] | None = None,
    data: pd.DataFrame | None = None,
    weights: str | None = None,
    scale: str = "response",
    *,
    contrast: Any = None,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool | None = None,
) -> Effects:
    """Estimate the effect of a treatment in each group.

    For each draw the effect in a group is the average over its rows of the difference that the
    treatment makes, all else in the row as it is (Alley 2024; Gelman, Hill & Vehtari 2020, section
    14.4). Where the link is the identity that is the common slope plus every varying slope that
    applies.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        A fit of it, by any inference method.
    treatment : str
        A column that the model reads: two or more arms, or a number.
    by : str or sequence of str, optional
        Columns that define the groups; None is one group of all.
    data : DataFrame, optional
        Rows to average over, such as the cells of a population. None is the model's own data,
        where ``by`` must be among the columns that the model reads.
    weights : str, optional
        A column of ``data``: how many each row stands for.
    scale : {"response", "link"}
        Of the effects: differences of probabilities, expected counts ..., or of the linear
        predictor, such as log odds.
    contrast : pair of values, list of pairs, "pairwise" or "slope", optional
        Which values are compared, ``(low, high)``. By default every arm with the first; a number
        of more than two values needs one. "slope" is the derivative at each row's own value.
        With it ``data`` may hold rows of one arm alone: the effect on the treated.
    sample_new_groups : bool, optional
        About levels that the model never saw, as in :func:`pymc_vmrp.poststratify`.
    random_seed : int or Generator, optional
        For new levels.
    progressbar : bool, optional

    Returns
    -------
    Effects

    Raises
    ------
    DataError
        Where the treatment is not in the model, does not vary, or not within any group; where a
        column of ``by`` is missing, or makes no difference by construction; where weights are
        negative, or mean responses not finite.

    References
    ----------
    Alley, J. (2024). Using hierarchical models to estimate heterogeneous effects. Gelman, A.,
    Hill, J. and Vehtari, A. (2020). Regression and Other Stories. Cambridge University Press.
    """
    read = read_model(model, "effects()")
    check_text("treatment=", treatment, "the name of a column")
    check_options_of_effects(read, scale, sample_new_groups, random_seed, progressbar)
    columns = group_columns(by)
    check_treatment(read, treatment, columns)
    sample = read_sample(read, data, weights, columns)
    # a contrast that is named may be asked of rows of one arm: the effect on the treated
    arms_of_data = data is not None and contrast is None
    seen = sample if data is None else seen_sample(read)
    column = (sample if arms_of_data or seen is None else seen).frame[treatment]
    draws = read.reports.draws(idata)
    question = Question(
        read, draws.flat(), draws.coefficients.shape[0], treatment,
        find_contrasts(column, contrast), seen, is_factor(read, column), scale, sample_new_groups,
        random_seed, progressbar,
    )  # fmt: skip
    found = estimate(question, sample, columns)
    if data is None or arms_of_data:
        check_within(found)
    check_by(found)
    if data is not None:
        return found
    return replace(found, plain=partial(compare_plain, read, treatment, question.contrasts))


def read_sample(
    model: ReadModel,
    data: pd.DataFrame | None,
    weights: str | None,
    columns: Sequence[str],
    argument: str = "by=",
) -> Sample:
    """The rows to average over."""
    if data is not None:
        return given_sample(model, data, weights, columns, argument)
    if weights is not None:
        raise DataError(
            "weights= names a column of data=, which is missing; the model's own data count by the "
            "weights that the model was built with."
        )
    return own_sample(model, columns, argument)


def estimate(question: Question, sample: Sample, by: Sequence[str]) -> Effects:
    """Effects by group, over the rows of a sample."""
    versions = _frames(question, sample)
    if not question.contrasts[0].is_slope:
        return _estimate(question, sample, by, *versions)
    model, name = question.model, question.treatment
    with moving(model, sample.frame, versions[0], sample.what, name, "contrast='slope'"):
        return _estimate(question, sample, by, *versions)


def _estimate(
    question: Question,
    sample: Sample,
    by: Sequence[str],
    frames: list[pd.DataFrame],
    pairs: list[tuple[int, int]],
    step: FloatArray | float,
) -> Effects:
    model, treatment = question.model, question.treatment
    groups = group_cells(sample.frame, by)
    versions = make_versions(
        model, frames, question.draws, sample.what,
        chunk_size=rows_at_a_time(len(question.draws)),
        sample_new_groups=question.sample_new_groups, random_seed=question.random_seed,
    )  # fmt: skip
    shares = shares_of(sample.weights, groups.codes, groups.size) / step
    parts = _parts(question, versions, shares, groups, pairs)
    if question.is_linear:
        values = sum(parts.values(), np.zeros(next(iter(parts.values())).shape))
    else:
        means = mean_responses(versions, shares, groups.codes, groups.size, question.progressbar)
        values = np.stack([means[high] - means[low] for low, high in pairs])
    counts = np.bincount(groups.codes, weights=sample.weights, minlength=groups.size)
    return Effects(
        treatment=treatment,
        scale=question.scale,
        contrasts=tuple(one.label for one in question.contrasts),
        groups=replace(groups, codes=np.arange(groups.size)),
        values=values,
        weights=counts,
        arms=count_arms(sample, treatment, groups, question.as_levels),
        parts=parts,
        common=(*(term.name for term in model.glmm.common.terms), OFFSET),
        is_linear=question.is_linear,
        chains=question.chains,
        lacking=pooled_groups(
            question.seen, treatment, question.contrasts, groups, question.as_levels, sample
        ),
        again=partial(estimate_population, question),
    )


def _frames(
    question: Question, sample: Sample
) -> tuple[list[pd.DataFrame], list[tuple[int, int]], FloatArray | float]:
    """The frames to predict for; the places of low and high of each contrast; rows' steps."""
    name, frame = question.treatment, sample.frame
    if question.contrasts[0].is_slope:
        x = frame[name].to_numpy(dtype=float)
        mean = np.average(x, weights=sample.weights)
        half = half_steps(x, float(np.sqrt(np.average((x - mean) ** 2, weights=sample.weights))))
        low, high = x - half, x + half
        moved = [with_value(frame, name, at) for at in (low, high)]
        return moved, [(0, 1)], high - low
    frames: list[pd.DataFrame] = []
    places: dict[Any, int] = {}
    for contrast in question.contrasts:
        for value in (contrast.low, contrast.high):
            if value not in places:
                places[value] = len(frames)
                frames.append(with_value(frame, name, value))
    return frames, [(places[one.low], places[one.high]) for one in question.contrasts], 1.0


def _parts(
    question: Question,
    versions: Versions,
    shares: FloatArray,
    groups: Groups,
    pairs: list[tuple[int, int]],
) -> dict[str, FloatArray]:
    """What each term adds to the effects on the linear predictor: (contrasts, groups, draws)."""
    rows = mean_designs(versions, shares, groups.codes, groups.size, question.progressbar)
    coefficients = versions.coefficients
    shape = (len(pairs), groups.size, versions.n_draws)
    parts: dict[str, FloatArray] = {}
    for k, (low, high) in enumerate(pairs):
        change = rows[high][0] - rows[low][0]
        known = rows[high][1] - rows[low][1]
        if known.any():
            parts.setdefault(OFFSET, np.zeros(shape))[k] = known[:, None]
        change.eliminate_zeros()
        for t in np.unique(coefficients.owner[change.indices]):
            mine = np.flatnonzero(coefficients.owner == t)
            name = coefficients.terms[t]
            parts.setdefault(name, np.zeros(shape))[k] = change[:, mine] @ coefficients.values[mine]
    if not parts:
        raise DataError(
            f"No term of the model changes with {question.treatment!r} between the values that are "
            "compared."
        )
    return parts


# --- checks ------------------------------------------------------------------------------------


def check_options_of_effects(
    model: ReadModel, scale: Any, sample_new_groups: Any, random_seed: Any, progressbar: Any
) -> None:
    """Refuse bad arguments, and means that a model does not give."""
    check_choice("scale", scale, SCALES)
    check_seed(random_seed, generator=True)
    check_progressbar(progressbar)
    if sample_new_groups is not None:
        check_flag("sample_new_groups", sample_new_groups)
    if scale == "response":
        model.check_has_mean()


def check_treatment(model: ReadModel, treatment: str, by: Sequence[str]) -> None:
    """Refuse a treatment that the model does not read, or that groups are made of."""
    needed = list(model.encoder.needed)
    if treatment not in needed:
        raise DataError(
            f"The treatment {treatment!r} is no column that the model reads: it reads "
            f"{abbreviate(needed, 10)}."
        )
    if treatment in by:
        raise DataError(
            f"by= has the treatment {treatment!r} itself: leave it out; every arm is compared "
            "within each group."
        )


def check_within(found: Effects) -> None:
    """Refuse a treatment that no group has two arms of."""
    if not found.arms.shape[1] or not found.groups.names:
        return
    if ((found.arms > 0).sum(axis=1) < 2).all():
        raise DataError(
            f"The treatment {found.treatment!r} does not vary within any group of by= "
            f"{', '.join(found.groups.names)}: its effect cannot be told from the groups' own. "
            "Group by coarser columns."
        )


def check_by(found: Effects) -> None:
    """Refuse columns along which effects are equal by construction."""
    groups = found.groups
    size = np.abs(found.values).max()
    for k, name in enumerate(groups.names):
        others = [at for j, at in enumerate(groups.position) if j != k]
        if len(groups.levels[k]) < 2:
            continue
        if others:
            _, rest = np.unique(np.stack(others), axis=1, return_inverse=True)
            rest = rest.reshape(-1)
        else:
            rest = np.zeros(groups.size, dtype=np.int64)
        first = np.unique(rest, return_index=True)[1]
        if len(first) == groups.size:
            continue  # it never varies while the others stay
        if (np.abs(found.values - found.values[:, first[rest]]) <= _SAME * size).all():
            raise DataError(
                f"Effects of {found.treatment!r} do not differ by {name!r}: they are equal by "
                f"construction, as no term of the model lets them vary along it. Leave {name!r} "
                f"out of by=, or add a term such as (1 + {found.treatment}|{name}) and fit again."
            )


def estimate_population(
    question: Question, cells: pd.DataFrame, weights: str | None, by: str | Sequence[str] | None
) -> Effects:
    """The same effects over the cells of a population, whose treatment does not matter."""
    columns, treatment = group_columns(by), question.treatment
    check_treatment(question.model, treatment, columns)
    if any(contrast.is_slope for contrast in question.contrasts):  # at each row's own value
        return estimate(
            question, given_sample(question.model, cells, weights, columns, what="cells"), columns,
        )  # fmt: skip
    sample = given_sample(
        question.model, cells, weights, columns, what="cells", without=[treatment]
    )
    frame = with_value(sample.frame, treatment, question.contrasts[0].low)
    found = estimate(question, replace(sample, frame=frame), columns)
    pooled = pooled_groups(
        question.seen, treatment, question.contrasts, found.groups, question.as_levels
    )
    return replace(found, arms=found.arms.iloc[:, :0], lacking=pooled)
