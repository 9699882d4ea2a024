"""Partitions: every cell and every nested level in one block, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.solvers.partition import candidates
from tests.cavi.designs import random_glmm


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_blocks_share_no_cell_and_the_border_is_the_rest(seed):
    glmm = random_glmm(seed)
    names = {partition.factor for partition in candidates(glmm)}
    assert {group.factor for group in glmm.groups if group.m == 1} <= names
    for partition in candidates(glmm):
        sizes = partition.block_sizes(glmm.groups)
        assert sizes.min() >= 0
        assert sizes.sum() + partition.border_size(glmm) == glmm.n_coefficients
        for group, levels in zip(glmm.groups, partition.levels, strict=True):
            if levels is not None:
                for members in group.members.T:
                    np.testing.assert_array_equal(levels[members], partition.cells)


def test_interactions_with_the_state_belong_to_it():
    glmm = random_glmm(3, states=6)
    by_state = next(p for p in candidates(glmm) if p.factor == "state")
    nested = [
        g.factor
        for g, levels in zip(glmm.groups, by_state.levels, strict=True)
        if levels is not None
    ]
    assert {"state", "state:age"} <= set(nested)
    assert "age" not in nested


def test_what_two_interactions_share_is_found_without_its_own_term(survey):
    """No (1|state), but state:age and state:educ fall apart by state."""
    glmm = vmrp.Model("y ~ male + (1|state:age) + (1|state:educ)", survey).glmm
    shared = [p for p in candidates(glmm) if "share" in p.factor]
    assert [p.n_blocks for p in shared] == [survey["state"].nunique()]
    assert shared[0].border_size(glmm) == 2


@pytest.mark.parametrize("formula", ["y ~ x", "y ~ 1"])
def test_without_group_specific_terms_there_is_none(survey, formula):
    assert list(candidates(vmrp.Model(formula, survey).glmm)) == []
