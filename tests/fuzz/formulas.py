"""Formulas put together from terms, and priors: sound and odd ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import pymc_vmrp as vmrp

Rng = np.random.Generator

RESPONSES = {
    "bernoulli": "y", "binomial": "p(k, n)", "gaussian": "z", "poisson": "k",
    "negativebinomial": "k", "gamma": "p", "t": "z", "beta_binomial": "p(k, n)",
}  # fmt: skip

ODD_RESPONSES = (
    "nosuch", "log(y)", "np.log(p)", "y[1]", "y['1']", "g['a']", "g", "c(y, z)", "p(k)",
    "p(k, n, n)", "p(n, k)", "se(z, w)", "se(z, x)", "1", "0", "", "y + z", "y ~ z", "x", "w",
    "p(y, 1)", "p(k, 'n')", "weighted(z, w)", "scale(z)", "`z`", "-z",
)  # fmt: skip

TERMS = (
    "x", "w", "c", "h", "x:w", "x*c", "c:h", "scale(x)", "center(x)", "poly(x, 2)", "bs(x, df=4)",
    "np.log(w)", "I(x**2)", "{x + w}", "C(k)", "offset(x)", "offset(np.log(w))", "(x + w)**2",
    "c/x", "1", "0", "(1|g)", "(1|h)", "(1|g:h)", "(1|g*h)", "(1|g/h)", "(x|g)", "(1 + x|g)",
    "(0 + x|g)", "(1 + x||g)", "(x + w|g)", "(c|g)", "(0 + c|g)", "(x:c|g)", "(1|mm(g, g2))",
    "s(x, k=4)", "s(x, by=h)", "s(x, by=w)", "rw(n)", "rw(c)", "(scale(x)|g)", "(poly(x, 2)|g)",
    "(1|C(k))", "(1|k)", "(1|y)", "(x|g:h)", "(1|x)", "(1|g) + (1|g)",
)  # fmt: skip

ODD_TERMS = (
    "nosuch", "(1|nosuch)", "(nosuch|g)", "-x", "-1", "- nosuch", "x + x", "(x|g", "x)", "((x))",
    "(|g)", "(1|)", "(0|g)", "()", "x^2", "x**-1", "x**1.5", "(x + w)**1.5", "1e400", "s()",
    "s(c)", "s(x, k=0)", "s(x, k=100)", "s(x, bs='zz')", "s(x)*g", "(s(x)|g)", "rw(g)", "rw(x)",
    "mm(g, h)", "(1|mm(g))", "(1|mm())", "mo(k)", "hsgp(x, m=5, c=2)", "np.mean(x)", "np.nosuch(x)",
    "C(x, 'b')", "C(c, levels=['q'])", "poly(x, 50)", "poly(x, 0)", "bs(x)", "bs(x, df=1)",
    "offset(c)", "offset(1)", "offset(800)", "I()", "x[0]", "x.y", "f'x'", "lambda: x", "x if 1",
    "`no such`", "y", "z", "x %in% g", "x:x", "g:g", "2", "x*2", "'text'", "True", "None", "...",
    "__import__('os')", "(1|g|h)", "(x || )", "center(c)", "scale(g)", "\u03b2", "log(x)", "(1|1)",
    "np.sqrt(x)", "1/x", "x/w", "x - x", "np.exp(800*x)", "(np.exp(w*900)|g)", "\n", "\x00", "#",
)  # fmt: skip

PRIOR_KEYS = (
    "Intercept", "common", "x", "c", "group_specific", "1|g", "1+x|g", "smooths", "s(x, k=4)",
    "sigma", "alpha", "nu", "kappa", "nosuch", "", "1|nosuch",
)  # fmt: skip

PRIORS: tuple[tuple[str, Any], ...] = (
    ("Normal(0, 1)", lambda: vmrp.Normal(0, 1)),
    ("Normal(0, [1, 2])", lambda: vmrp.Normal(0, [1, 2])),
    ("Normal(1e200, 1e-200)", lambda: vmrp.Normal(1e200, 1e-200)),
    ("Normal(0, nan)", lambda: vmrp.Normal(0, np.nan)),
    ("Normal(0, -1)", lambda: vmrp.Normal(0, -1)),
    ("Normal('a', 1)", lambda: vmrp.Normal("a", 1)),
    ("Flat()", lambda: vmrp.Flat()),
    ("StudentT(3)", lambda: vmrp.StudentT(3)),
    ("StudentT(1e-9)", lambda: vmrp.StudentT(1e-9)),
    ("Cauchy()", lambda: vmrp.Cauchy()),
    ("Laplace(0, 1)", lambda: vmrp.Laplace(0, 1)),
    ("Horseshoe()", lambda: vmrp.Horseshoe()),
    ("HalfNormal(1)", lambda: vmrp.HalfNormal(1)),
    ("HalfNormal(1e-12)", lambda: vmrp.HalfNormal(1e-12)),
    ("HalfNormal(1e12)", lambda: vmrp.HalfNormal(1e12)),
    ("HalfNormal(0)", lambda: vmrp.HalfNormal(0)),
    ("Exponential(1)", lambda: vmrp.Exponential(1)),
    ("Uniform(1)", lambda: vmrp.Uniform(1)),
    ("Uniform(1e-12)", lambda: vmrp.Uniform(1e-12)),
    ("Gamma(2, 1)", lambda: vmrp.Gamma(2, 1)),
    ("InverseGamma(1, 1)", lambda: vmrp.InverseGamma(1, 1)),
    ("LogNormal(0, 1)", lambda: vmrp.LogNormal(0, 1)),
    ("LogNormal(0, 1e3)", lambda: vmrp.LogNormal(0, 1e3)),
    ("HuangWand(2, 5)", lambda: vmrp.HuangWand(2, 5)),
    ("HuangWand(2, [1, 2])", lambda: vmrp.HuangWand(2, [1, 2])),
    ("HuangWand(1e-9, 1e9)", lambda: vmrp.HuangWand(1e-9, 1e9)),
    ("InverseWishart()", lambda: vmrp.InverseWishart()),
    ("InverseWishart(0.1)", lambda: vmrp.InverseWishart(0.1)),
    ("'flat'", lambda: "flat"),
    ("'jeffreys'", lambda: "jeffreys"),
    ("'uniform'", lambda: "uniform"),
    ("'nosuch'", lambda: "nosuch"),
    ("1.0", lambda: 1.0),
    ("4", lambda: 4),
    ("-1", lambda: -1),
    ("0.0", lambda: 0.0),
    ("nan", lambda: np.nan),
    ("None", lambda: None),
    ("[]", lambda: []),
    ("{}", lambda: {}),
    ("Normal", lambda: vmrp.Normal),
)


# those that any model takes, by the kind of key
SOUND_PRIORS = {
    "coefficients": ("Normal(0, 1)", "StudentT(3)", "Cauchy()", "Laplace(0, 1)", "Horseshoe()"),
    "sds": (
        "HalfNormal(1)", "Exponential(1)", "Uniform(1)", "Gamma(2, 1)", "InverseGamma(1, 1)",
        "LogNormal(0, 1)", "HuangWand(2, 5)",
    ),
    "parameters": ("HalfNormal(1)", "Exponential(1)", "Gamma(2, 1)", "LogNormal(0, 1)"),
}  # fmt: skip
PARAMETERS = {
    "gaussian": "sigma", "t": "sigma", "gamma": "alpha", "negativebinomial": "alpha",
    "beta_binomial": "kappa",
}  # fmt: skip
_CLASHES = ("1", "0", "offset(np.log(w))", "(1|x)", "(1|g) + (1|g)", "s(x, by=h)", "rw(c)")
PLAIN_BARS = ("(1|g)", "(1|h)", "(1|g:h)", "(x|g)", "(1 + x|g)", "(0 + x|g)", "(1 + x||g)")
_ONE_EFFECT = ("(1|g)", "(1|h)", "(1|g:h)", "(0 + x|g)", "(1 + x||g)")
_COLUMN = re.compile(r"\b[a-z]2?\b(?!\()")


def columns_of(text: str) -> set[str]:
    """Names of columns in a formula or a part of one."""
    return set(_COLUMN.findall(text))


def sound_formula(rng: Rng, family: str) -> tuple[str, tuple[str, ...]]:
    """A response and up to three terms that can be fitted, the response in none of them."""
    response = RESPONSES[family]
    used = columns_of(response)
    fit = [t for t in TERMS if t not in _CLASHES and not columns_of(t) & used]
    terms = [str(t) for t in rng.choice(fit, rng.integers(1, 4), replace=False)]
    bars = [t for t in terms if "|" in t]
    kept = [t for t in terms if t not in bars or t in bars[:1] or t in ("(1|h)", "(1|C(k))")]
    return response, tuple(kept)


def sound_priors(rng: Rng, family: str, terms: tuple[str, ...]) -> dict[str, str]:
    """Priors of what the model has."""
    kinds = {"Intercept": "coefficients"}
    if any("|" not in term for term in terms if not term.startswith(("s(", "rw(", "offset("))):
        kinds["common"] = "coefficients"
    bars = [term for term in terms if "|" in term]
    if bars and all(term in _ONE_EFFECT for term in bars):
        kinds["group_specific"] = "sds"
    if family in PARAMETERS:
        kinds[PARAMETERS[family]] = "parameters"
    keys = rng.choice(list(kinds), rng.integers(1, len(kinds) + 1), replace=False)
    return {str(key): str(rng.choice(SOUND_PRIORS[kinds[str(key)]])) for key in keys}


def odd_formula(rng: Rng, family: str) -> tuple[str, tuple[str, ...]]:
    """Any terms, and an odd one or an odd response in most cases."""
    response, terms = RESPONSES[family], [str(t) for t in rng.choice(TERMS, 2, replace=False)]
    chance = rng.random()
    if chance < 0.25:
        response = str(rng.choice(ODD_RESPONSES))
    elif chance < 0.85:
        terms.insert(int(rng.integers(0, 3)), str(rng.choice(ODD_TERMS)))
    return response, tuple(terms)


def odd_priors(rng: Rng) -> dict[str, str]:
    """Any keys and texts of priors."""
    keys = rng.choice(PRIOR_KEYS, rng.integers(1, 3), replace=False)
    return {str(key): PRIORS[int(rng.integers(len(PRIORS)))][0] for key in keys}
