"""Sums, products and powers of a formula, and the errors for those that nothing can read."""

from __future__ import annotations

from typing import Any

from formulae.terms.terms import Intercept

from pymc_vmrp.errors import FormulaError
from pymc_vmrp.frontends.expressions.resolve import resolve
from pymc_vmrp.frontends.formula.special import SMOOTHS
from pymc_vmrp.frontends.formula.syntax import (
    calls,
    contains_bar,
    is_bar,
    operands,
    operator_of,
    strip,
)


def addends(node: Any, sign: int = 1) -> list[tuple[int, Any]]:
    """The signed terms of a sum, parentheses opened where they hold group-specific terms."""
    operator = operator_of(node)
    if operator in ("PLUS", "MINUS") and hasattr(node, "left"):
        right_sign = sign if operator == "PLUS" else -sign
        return addends(node.left, sign) + addends(node.right, right_sign)
    opened = hasattr(node, "expression") and (contains_bar(node) or calls(node, SMOOTHS))
    if opened and not is_bar(node):
        return addends(node.expression, sign)
    return [(sign, node)]


def check_powers(node: Any) -> None:
    """Refuse x**2, which formulae would silently read as x."""
    if operator_of(node) == "STAR_STAR":
        if type(strip(node.left)).__name__ in ("Variable", "QuotedName", "Call"):
            raise FormulaError("Write I(x**2) for a power of a column: x**2 means x itself here.")
        power = getattr(strip(node.right), "value", None)
        if not isinstance(power, int) or isinstance(power, bool) or power < 1:
            raise FormulaError(
                "The power of a sum of terms must be a whole number, as in (x + z)**2 for x, z and "
                "x:z: write I((x + z)**1.5) for the power of a sum of columns."
            )
    for operand in operands(node):
        check_powers(operand)


def explain_numbers(node: Any) -> None:
    """Raise FormulaError for a product of which an addend is a number, which nothing can read."""
    operator = operator_of(node)
    if operator in ("STAR_STAR", "STAR", "COLON"):
        sides = [node.left] if operator == "STAR_STAR" else [node.left, node.right]
        if any(map(_has_intercept, sides)):
            arithmetic = (
                "" if operator == "COLON" else f" For arithmetic write I({_written(node)})."
            )
            raise FormulaError(
                f"In {_written(node)!r} a number stands among the terms of a product: the "
                "intercept is a term of the whole formula, which has it unless it says 0 +. Leave "
                f"the number out there{_without(node)}.{arithmetic}"
            )
    for operand in operands(node):
        explain_numbers(operand)


def _has_intercept(node: Any) -> bool:
    """Whether a number is one of the addends."""
    node = strip(node)
    if operator_of(node) in ("PLUS", "MINUS"):
        return any(map(_has_intercept, operands(node)))
    return type(node).__name__ == "Literal" and not isinstance(node.value, str)


def _without(node: Any) -> str:
    """A product without the numbers in it, as a hint; nothing where nothing is left."""
    left, right = (_written(side, numbers=False) for side in (node.left, node.right))
    if node.operator.kind == "STAR_STAR":
        return f": {left}**{_written(node.right)}" if left.startswith("(") else f": {left}"
    return f": {left}{node.operator.lexeme}{right}" if left and right else ""


def _written(node: Any, numbers: bool = True) -> str:
    """A node as text; without ``numbers``, what is left of sums."""
    kind = type(node).__name__
    if kind == "Grouping":
        inner = _written(node.expression, numbers)
        single = not numbers and len(addends(node.expression)) - _n_numbers(node.expression) < 2
        return inner if single else f"({inner})"
    if kind == "Literal":
        return str(node.lexeme or node.value) if numbers else ""
    if kind == "QuotedName":
        return str(node.expression.lexeme)
    operator = getattr(node, "operator", None)
    if operator is None:
        return expression_name(resolve(node))
    wide = f" {operator.lexeme} " if operator.kind in ("PLUS", "MINUS") else operator.lexeme
    left = _written(node.left, numbers) if hasattr(node, "left") else ""
    right = _written(node.right, numbers)
    return wide.join(part for part in (left, right) if part) if left else right


def _n_numbers(node: Any) -> int:
    return sum(type(strip(addend)).__name__ == "Literal" for _, addend in addends(node))


def expression_name(expression: Any) -> str:
    """``"1"`` for an intercept, else the term's own name."""
    return "1" if isinstance(expression, Intercept) else str(expression.name)
