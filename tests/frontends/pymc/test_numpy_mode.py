"""The numpy functions that stand in for PyTensor's scalar operations."""

from __future__ import annotations

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.compile.maker import function
from scipy.special import polygamma

from pymc_vmrp.frontends.pymc.numpy_mode import (
    depth_first,
    log1mexp,
    numpy_mode,
    softplus,
    trigamma,
)


def test_values():
    x = np.array([1e-3, 0.4, 1.0, 7.5, 300.0])
    np.testing.assert_allclose(trigamma(x), polygamma(1, x), rtol=1e-13)
    expected = [np.exp(-40), np.log(2), 800]
    np.testing.assert_allclose(softplus(np.array([-40.0, 0.0, 800.0])), expected)
    ordinary = x[:4]
    np.testing.assert_allclose(log1mexp(-ordinary), np.log(-np.expm1(-ordinary)), rtol=1e-12)
    assert log1mexp(np.array([-50.0]))[0] == pytest.approx(-np.exp(-50.0), rel=1e-12)


OPERATIONS = {
    "trigamma": pt.tri_gamma,
    "softplus": pt.softplus,
    "log1mexp": pt.log1mexp,
    "clip": lambda x: pt.clip(x, -0.6, -0.2),
    # its rewriting makes several operations one
    "tail": lambda x: pt.grad(pt.log(pt.erfc(-4 * x)).sum(), x),
}


@pytest.mark.parametrize("optimizer", ["minimum_compile", "fast_run"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_graphs_are_evaluated_by_numpy(operation, optimizer):
    make = OPERATIONS[operation]
    x = pt.dvector("x")
    value = np.array([-0.9, -0.5, -0.1])
    compiled = function([x], make(x), mode=numpy_mode(optimizer))
    expected = function([x], make(x), mode="FAST_COMPILE")
    np.testing.assert_allclose(compiled(value), expected(value), rtol=1e-10)
    elementwise = [n for n in compiled.maker.fgraph.apply_nodes if hasattr(n.op, "scalar_op")]
    assert all(node.op.nfunc_spec is not None for node in elementwise)


def test_few_intermediate_results_are_kept():
    """A sum of products is added up as the products are made, whatever its nesting."""
    xs = [pt.dvector(f"x{i}") for i in range(12)]
    left = right = None
    for x in xs:
        left = pt.exp(x) if left is None else left + pt.exp(x)
        right = pt.exp(x) if right is None else pt.exp(x) + right
    for total in (left, right):
        graph = function(xs, total, mode=numpy_mode("minimum_compile")).maker.fgraph
        order = depth_first(graph)
        assert sorted(map(id, order)) == sorted(map(id, graph.toposort()))
        position = {node: i for i, node in enumerate(order)}
        assert all(position[b] < position[n] for n in order for b in below(n))
        last = {
            b: max(position[n] for n in order if b in below(n)) for m in order for b in below(m)
        }
        alive = [sum(position[n] <= i < last[n] for n in last) for i in range(len(order))]
        assert max(alive) <= 2


def below(node):
    return [variable.owner for variable in node.inputs if variable.owner is not None]
