"""Elementary functions that LLVM turns into vector instructions inside a compiled loop.

The mathematical library is called one element at a time, and stops a loop from being vectorised.
These are a few multiplications and additions without a branch. Each polynomial interpolates its
function at Chebyshev nodes, computed with 40 digits and converted to powers.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# numpy's error model: a test for division by zero would keep a loop scalar; "contract" allows a
# fused multiply-add and nothing else, so that sums keep their order
COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
}

_LOG2_E = 1.4426950408889634
# ln 2 in two parts, so that subtracting a multiple of it loses nothing
_LN2_HIGH = float.fromhex("0x1.62e42fefa39efp-1")
_LN2_LOW = float.fromhex("0x1.abc9e3b39803fp-56")
_ROUND = 1.5 * 2.0**52  # adding it rounds to an integer, which the lowest bits then hold
_EXPONENT = 52  # where the exponent of a float64 starts
_BIAS = 1023 << _EXPONENT
_TO_ZERO = -709.1  # rounds to 2⁻¹⁰²³, whose exponent bits are those of zero

# e^r on |r| <= ½ ln 2; relative error 1.7e-17
_E = (
    1.0,
    1.0,
    0.5000000000000019,
    0.1666666666666668,
    0.0416666666664881,
    0.008333333333319601,
    0.0013888888952314775,
    0.00019841269890047113,
    2.4801485482328494e-05,
    2.755724091857897e-06,
    2.763263963904103e-07,
    2.5110037605963777e-08,
)
# 2 artanh(√z)/√z on 0 <= z <= 1/9; relative error 8.9e-17
_L = (
    2.0,
    0.6666666666668257,
    0.399999999952876,
    0.2857142911165716,
    0.22222190861346283,
    0.1818285980047391,
    0.15363676248891633,
    0.13591305485579894,
    0.09880789048764786,
    0.17780763826113302,
)


@numba.njit(**COMPILED)
def exp_of_nonpositive(x):  # type: ignore[no-untyped-def]
    """Exponential of x <= 0; below the smallest normal number, at x < −708.7, it is 0.

    With n the integer nearest to x/ln 2, eˣ = 2ⁿ e^(x − n ln 2) (Cody and Waite 1980, Software
    Manual for the Elementary Functions, chapter 6). A NaN stays one.
    """
    x = _TO_ZERO if x < _TO_ZERO else x
    shifted = x * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    total = ((_E[11] * r + _E[10]) * r + _E[9]) * r + _E[8]
    total = (((total * r + _E[7]) * r + _E[6]) * r + _E[5]) * r + _E[4]
    total = (((total * r + _E[3]) * r + _E[2]) * r + _E[1]) * r + _E[0]
    bits = np.float64(shifted).view(np.int64)
    return total * np.int64((bits << _EXPONENT) + _BIAS).view(np.float64)


@numba.njit(**COMPILED)
def softplus(eta):  # type: ignore[no-untyped-def]
    """Value of log(1 + e^η) = max(η, 0) + log(1 + e^−|η|), without overflow.

    log(1 + e) = 2 artanh(e/(2 + e)), whose argument is at most 1/3.
    """
    e = exp_of_nonpositive(-abs(eta))
    s = e / (2.0 + e)
    z = s * s
    total = _L[9] * z + _L[8]
    total = (((total * z + _L[7]) * z + _L[6]) * z + _L[5]) * z + _L[4]
    total = (((total * z + _L[3]) * z + _L[2]) * z + _L[1]) * z + _L[0]
    return (eta if eta > 0.0 else 0.0) + s * total


@numba.njit(**COMPILED)
def expit(eta):  # type: ignore[no-untyped-def]
    """Value of 1/(1 + e^−η), without overflow, and with relative accuracy where it is small."""
    e = exp_of_nonpositive(-abs(eta))
    return (1.0 if eta > 0.0 else e) / (1.0 + e)
