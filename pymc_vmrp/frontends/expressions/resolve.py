"""Nodes of formulae's syntax tree as terms, whose calls are evaluated by this package.

formulae's own calls look functions up in a registry shared with other packages, and keep the names
of the calling code, which can be neither copied nor saved.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from formulae.categorical import CategoricalBox
from formulae.resolver import Resolver
from formulae.terms.call import Call
from formulae.terms.call_resolver import CallResolver, LazyCall, LazyOperator, LazyVariable
from formulae.terms.terms import Intercept, Term
from formulae.transforms import Offset, Proportion

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import DataError, FormulaError
from pymc_vmrp.frontends.checks import abbreviate
from pymc_vmrp.frontends.expressions.evaluate import evaluate
from pymc_vmrp.frontends.expressions.names import Names


class FormulaCall(Call):  # type: ignore[misc]
    """A call such as ``scale(x)``, as a component of a term."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and structure(self.call) == structure(other.call)

    def __hash__(self) -> int:
        return hash(structure(self.call))

    def values(self, data: pd.DataFrame, weights: FloatArray | None = None) -> Any:
        """What the call evaluates to; transformations that learn do so the first time."""
        return evaluate(self.call, data, self.env, weights)

    def set_type(self, data: pd.DataFrame, names: Names, weights: FloatArray | None = None) -> None:
        """Evaluate the call and see what kind of values it has."""
        self.env = names
        self.set_value(self.values(data, weights), len(data))

    def set_value(self, value: Any, n: int) -> None:
        """Take what the call evaluated to on n rows."""
        if isinstance(value, Offset):
            self.kind = "offset"
            value.set_size(n)
        elif isinstance(value, Proportion):
            self.kind = "proportion"
        elif isinstance(value, CategoricalBox) or _is_categoric(value):
            self.kind = "categoric"
        elif _is_numeric(value):
            self.kind = "numeric"
        elif np.ndim(value) == 0 and isinstance(value, (int, float, str, np.generic)):
            raise FormulaError(
                f"{self.name} is the same for all rows, which is no predictor: write center(x) or "
                "scale(x), which remember what they learn from the data, or compute a column "
                "beforehand."
            )
        else:
            raise FormulaError(
                f"{self.name} gives {_kind_in_words(value)}, where a formula needs a column of "
                "real numbers or text."
            )
        self._intermediate_data = value

    def eval_new_data(self, data: pd.DataFrame) -> Any:
        """The columns of new rows."""
        value = self.values(data)
        if self.kind == "categoric":
            labels = unboxed(value)
            new = [level for level in pd.unique(labels) if level not in self.levels]
            if new:
                raise DataError(
                    f"The term {self.name!r} has levels that the model never saw: "
                    f"{abbreviate(new)} (it knows {abbreviate(self.levels)}). Merge them into "
                    "known levels."
                )
            return self.eval_new_data_categoric(labels)
        return np.asarray(value)


def _is_categoric(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    return isinstance(dtype, pd.CategoricalDtype) or (
        np.ndim(value) > 0 and bool(pd.api.types.is_string_dtype(value))
    )


def _is_numeric(value: Any) -> bool:
    return (
        hasattr(value, "dtype")
        and np.ndim(value) > 0
        and bool(pd.api.types.is_numeric_dtype(value.dtype))
        and not pd.api.types.is_complex_dtype(value.dtype)
    )


def _kind_in_words(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ if dtype is None else f"values of type {dtype}"


def unboxed(value: Any) -> Any:
    """The labels that C() and its like put into a box with their coding; other values as is."""
    return value.data if isinstance(value, CategoricalBox) else value


def structure(node: Any) -> Any:
    """A node of a call as nested tuples, which compare and hash as formulae's nodes do not."""
    if isinstance(node, LazyCall):
        named = tuple((name, structure(value)) for name, value in sorted(node.kwargs.items()))
        return ("call", node.callee, tuple(map(structure, node.args)), named)
    if isinstance(node, LazyOperator):
        return ("operator", node.symbol, tuple(map(structure, node.args)))
    if isinstance(node, LazyVariable):
        return ("name", node.name)
    return ("value", type(node.value).__name__, node.value)


def identity(component: Any) -> Hashable:
    """What tells components of terms apart: calls may read alike and differ."""
    if isinstance(component, FormulaCall):
        return structure(component.call)
    return ("column", component.name)


class _CallResolver(CallResolver):  # type: ignore[misc]
    """formulae's, but what it would pass over is an error."""

    def visitCallExpr(self, expr: Any) -> LazyCall:
        if type(expr.callee).__name__ != "Variable":
            raise FormulaError("Only a function can be called, as in scale(x).")
        return super().visitCallExpr(expr)

    def visitVariableExpr(self, expr: Any) -> LazyVariable:
        if expr.level is not None:
            raise FormulaError(
                f"{expr.name.lexeme}[...] has no meaning inside a call: compute a column "
                "beforehand."
            )
        return super().visitVariableExpr(expr)


MOST_TERMS = 2000  # that a product or a power may have: they grow as fast as the powers of two


class _Resolver(Resolver):  # type: ignore[misc]
    def visitBinaryExpr(self, expr: Any) -> Any:
        if expr.operator.kind != "STAR_STAR":
            result = super().visitBinaryExpr(expr)
            _check_size(len(getattr(result, "common_terms", ())))
            return result
        base, power = expr.left.accept(self), expr.right.accept(self)
        if isinstance(power, Intercept):  # what a 1 is read as
            return base
        n = len(getattr(base, "common_terms", ()))
        order = power.components[0].name if isinstance(power, Term) else 0
        if isinstance(order, int):
            _check_size(sum(math.comb(n, i) for i in range(1, min(order, n) + 1)))
        return base**power

    def visitCallExpr(self, expr: Any) -> Term:
        return Term(FormulaCall(_CallResolver(expr).resolve()))


def _check_size(terms: int) -> None:
    if terms > MOST_TERMS:
        raise FormulaError(
            f"The products of the formula stand for more than {MOST_TERMS:,} terms: write those "
            "that are meant."
        )


def resolve(node: Any) -> Any:
    """A node of formulae's syntax tree as a term, an intercept or a set of terms."""
    return _Resolver(node).resolve()


def resolve_call(node: Any) -> LazyCall:
    """A node that is a call, as that call."""
    call: LazyCall = _CallResolver(node).resolve()
    return call
