"""Which functions and constants a formula may name, and what they are.

Who wrote a formula decides: one typed in Python may use the names of the calling code, one typed on
the command line or read from a file knows a list of functions and nothing besides.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyVariable

from pymc_vmrp.errors import FormulaError, VmrpError
from pymc_vmrp.frontends.expressions.functions import BARE, CONSTANTS, FUNCTIONS, HINTS, NUMPY

ENVIRONMENTS = ("caller", "command line", "saved")

# what errors call a restricted environment, and its remedy
_RESTRICTED = {
    "command line": (
        "a formula on the command line", "compute a column of the data beforehand",
    ),
    "saved": (
        "a formula read from a saved result",
        "if you trust it, type the formula yourself (--formula on the command line, "
        "pymc_vmrp.Model in Python)",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """Where the names of a formula are looked up.

    Attributes
    ----------
    kind : {"caller", "command line", "saved"}
        Who wrote the formula: for the last two only the lists of ``functions.py`` count.
    namespaces : tuple of mapping
        The caller's local and global names.
    """

    kind: str = "caller"
    namespaces: tuple[Mapping[str, Any], ...] = ()

    @property
    def restricted(self) -> bool:
        """Whether the lists of functions are all there is."""
        return self.kind != "caller"


def capture(kind: str, depth: int) -> Environment:
    """The environment of the code ``depth`` calls above the caller of this function.

    Raises
    ------
    VmrpError
        Where there is no such kind.
    """
    if kind not in ENVIRONMENTS:
        raise VmrpError(
            f"environment={kind!r} is not known; choose one of "
            f"{', '.join(map(repr, ENVIRONMENTS))}."
        )
    if kind != "caller":
        return Environment(kind)
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        frame = None if frame is None else frame.f_back
    if frame is None:
        return Environment(kind)
    return Environment(kind, (frame.f_locals, frame.f_globals))


@dataclass(frozen=True)
class Names:
    """What the functions and constants of one formula are: copies, which nobody changes later.

    Attributes
    ----------
    functions, constants : dict
        By their names as the formula writes them: ``"np.log"``, ``"scale"``, ``"knots"``.
    restricted : bool
        Whether only numbers may be computed with.
    """

    functions: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    restricted: bool = False


def bind(nodes: Sequence[Any], columns: Collection[str], environment: Environment) -> Names:
    """Look up what a formula's calls, or arguments of them, name besides columns of the data.

    Parameters
    ----------
    nodes : sequence of LazyCall, LazyOperator, LazyVariable or LazyValue
    columns : collection of str
        Names of the data's columns, which go before constants of the same name.
    environment : Environment

    Raises
    ------
    FormulaError
        For a function that the environment does not have, or may not be used.
    """
    functions: dict[str, Any] = {}
    constants: dict[str, Any] = {}
    for outer in nodes:
        for node in _nodes(outer):
            if isinstance(node, LazyCall):
                function = _function(node, environment)
                _check_arguments(node, function, environment)
                functions[node.callee] = function
            elif isinstance(node, LazyVariable) and node.name not in columns:
                found, value = _constant(node.name, environment)
                if found:
                    constants[node.name] = value
    return Names(functions, constants, environment.restricted)


def _nodes(node: Any) -> Iterator[Any]:
    """A call and all that is inside it."""
    yield node
    if isinstance(node, LazyCall):
        for argument in (*node.args, *node.kwargs.values()):
            yield from _nodes(argument)
    elif isinstance(node, LazyOperator):
        for argument in node.args:
            yield from _nodes(argument)


def _function(call: LazyCall, environment: Environment) -> Any:
    """What a formula calls."""
    name = call.callee
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if not environment.restricted:
        found, value = _of_the_caller(name, environment)
        if found:
            return value
    module, _, attribute = name.rpartition(".")
    if attribute in (NUMPY if module in ("np", "numpy") else BARE if not module else ()):
        return NUMPY[attribute][0]
    raise _unknown(call, environment)


def _of_the_caller(name: str, environment: Environment) -> tuple[bool, Any]:
    """A name of the user's code, with attributes; and whether there is one."""
    first, *attributes = name.split(".")
    for namespace in environment.namespaces:
        if first in namespace:
            value = namespace[first]
            for attribute in attributes:
                if not hasattr(value, attribute):
                    return False, None
                value = getattr(value, attribute)
            return True, value
    return False, None


def _constant(name: str, environment: Environment) -> tuple[bool, Any]:
    if name in CONSTANTS:
        return True, CONSTANTS[name]
    for namespace in environment.namespaces:
        if name in namespace:
            return True, _own(namespace[name])
    return False, None


def _own(value: Any) -> Any:
    """A copy of what the user's code may change in place later."""
    if isinstance(value, (list, dict, set, np.ndarray)):
        return copy.deepcopy(value)
    return value


def _check_arguments(call: LazyCall, function: Any, environment: Environment) -> None:
    """Refuse arguments that numpy writes to (``out``), or leaves rows unset by (``where``)."""
    arity = next((n for f, n in NUMPY.values() if f is function), None)
    if isinstance(function, np.ufunc):
        arity = function.nin
    elif not environment.restricted:
        return
    if arity is not None and (call.kwargs or len(call.args) != arity):
        raise FormulaError(
            f"{call}: {call.callee} takes {arity} argument{'s' if arity > 1 else ''} in a formula, "
            "without names."
        )


def _unknown(call: LazyCall, environment: Environment) -> FormulaError:
    hint = HINTS.get(call.callee)
    if hint is not None:
        return FormulaError(f"{call} has no meaning here: {hint}.")
    if environment.restricted:
        where, remedy = _RESTRICTED[environment.kind]
        return FormulaError(
            f"{call} is refused: {where} knows scale, center, poly, bs, C, I, offset, binary "
            "and numpy's functions of single rows, such as np.log, and nothing besides; "
            f"{remedy}."
        )
    return FormulaError(
        f"{call} cannot be evaluated, since neither formulas nor your code know {call.callee!r}: "
        "define or import it before the model is built, or compute a column beforehand."
    )
