"""Terms that formulae has evaluated, as columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulae.terms.terms import Intercept, Term
from formulae.terms.variable import Variable

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.frontends.formula.calls import check_finite, formulae_errors


def gather(expressions: Sequence[Any], n: int) -> FloatArray:
    """Columns of evaluated expressions; their own copies, as long as the data, are let go."""
    if len(expressions) == 1 and isinstance(expressions[0], Intercept):
        return np.broadcast_to(1.0, (n, 1))
    pieces = [
        np.broadcast_to(1.0, (n, 1)) if isinstance(e, Intercept) else two_dimensional(e.data, n)
        for e in expressions
    ]
    out = np.empty((n, sum(piece.shape[1] for piece in pieces)), order="F")
    at = 0
    for piece in pieces:
        out[:, at : at + piece.shape[1]] = piece
        at += piece.shape[1]
    for expression in expressions:
        if not isinstance(expression, Intercept):
            _let_go(expression)
    return out


def _let_go(term: Term) -> None:
    """Keep the shape of an evaluated term, which new data need, and not its rows."""
    term.data = np.asarray(term.data)[:0].copy()
    for component in term.components:
        component.value = np.asarray(component.value)[:0].copy()
        component._intermediate_data = None


def two_dimensional(values: Any, n: int | None) -> AnyArray:
    """Values as a matrix; an error where it does not have n rows."""
    array = np.asarray(values)
    if array.ndim == 1:
        array = array[:, None]
    if n is not None and len(array) != n:
        raise DataError(f"A term evaluates to {len(array)} rows where the data have {n}.")
    return array


def new_columns(expressions: Sequence[Any], frame: pd.DataFrame, what: str) -> FloatArray:
    """Columns of evaluated expressions in new rows."""
    pieces = [np.empty((len(frame), 0))]
    for expression in expressions:
        if isinstance(expression, Intercept):
            pieces.append(np.ones((len(frame), 1)))
            continue
        check_known_levels(expression, frame, what)
        with formulae_errors(expression.name, what):
            pieces.append(two_dimensional(expression.eval_new_data(frame), len(frame)))
        check_finite(pieces[-1], expression.name, what)
    return np.column_stack(pieces).astype(float)


def column_labels(term: Term, width: int) -> tuple[str, ...] | None:
    """Coordinates of a term's columns; None for one column without a label."""
    levels = term.levels
    if levels is not None:
        labels = tuple(map(str, levels))
        if len(set(labels)) < len(labels):
            twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
            raise DataError(
                f"Levels of {term.name!r} read alike in results ({abbreviate(twice)}): recode."
            )
        return labels
    return None if width == 1 else tuple(map(str, range(width)))


def check_known_levels(term: Term, frame: pd.DataFrame, what: str) -> None:
    """Refuse new rows with levels of a category that the term never saw."""
    for component in term.components:
        if isinstance(component, Variable) and component.kind == "categoric":
            new = [v for v in pd.unique(frame[component.name]) if v not in component.levels]
            if new:
                raise DataError(
                    f"Column {component.name!r} of {what} has levels that the common term "
                    f"{term.name!r} never saw: {abbreviate(new)} (it knows "
                    f"{abbreviate(component.levels)}). Merge them into known levels, or make it a "
                    f"group-specific term (1|{component.name}), which can predict new levels."
                )
