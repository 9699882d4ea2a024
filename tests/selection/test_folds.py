import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pymc_vmrp.selection.folds import grouped_folds, stratified_folds


@given(st.lists(st.integers(0, 2), min_size=4, max_size=60), st.integers(2, 4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_each_fold_has_its_share_of_each_response(values, folds, seed):
    y = np.array(values)
    fold = stratified_folds(y, folds, np.random.default_rng(seed))
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for value in np.unique(y):
        counts = np.bincount(fold[y == value], minlength=folds)
        assert counts.max() - counts.min() <= 2


def test_folds_are_random_within_responses():
    y = np.repeat([0, 1], 30)
    one, other = (stratified_folds(y, 5, np.random.default_rng(seed)) for seed in (1, 2))
    assert (one != other).any()


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60), st.integers(2, 9), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_levels_stay_whole(values, folds, seed):
    group = np.array(values)
    fold = grouped_folds(group, folds, np.random.default_rng(seed))
    levels = np.unique(group)
    assert all(len(np.unique(fold[group == level])) == 1 for level in levels)
    assert set(fold) == set(range(min(folds, len(levels))))


def test_groups_are_balanced():
    group = np.repeat(np.arange(20), np.arange(1, 21))
    sizes = np.bincount(grouped_folds(group, 5, np.random.default_rng(1)))
    assert sizes.max() - sizes.min() <= 4
