"""Evaluate calls such as scale(x) or np.log(x), and refuse those that cannot be repeated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.variable import Variable
from formulae.transforms import Offset

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.expressions.names import Environment, Names, bind
from pymc_vmrp.frontends.expressions.resolve import FormulaCall, unboxed
from pymc_vmrp.frontends.formula.parse import ParsedFormula, predictor_terms


def bind_names(
    parsed: ParsedFormula,
    response_nodes: Sequence[Any],
    columns: Collection[str],
    environment: Environment,
) -> Names:
    """What the functions and constants of a formula are; its calls remember it."""
    calls = [
        component
        for _, term in predictor_terms(parsed)
        for component in term.components
        if isinstance(component, FormulaCall)
    ]
    nodes = [call.call for call in calls] + list(response_nodes)
    names = bind(nodes, columns, environment)
    for call in (*calls, *parsed.response.components):
        if isinstance(call, FormulaCall):
            call.env = names
    return names


def evaluate_calls(
    parsed: ParsedFormula,
    frame: pd.DataFrame,
    names: Names,
    weights: FloatArray | None = None,
) -> list[tuple[str, FormulaCall, Any]]:
    """Evaluate every call on all rows, so that stateful ones learn from all of them.

    ``weights`` say how often each row counts for them.
    """
    calls = []
    for name, term in predictor_terms(parsed):
        for component in term.components:
            if not isinstance(component.name, str):
                raise FormulaError(f"The term {name!r} holds a bare number.")
            if isinstance(component, Variable):
                if component.reference is not None:
                    raise FormulaError(
                        f"{component.name}[{component.reference!r}] has a meaning for the response "
                        f"only: write C({component.name}, levels=[...]) to order levels."
                    )
                continue
            with formulae_errors(name, "data"):
                component.set_type(frame, names, weights)
            if component.kind == "offset" and not parsed.is_offset(term):
                raise FormulaError(
                    "offset(...) stands by itself, not inside a group-specific term."
                )
            if component.kind == "proportion":
                raise FormulaError(f"{component.name} can only be used as the response.")
            value = call_values(component._intermediate_data, len(frame))
            if len(value) != len(frame):
                raise FormulaError(f"The term {name!r} does not evaluate to one value per row.")
            if component.kind in ("numeric", "offset"):
                check_finite(value, name, "data")
            elif pd.isna(value).any():
                raise DataError(
                    f"The term {name!r} has no value in {int(pd.isna(value).sum())} rows of data: "
                    "extend it to all of them, or leave those rows out."
                )
            calls.append((name, component, value))
    return calls


def call_values(value: Any, n: int) -> AnyArray:
    """What a call evaluated to on n rows, as numbers or labels."""
    if isinstance(value, Offset):
        value.set_size(n)
        return np.asarray(value.eval(), dtype=float).reshape(n)
    array = np.asarray(unboxed(value))
    return array.astype(float) if array.dtype.kind in "buif" else array.astype(object)


def check_finite(values: AnyArray, name: str, what: str) -> None:
    """Refuse a term that is infinite or not a number in some rows."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(
            f"The term {name!r} is infinite or not a number in some rows of {what}: check the "
            "values it is computed from."
        )


def check_rowwise(calls: list[tuple[str, FormulaCall, Any]], frame: pd.DataFrame) -> None:
    """Refuse transformations whose value in a row depends on the other rows.

    Cells, chunks and new data are evaluated apart from the data the model was built on, so
    such a transformation (``x - np.mean(x)``) would silently mean something else there.
    """
    if not calls:
        return
    n = len(frame)
    subsets = [np.arange(0, n, 2), np.array([0]), np.array([n - 1]), np.array([n // 2])]
    for name, component, full in calls:
        for rows in subsets:
            try:
                part = call_values(component.values(frame.iloc[rows]), len(rows))
                same = part.shape == full[rows].shape and (
                    np.allclose(part, full[rows], rtol=1e-9, atol=1e-12)
                    if full.dtype.kind == "f"
                    else list(map(str, part)) == list(map(str, full[rows]))
                )
            except Exception:  # a level or a bin that the part does not have
                same = False
            if not same:
                raise FormulaError(
                    f"The term {name!r} depends on all rows at once, so it would change its "
                    "meaning in new data: use center(x), scale(x) or another transformation that "
                    "remembers, or compute a column beforehand."
                )


@contextlib.contextmanager
def formulae_errors(term: str, what: str) -> Iterator[None]:
    """Give what formulae raises (and prints) a message that names the term."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except (DataError, FormulaError):
        raise
    except Exception as error:
        raise FormulaError(
            f"The term {term!r} cannot be evaluated on {what}: {error or type(error).__name__}."
        ) from error
