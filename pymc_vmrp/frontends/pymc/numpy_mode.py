"""PyTensor graphs evaluated by numpy: nothing is compiled, and little kept in memory.

PyTensor's Elemwise imports such a function by its name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.basic import in2out, node_rewriter
from pytensor.link.basic import PerformLinker
from pytensor.scalar.basic import Clip, Composite, Second
from pytensor.scalar.math import Log1mexp, Softplus, TriGamma
from pytensor.tensor.basic import constant
from pytensor.tensor.elemwise import Elemwise
from scipy.special import zeta

from pymc_vmrp.arrays import FloatArray

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


def second(x: FloatArray, y: FloatArray) -> FloatArray:
    """The latter of two, in their common shape."""
    return np.array(np.broadcast_arrays(x, y)[1])


_FUNCTIONS = {
    TriGamma: (f"{__name__}.trigamma", 1, 1),
    Softplus: (f"{__name__}.softplus", 1, 1),
    Log1mexp: (f"{__name__}.log1mexp", 1, 1),
    Second: (f"{__name__}.second", 2, 1),
    Clip: ("numpy.clip", 3, 1),
}


def depth_first(graph: FunctionGraph) -> list[Apply[Any]]:
    """Nodes in an order in which few of their outputs are kept at a time: deep inputs first.

    Sethi, R. and Ullman, J. D. (1970). The generation of optimal code for arithmetic expressions.
    Journal of the ACM 17(4).
    """
    depth: dict[Any, int] = {}
    for node in graph.toposort():
        depth[node] = 1 + max((depth[below] for below in _below(node)), default=0)
    order: list[Apply[Any]] = []
    done: set[Any] = set()
    stack = [output.owner for output in graph.outputs if output.owner is not None]
    while stack:
        node = stack[-1]
        missing = sorted({n for n in _below(node) if n not in done}, key=depth.__getitem__)
        if missing:
            stack += missing
            continue
        stack.pop()
        if node not in done:
            done.add(node)
            order.append(node)
    return order


def _below(node: Any) -> list[Any]:
    return [variable.owner for variable in node.inputs if variable.owner is not None]


def _without_composite(_fgraph: Any, node: Any) -> Any:
    """Several scalar operations in one, which some rewrites make, as one node each."""
    if not isinstance(node.op.scalar_op, Composite):
        return None
    inner = node.op.scalar_op.fgraph
    memo: dict[Any, Any] = dict(zip(inner.inputs, node.inputs, strict=True))
    for scalar in inner.toposort():
        own: list[Any] = scalar.inputs
        inputs = [memo[v] if v in memo else constant(v.data) for v in own]
        outputs = Elemwise(scalar.op).make_node(*inputs).outputs
        memo.update(zip(scalar.outputs, outputs, strict=True))
    return [memo[output] for output in inner.outputs]


def _with_function(_fgraph: Any, node: Any) -> Any:
    spec = _FUNCTIONS.get(type(node.op.scalar_op))
    if spec is None or node.op.nfunc_spec is not None:
        return None
    return Elemwise(node.op.scalar_op, nfunc_spec=spec).make_node(*node.inputs).outputs


def numpy_mode(optimizer: str) -> Mode:
    """PyTensor's mode in which numpy evaluates graphs, and nothing is compiled."""
    linker = PerformLinker(schedule=depth_first)
    mode = Mode(linker=linker, optimizer=optimizer).excluding("fusion", "inplace")
    rewrites = [in2out(node_rewriter([Elemwise])(f)) for f in (_without_composite, _with_function)]
    return mode.register(*((rewrite, _LAST + i) for i, rewrite in enumerate(rewrites)))
