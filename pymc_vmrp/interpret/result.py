"""`Effects`: draws of a treatment's effect in each group, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_choice, check_probability
from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.interpret.variation import (
    find_ranks,
    finite_sd,
    level_means,
    pooled_sd,
    variance_shares,
)
from pymc_vmrp.mrp.groups import Groups, by_columns
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.summaries.summary import describe
from pymc_vmrp.summaries.table import Table

if TYPE_CHECKING:
    import xarray as xr


EFFECT = "effect"
CONTRAST = "contrast"
CI_PROB = 0.9

# columns and dimensions of results, which a column of by= would collide with
_TAKEN = frozenset({
    EFFECT, CONTRAST, "weight", "which", "method", "note", "attribute", "level", "component",
    "mean", "median", "sd", "p", "p_positive", "pooled", "p_smallest", "p_largest",
})  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class Effects:
    """Effects of a treatment by group.

    Attributes
    ----------
    treatment : str
    scale : {"response", "link"}
    contrasts : tuple of str
        What is compared, such as ``"1 - 0"``, or "slope".
    groups : Groups
    values : ndarray, shape (contrasts, groups, draws)
    weights : ndarray, shape (groups,)
        Rows, or people, of each group.
    arms : DataFrame
        Rows of each arm by group; without columns where the treatment is a number.
    parts : dict of str to ndarray
        What each term adds to the effects on the linear predictor; shaped as ``values``.
    common : tuple of str
        Names of the common terms.
    is_linear : bool
        Whether ``values`` are the sum of ``parts``.
    chains : int
    lacking : tuple of ndarray of bool, each of shape (groups,)
        For each contrast, groups in which the model saw no row of one of its arms.
    again : callable
        (sample's data, weights, by) → the same effects over other rows.
    plain : callable, optional
        (effects, method, ci_prob) → the table of :meth:`compare`; without it there is none.
    """

    treatment: str
    scale: str
    contrasts: tuple[str, ...]
    groups: Groups
    values: FloatArray
    weights: FloatArray
    arms: pd.DataFrame
    parts: Mapping[str, FloatArray]
    common: tuple[str, ...]
    is_linear: bool
    chains: int
    lacking: tuple[BoolArray, ...]
    again: Callable[..., Effects]
    plain: Callable[..., pd.DataFrame] | None = None

    def __repr__(self) -> str:
        by = ", ".join(self.groups.names) or "nothing"
        return (
            f"Effects of {self.treatment!r} ({', '.join(self.contrasts)}; {self.scale} scale) in "
            f"{self.groups.size} groups by {by}, {self.values.shape[-1]:,} draws\n{self.table()!r}"
        )

    # --- draws ----------------------------------------------------------------------------------

    @property
    def group_shares(self) -> FloatArray:
        """Weights of the groups, which sum to one."""
        return np.asarray(self.weights / self.weights.sum())

    @property
    def draws(self) -> xr.DataTree:
        """A DataTree: ``posterior`` holds ``effect`` with dims (chain, draw, contrast, *by).

        A single contrast is a coordinate without a dimension.
        """
        import xarray as xr

        dims, laid = self.groups.lay_out(np.moveaxis(self.values, 1, 0))
        laid = laid.reshape(len(self.contrasts), self.chains, -1, *laid.shape[2:])
        laid = np.moveaxis(laid, 0, 2)
        sample = {"chain": np.arange(self.chains), "draw": np.arange(laid.shape[1])}
        coords: dict[str, Any] = {**sample, CONTRAST: list(self.contrasts), **self.groups.coords()}
        effect = xr.Dataset({EFFECT: (("chain", "draw", CONTRAST, *dims), laid)}, coords=coords)
        if len(self.contrasts) == 1:
            effect = effect.squeeze(CONTRAST)
        _, people = self.groups.lay_out(self.weights)
        constant = xr.Dataset({"weight": (dims, people)}, coords=self.groups.coords())
        tree = build_tree({"posterior": effect, "constant_data": constant})
        tree.attrs |= {"treatment": self.treatment, "scale": self.scale}
        return tree

    def labels(self) -> pd.DataFrame:
        """The groups: one row each, with the columns of ``by``."""
        return self.groups.labels()

    # --- tables ---------------------------------------------------------------------------------

    def table(self, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """Effects by group.

        Returns
        -------
        DataFrame
            Indexed by the groups, and by the contrast where there are several: ``mean``,
            ``median``, ``sd``, an equal-tailed interval, ``p_positive`` (the probability that the
            effect is above zero), ``n[arm]`` (rows of each arm), and ``pooled``: the model saw no
            row of one of the arms in this group, so that its effect is taken from the others.
        """
        check_probability("ci_prob", ci_prob)
        pieces, labels = [], []
        for k, contrast in enumerate(self.contrasts):
            table = _described(self.values[k], ci_prob)
            table["p_positive"] = (self.values[k] > 0).mean(axis=1)
            for arm in self.arms.columns:
                table[f"n[{arm}]"] = as_counts(self.arms[arm].to_numpy())
            table["pooled"] = self.lacking[k]
            pieces.append(table)
            labels.append(self.labels().assign(**several(self.contrasts, contrast)))
        full, groups = (pd.concat(one, ignore_index=True) for one in (pieces, labels))
        return Table(indexed(full, groups))

    def average(
        self, weights: str | Mapping[Any, float] | None = None, ci_prob: float = CI_PROB
    ) -> pd.DataFrame:
        """The average effect over the groups at hand, beside that of a new group.

        The *finite-population* average weighs the groups that there are by their rows; it is what
        an average treatment effect means in most papers. The *superpopulation* slope is that of
        the common terms: the mean of all groups that might be drawn. With few levels it is far
        less certain, since the levels at hand say little of the others (Gelman & Hill 2007,
        section 21.2).

        Parameters
        ----------
        weights : "equal" or mapping of a group to its weight, optional
            A group is a label, or a tuple of labels; those that are not named have no weight. None
            weighs groups by their rows.
        ci_prob : float

        Returns
        -------
        DataFrame
            ``finite population`` on the scale of the effects; ``superpopulation`` where it is the
            sum of common terms, which it is on the linear predictor.
        """
        check_probability("ci_prob", ci_prob)
        shares = self._given_shares(weights)
        rows = {}
        for k, contrast in enumerate(self.contrasts):
            rows[contrast, "finite population"] = shares @ self.values[k]
            if self.is_linear:
                of_common = [self.parts[name][k] for name in self.common if name in self.parts]
                if of_common:
                    rows[contrast, "superpopulation"] = shares @ np.sum(of_common, axis=0)
        table = _described(np.stack(list(rows.values())), ci_prob)
        table.index = pd.MultiIndex.from_tuples(list(rows), names=[CONTRAST, "average"])
        return Table(table.droplevel(0) if len(self.contrasts) == 1 else table)

    def extremes(self, contrast: str | None = None, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """The groups with the smallest, the median and the largest effect by posterior mean.

        Returns
        -------
        DataFrame
            With ``p``: the probability that the group is what it is called, over draws.
        """
        values = self.values[self._at(contrast)]
        self._check_several("extremes()")
        order = np.argsort(values.mean(axis=1), kind="stable")
        ranks = find_ranks(values)
        places = {"smallest": 0, "median": (len(order) - 1) // 2, "largest": len(order) - 1}
        chosen = [int(order[at]) for at in places.values()]
        table = _described(values[chosen], ci_prob)
        table["p"] = [
            ((ranks.first[i] <= at + 1) & (at + 1 <= ranks.last[i])).mean()
            for i, at in zip(chosen, places.values(), strict=True)
        ]
        labels = self.labels().iloc[chosen].reset_index(drop=True)
        full = pd.concat([pd.Series(list(places), name="which"), labels, table], axis=1)
        return Table(full.set_index("which"))

    def ranks(self, contrast: str | None = None, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """Ranks of the groups, 1 the smallest effect: mean, interval, P(smallest), P(largest).

        Groups of equal effects share the mean of their ranks, and are all the smallest or largest.
        """
        ranks = find_ranks(self.values[self._at(contrast)])
        table = _described((ranks.first + ranks.last) / 2, ci_prob)
        table["p_smallest"] = (ranks.first == 1).mean(axis=1)
        table["p_largest"] = (ranks.last == self.groups.size).mean(axis=1)
        return self._indexed(table)

    def contrast(
        self, a: Any, b: Any, contrast: str | None = None, ci_prob: float = CI_PROB
    ) -> pd.DataFrame:
        """The effect in group ``a`` less that in group ``b``, and the probability that it is > 0.

        Parameters
        ----------
        a, b : label, tuple of labels, or dict
            Levels of the ``by`` columns, in their order. A dict may name some of the columns: the
            average over the groups that have these levels, by their rows.
        """
        values = self.values[self._at(contrast)]
        difference = self._of("a", a) @ values - self._of("b", b) @ values
        table = _described(difference[None], ci_prob)
        table["p_positive"] = [(difference > 0).mean()]
        table.index = pd.Index([f"({_shown(a)}) - ({_shown(b)})"], name="groups")
        return Table(table)

    def spread(self, contrast: str | None = None, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """How much effects vary.

        Returns
        -------
        DataFrame
            ``finite population``: the sd of the effects of the groups at hand, by draw, weighted
            by rows; ``all draws``: the sd of all draws of all groups, uncertainty included.
        """
        values = self.values[self._at(contrast)]
        by_draw = finite_sd(values, self.group_shares)
        table = _described(by_draw[None], ci_prob)
        table.index = pd.Index(["finite population"], name="sd of effects")
        table.loc["all draws"] = np.nan
        table.loc["all draws", "mean"] = pooled_sd(values, self.group_shares)
        return Table(table)

    def shares(self, contrast: str | None = None, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """Which part of the variation of effects each term accounts for; they sum to one.

        For each draw the share of a term is the covariance of what it adds to the effects with the
        effects, over their variance (both over the groups, weighted by rows). On the scale of the
        response what terms add is multiplied by the factor that fits effects best, and
        ``remainder`` is what is left: the link's curvature.
        """
        k = self._at(contrast)
        self._check_several("shares()")
        parts = {name: part[k] for name, part in self.parts.items()}
        found = variance_shares(self.values[k], parts, self.group_shares, self.is_linear)
        table = _described(np.stack(list(found.values())), ci_prob)
        table.index = pd.Index(list(found), name="term")
        return Table(table)

    def moderators(self, contrast: str | None = None, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """Effects within each level of each ``by`` column.

        Returns
        -------
        DataFrame
            Indexed by ``column`` and ``level``: the average effect of the groups with that level
            (weighted by rows), with its interval, and the smallest, quartiles and largest of the
            groups' posterior means.
        """
        values = self.values[self._at(contrast)]
        rows, index = [], []
        spread = []
        for name, levels, at in zip(
            self.groups.names, self.groups.levels, self.groups.position, strict=True
        ):
            means = level_means(values, self.weights, at, len(levels))
            for j, level in enumerate(levels):
                index.append((name, level))
                rows.append(means[j])
                inside = values[at == j].mean(axis=1)
                spread.append(np.quantile(inside, [0, 0.25, 0.5, 0.75, 1]))
        if not rows:
            raise DataError("moderators() needs groups: name columns in by=.")
        table = _described(np.stack(rows), ci_prob)
        names = ["smallest", "lower_quartile", "middle", "upper_quartile", "largest"]
        table[names] = np.stack(spread)
        table.index = pd.MultiIndex.from_tuples(index, names=["column", "level"])
        return Table(table)

    # --- other rows -----------------------------------------------------------------------------

    def population(
        self,
        cells: pd.DataFrame,
        weights: str | None = "n",
        by: str | Sequence[str] | None = None,
    ) -> Effects:
        """Effects averaged over the cells of a population, by other groups if need be.

        Parameters
        ----------
        cells : DataFrame
            The columns that the model reads but the treatment, and those of ``by``.
        weights : str, optional
            A column: how many people each cell stands for.
        by : str or sequence of str, optional
        """
        return self.again(cells, weights, by)

    # --- other methods --------------------------------------------------------------------------

    def compare(self, method: str = "ols", ci_prob: float = CI_PROB) -> pd.DataFrame:
        """The same effects by plain regressions (statsmodels), beside these.

        Least squares where the link is the identity, otherwise the generalised linear model of
        the model's family and link (logit, Poisson ...), without priors or pooling:

        ``crossed``
            One regression in which every group has an intercept and effects of its own: the
            treatment fully crossed with all columns of ``by``.
        ``separate``
            A regression of each group's rows alone. It differs from ``crossed`` by covariates, and
            by the degrees of freedom of its intervals.
        ``constant``
            One effect for all, beside main effects of the columns of ``by``.

        Effects are averaged over the same rows: on the scale of the response they are average
        differences of means, with standard errors by the delta method. Common terms that read
        neither the treatment nor a column of ``by`` are added to each regression as covariates,
        with the columns that the model gives them; group-specific terms, and those common terms
        that do read one of these columns, are not: the crossing stands for them. A treatment that
        is a number enters linearly, unless the formula has it in ``C()``.

        Standard errors are robust, HC2 (MacKinnon & White 1985; of generalised linear models as in
        R's sandwich). Intervals are of the t distribution for least squares and of the normal one
        otherwise. A weight of w counts as w rows, and n trials as n rows. The t family is compared
        with least squares, and overdispersed ones with logit or Poisson regression: they have the
        same means.

        Parameters
        ----------
        method : {"ols"}
        ci_prob : float

        Returns
        -------
        DataFrame
            Indexed by the groups, the contrast where there are several, and ``method``, whose
            first is ``hierarchical``: these effects. ``estimate``, ``se``, an interval,
            ``width_ratio`` (its width over that of these effects), and ``note``: why there is no
            estimate (no rows of an arm; an empty group) or no standard error (a perfectly
            separated arm, whose log odds are infinite; an arm of one row), or one of zero (the
            answers are fitted exactly), and which rank a design has where columns repeat others.

        Raises
        ------
        DataError
            Where effects are not averages over the model's own rows.
        ModelError
            Where the model's family has no plain counterpart.

        References
        ----------
        MacKinnon, J. G. and White, H. (1985). Some heteroskedasticity-consistent covariance matrix
        estimators with improved finite sample properties. Journal of Econometrics 29, 305-325.
        """
        if self.plain is None:
            raise DataError(
                "compare() is about the rows that the model was built from, and these effects are "
                "averages over other rows: call effects() without data=."
            )
        return self.plain(self, method, ci_prob)

    # --- helpers --------------------------------------------------------------------------------

    def _indexed(self, table: pd.DataFrame) -> pd.DataFrame:
        return Table(indexed(table, self.labels()))

    def _at(self, contrast: str | None) -> int:
        if contrast is None:
            if len(self.contrasts) > 1:
                raise DataError(
                    f"There are several contrasts: pass contrast=, one of "
                    f"{', '.join(map(repr, self.contrasts))}."
                )
            return 0
        check_choice("contrast", contrast, self.contrasts)
        return self.contrasts.index(contrast)

    def _check_several(self, call: str) -> None:
        if self.groups.size < 2:
            raise DataError(f"{call} compares groups, but there is one: name columns in by=.")

    def _given_shares(self, weights: str | Mapping[Any, float] | None) -> FloatArray:
        if weights is None:
            return self.group_shares
        if isinstance(weights, str):
            check_choice("weights", weights, ("equal",))
            return np.full(self.groups.size, 1 / self.groups.size)
        if not isinstance(weights, Mapping):
            raise DataError(
                "weights= must be None, 'equal', or a mapping of groups to their weights, not "
                f"{type(weights).__name__}."
            )
        given = np.zeros(self.groups.size)
        for group, weight in weights.items():
            number = isinstance(weight, Real) and not isinstance(weight, bool | np.bool_)
            if not number or not 0 <= float(weight) < np.inf:
                raise DataError(
                    f"weights= has {weight!r} for {group!r}: weights are numbers, not negative."
                )
            given[self._of("weights", group) > 0] = weight
        if not given.sum() > 0:
            raise DataError("weights= are all zero.")
        return np.asarray(given / given.sum())

    def _of(self, argument: str, group: Any) -> FloatArray:
        """Weights, of sum one, of the groups that a label, a tuple of labels or a dict names."""
        names = self.groups.names
        if not names:
            raise DataError("There is one group, of all rows: name columns in by=.")
        if not isinstance(group, Mapping):
            parts = group if isinstance(group, tuple) else (group,)
            if len(parts) != len(names):
                raise DataError(
                    f"{argument}= must be a group: a level of each of {', '.join(names)}, in this "
                    f"order, but {group!r} has {len(parts)}. A dict may name some of the columns."
                )
            group = dict(zip(names, parts, strict=True))
        if not group:
            raise DataError(f"{argument}= must name a level of at least one column, not {group!r}.")
        chosen = np.ones(self.groups.size, dtype=bool)
        for name, level in group.items():
            if name not in names:
                raise DataError(
                    f"{argument}= has {name!r}, which is no column of by= ({', '.join(names)})."
                )
            levels = self.groups.levels[names.index(name)]
            if level not in levels:
                level = str(level)  # what results hold of dates, categories and nullable numbers
            if level not in levels:
                raise DataError(
                    f"{argument}= has {level!r}, which is no level of {name!r}: it has "
                    f"{abbreviate(levels, 10)}."
                )
            chosen &= self.groups.position[names.index(name)] == levels.index(level)
        if not chosen.any():
            raise DataError(f"{argument}= names {_shown(group)}, which no group has.")
        found = np.where(chosen, self.weights, 0.0)
        return np.asarray(found / found.sum())


def as_counts(rows: FloatArray) -> FloatArray | IntArray:
    """Whole numbers as such; sums of weights as they are."""
    whole = rows.astype(np.int64)
    return whole if (whole == rows).all() else rows


def group_columns(by: str | Sequence[str] | None) -> list[str]:
    """The columns that define groups, each once; DataError for names that results have."""
    columns = by_columns(by)
    for name in columns:
        if name in _TAKEN or name.startswith("eti"):
            raise DataError(
                f"by= cannot use a column called {name!r}, which tables of effects have: rename it "
                "in the data, and in the formula if it is there."
            )
    return columns


def several(contrasts: Sequence[str], contrast: str) -> dict[str, str]:
    """What an index says of a contrast: nothing where it is the only one."""
    return {CONTRAST: contrast} if len(contrasts) > 1 else {}


def indexed(table: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """A table by groups; names of groups may be those of columns of the table."""
    if not labels.shape[1]:
        return table
    index = (
        pd.Index(labels.iloc[:, 0]) if labels.shape[1] == 1 else pd.MultiIndex.from_frame(labels)
    )
    return table.set_axis(index, axis=0)


def _described(values: FloatArray, ci_prob: float) -> pd.DataFrame:
    table = pd.DataFrame(describe(values.T, ci_prob))
    table.insert(1, "median", np.median(values, axis=1))
    return table


def _shown(group: Any) -> str:
    if isinstance(group, Mapping):
        return ", ".join(f"{name}={level}" for name, level in group.items())
    return ", ".join(map(str, group)) if isinstance(group, tuple) else str(group)
