"""Collapsing rows into cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm.cells import collapse

frames = st.lists(
    st.tuples(st.integers(-3, 3), st.sampled_from("abc"), st.floats(-1, 1, width=16)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(frames)
def test_cells_are_the_distinct_rows(rows):
    frame = pd.DataFrame(rows, columns=["i", "s", "f"])
    cells = collapse([frame[c] for c in frame], len(frame))
    assert cells.size == len(frame.drop_duplicates())
    represented = frame.iloc[cells.first].iloc[cells.index].reset_index(drop=True)
    pd.testing.assert_frame_equal(represented, frame)
    assert cells.counts().sum() == len(frame)


@settings(max_examples=30, deadline=None)
@given(frames, st.randoms())
def test_order_of_rows_does_not_matter(rows, random):
    frame = pd.DataFrame(rows, columns=["i", "s", "f"])
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = frame.iloc[order].reset_index(drop=True)
    a = collapse([frame[c] for c in frame], len(frame))
    b = collapse([shuffled[c] for c in shuffled], len(frame))
    np.testing.assert_array_equal(a.index[order], b.index)


def test_many_levels_do_not_overflow():
    rng = np.random.default_rng(0)
    columns = [pd.Series(rng.permutation(100_000)) for _ in range(5)]
    assert collapse(columns, 100_000).size == 100_000


def test_without_columns_all_rows_are_one_cell():
    assert collapse([], 5).size == 1


def test_sums():
    cells = collapse([pd.Series(["b", "a", "b"])], 3)
    np.testing.assert_array_equal(cells.sum(np.array([1.0, 2.0, 4.0])), [2.0, 5.0])
