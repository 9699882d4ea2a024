"""`amce`: average marginal component effects of a conjoint design, by group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import names_of
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.glmm.cells import collapse
from pymc_vmrp.interpret.arms import count_arms, pooled_groups
from pymc_vmrp.interpret.components import ATTRIBUTE, LEVEL, ComponentEffects
from pymc_vmrp.interpret.contrasts import arms_of, find_contrasts
from pymc_vmrp.interpret.estimate import (
    Question,
    check_by,
    check_options_of_effects,
    check_treatment,
    check_within,
    estimate,
    read_sample,
)
from pymc_vmrp.interpret.result import Effects, group_columns
from pymc_vmrp.interpret.sample import Sample, seen_sample
from pymc_vmrp.interpret.versions import with_value
from pymc_vmrp.mrp.groups import group_cells

if TYPE_CHECKING:
    import xarray as xr

_MOST_LEVELS = 50
_MOST_ROWS = 5_000_000
_SUM = 1e-6  # how far from one probabilities may sum to

Distribution = Mapping[str, Mapping[Any, float]]


def amce(
    model: Any,
    idata: xr.DataTree,
    attributes: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    data: pd.DataFrame | None = None,
    weights: str | None = None,
    distribution: Distribution | None = None,
    scale: str = "response",
    *,
    base: Mapping[str, Any] | None = None,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool | None = None,
) -> ComponentEffects:
    """Estimate average marginal component effects of a conjoint design.

    The effect of a level of an attribute is the difference that it makes against the base level,
    averaged over the distribution of the other attributes (Hainmueller, Hopkins & Yamamoto 2014,
    their equation 5), for each draw and in each group.

    By default that distribution is the joint empirical one: of the profiles that each group's rows
    show. Where some combinations were never shown, the model predicts them all the same; leave
    rows that cannot go with a level out of ``data``.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        The model that ``idata`` is a fit of; one row for each profile that was shown.
    idata : DataTree
        A fit of it.
    attributes : str or sequence of str
        Columns that the model reads. Numbers count as levels.
    by : str or sequence of str, optional
        Columns that define groups; other attributes may be among them (interactions of components).
    data, weights
        As in :func:`pymc_vmrp.effects`.
    distribution : dict of attribute to {level: probability}, optional
        Marginal distributions to average over, independent of one another and of the rest of a
        row. Attributes that are not named keep the joint distribution that they have in the
        rows. Levels that are not named have probability zero.
    scale : {"response", "link"}
        Such as differences of the probability that a profile is chosen.
    base : dict of attribute to level, optional
        What the others are compared with; the first level by default.
    sample_new_groups, random_seed, progressbar
        As in :func:`pymc_vmrp.effects`; all components have the same draws of new levels.

    Returns
    -------
    ComponentEffects

    Raises
    ------
    DataError
        Where an attribute is not in the model, does not vary, or has more than 50 levels; where
        all effects are equal over a column of ``by`` by construction; where a distribution names
        an unknown attribute or level, or does not sum to one, or averaging over it would take more
        than five million rows.

    References
    ----------
    Hainmueller, J., Hopkins, D. J. and Yamamoto, T. (2014). Causal inference in conjoint analysis:
    understanding multidimensional choices via stated preference experiments. Political Analysis
    22, 1-30.
    """
    read = read_model(model, "amce()")
    check_options_of_effects(read, scale, sample_new_groups, random_seed, progressbar)
    columns = group_columns(by)
    names = _attribute_names(attributes, columns)
    for name in names:
        check_treatment(read, name, columns)
    sample = read_sample(read, data, weights, columns)
    frame, seen = sample.frame, sample if data is None else seen_sample(read)
    levels = {name: _levels(frame[name]) for name in names}
    given = _check_distribution(distribution, levels, columns)
    bases = _check_base(base, levels)
    # the same draws of new levels for all attributes
    seed = int(np.random.default_rng(random_seed).integers(2**32))
    draws = read.reports.draws(idata)
    chains, flat = draws.coefficients.shape[0], draws.flat()
    found, contrasts = {}, {}
    for name in names:
        pairs = [(bases[name], level) for level in levels[name] if level != bases[name]]
        contrasts[name] = find_contrasts(frame[name], pairs)
        question = Question(
            read,
            flat,
            chains,
            name,
            contrasts[name],
            seen,
            True,
            scale,
            sample_new_groups,
            seed,
            progressbar,
        )
        others = {k: v for k, v in given.items() if k != name}
        found[name] = _estimate(question, sample, columns, others)
        check_within(found[name])
    _check_differ(found)
    return ComponentEffects(found, contrasts)


def _estimate(
    question: Question, sample: Sample, by: list[str], others: Distribution
) -> Effects:  # fmt: skip
    if not others:
        return estimate(question, sample, by)
    name, base = question.treatment, question.contrasts[0].low
    spread = spread_over(sample, with_value(sample.frame, name, base), others)
    groups = group_cells(sample.frame, by)  # rows of arms are those of the sample
    return replace(
        estimate(question, spread, by),
        arms=count_arms(sample, name, groups, question.as_levels),
        lacking=pooled_groups(
            question.seen, name, question.contrasts, groups, question.as_levels, sample
        ),
    )


def spread_over(sample: Sample, frame: pd.DataFrame, others: Distribution) -> Sample:
    """Rows of a frame, in place of a sample's, with attributes that follow given distributions.

    Raises
    ------
    DataError
        Where that would be too many rows.
    """
    kept = [name for name in frame.columns if name not in others]
    cells = collapse([frame[name] for name in kept], len(frame))
    weights = cells.sum(sample.weights)
    likely = {k: {x: p for x, p in v.items() if p > 0} for k, v in others.items()}
    size = math.prod(len(one) for one in likely.values())
    if size * cells.size > _MOST_ROWS:
        raise DataError(
            f"distribution= of {', '.join(others)} makes {size:,} profiles for each of "
            f"{cells.size:,} distinct rows, more than {_MOST_ROWS:,} together: name fewer "
            "attributes, and leave the others at their joint distribution in the data."
        )
    made = frame.iloc[np.repeat(cells.first, size)].reset_index(drop=True)
    grid = pd.MultiIndex.from_product([list(one) for one in likely.values()])
    chances = [[likely[name][x] for x in grid.get_level_values(i)] for i, name in enumerate(likely)]
    for i, name in enumerate(likely):
        values = list(grid.get_level_values(i)) * cells.size
        made = with_value(made, name, pd.Series(values, dtype=object).to_numpy())
        if made[name].dtype == object:
            made[name] = made[name].astype(frame[name].dtype)
    profile = np.prod(np.asarray(chances, dtype=float), axis=0)
    return Sample(made, np.repeat(weights, size) * np.tile(profile, cells.size), sample.what)


# --- checks ------------------------------------------------------------------------------------


def _attribute_names(attributes: Any, by: Sequence[str]) -> list[str]:
    names = names_of("attributes", attributes, "a column name, a list of column names")
    if not names:
        raise DataError("attributes= names no column: list the attributes of the profiles.")
    clash = [name for name in (ATTRIBUTE, LEVEL) if name in by]
    if clash:
        raise DataError(f"by= cannot use a column called {clash[0]!r} in a result: rename it.")
    return list(dict.fromkeys(names))


def _levels(column: pd.Series) -> list[Any]:
    levels = arms_of(column)
    if len(levels) > _MOST_LEVELS:
        raise DataError(
            f"The attribute {column.name!r} has {len(levels)} values, more than {_MOST_LEVELS}: "
            "cut it into levels, or use effects(treatment=..., contrast=...)."
        )
    if len(levels) < 2:
        raise DataError(
            f"The attribute {column.name!r} does not vary: all rows have {levels[0]!r}."
        )
    return levels


def _check_base(
    base: Mapping[str, Any] | None, levels: Mapping[str, list[Any]]
) -> dict[str, Any]:  # fmt: skip
    """The base level of each attribute."""
    if base is not None and not isinstance(base, Mapping):
        raise DataError(f"base= must be a dict of attribute to level, not {base!r}.")
    found = {name: one[0] for name, one in levels.items()}
    for name, level in (base or {}).items():
        _check_level("base=", name, level, levels)
        found[name] = level
    return found


def _check_distribution(
    distribution: Distribution | None, levels: Mapping[str, list[Any]], by: Sequence[str]
) -> Distribution:
    if distribution is None:
        return {}
    form = "a dict of attribute to {level: probability}"
    if not isinstance(distribution, Mapping):
        raise DataError(f"distribution= must be {form}, not {distribution!r}.")
    for name, chances in distribution.items():
        if not isinstance(chances, Mapping):
            raise DataError(f"distribution= must be {form}: {name!r} has {chances!r}.")
        for level, chance in chances.items():
            _check_level("distribution=", name, level, levels)
            is_number = isinstance(chance, int | float | np.number) and np.isfinite(chance)
            if not is_number or chance < 0:
                raise DataError(
                    f"distribution= gives {level!r} of {name!r} the probability {chance!r}: "
                    "probabilities are numbers from 0 to 1."
                )
        total = float(sum(chances.values()))
        if abs(total - 1) > _SUM:
            raise DataError(
                f"The probabilities that distribution= gives to levels of {name!r} sum to "
                f"{total:.6g}, not to 1."
            )
        if name in by:
            raise DataError(
                f"distribution= has {name!r}, which by= groups by: leave it out of one of them."
            )
    return distribution


def _check_level(argument: str, name: Any, level: Any, levels: Mapping[str, list[Any]]) -> None:
    if name not in levels:
        raise DataError(
            f"{argument} has {name!r}, which is none of the attributes: {', '.join(levels)}."
        )
    if level not in levels[name]:
        raise DataError(
            f"{argument} has {level!r}, which is no level of {name!r}: it has "
            f"{abbreviate(levels[name], 10)}."
        )


def _check_differ(found: Mapping[str, Effects]) -> None:
    """Refuse groups along which the effects of all attributes are equal by construction."""
    errors = []
    for one in found.values():
        try:
            check_by(one)
        except DataError as error:
            errors.append(error)
    if len(errors) == len(found):
        raise errors[0]
