"""The numpy functions that stand in for PyTensor's scalar operations."""

from __future__ import annotations

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.compile.maker import function
from scipy.special import polygamma

from pymc_vmrp.frontends.pymc.ufuncs import log1mexp, numpy_mode, softplus, trigamma


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
}


@pytest.mark.parametrize("optimizer", ["minimum_compile", "fast_run"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_graphs_are_evaluated_by_numpy(operation, optimizer):
    make = OPERATIONS[operation]
    x = pt.dvector("x")
    value = np.array([-0.9, -0.5, -0.1])
    compiled = function([x], make(x), mode=numpy_mode(optimizer))
    np.testing.assert_allclose(compiled(value), make(pt.constant(value)).eval(), rtol=1e-12)
    elementwise = [n for n in compiled.maker.fgraph.apply_nodes if hasattr(n.op, "scalar_op")]
    assert all(node.op.nfunc_spec is not None for node in elementwise)
