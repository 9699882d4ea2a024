"""Evaluate a call of a formula, node by node of its syntax tree; nothing is run as code."""

from __future__ import annotations

import math
import operator
from typing import Any

import pandas as pd
from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyValue, LazyVariable

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import FormulaError
from pymc_vmrp.frontends.expressions.names import Names

_COMPARISONS = (operator.eq, operator.ne, operator.le, operator.lt, operator.ge, operator.gt)
_EXACT = 2.0**53  # whole numbers below it are exact as floats


def evaluate(node: Any, data: pd.DataFrame, names: Names, weights: FloatArray | None = None) -> Any:
    """The value of a node of a call.

    Parameters
    ----------
    node : LazyCall, LazyOperator, LazyVariable or LazyValue
    data : DataFrame
        Its columns go before constants of the same name.
    names : Names
    weights : ndarray, shape (rows,), optional
        How often each row counts for transformations that learn from the data.

    Raises
    ------
    FormulaError
        For a name that is neither a column nor a constant.
    """
    if isinstance(node, LazyValue):
        return node.value
    if isinstance(node, LazyVariable):
        if node.name in data.columns:
            return data[node.name]
        if node.name in names.constants:
            return names.constants[node.name]
        raise FormulaError(f"{node.name!r} is no column of the data.")
    if isinstance(node, LazyOperator):
        values = [evaluate(argument, data, names, weights) for argument in node.args]
        return _operate(node, values, names.restricted)
    if isinstance(node, LazyCall):
        function = _callable(node, names, weights)
        args = [evaluate(argument, data, names, weights) for argument in node.args]
        named = {
            name: evaluate(argument, data, names, weights) for name, argument in node.kwargs.items()
        }
        return function(*args, **named)
    raise FormulaError(f"{node} has no meaning in a formula.")


def _callable(node: LazyCall, names: Names, weights: FloatArray | None) -> Any:
    """The function of a call; of one that learns, what it has learned so far."""
    function = names.functions[node.callee]
    if not getattr(function, "__stateful_transform__", False):
        return function
    if node.stateful_transform is None:
        node.stateful_transform = function()
        if hasattr(function, "weights"):
            node.stateful_transform.weights = weights
    return node.stateful_transform


def _operate(node: LazyOperator, values: list[Any], restricted: bool) -> Any:
    if restricted and node.op not in _COMPARISONS and not all(map(_is_number, values)):
        raise FormulaError(f"{node}: {node.symbol} is for numbers.")
    if node.op is operator.pow and all(isinstance(value, int) for value in values):
        # as floats: the digits of 9**9**9 would fill the memory
        power = math.pow(*values)
        return int(power) if power.is_integer() and abs(power) < _EXACT else power
    return node.op(*values)


def _is_number(value: Any) -> bool:
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return isinstance(value, (int, float))
    return bool(pd.api.types.is_numeric_dtype(dtype))
