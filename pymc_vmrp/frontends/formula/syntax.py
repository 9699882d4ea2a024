"""Nodes of formulae's syntax trees: what those that read a formula ask of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def strip(node: Any) -> Any:
    """A node without the parentheses around it."""
    while type(node).__name__ == "Grouping":
        node = node.expression
    return node


def operator_of(node: Any) -> str | None:
    """What formulae calls a node's operator, such as "PLUS"; None of a node without one."""
    return getattr(getattr(node, "operator", None), "kind", None)


def operands(node: Any) -> list[Any]:
    """What an operator or parentheses stand around; arguments of a call are none."""
    found = [getattr(node, name, None) for name in ("left", "right", "expression")]
    return [child for child in found if child is not None]


def callee(node: Any) -> str | None:
    """The name of the function of a node that is a call, parentheses or not."""
    node = strip(node)
    return str(node.callee.name.lexeme) if type(node).__name__ == "Call" else None


def calls(node: Any, names: Collection[str]) -> bool:
    """Whether one of these functions is called anywhere in a node."""
    if callee(node) in names:
        return True
    children = [*operands(node), *(getattr(node, "args", None) or [])]
    children += [node.value] if getattr(node, "value", None) is not None else []
    return any(calls(child, names) for child in children)


def is_bar(node: Any) -> bool:
    """Whether a node is a group-specific term."""
    return operator_of(strip(node)) == "PIPE"


def contains_bar(node: Any) -> bool:
    """Whether a group-specific term stands anywhere in a node."""
    return is_bar(node) or any(map(contains_bar, operands(node)))
