"""Columns of the terms of one model matrix: which categorical factors are coded in full.

The terms of a formula, and those left of one bar, are a matrix each, coded on its own. As in R, a
factor in a term is coded by contrasts where the term without it is spanned already, and by one
column per level where it is not.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
from formulae.contrasts import pick_contrasts
from formulae.terms.terms import Intercept, Term

from pymc_vmrp.frontends.expressions.names import Names
from pymc_vmrp.frontends.expressions.resolve import identity
from pymc_vmrp.frontends.formula.calls import formulae_errors


def code_terms(
    terms: Sequence[Any], frame: pd.DataFrame, names: Names, where: str = ""
) -> list[Any]:
    """Evaluate the terms of one model matrix.

    Parameters
    ----------
    terms : sequence of Intercept or Term
        They are left as they are: the same term may stand in several matrices.
    frame : DataFrame
    names : Names
    where : str
        What an error message adds to a term's name, such as ``"|state"``.

    Returns
    -------
    list of Intercept or Term
        Evaluated copies in the order of ``terms``, without repetitions, and before a term those
        that it takes besides to span what it says: ``a:b`` without ``b`` is preceded by ``b``.
    """
    copies: dict[tuple[Hashable, ...], Any] = {}
    for term in terms:
        if isinstance(term, Intercept):
            copies.setdefault((frozenset(), frozenset()), term)
            continue
        own = _copy(term, term.components)
        with formulae_errors(f"{term.name}{where}", "data"):
            own.set_type(frame, names)
        copies.setdefault((_numeric(own), frozenset(_categorical(own))), own)
    out = []
    codings = _codings(copies)
    for key, term in copies.items():
        if isinstance(term, Intercept):
            out.append(term)
            continue
        with formulae_errors(f"{term.name}{where}", "data"):
            for coding in codings[key]:
                part = _part(term, coding)
                part.set_data({c.name: coding.get(identity(c), False) for c in part.components})
                out.append(part)
    return out


def _copy(term: Term, components: Sequence[Any]) -> Term:
    """A term with components of its own; what transformations learn stays shared."""
    own = copy.copy(term)
    own.components = [copy.copy(component) for component in components]
    return own


def _codings(copies: dict[tuple[Hashable, ...], Any]) -> dict[Any, list[dict[Hashable, bool]]]:
    """For each term its parts: the factors of each, and which of these are coded in full."""
    groups: dict[Hashable, dict[Any, list[Hashable]]] = {}
    for key, term in copies.items():
        factors = [] if isinstance(term, Intercept) else _categorical(term)
        groups.setdefault(key[0], {})[key] = factors
    out: dict[Any, list[dict[Hashable, bool]]] = {}
    for group in groups.values():
        # lower orders first, as in R: a + a:b and a:b + a are one matrix
        ordered = dict(sorted(group.items(), key=lambda item: len(item[1])))
        out.update(pick_contrasts(ordered))
    return out


def _part(term: Term, coding: dict[Hashable, bool]) -> Term:
    """The term, or a part of it with fewer factors."""
    kept = [c for c in term.components if c.kind != "categoric" or identity(c) in coding]
    part = _copy(term, kept)
    part.name = term.name if len(kept) == len(term.components) else ":".join(c.name for c in kept)
    part.kind = "interaction" if len(kept) > 1 else kept[0].kind
    return part


def _numeric(term: Term) -> frozenset[Hashable]:
    return frozenset(identity(c) for c in term.components if c.kind != "categoric")


def _categorical(term: Term) -> list[Hashable]:
    return [identity(c) for c in term.components if c.kind == "categoric"]
