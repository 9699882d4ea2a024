"""Scalar operations for which PyTensor has no numpy function: it would call Python for each number.

PyTensor's Elemwise imports such a function by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytensor.compile.mode import Mode
from pytensor.graph.rewriting.basic import in2out, node_rewriter
from pytensor.scalar.basic import Clip
from pytensor.scalar.math import Log1mexp, Softplus, TriGamma
from pytensor.tensor.elemwise import Elemwise
from scipy.special import zeta

FloatArray = NDArray[np.float64]

_LAST = 1000.0  # position among PyTensor's rewrites: some of them make these operations


def trigamma(x: FloatArray) -> FloatArray:
    """ψ′(x), for x > 0."""
    return np.asarray(zeta(2.0, x))


def softplus(x: FloatArray) -> FloatArray:
    """log(1 + eˣ)."""
    return np.asarray(np.logaddexp(0.0, x))


def log1mexp(x: FloatArray) -> FloatArray:
    """log(1 − eˣ), for x < 0; Mächler (2012), "Accurately computing log(1 − exp(−|a|))"."""
    near = x > -np.log(2.0)
    return np.where(near, np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


_FUNCTIONS = {
    TriGamma: (f"{__name__}.trigamma", 1, 1),
    Softplus: (f"{__name__}.softplus", 1, 1),
    Log1mexp: (f"{__name__}.log1mexp", 1, 1),
    Clip: ("numpy.clip", 3, 1),
}


def _with_function(_fgraph: Any, node: Any) -> Any:
    spec = _FUNCTIONS.get(type(node.op.scalar_op))
    if spec is None or node.op.nfunc_spec is not None:
        return None
    return Elemwise(node.op.scalar_op, nfunc_spec=spec).make_node(*node.inputs).outputs


def numpy_mode(optimizer: str) -> Mode:
    """PyTensor's mode in which numpy evaluates graphs, and nothing is compiled."""
    mode = Mode(linker="py", optimizer=optimizer).excluding("fusion", "inplace")
    return mode.register((in2out(node_rewriter([Elemwise])(_with_function)), _LAST))
