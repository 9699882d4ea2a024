"""One large matrix: its factor and inverse."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.solvers.factor import factor_and_invert


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_factor_and_inverse(n, capfd):
    root = np.random.default_rng(n).normal(size=(n, n))
    matrix = root @ root.T + np.eye(n)
    lower, inverse = factor_and_invert(np.tril(matrix))
    np.testing.assert_allclose(lower @ lower.T, matrix, atol=1e-10)
    np.testing.assert_allclose(inverse, np.tril(np.linalg.inv(matrix)), atol=1e-10)
    assert capfd.readouterr() == ("", "")  # LAPACK prints its complaints


def test_singular_matrices_are_an_error():
    with pytest.raises(vmrp.DataError, match="singular"):
        factor_and_invert(np.ones((3, 3)))


def test_a_model_without_a_border_fits_in_silence(survey, capfd):
    model = vmrp.Model("y ~ 0 + (1|state)", survey)
    dense, partitioned = (
        model.approximate(solver=s, hyperparameters="mean_field") for s in ("dense", "partitioned")
    )
    assert partitioned.elbo == pytest.approx(dense.elbo, abs=1e-8)
    assert "DPOTRI" not in "".join(capfd.readouterr())
