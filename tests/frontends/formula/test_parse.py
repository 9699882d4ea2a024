"""Parsing formulas."""

from __future__ import annotations

import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.formula.parse import expression_name, parse_formula


def bars(formula):
    return [
        ("+".join(map(expression_name, bar.expressions)), bar.factor.name, bar.correlated)
        for bar in parse_formula(formula).bars
    ]


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y ~ (1|g)", [("1", "g", True)]),
        ("y ~ (1|a:b)", [("1", "a:b", True)]),
        ("y ~ (1|a*b)", [("1", "a", True), ("1", "b", True), ("1", "a:b", True)]),
        ("y ~ (1|a/b)", [("1", "a", True), ("1", "a:b", True)]),
        ("y ~ (1|a + b)", [("1", "a", True), ("1", "b", True)]),
        ("y ~ (x|g)", [("1+x", "g", True)]),
        ("y ~ (1 + x|g)", [("1+x", "g", True)]),
        ("y ~ (0 + x|g)", [("x", "g", True)]),
        ("y ~ (x - 1|g)", [("x", "g", True)]),
        ("y ~ (1 + x||g)", [("1+x", "g", False)]),
        ("y ~ (x || g)", [("1+x", "g", False)]),
        (
            "y ~ (1 + x|a*b)",
            [("1+x", "a", True), ("1+x", "b", True), ("1+x", "a:b", True)],
        ),
        ("y ~ (x*z|g)", [("1+x+z+x:z", "g", True)]),
        ("y ~ (1|`my group`)", [("1", "my group", True)]),
        ("y ~ ((1|g) + x) + (1|h)", [("1", "g", True), ("1", "h", True)]),
    ],
)
def test_group_specific_terms(formula, expected):
    assert bars(formula) == expected


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("y ~ x", ["Intercept", "x"]),
        ("y ~ 0 + x", ["x"]),
        ("y ~ x - 1", ["x"]),
        ("y ~ x*z", ["Intercept", "x", "z", "x:z"]),
        ("y ~ (x + z)**2 - z", ["Intercept", "x", "x:z"]),
        ("y ~ np.log(x) + scale(z) + (1|g)", ["Intercept", "np.log(x)", "scale(z)"]),
        ("y ~ (x + (1|g)) + z", ["Intercept", "x", "z"]),
    ],
)
def test_common_terms(formula, expected):
    assert [term.name for term in parse_formula(formula).common.common_terms] == expected


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "non-empty"),
        (None, "non-empty"),
        ("x + (1|g)", "no response"),
        ("y ~ x +", "cannot be read"),
        ("y ~ x ~ z", "cannot be read"),
        ("y ~ (1|g", "cannot be read"),
        ("y ~ x + 1|g", "parentheses"),
        ("y ~ (1|g) + (x|g)", "twice"),
        ("y ~ (0|g)", "no effect"),
        ("y ~ (1|||g)", "no meaning"),
        ("y ~ x:(1|g)", "only be added"),
        ("y ~ x - (1|g)", "subtracted"),
        ("y ~ (1|1)", "grouping columns"),
        ("a + b ~ x", "cannot be read"),
        ("y ~ (1+x)**2", r"'\(1 \+ x\)\*\*2'.*number out there: x\. .*I\(\(1 \+ x\)\*\*2\)"),
        ("y ~ z + (1 + x + w)**2", r"'\(1 \+ x \+ w\)\*\*2'.*out there: \(x \+ w\)\*\*2\."),
        ("y ~ (0 + x)*C(k, 'a')", r"\(0 \+ x\)\*C.*out there: x\*C\(k, 'a'\)\."),
        ("y ~ x + z:(1 + `a b`)", r"'z:\(1 \+ `a b`\)'.*out there: z:`a b`\."),
        ("y ~ x*2", r"'x\*2'.*out there\. .*I\(x\*2\)"),
    ],
)
def test_bad_formulas(formula, message):
    with pytest.raises(vmrp.FormulaError, match=message):
        parse_formula(formula)
