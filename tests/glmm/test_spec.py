"""Layout of the coefficient vector and the fixed-width rows."""

from __future__ import annotations

import numpy as np


def test_rows_are_the_design(slopes_model):
    glmm = slopes_model.glmm
    dense = glmm.rows.dense(glmm.n_coefficients)
    common = glmm.common.design(glmm.common.columns)
    np.testing.assert_array_equal(dense[:, : glmm.common.size], common)
    for j, group in enumerate(glmm.groups):
        block = dense[:, glmm.group_slice(j)].reshape(len(dense), -1, group.d)
        np.testing.assert_array_equal(block.sum(1), group.values)
        np.testing.assert_array_equal(np.abs(block).sum(2).argmax(1), group.codes)
    assert glmm.group_slice(len(glmm.groups) - 1).stop == glmm.n_coefficients


def test_reported_intercept_undoes_centring(slopes_model):
    common = slopes_model.glmm.common
    beta = np.array([[0.3, -0.2, 0.7]])
    centred = common.design(common.columns) @ beta[0]
    plain = common.reported_intercept(beta)[0] + common.columns @ beta[0, 1:]
    np.testing.assert_allclose(centred, plain)


def test_names(slopes_model):
    assert [group.name for group in slopes_model.glmm.groups] == ["1+x|state", "1|age"]
