"""Terms that formulae parses as calls and this package gives a meaning: s(), rw() and mm()."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from formulae.terms.call_resolver import LazyCall, LazyValue, LazyVariable
from formulae.terms.terms import Term
from formulae.terms.variable import Variable

from pymc_vmrp.errors import FormulaError
from pymc_vmrp.frontends.expressions.resolve import FormulaCall, resolve_call
from pymc_vmrp.frontends.formula.bases import BASES, SMALLEST
from pymc_vmrp.frontends.formula.syntax import strip

SMOOTHS = ("s", "rw")
MEMBERS = ("mm",)
_DEFAULT_K = 10


@dataclass(frozen=True)
class SmoothCall:
    """One ``s(x, ...)`` or ``rw(x)`` as written.

    Attributes
    ----------
    name : str
        ``s(x)``, ``s(x, by=g)`` or ``rw(x)``: what results call it.
    x : Term
        The predictor.
    by : Term or None
        What the smooth varies with.
    k, kind, order : int, str, int
        Basis dimension, basis and order of the penalty; of no use for a random walk.
    """

    name: str
    x: Term
    by: Term | None = None
    k: int = _DEFAULT_K
    kind: str = "tp"
    order: int = 2

    @property
    def terms(self) -> tuple[Term, ...]:
        """What it reads from the data."""
        return (self.x,) if self.by is None else (self.x, self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of data columns, and of what else a call of the predictor names."""
        return tuple(sorted({str(name) for term in self.terms for name in term.var_names if name}))

    @property
    def is_walk(self) -> bool:
        """Whether it is a random walk."""
        return self.name.startswith("rw(")


class MemberTerm(Term):  # type: ignore[misc]
    """The grouping factor ``mm(a, b, weights=cbind(wa, wb))``: a row belongs to several levels."""

    def __init__(self, columns: tuple[str, ...], weights: tuple[str, ...]) -> None:
        super().__init__(*(Variable(name) for name in (*columns, *weights)))
        self.columns = columns
        self.weights = weights
        self.name = f"mm({', '.join(columns)})"


def read_smooth(node: Any) -> SmoothCall:
    """What a call of s() or rw() says; a FormulaError where it makes no sense."""
    call = resolve_call(strip(node))
    text = str(call)
    if len(call.args) != 1:
        raise FormulaError(f"{text}: {call.callee}() takes one predictor, as in {call.callee}(x).")
    x = _term(call.args[0], text)
    allowed = ("k", "bs", "by", "m") if call.callee == "s" else ()
    for name in call.kwargs:
        if name not in allowed:
            takes = f"takes {', '.join(allowed)}" if allowed else "takes nothing but a column"
            raise FormulaError(f"{text}: {call.callee}() has no argument {name!r}; it {takes}.")
    if call.callee == "rw":
        return SmoothCall(f"rw({x.name})", x)
    by = call.kwargs.get("by")
    if by is not None and not isinstance(by, LazyVariable):
        raise FormulaError(f"{text}: by= must be the name of a column.")
    kind = _value(call, "bs", "tp")
    if not isinstance(kind, str) or kind not in BASES:
        raise FormulaError(f"{text}: bs= must be one of {', '.join(map(repr, BASES))}.")
    k = _count(call, "k", _DEFAULT_K, SMALLEST[kind], f"at least {SMALLEST[kind]} for bs={kind!r}")
    order = _count(call, "m", 2, 1 if kind == "bs" else 2, "1 or 2, and other than 2 for bs='bs'")
    if order > 2:
        raise FormulaError(f"{text}: m= must be 1 or 2, and other than 2 for bs='bs' only.")
    name = f"s({x.name})" if by is None else f"s({x.name}, by={by.name})"
    return SmoothCall(name, x, None if by is None else Term(Variable(by.name)), k, kind, order)


def _term(argument: Any, text: str) -> Term:
    if isinstance(argument, LazyVariable):
        return Term(Variable(argument.name))
    if isinstance(argument, LazyCall):
        return Term(FormulaCall(argument))
    raise FormulaError(
        f"{text}: the predictor must be a column, or a call such as np.log(x) or I(x * 2)."
    )


def _value(call: LazyCall, name: str, default: Any) -> Any:
    value = call.kwargs.get(name)
    if value is None:
        return default
    return value.value if isinstance(value, LazyValue) else value


def _count(call: LazyCall, name: str, default: int, least: int, wanted: str) -> int:
    value = _value(call, name, default)
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise FormulaError(f"{call}: {name}= must be a whole number, {wanted}.")
    return int(value)


def read_members(node: Any) -> MemberTerm:
    """What a call of mm() says; a FormulaError where it makes no sense."""
    call = resolve_call(strip(node))
    weights = call.kwargs.get("weights")
    unknown = set(call.kwargs) - {"weights"}
    columns = call.args
    if unknown or len(columns) < 2 or not all(isinstance(a, LazyVariable) for a in columns):
        raise FormulaError(
            f"{call}: mm() takes two or more columns, and perhaps weights=cbind(wa, wb)."
        )
    names = tuple(column.name for column in columns)
    if len(set(names)) < len(names):
        raise FormulaError(f"{call}: mm() names a column twice.")
    if weights is None:
        return MemberTerm(names, ())
    if (
        not isinstance(weights, LazyCall)
        or weights.callee != "cbind"
        or not all(isinstance(a, LazyVariable) for a in weights.args)
        or len(weights.args) != len(names)
    ):
        raise FormulaError(
            f"{call}: weights= must name a column for each of the {len(names)} memberships, as in "
            "weights=cbind(wa, wb)."
        )
    return MemberTerm(names, tuple(weight.name for weight in weights.args))
