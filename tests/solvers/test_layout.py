"""The layout of a partition: the same design, in another order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.solvers import layout as module
from pymc_vmrp.solvers.layout import lay_out
from pymc_vmrp.solvers.partition import candidates
from tests.cavi.designs import random_glmm


def dense(layout, p):
    """The design matrix as a layout tells it."""
    rows = layout.rows
    out = np.zeros((len(rows.order), p))
    for b in range(layout.partition.n_blocks):
        own = layout.coefficients[layout.starts[b] : layout.starts[b + 1]]
        touched = layout.touched[layout.touched_starts[b] : layout.touched_starts[b + 1]]
        for i in range(rows.starts[b], rows.starts[b + 1]):
            # add.at: a row may touch one level twice
            border = layout.border[touched[rows.border[i]]]
            np.add.at(out[rows.order[i]], own[rows.own[i]], rows.own_values[i])
            np.add.at(out[rows.order[i]], border, rows.border_values[i])
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_layout_is_the_same_design(seed, by_sorting):
    glmm = random_glmm(seed)
    p = glmm.n_coefficients
    before = module._TABLE
    module._TABLE = 0 if by_sorting else before
    try:
        for partition in candidates(glmm):
            layout = lay_out(glmm, partition)
            np.testing.assert_array_equal(np.sort(layout.permutation), np.arange(p))
            np.testing.assert_allclose(dense(layout, p), glmm.rows.dense(p))
            # what a row's border entries are numbered by must ascend: kernels read triangles
            for border, values in zip(layout.rows.border, layout.rows.border_values, strict=True):
                assert (np.diff(border[values != 0]) > 0).all()
    finally:
        module._TABLE = before


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_terms_and_effects_of_the_blocks(seed):
    glmm = random_glmm(seed)
    for partition in candidates(glmm):
        layout = lay_out(glmm, partition)
        for j, group in enumerate(glmm.groups):
            where = glmm.group_slice(j)
            mine = (layout.coefficients >= where.start) & (layout.coefficients < where.stop)
            assert (layout.terms[mine] == j).all()
            expected = (layout.coefficients[mine] - where.start) % group.d
            np.testing.assert_array_equal(layout.effects[mine], expected)
        for j, index in layout.border_terms(glmm):
            start = glmm.group_slice(j).start
            np.testing.assert_array_equal(
                layout.border[index].ravel(), start + np.arange(glmm.groups[j].size)
            )
