"""Compiled loops over design rows against dense numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm.spec import DesignRows
from pymc_vmrp.solvers.kernels import (
    add_weighted_cross_products,
    row_products,
    row_variances,
    transposed_product,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 6), st.integers(6, 12))
def test_kernels_equal_dense_products(seed, n, width, p):
    rng = np.random.default_rng(seed)
    # entries of a row come in the order of the coefficients
    columns = np.array([np.sort(rng.permutation(p)[:width]) for _ in range(n)], dtype=np.int32)
    values = rng.normal(size=(n, width)) * (rng.random((n, width)) < 0.8)
    x = DesignRows(columns, values).dense(p)
    w, v = rng.random(n) * (rng.random(n) < 0.8), rng.normal(size=p)
    root = rng.normal(size=(p, p))
    covariance = root @ root.T

    matrix = np.zeros((p, p))
    add_weighted_cross_products(0, n, columns, values, w, matrix)
    np.testing.assert_allclose(np.tril(matrix), np.tril((x.T * w) @ x), atol=1e-12)
    out = np.zeros(p)
    transposed_product(0, n, columns, values, w, out)
    np.testing.assert_allclose(out, x.T @ w, atol=1e-12)
    eta = np.empty(n)
    row_products(0, n, columns, values, v, eta)
    np.testing.assert_allclose(eta, x @ v, atol=1e-12)
    variance = np.empty(n)
    row_variances(0, n, columns, values, np.tril(covariance), variance)
    np.testing.assert_allclose(variance, ((x @ covariance) * x).sum(1), atol=1e-9)
