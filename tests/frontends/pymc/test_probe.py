"""Columns of linear functions, found by evaluating them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.frontends.pymc.probe import probe_columns


def _design(rng: np.random.Generator, rows: int, n: int, touched: int) -> np.ndarray:
    out = np.zeros((rows, n))
    for i in range(rows):
        for e in rng.choice(n, size=touched, replace=False):
            out[i, e] = rng.normal() + 0.1
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 120), st.integers(1, 3), st.integers(1, 80))
def test_columns_are_those_of_the_function(seed: int, n: int, touched: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    design = _design(rng, rows, n, min(touched, n))
    found = probe_columns(lambda z: design @ z, n, rng)
    assert found is not None
    np.testing.assert_allclose(found.matrix.toarray(), design, atol=1e-10)
    assert (found.touched == (design != 0).any(0)).all()
    scale = rng.uniform(0.5, 2, n)
    seen = found.scales(lambda z: design @ (scale * z))
    own = np.flatnonzero(found.touched)
    np.testing.assert_allclose(seen[own], (design * scale)[found.row[own], own], rtol=1e-9)


def test_rows_that_touch_all_elements() -> None:
    rng = np.random.default_rng(1)
    design = rng.normal(size=(50, 7))
    found = probe_columns(lambda z: design @ z, 7, rng)
    assert found is not None
    np.testing.assert_allclose(found.matrix.toarray(), design, atol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_equal_values_stay_equal(offset: float) -> None:
    rng = np.random.default_rng(2)
    x = rng.choice([0.1, 0.3, 0.7], 500)
    found = probe_columns(lambda z: (offset + x * z[0]) - offset, 1, rng)
    assert found is not None
    assert len(np.unique(found.matrix.data)) == 3
