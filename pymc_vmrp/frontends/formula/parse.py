"""Parse a Bambi-style formula into a response, common terms and group-specific terms.

formulae's scanner, parser and resolver do the reading. What they lose, and this module keeps, is
which effects stood inside one bar: ``(1 + x | g)`` is one correlated block, ``(1 + x || g)``
is not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from formulae.parser import ParseError, Parser
from formulae.resolver import ResolverError
from formulae.scanner import ScanError, Scanner
from formulae.terms.call import Call
from formulae.terms.call_resolver import CallResolverError
from formulae.terms.terms import Intercept, NegatedIntercept, Response, Term
from formulae.terms.terms import Model as TermSet

from pymc_vmrp.errors import FormulaError
from pymc_vmrp.frontends.expressions.resolve import identity, resolve
from pymc_vmrp.frontends.formula.products import (
    addends,
    check_powers,
    explain_numbers,
    expression_name,
)
from pymc_vmrp.frontends.formula.special import (
    MEMBERS,
    SMOOTHS,
    SmoothCall,
    read_members,
    read_smooth,
)
from pymc_vmrp.frontends.formula.syntax import (
    callee,
    calls,
    contains_bar,
    is_bar,
    operator_of,
    strip,
)

_EXAMPLE = "write for example 'y ~ x + (1|group)'"


@dataclass(frozen=True)
class Bar:
    """One ``(expressions | factor)``, after ``*``, ``/`` and ``+`` are expanded.

    Attributes
    ----------
    expressions : tuple
        formulae's ``Intercept`` or ``Term`` objects; the intercept, where present, comes first.
    factor : Term
        The grouping factor.
    correlated : bool
        False for ``||``.
    """

    expressions: tuple[Any, ...]
    factor: Term
    correlated: bool


@dataclass(frozen=True)
class ParsedFormula:
    """A formula as parsed, before it has met any data."""

    text: str
    response: Term
    common: TermSet
    bars: tuple[Bar, ...]
    offsets: tuple[Term, ...] = ()
    smooths: tuple[SmoothCall, ...] = ()

    def is_offset(self, term: Term) -> bool:
        """Whether ``term`` is one of the offsets; formulae cannot compare any two calls."""
        return any(term is offset for offset in self.offsets)


def parse_formula(formula: str) -> ParsedFormula:
    """Parse ``formula``.

    Raises
    ------
    FormulaError
        Where the text is not a formula, has no response, or uses an operator where it has no
        meaning.
    """
    if not isinstance(formula, str) or not formula.strip():
        raise FormulaError(f"The formula must be a non-empty string: {_EXAMPLE}.")
    if "\0" in formula or formula != formula.encode("utf-8", "replace").decode():
        raise FormulaError(
            f"The formula {formula!a} holds characters that no file can store (NUL, or half of "
            "a surrogate pair): rename the column."
        )
    tree: Any = None
    try:
        tree = _parse(formula)
        if operator_of(tree) != "TILDE":
            raise FormulaError(f"The formula {formula!r} has no response: {_EXAMPLE}.")
        response = Response(resolve(tree.left)).term
        if not isinstance(response.components[0].name, str):
            raise FormulaError(f"The response of {formula!r} is a number: {_EXAMPLE}.")
        check_powers(tree.right)
        common, bars, offsets, smooths = _terms(tree.right)
    except FormulaError:
        raise
    except Exception as error:  # formulae raises many types; the user needs one
        explain_numbers(getattr(tree, "right", None))
        raise FormulaError(
            f"The formula {formula!r} cannot be read ({_reason(error)}): {_EXAMPLE}."
        ) from error
    _check_duplicates(bars)
    _check_offsets(common)
    return ParsedFormula(formula, response, common, tuple(bars), tuple(offsets), tuple(smooths))


def _reason(error: Exception) -> str:
    """What formulae says; errors of its own code say nothing to a user."""
    if not isinstance(error, (ParseError, ScanError, ResolverError, CallResolverError)):
        return "an operator or a number stands where it has no meaning"
    return str(error).encode("utf-8", "backslashreplace").decode()


def _offset(node: Any) -> Term | None:
    """The term of an addend that is one call of ``offset``."""
    node = strip(node)
    if callee(node) != "offset":
        return None
    term: Term = resolve(node)
    return term


def _check_offsets(common: TermSet) -> None:
    """Refuse offsets that are part of another term."""
    for term in common.common_terms:
        components = getattr(term, "components", [])
        if any(isinstance(c, Call) and c.call.callee == "offset" for c in components):
            raise FormulaError(
                f"offset(...) is a known part of the linear predictor and has no interactions: "
                f"write {term.name!r} as one offset of the product."
            )


def _parse(formula: str) -> Any:
    parser = Parser(_merge_double_bars(Scanner(formula).scan()))
    tree = parser.parse()
    if not parser.at_end():
        token = parser.peek()
        hint = (
            "put group-specific terms in parentheses, as in (1|group)"
            if token.kind == "PIPE"
            else _EXAMPLE
        )
        raise FormulaError(
            f"The formula {formula!r} cannot be read from {token.lexeme!r} on: {hint}."
        )
    return tree


def _merge_double_bars(tokens: list[Any]) -> list[Any]:
    """Make one token of ``||``, which formulae's grammar does not know."""
    merged: list[Any] = []
    for token in tokens:
        if token.kind == "PIPE" and merged and merged[-1].kind == "PIPE":
            if merged[-1].lexeme == "||":
                raise FormulaError("'|||' has no meaning: use | or || in a group-specific term.")
            merged[-1].lexeme = "||"
        else:
            merged.append(token)
    return merged


def _terms(tree: Any) -> tuple[TermSet, list[Bar], list[Term], list[SmoothCall]]:
    bars: list[Bar] = []
    offsets: list[Term] = []
    smooths: list[SmoothCall] = []
    plain = []
    for sign, node in addends(tree):
        if is_bar(node):
            if sign < 0:
                raise FormulaError("A group-specific term cannot be subtracted: leave it out.")
            bars.extend(_bars(strip(node)))
        elif contains_bar(node):
            raise FormulaError(
                "A group-specific term such as (1|group) can only be added to other terms."
            )
        elif callee(node) in SMOOTHS:
            if sign < 0:
                raise FormulaError("A smooth cannot be subtracted: leave it out.")
            smooths.append(read_smooth(node))
        elif (offset := _offset(node)) is not None:
            if sign < 0:
                raise FormulaError("An offset cannot be subtracted: write offset(-x).")
            offsets.append(offset)
        else:
            _check_no_special(node)
            plain.append((sign, node))
    for i, smooth in enumerate(smooths):
        if smooth.name in (other.name for other in smooths[:i]):
            raise FormulaError(f"{smooth.name} appears twice: keep one of them.")
    return _sum(TermSet(), plain), bars, offsets, smooths


def _check_no_special(node: Any) -> None:
    if calls(node, SMOOTHS):
        raise FormulaError(
            "s(...) and rw(...) can only be added to other terms: for a smooth that differs by "
            "group write s(x, by=g), not s(x):g, s(x)*g or (s(x)|g)."
        )
    if calls(node, MEMBERS):
        raise FormulaError("mm(...) stands alone right of |, as in (1|mm(a, b)).")


def _sum(start: TermSet, addends: list[tuple[int, Any]]) -> TermSet:
    """Add and subtract terms one by one; 0 takes an intercept away, and − 0 gives it back."""
    total = start
    for sign, node in addends:
        term = resolve(node)
        if sign > 0:
            total = total + term
        elif isinstance(term, NegatedIntercept):
            total = total + Intercept()
        else:
            for one in getattr(term, "common_terms", [term]):
                _take_away(total, one)
    return total


def _take_away(total: TermSet, term: Any) -> None:
    """Remove a term from a sum; one that is not there may be misspelt."""
    same = [other for other in total.common_terms if _components(other) == _components(term)]
    if not same and isinstance(term, Term):
        raise FormulaError(
            f"{term.name!r} is subtracted, but is not among the terms before it "
            f"({', '.join(repr(expression_name(t)) for t in total.common_terms)}): leave it out."
        )
    total.common_terms = [other for other in total.common_terms if other not in same]


def _components(term: Any) -> frozenset[Hashable]:
    """What tells terms apart: the intercept has no components, and their order is of no matter."""
    return frozenset(map(identity, getattr(term, "components", ())))


def _bars(node: Any) -> list[Bar]:
    correlated = node.operator.lexeme != "||"
    if contains_bar(node.left) or contains_bar(node.right):
        raise FormulaError("A group-specific term holds one | only, as in (1 + x|group).")
    expressions = _expressions(node.left)
    if any(sign < 0 for sign, _ in addends(strip(node.right))):
        raise FormulaError("Grouping columns right of | cannot be subtracted.")
    _check_no_special(node.left)
    if callee(node.right) in MEMBERS:
        factors = read_members(node.right)
    else:
        _check_no_special(node.right)
        factors = resolve(node.right)
    terms = factors.common_terms if isinstance(factors, TermSet) else [factors]
    bars = []
    for factor in terms:
        if not isinstance(factor, Term):
            raise FormulaError("The right of | must name grouping columns, as in (1|group).")
        bars.append(Bar(tuple(expressions), factor, correlated))
    return bars


def _expressions(left: Any) -> list[Any]:
    """The effects left of the bar; as in lme4 an intercept is implied unless taken away."""
    terms = _sum(TermSet(Intercept()), addends(strip(left))).common_terms
    if not terms:
        raise FormulaError("(0|group) holds no effect: write (1|group) or (0 + x|group).")
    return sorted(terms, key=lambda term: not isinstance(term, Intercept))


def _check_duplicates(bars: list[Bar]) -> None:
    seen: set[str] = set()
    for bar in bars:
        for expression in bar.expressions:
            name = f"{expression_name(expression)}|{bar.factor.name}"
            if name in seen:
                raise FormulaError(
                    f"The group-specific effect {name!r} appears twice: keep one of them. "
                    "(x|g) already holds the intercept 1|g; write (0 + x|g) for the slope alone."
                )
            seen.add(name)


def predictor_terms(parsed: ParsedFormula) -> Iterator[tuple[str, Term]]:
    """Every term that reads predictors, under the name an error message gives it."""
    for term in (*parsed.common.common_terms, *parsed.offsets):
        if isinstance(term, Term):
            yield term.name, term
    for bar in parsed.bars:
        for expression in bar.expressions:
            name = f"{expression_name(expression)}|{bar.factor.name}"
            if isinstance(expression, Term):
                yield name, expression
            yield name, bar.factor
    for smooth in parsed.smooths:
        for term in smooth.terms:
            yield smooth.name, term
