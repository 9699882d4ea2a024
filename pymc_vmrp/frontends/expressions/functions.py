"""The functions that formulas know by themselves, whatever has been imported.

formulae keeps its transformations in a registry that other packages add to; here is a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from formulae import categorical
from formulae import transforms as formulae

from pymc_vmrp.frontends.expressions.categories import (
    Binary,
    Categories,
    SumCategories,
    TreatmentCategories,
)
from pymc_vmrp.frontends.expressions.transforms import BSpline, Center, Poly, Scale, offset

PROPORTION = ("p", "prop", "proportion")  # of a response alone

# what a formula names without a module; classes with a state learn from the data
FUNCTIONS: Mapping[str, Any] = {
    "B": Binary,
    "binary": Binary,
    "bs": BSpline,
    "C": Categories,
    "center": Center,
    "I": formulae.I,
    "offset": offset,
    "p": formulae.proportion,
    "poly": Poly,
    "prop": formulae.proportion,
    "proportion": formulae.proportion,
    "S": SumCategories,
    "scale": Scale,
    "standardize": Scale,
    "Sum": categorical.Sum,
    "T": TreatmentCategories,
    "Treatment": categorical.Treatment,
}

# names that are values as well: C(x, Sum)
CONSTANTS: Mapping[str, Any] = {"Sum": categorical.Sum, "Treatment": categorical.Treatment}

_UNARY = """
    abs absolute arccos arccosh arcsin arcsinh arctan arctanh cbrt ceil cos cosh deg2rad degrees
    exp exp2 expm1 fabs floor isfinite isinf isnan log log10 log1p log2 logical_not negative
    positive rad2deg radians reciprocal rint sign sin sinh sqrt square tan tanh trunc
"""
_BINARY = """
    add arctan2 copysign divide equal float_power floor_divide fmax fmin fmod greater
    greater_equal heaviside hypot less less_equal logaddexp logaddexp2 logical_and logical_or
    logical_xor maximum minimum mod multiply not_equal power remainder subtract true_divide
"""

# numpy's functions of single rows: each with the number of its arguments
NUMPY: Mapping[str, tuple[Any, int]] = {
    **{name: (getattr(np, name), 1) for name in _UNARY.split()},
    **{name: (getattr(np, name), 2) for name in _BINARY.split()},
    "where": (np.where, 3),
    "clip": (np.clip, 3),
}

# those that a formula may also name alone, as in R: log(x) for np.log(x)
BARE = ("abs", "ceil", "cos", "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "sin",
        "sqrt", "tan")  # fmt: skip

_SMOOTH = "write s(x) for a smooth of a number"

# what other packages' formulas have, and this one writes otherwise
HINTS: Mapping[str, str] = {
    "c": "a model has one response here: write a model for each",
    "cbind": "write p(successes, trials) for counted successes",
    "censored": "censored responses are not supported",
    "constrained": "constrained responses are not supported",
    "cr": _SMOOTH,
    "cc": _SMOOTH,
    "cs": _SMOOTH,
    "factor": "write C(x) for numbers that stand for categories",
    "gp": f"Gaussian processes are not supported: {_SMOOTH}",
    "hsgp": f"Gaussian processes are not supported: {_SMOOTH}",
    "mo": "monotonic effects are not supported: write rw(x) for ordered levels",
    "mvbind": "a model has one response here: write a model for each",
    "ns": _SMOOTH,
    "t2": f"smooths of several predictors are not supported: {_SMOOTH}",
    "te": f"smooths of several predictors are not supported: {_SMOOTH}",
    "ti": f"smooths of several predictors are not supported: {_SMOOTH}",
    "truncated": "truncated responses are not supported",
    "weighted": "give the weights of rows as weights='column', beside the formula",
}
