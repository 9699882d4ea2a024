"""Summaries that modellers ask for: fixed effects, group effects, variance components.

All are computed from draws, so they serve the result of any inference method, and all are data
frames with the columns of ``az.summary``: mean, sd, and a central interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_probability
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, Effect, GroupEffects
from pymc_vmrp.glmm.variables import (
    Variables,
    coords,
    correlation_pairs,
    covariance_variables,
    parameter_variables,
    written_common_variables,
)
from pymc_vmrp.glmm.written import written_coefficients, written_covariance
from pymc_vmrp.summaries.table import Table
from pymc_vmrp.summaries.variance import between_variances, residual_variance

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel


CI_PROB = 0.9
_BLOCK = 2**22  # values sorted at a time


def fixef(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Intercept and common ("fixed") effects.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        What ``model.fit`` or ``vmrp.fit`` returned, by any inference method, or the model's own
        library.
    ci_prob : float
        Probability of the central intervals.

    Returns
    -------
    DataFrame
        One row per coefficient (``Intercept``, ``x``, ``educ[HS]``), with columns ``mean``,
        ``sd``, and ``eti90_lb``, ``eti90_ub`` for ``ci_prob=0.9``.
    """
    read, draws = _read(model, idata, ci_prob, "fixef()")
    return _fixef(read.glmm, draws, ci_prob)


def ranef(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Group-specific ("random") effects: how far each level lies from the common effects.

    Parameters
    ----------
    model, idata, ci_prob
        As in :func:`fixef`.

    Returns
    -------
    DataFrame
        Rows by ``factor``, ``level`` and ``effect`` (``"1"`` is the intercept), columns as in
        :func:`fixef`. ``ranef(model, idata).loc["state"]`` are those of one factor, and
        ``["mean"].unstack("effect")`` puts a factor's effects side by side.
    """
    read, draws = _read(model, idata, ci_prob, "ranef()")
    glmm = read.glmm
    written = written_coefficients(glmm, draws.coefficients)
    tables = []
    for j, group in enumerate(glmm.groups):
        effects, levels = written[:, glmm.group_slice(j)], group.levels
        if group.report is not None:
            effects, levels = effects @ group.report.forward.T, group.report.labels
        elif group.is_smooth:
            continue  # the coefficients of a basis say nothing by themselves: see smooth_effects
        table = describe(effects, ci_prob)
        index = [(group.factor, level, e.name) for level in levels for e in group.effects]
        tables.append(_indexed(table, index, ["factor", "level", "effect"]))
    if not tables:
        raise DataError("The model has no group-specific term.")
    return pd.concat(tables)


def coef(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Group totals: for each level, the common effect and the level's own effect together.

    Parameters
    ----------
    model, idata, ci_prob
        As in :func:`fixef`.

    Returns
    -------
    DataFrame
        Rows by ``factor``, ``level`` and ``effect``, as in :func:`ranef`: each is the sum of the
        common effect of the same name (the intercept, for ``"1"``) and the level's deviation, the
        intercept or slope that holds in that level. Effects without a common one, or of a factor
        that the common term codes otherwise, are as in :func:`ranef`. Each factor counts alone:
        the effects of the others are at zero, the mean of their population.

    Raises
    ------
    DataError
        Where there is no group-specific term, or a pm.Model does not say which common effect
        belongs to which others.
    """
    read, draws = _read(model, idata, ci_prob, "coef()")
    glmm = read.glmm
    written = written_coefficients(glmm, draws.coefficients)
    common = written_common_variables(glmm, written)
    index, columns = [], []
    for j, group in enumerate(glmm.groups):
        if group.is_smooth:
            continue
        if group.title is not None:
            raise DataError(
                "coef() needs a formula, which says that the effects of (x|g) vary around the "
                f"common effect of x; {read.kind} does not. See fixef() and ranef()."
            )
        effects = written[:, glmm.group_slice(j)].reshape(len(written), -1, group.d)
        shared = [_common_of(glmm, common, group, effect) for effect in group.effects]
        for i, level in enumerate(group.levels):
            index += [(group.factor, level, effect.name) for effect in group.effects]
            columns += [effects[:, i, k] + base for k, base in enumerate(shared)]
    if not index:
        raise DataError("The model has no group-specific term.")
    table = describe(np.column_stack(columns), ci_prob)
    return _indexed(table, index, ["factor", "level", "effect"])


def _common_of(
    glmm: GLMM, common: Variables, group: GroupEffects, effect: Effect
) -> FloatArray | float:
    """Draws of the common effect that an effect varies around; 0 where there is none."""
    if effect.expression == "1":
        return common["Intercept"][1] if "Intercept" in common else 0.0
    labels = tuple(e.label for e in group.effects if e.expression == effect.expression)
    for term in glmm.common.terms:
        if term.name == effect.expression and (term.labels or (None,)) == labels:
            values = common[term.name][1]
            return values if effect.label is None else values[:, labels.index(effect.label)]
    return 0.0


def varcorr(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Standard deviations and correlations of the group-specific effects.

    Parameters
    ----------
    model, idata, ci_prob
        As in :func:`fixef`.

    Returns
    -------
    DataFrame
        Rows by ``factor`` and ``parameter``: ``sd(1)``, ``sd(x)``, ``corr(1,x)``; of
        gaussian and t families also ``sigma`` of the factor ``residual``. Columns as in
        :func:`fixef`.
    """
    read, draws = _read(model, idata, ci_prob, "varcorr()")
    glmm = read.glmm
    index, columns = [], []
    for group, centred in zip(glmm.groups, draws.covariances, strict=True):
        covariance = written_covariance(group, centred)
        sd = np.sqrt(np.einsum("skk->sk", covariance))
        names = [effect.name for effect in group.effects]
        index += [(group.factor, f"sd({name})") for name in names]
        columns += list(sd.T)
        for a, b in correlation_pairs(group):
            index.append((group.factor, f"corr({names[a]},{names[b]})"))
            columns.append(covariance[:, a, b] / (sd[:, a] * sd[:, b]))
    named = parameter_variables(glmm, draws.parameters)
    if "sigma" in named:
        index.append(("residual", "sigma"))
        columns.append(named["sigma"][1])
    if not index:
        raise DataError("The model has no group-specific term.")
    table = describe(np.column_stack(columns), ci_prob)
    return _indexed(table, index, ["factor", "parameter"])


def summary(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Common effects, variance components and the likelihood's parameters, in one table.

    Parameters
    ----------
    model, idata, ci_prob
        As in :func:`fixef`.

    Returns
    -------
    DataFrame
        Rows by ``part`` (``common``, ``group_specific``: sds and correlations, ``likelihood``)
        and ``parameter``, named as in the posterior of a :class:`pymc_vmrp.Model`; columns as in
        :func:`fixef`.

    See Also
    --------
    fixef, ranef, varcorr, icc
    """
    read, draws = _read(model, idata, ci_prob, "summary()")
    glmm = read.glmm
    parts = {"common": _fixef(glmm, draws, ci_prob)}
    components: dict[str, Any] = {}
    for group, covariance in zip(glmm.groups, draws.covariances, strict=True):
        components |= covariance_variables(glmm, group, covariance)
    parts["group_specific"] = _described(glmm, components, ci_prob)
    parts["likelihood"] = _described(glmm, parameter_variables(glmm, draws.parameters), ci_prob)
    present = {name: part for name, part in parts.items() if len(part)}
    return Table(pd.concat(present, names=["part", "parameter"]))


def icc(model: Any, idata: xr.DataTree, ci_prob: float = CI_PROB) -> pd.DataFrame:
    """Intraclass correlations: the share of the unexplained variance that lies between groups.

    The variance of a term with slopes is its mean over the rows of the data (Johnson 2014). What
    is left within groups depends on the family:

    - gaussian: σ²; t: σ²ν/(ν − 2) (infinite for ν ≤ 2);
    - bernoulli and binomial: of the latent variable behind the link, π²/3 (logit), 1 (probit),
      π²/6 (cloglog);
    - poisson, negativebinomial, gamma, on the log scale, by the lognormal approximation of
      Nakagawa, Johnson & Schielzeth (2017): log(1 + 1/λ), log(1 + 1/λ + 1/α), log(1 + 1/α). λ is
      the expected count, averaged over the rows of the data and the distribution of the group
      effects.

    Parameters
    ----------
    model, idata, ci_prob
        As in :func:`fixef`.

    Returns
    -------
    DataFrame
        One row per group-specific term, such as ``1|state``, and ``all`` for their sum. Columns
        as in :func:`fixef`. What common effects explain counts for neither side.

    Raises
    ------
    DataError
        Where the residual variance has no one value: beta-binomial responses, known sds.

    References
    ----------
    Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R²_GLMM to random slopes models.
    Methods in Ecology and Evolution 5(9). Nakagawa, S., Johnson, P. C. D. and Schielzeth, H.
    (2017). The coefficient of determination R² and intra-class correlation coefficient from
    generalized linear mixed-effects models revisited and expanded. Journal of the Royal Society
    Interface 14(134).
    """
    read, draws = _read(model, idata, ci_prob, "icc()")
    glmm = read.glmm
    if not glmm.groups:
        raise DataError("The model has no group-specific term.")
    between = between_variances(read, draws)
    total = between.sum(1) + residual_variance(read, draws)
    shares = np.column_stack([between, between.sum(1)]) / total[:, None]
    names = [group.name for group in glmm.groups]
    return describe(shares, ci_prob).set_axis(pd.Index([*names, "all"], name="term"))


def describe(draws: FloatArray, ci_prob: float) -> pd.DataFrame:
    """Mean, sd and central interval of each column of ``draws``, shape (draws, k)."""
    check_probability("ci_prob", ci_prob)
    n, k = draws.shape
    tails = np.array([0.5 * (1 - ci_prob), 0.5 * (1 + ci_prob)])
    step = max(1, _BLOCK // n)
    bounds = [np.quantile(draws[:, at : at + step], tails, axis=0) for at in range(0, k, step)]
    low, high = np.concatenate(bounds, axis=1) if bounds else np.empty((2, 0))
    percent = f"{100 * float(ci_prob):.4g}"
    return pd.DataFrame(
        {
            "mean": draws.mean(0),
            "sd": draws.std(0, ddof=min(1, n - 1)),
            f"eti{percent}_lb": low,
            f"eti{percent}_ub": high,
        }
    )


def _read(model: Any, idata: xr.DataTree, ci_prob: float, call: str) -> tuple[ReadModel, Draws]:
    """The model, and draws with one sample dimension."""
    check_probability("ci_prob", ci_prob)
    read = read_model(model, call)
    return read, read.reports.draws(idata).flat()


def _fixef(glmm: GLMM, draws: Draws, ci_prob: float) -> pd.DataFrame:
    named = written_common_variables(glmm, written_coefficients(glmm, draws.coefficients))
    return _described(glmm, named, ci_prob)


def _described(glmm: GLMM, variables: dict[str, Any], ci_prob: float) -> pd.DataFrame:
    """One row per element of named variables, labelled as ArviZ does."""
    known = coords(glmm)
    index: list[str] = []
    columns: list[FloatArray] = []
    for name, (dims, values) in variables.items():
        if not dims:
            index.append(name)
            columns.append(values)
            continue
        (dim,) = dims  # no such variable has more than one
        index += [f"{name}[{label}]" for label in known[dim]]
        columns += list(values.T)
    table = describe(np.column_stack(columns) if columns else np.empty((1, 0)), ci_prob)
    return table.set_axis(pd.Index(index, name="parameter"))


def _indexed(table: pd.DataFrame, index: list[Any], names: list[str]) -> pd.DataFrame:
    return table.set_axis(pd.MultiIndex.from_tuples(index, names=names))
