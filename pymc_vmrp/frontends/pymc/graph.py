"""Graphs of PyTensor as plain functions of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.maker import function
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors, io_toposort
from pytensor.scalar.basic import Add, Cast, Sub
from pytensor.tensor.basic import Alloc, MakeVector, cast
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.random.op import RNGConsumerOp
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.type import TensorType

from pymc_vmrp.arrays import AnyArray
from pymc_vmrp.frontends.pymc.numpy_mode import numpy_mode


def named_input(name: str, shape: Sequence[int | None]) -> Any:
    """A variable in double precision, of any name: ``pt.tensor`` refuses some, such as "1|g"."""
    return TensorType(dtype="float64", shape=tuple(shape))(name=name)


def numeric(
    inputs: Sequence[Any], outputs: Sequence[Any], *, stable: bool = False
) -> Callable[..., list[Any]]:
    """The outputs as a function of the inputs, evaluated by numpy.

    Nothing is compiled and hardly anything rewritten: that would take seconds, for a function that
    is called some hundred times. ``stable`` rewrites, which also makes expressions numerically
    stable.
    """
    mode = numpy_mode("fast_run" if stable else "minimum_compile")
    return function(list(inputs), in_double(outputs), mode=mode, on_unused_input="ignore")


def substitute(
    outputs: Sequence[Any],
    replacements: Mapping[Any, Any],
    *,
    any_shape: bool = False,
    flat: bool = False,
) -> list[Any]:
    """Graphs with variables replaced, also inside of the replacements; nothing is changed in place.

    Parameters
    ----------
    outputs : sequence of Variable
    replacements : mapping of Variable to Variable
    any_shape : bool
        Whether replacements may have other shapes: then nodes are made anew, and what only asserts
        or repeats a static shape is left out.
    flat : bool
        Whether vectors take the place of tables: then axes to broadcast by are left out.
    """

    def remake(node: Any, inputs: list[Any]) -> list[Any]:
        if flat and isinstance(node.op, DimShuffle) and node.op.is_expand_dims:
            return [inputs[0]]
        if all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
            return list(node.outputs)
        if not any_shape:
            return list(node.clone_with_new_inputs(inputs).outputs)
        same_shape = node.inputs[0].type == node.outputs[0].type
        if isinstance(node.op, SpecifyShape) or (isinstance(node.op, Alloc) and same_shape):
            return [inputs[0]]
        # a vector in the place of a number that was made one
        if isinstance(node.op, DimShuffle) and inputs[0].type.ndim != node.op.input_ndim:
            return [inputs[0]]
        if isinstance(node.op, OpFromGraph):  # it insists on the shapes it was made for
            inner = node.op.fgraph.unfreeze()
            own = dict(zip(inner.inputs, inputs, strict=True))
            return substitute(inner.outputs, own, any_shape=True, flat=flat)
        return list(node.op.make_node(*inputs).outputs)

    return _rebuild(outputs, replacements, remake)


def in_double(outputs: Sequence[Any]) -> list[Any]:
    """Graphs without single precision: PyTensor takes the root of the integer 2 in it."""

    def remake(node: Any, inputs: list[Any]) -> list[Any]:
        single = isinstance(node.op, Elemwise) and _is_narrow(node.outputs[0])
        if single and not isinstance(node.op.scalar_op, Cast):
            inputs = [cast(v, "float64") for v in inputs]
        elif all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
            return list(node.outputs)
        if isinstance(node.op, MakeVector) and str(node.op.dtype).startswith("float"):
            return list(MakeVector("float64").make_node(*inputs).outputs)
        if isinstance(node.op, OpFromGraph):  # it insists on the types it was made for
            inputs = [
                cast(new, old.type.dtype) if _is_narrow(old) else new
                for new, old in zip(inputs, node.inputs, strict=True)
            ]
            return list(node.clone_with_new_inputs(inputs, strict=False).outputs)
        return list(node.op.make_node(*inputs).outputs)

    return _rebuild(outputs, {}, remake)


def _is_narrow(variable: Any) -> bool:
    return getattr(variable.type, "dtype", None) in ("float16", "float32")


def _rebuild(
    outputs: Sequence[Any],
    replacements: Mapping[Any, Any],
    remake: Callable[[Any, list[Any]], list[Any]],
) -> list[Any]:
    memo: dict[Any, Any] = {}
    stack = list(outputs)
    while stack:
        variable = stack[-1]
        target = replacements.get(variable)
        below = [target] if target is not None else getattr(variable.owner, "inputs", [])
        missing = [v for v in below if v not in memo]
        if missing and variable not in memo:
            stack += missing
            continue
        stack.pop()
        if variable in memo:
            continue
        if target is not None:
            memo[variable] = memo[target]
        elif variable.owner is None:
            memo[variable] = variable
        else:
            new = remake(variable.owner, [memo[v] for v in below])
            # an output that is replaced keeps its replacement
            pairs = zip(variable.owner.outputs, new, strict=True)
            memo.update((v, n) for v, n in pairs if v not in replacements)
    return [memo[variable] for variable in outputs]


def evaluate(outputs: Sequence[Any]) -> list[AnyArray]:
    """Values of variables that depend on constants alone."""
    return [np.asarray(value) for value in numeric([], outputs)()]


def arrays_of(outputs: Sequence[Any]) -> list[Any]:
    """Constants that hold arrays among the ancestors of variables."""
    constants = (v for v in ancestors(list(outputs)) if isinstance(v, Constant))
    return [v for v in constants if isinstance(getattr(v, "data", None), np.ndarray)]


def is_random(variable: Any) -> bool:
    """Whether anything random is among a variable's ancestors, itself included."""
    nodes = (v.owner for v in ancestors([variable]) if v.owner is not None)
    return any(isinstance(node.op, RNGConsumerOp) for node in nodes)


def multipliers(source: Any, sink: Any) -> set[Any]:
    """Variables on which the slope of ``sink`` by ``source`` may depend.

    They are the ancestors of what enters the nodes between the two beside the path, sums left out.
    """
    between = set(ancestors([sink]))
    reached, beside = {source}, set()
    for node in io_toposort([], [sink]):
        on_path = [v for v in node.inputs if v in reached]
        if not on_path or not any(v in between for v in node.outputs):
            continue
        reached |= set(node.outputs)
        scalar_op = getattr(node.op, "scalar_op", None)
        if not isinstance(scalar_op, Add | Sub):
            beside |= {v for v in node.inputs if v not in reached}
            beside |= set(on_path) if len(on_path) > 1 else set()
    return set(ancestors(list(beside)))


def depends_on(variables: Sequence[Any], candidates: Sequence[Any]) -> list[Any]:
    """Those of the candidates that are among the variables' ancestors."""
    found = set(ancestors(list(variables)))
    return [candidate for candidate in candidates if candidate in found]
