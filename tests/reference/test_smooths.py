"""Gu and Wahba's four functions: each smooth at most 5% above pygam's RMSE, on average."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import smooths


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("basis", ["tp", "bs"])
def test_smooths_are_as_near_to_the_truth_as_pygams(family, basis):
    ours = pd.DataFrame([smooths.rmse(seed, family, basis) for seed in range(20)])
    theirs = smooths.reference(family, 20)
    names = list(smooths.NAMES)
    assert (ours[names].mean() <= 1.05 * theirs[names].mean()).all()


def test_the_stored_reference_is_of_these_data():
    stored = smooths.reference("bernoulli", 20)
    assert list(stored["seed"]) == list(range(20))
    data, truth = smooths.draw(0, "bernoulli")
    assert data.shape == (400, 5)
    assert truth[:, 3].std() == 0
