"""Reading s(), rw() and mm() from a formula, and refusing what makes no sense."""

from __future__ import annotations

import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.formula.parse import parse_formula


@pytest.mark.parametrize(
    ("text", "name", "k", "kind", "order"),
    [
        ("s(x)", "s(x)", 10, "tp", 2),
        ("s(x, k=7, bs='cr')", "s(x)", 7, "cr", 2),
        ('s(x, bs="bs", m=1, by=g)', "s(x, by=g)", 10, "bs", 1),
        ("s(np.log(x), by=z)", "s(np.log(x), by=z)", 10, "tp", 2),
        ("rw(age)", "rw(age)", 10, "tp", 2),
        ("s(`my x`)", "s(my x)", 10, "tp", 2),
    ],
)
def test_calls_are_read(text, name, k, kind, order):
    parsed = parse_formula(f"y ~ z + {text} + (1|g)")
    (smooth,) = parsed.smooths
    assert (smooth.name, smooth.k, smooth.kind, smooth.order) == (name, k, kind, order)
    assert [str(t.name) for t in parsed.common.common_terms[1:]] == ["z"]
    assert len(parsed.bars) == 1


def test_parentheses_are_opened():
    assert len(parse_formula("y ~ (s(x) + z) + (s(w))").smooths) == 2


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ s(x, k=2)", "at least 3 for bs='tp'"),
        ("y ~ s(x, k=4, bs='bs')", "at least 5"),
        ("y ~ s(x, k=2.5)", "whole number"),
        ("y ~ s(x, k=n)", "whole number"),
        ("y ~ s(x, bs='gp')", "'tp', 'cr', 'bs'"),
        ("y ~ s(x, bs='cr', m=1)", "m="),
        ("y ~ s(x, bs='bs', m=3)", "m="),
        ("y ~ s(x, knots=3)", "no argument 'knots'"),
        ("y ~ s(x, z)", "one predictor"),
        ("y ~ s()", "one predictor"),
        ("y ~ s(x + z)", "column, or a call"),
        ("y ~ s(x, by=np.log(z))", "by= must be the name"),
        ("y ~ rw(x, k=3)", "no argument 'k'"),
        ("y ~ s(x):g", "by=g"),
        ("y ~ s(x)*g", "by=g"),
        ("y ~ np.log(s(x))", "by=g"),
        ("y ~ (s(x)|g)", "by=g"),
        ("y ~ (1|rw(x))", "by=g"),
        ("y ~ z - s(x)", "subtracted"),
        ("y ~ s(x) + s(x, k=5)", "appears twice"),
        ("y ~ mm(a, b)", "right of"),
        ("y ~ (1|mm(a, b):g)", "right of"),
        ("y ~ (1|mm(a))", "two or more"),
        ("y ~ (1|mm(a, a))", "twice"),
        ("y ~ (1|mm(a, np.log(b)))", "two or more columns"),
        ("y ~ (1|mm(a, b, weights=w))", "cbind"),
        ("y ~ (1|mm(a, b, weights=cbind(w)))", "each of the 2"),
    ],
)
def test_what_makes_no_sense_is_refused(formula, message):
    with pytest.raises(vmrp.FormulaError, match=message):
        parse_formula(formula)
