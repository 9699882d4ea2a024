"""Collapsing rows into cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.glmm.cells import Cells, _by_sorting, _by_table, collapse
from pymc_vmrp.glmm.codes import SLICE, encode_column

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


KINDS = {
    "int8": lambda i: i.astype(np.int8),
    "bool": lambda i: i > 1,
    "text": lambda i: [f"t{v}" for v in i],
    "category": lambda i: pd.Categorical.from_codes(i, list("dcbazy")),
    "nullable": lambda i: pd.array(i, dtype="Int64"),
    "arrow text": lambda i: pd.array([f"t{v}" for v in i], dtype="str"),
    "python text": lambda i: pd.array([f"t{v}" for v in i], dtype="string[python]"),
    "float": lambda i: i / 4 - 1,
    "wide integers": lambda i: i * 10**17 - 3 * 10**17,
}


def mixed_frame(kinds: list[str], n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {f"{j} {kind}": KINDS[kind](rng.integers(0, 4, n)) for j, kind in enumerate(kinds)}
    )


def check_against_groupby(cells: Cells, frame: pd.DataFrame) -> None:
    groups = frame.groupby(list(frame), observed=True, sort=True)
    np.testing.assert_array_equal(cells.index, groups.ngroup())
    first = pd.Series(range(len(frame))).groupby(np.asarray(cells.index)).min()
    np.testing.assert_array_equal(cells.first, first)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5),
    st.integers(1, 80),
    st.integers(0, 999),
)
def test_cells_are_those_of_groupby_by_either_way(kinds, n, seed):
    frame = mixed_frame(kinds, n, seed)
    columns = [encode_column(frame[name]) for name in frame]
    check_against_groupby(collapse(columns, n), frame)
    check_against_groupby(_by_sorting(columns), frame)
    table = _by_table(columns, 10**6)
    assert table is not None
    check_against_groupby(table, frame)
    assert _by_table(columns, 0) is None


@pytest.mark.parametrize("distinct", [5, 20_000, 10**12])
def test_many_rows_with_few_or_many_duplicates(distinct):
    n = 3 * SLICE + 17
    rng = np.random.default_rng(distinct % 1000)
    cluster = rng.integers(0, 500, n)
    frame = pd.DataFrame(
        {
            "region": np.sort(rng.integers(0, 20, 500))[cluster],
            "x": rng.integers(0, distinct, n) / 7,
            "cluster": pd.Categorical.from_codes(cluster, [f"c{i}" for i in range(500)]),
        }
    )
    cells = collapse([frame[name] for name in frame], n)
    check_against_groupby(cells, frame)
    order = rng.permutation(n)
    shuffled = frame.iloc[order]
    np.testing.assert_array_equal(
        collapse([shuffled[name] for name in frame], n).index, cells.index[order]
    )
    y = rng.random(n) < 0.5
    np.testing.assert_array_equal(cells.sum(y), np.bincount(cells.index, weights=y))
    np.testing.assert_array_equal(cells.counts(), np.bincount(cells.index))


def test_as_many_possible_keys_as_rows_are_not_distinct_rows():
    # 300 × 300 levels on 90,000 rows, and unused categories: few rows differ, the third tells
    n = 90_000
    a = np.arange(n) % 300
    frame = pd.DataFrame({"a": a, "b": a[::-1], "c": np.arange(n) // 300 % 7})
    check_against_groupby(_by_sorting([encode_column(frame[name]) for name in frame]), frame)
    unused = pd.Series(pd.Categorical.from_codes(np.zeros(4, int), list("abcd")))
    columns = [encode_column(unused), encode_column(pd.Series([3, 1, 3, 2]))]
    assert _by_sorting(columns).index.tolist() == [2, 0, 2, 1]


def test_products_of_levels_beyond_64_bits():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({f"c{j}": rng.integers(0, 100, 2000) for j in range(12)})
    frame = frame.iloc[rng.integers(0, 2000, 4000)].reset_index(drop=True)
    check_against_groupby(collapse([frame[name] for name in frame], 4000), frame)
