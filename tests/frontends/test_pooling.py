"""Rows pooled into cells."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.pooling import cell_keys, check_offset, pool_rows
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.families.family import Rows

CELLS = Cells(np.array([0, 1, 0]), np.array([0, 1]))
Y = np.array([1.0, 4.0, 2.0])
OFFSET = np.array([0.1, 0.2, 0.3])


def labels():
    return np.arange(3)


def test_families_that_pool_have_no_keys():
    assert cell_keys(get_family("poisson"), Y) == []
    assert cell_keys(get_family("gamma"), Y) == [Y]
    trials = np.array([5.0, 5.0, 5.0])
    assert cell_keys(get_family("beta_binomial"), Y, trials) == [Y, trials]


def test_absorbed_offsets_go_into_the_statistics():
    response, observations = pool_rows("y", get_family("poisson"), Rows(Y), OFFSET, CELLS, labels)
    assert response.offset is None
    assert observations.offset is None
    np.testing.assert_allclose(response.statistics[1], [np.exp([0.1, 0.3]).sum(), np.exp(0.2)])
    np.testing.assert_array_equal(response.statistics[0], [3.0, 4.0])


def test_other_offsets_stay_with_cells_and_rows():
    response, observations = pool_rows("y", get_family("gamma"), Rows(Y), OFFSET, CELLS, labels)
    np.testing.assert_array_equal(response.offset, [0.1, 0.2])
    assert observations.offset is OFFSET


def test_offsets_that_are_no_logs_are_refused():
    with pytest.raises(vmrp.DataError, match="offset"):
        check_offset(np.array([1.0, 2e4]), get_family("poisson"))
    check_offset(np.array([1.0, 2e4]), get_family("gaussian"))
    check_offset(None, get_family("poisson"))
