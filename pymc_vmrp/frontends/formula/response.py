"""Read the response of a formula: 0/1, boolean or two-level columns, and p(successes, trials)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.call import Call
from formulae.terms.call_utils import CallVarsExtractor
from formulae.terms.terms import Term
from formulae.utils import flatten_list

from pymc_vmrp.arrays import AnyArray, BoolArray, FloatArray
from pymc_vmrp.errors import DataError, FormulaError, warn
from pymc_vmrp.frontends.checks import abbreviate, check_columns, check_total, finite_numbers
from pymc_vmrp.frontends.expressions.evaluate import evaluate
from pymc_vmrp.frontends.expressions.functions import PROPORTION
from pymc_vmrp.frontends.expressions.names import Names
from pymc_vmrp.frontends.formula.calls import formulae_errors
from pymc_vmrp.frontends.tidy import tidy_column
from pymc_vmrp.glmm.codes import encode_column, look_up
from pymc_vmrp.glmm.families.family import Family


@dataclass(frozen=True)
class ResponseRows:
    """The response, one entry per row of the data.

    Attributes
    ----------
    name : str
        Name of the response, which is that of its variable in ``observed_data``.
    y : ndarray, shape (rows,)
        A 0/1 response takes one byte a row.
    trials : ndarray, shape (rows,), or None
    event : str
        What is modelled, in words.
    sd : ndarray, shape (rows,), or None
        Known standard deviations of y.
    """

    name: str
    y: AnyArray
    trials: AnyArray | None
    event: str
    sd: FloatArray | None = None

    def take(self, rows: BoolArray) -> ResponseRows:
        """The response of some rows."""
        return replace(
            self,
            y=self.y[rows],
            trials=None if self.trials is None else self.trials[rows],
            sd=None if self.sd is None else self.sd[rows],
        )


def is_proportion(term: Term) -> bool:
    """Whether the response is written p(successes, trials)."""
    component = term.components[0]
    return isinstance(component, Call) and component.call.callee in PROPORTION


def has_known_sd(term: Term) -> bool:
    """Whether the response is written se(y, sd)."""
    component = term.components[0]
    return isinstance(component, Call) and component.call.callee == "se"


def response_arguments(term: Term) -> tuple[Any, Any]:
    """The arguments of p(successes, trials) or se(y, sd), by position or by name."""
    first, second = ("successes", "trials") if is_proportion(term) else ("y", "sd")
    call = term.components[0].call
    named = dict(zip((first, second), call.args, strict=False)) | call.kwargs
    if len(call.args) + len(call.kwargs) != 2 or set(named) != {first, second}:
        raise FormulaError(
            f"The response {term.name!r} must have two arguments: {first}, {second}."
        )
    return named[first], named[second]


def read_response(
    term: Term,
    data: pd.DataFrame,
    names: Names,
    family: Family,
    weights: FloatArray | None = None,
) -> ResponseRows:
    """Evaluate the response for every row.

    ``weights`` are those of the rows where the response is transformed by what it learns, as
    scale(y) does.

    Raises
    ------
    DataError
        Where the values are not what the family describes.
    FormulaError
        Where family and response do not go together.
    """
    kind = family.response
    if is_proportion(term):
        if kind != "proportion":
            raise FormulaError(
                f"The response {term.name!r} counts successes and trials: use family='binomial' "
                f"or 'beta_binomial', not {family.name!r}."
            )
        return _read_proportion(term, data, names)
    if kind == "proportion":
        raise FormulaError(
            f"family={family.name!r} needs the response p(successes, trials), not {term.name!r}; "
            "for a 0/1 response use family='bernoulli'."
        )
    if has_known_sd(term):
        if family.name != "gaussian":
            raise FormulaError(
                f"The response {term.name!r} has known standard deviations: use family='gaussian', "
                f"not {family.name!r}."
            )
        return _read_known_sd(term, data, names)
    return (
        _read_binary(term, data, weights)
        if kind == "binary"
        else _read_number(term, data, weights, kind)
    )


def response_nodes(term: Term) -> list[Any]:
    """What is evaluated of the response: a call, or the arguments of p() or se()."""
    component = term.components[0]
    if not isinstance(component, Call):
        return []
    if is_proportion(term) or has_known_sd(term):
        return list(response_arguments(term))
    return [component.call]


def _read_number(
    term: Term, data: pd.DataFrame, weights: FloatArray | None, kind: str
) -> ResponseRows:
    """Real, positive or whole numbers."""
    component = term.components[0]
    name = str(component.name)
    if not isinstance(component, Call) and component.reference is not None:
        raise FormulaError(
            f"{name}[{component.reference!r}] is for family='bernoulli': the response of other "
            "families is a number."
        )
    y = finite_numbers(_evaluated(component, data, weights), f"The response {name!r}")
    check_values(name, y, kind)
    return ResponseRows(name, y, None, f"the mean of {name}")


def _evaluated(component: Any, data: pd.DataFrame, weights: FloatArray | None) -> pd.Series:
    """The response of each row, a column or a call."""
    name = str(component.name)
    if not isinstance(component, Call):
        return data[name]
    with formulae_errors(name, "data"):
        raw = component.values(data, weights)
    if np.ndim(raw) != 1 or len(raw) != len(data):
        raise DataError(f"The response {name!r} does not evaluate to one value per row.")
    return pd.Series(np.asarray(raw), index=data.index, name=name)


def check_values(name: str, y: FloatArray, kind: str) -> None:
    """Raise DataError unless ``y`` can be a response of this kind: "count", "positive", "real"."""
    if kind == "count" and ((y < 0) | (y != np.floor(y))).any():
        wrong = y[(y < 0) | (y != np.floor(y))]
        raise DataError(
            f"The response {name!r} must hold counts (0, 1, 2, ...), but holds "
            f"{abbreviate(pd.unique(wrong).tolist())}. For other numbers use family='gaussian' or "
            "'gamma'."
        )
    if kind == "count":
        check_total(y, f"The counts of the response {name!r}", "correct that column")
    if kind == "positive" and (y <= 0).any():
        raise DataError(
            f"The response {name!r} must be positive, but is not in {int((y <= 0).sum())} rows: "
            "correct them, or use family='gaussian'."
        )
    if kind == "count" and not y.any():
        raise DataError(f"The response {name!r} is 0 in every row: there is nothing to estimate.")
    if kind != "count" and y.min() == y.max():
        raise DataError(f"The response {name!r} is the same in every row: nothing to estimate.")


def _read_known_sd(term: Term, data: pd.DataFrame, names: Names) -> ResponseRows:
    of_y, of_sd = response_arguments(term)
    y = _argument_numbers(of_y, data, names, f"The argument y of {term.name!r}")
    sd = _positive_sds(of_sd, data, names, term.name)
    return ResponseRows(str(term.name), y, None, f"the mean of {of_y}", sd)


def _argument_numbers(
    argument: Any, data: pd.DataFrame, names: Names, what: str, verb: str = "has"
) -> FloatArray:
    """An argument of p() or se() in each row."""
    raw = evaluate(argument, data, names)
    column = raw if isinstance(raw, pd.Series) else pd.Series(np.broadcast_to(raw, len(data)))
    return finite_numbers(column, what, verb=verb)


def _positive_sds(argument: Any, data: pd.DataFrame, names: Names, response: str) -> FloatArray:
    sd = _argument_numbers(argument, data, names, f"The argument sd of {response!r}")
    if (sd <= 0).any():
        raise DataError(
            f"The standard deviations of {response!r} must be positive, but are not in "
            f"{int((sd <= 0).sum())} rows."
        )
    return sd


@dataclass(frozen=True)
class KnownArgument:
    """What responses depend on besides η and φ, and new data have to give as well.

    Attributes
    ----------
    response : str
    kind : {"trials", "sd"}
        Trials of p(successes, trials), or standard deviations of se(y, sd).
    argument : object
        The argument as formulae evaluates it.
    columns : tuple of str
        Columns of the data that it reads.
    names : Names
    """

    response: str
    kind: str
    argument: Any
    columns: tuple[str, ...]
    names: Names

    def read(self, data: pd.DataFrame, what: str) -> FloatArray:
        """Its value in each row of new data, shape (rows,); a DataError where it has none."""
        reason = f"the {self.kind} of {self.response!r}, which new responses are drawn with"
        check_columns(data, self.columns, what, dict.fromkeys(self.columns, reason))
        if self.kind == "sd":
            return _positive_sds(self.argument, data, self.names, self.response)
        return _counts(self.argument, data, self.names, self.response, self.kind)


def known_argument(term: Term, columns: Collection[str], names: Names) -> KnownArgument | None:
    """Trials or standard deviations in the response, None without; ``columns`` it may read."""
    if not is_proportion(term) and not has_known_sd(term):
        return None
    kind, argument = "trials" if is_proportion(term) else "sd", response_arguments(term)[1]
    read = argument.accept(CallVarsExtractor(argument))
    read = {read} if isinstance(read, str) else set(flatten_list(read))
    return KnownArgument(str(term.name), kind, argument, tuple(sorted(read & set(columns))), names)


def _read_binary(term: Term, data: pd.DataFrame, weights: FloatArray | None) -> ResponseRows:
    component = term.components[0]
    name, reference = str(component.name), getattr(component, "reference", None)
    values = _evaluated(component, data, weights)
    if values.isna().any():
        raise DataError(f"The response {name!r} has missing values after evaluation.")
    values = tidy_column(values, "data")
    if reference is not None:
        coded = encode_column(values)
        present = coded.levels.astype(str)
        if str(reference) not in present:
            raise DataError(
                f"The response {name!r} has no level {reference!r}; its levels are "
                f"{abbreviate(sorted(present))}."
            )
        event = look_up(np.asarray(present == str(reference)), coded.codes)
        return _binary_rows(name, event, str(reference))
    if pd.api.types.is_bool_dtype(values):
        return _binary_rows(name, values.to_numpy(dtype=bool), "True")
    if pd.api.types.is_numeric_dtype(values):
        y = values.to_numpy()
        event = y == 1
        strange = pd.unique(y[~event & (y != 0)].astype(float))
        if len(strange):
            raise DataError(
                f"The response {name!r} must be 0 or 1, but holds {abbreviate(strange.tolist())}. "
                "Recode it, or use p(successes, trials) with family='binomial' for counts."
            )
        return _binary_rows(name, event, "1")
    return _read_two_levels(name, values)


def _read_two_levels(name: str, values: pd.Series) -> ResponseRows:
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = values.cat.remove_unused_categories().cat
        levels = categories.categories.tolist()
        levels = levels if categories.ordered else sorted(levels, key=str)
    else:
        levels = sorted(pd.unique(values).tolist(), key=str)
    if len(levels) != 2:
        raise DataError(
            f"The response {name!r} must have two levels, but has {len(levels)}: "
            f"{abbreviate(levels)}. Write {name}['level'] to model one level against the rest."
        )
    warn(
        f"modelling P({name} = {levels[0]!r}), the first of its two levels, as Bambi does; write "
        f"{name}['{levels[1]}'] in the formula to model the other."
    )
    return _binary_rows(name, (values == levels[0]).to_numpy(dtype=bool), str(levels[0]))


def _binary_rows(name: str, event: BoolArray, level: str) -> ResponseRows:
    # int8 and not bool: what computes with it may subtract
    return ResponseRows(name, event.astype(np.int8), None, f"P({name} = {level})")


def _read_proportion(term: Term, data: pd.DataFrame, names: Names) -> ResponseRows:
    successes, trials = (
        _counts(argument, data, names, term.name, role)
        for argument, role in zip(response_arguments(term), ("successes", "trials"), strict=True)
    )
    above = successes > trials
    if above.any():
        raise DataError(
            f"The response {term.name!r} has more successes than trials in {int(above.sum())} "
            f"rows (first at row {int(np.argmax(above))})."
        )
    if not (trials > 0).any():
        raise DataError(f"The response {term.name!r} has no trial in any row.")
    return ResponseRows(str(term.name), successes, trials, f"P(success) in {term.name}")


def _counts(
    argument: Any, data: pd.DataFrame, names: Names, response: str, role: str
) -> FloatArray:
    values = _argument_numbers(argument, data, names, f"The {role} of {response!r}", "have")
    if (values < 0).any():
        raise DataError(f"The {role} of {response!r} have negative values: counts cannot be.")
    if (values != np.floor(values)).any():
        raise DataError(f"The {role} of {response!r} have fractional values: give whole counts.")
    return values
