"""Rows of the table of `diagnose`."""

from __future__ import annotations

import numpy as np
import pytest

from pymc_vmrp.diagnostics.finding import Finding, overall


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ((None, 0.7), "at most 0.7"),
        ((400, None), "at least 400"),
        ((1 / 1.1, 1.1), "0.909 to 1.1"),
        (0.5, "0.5"),
        (np.nan, ""),
    ],
)
def test_limits_in_words(limit, text):
    assert Finding("a", "b", 1.0, limit, "fine", "").limit_text == text


def test_values_have_their_monte_carlo_errors():
    assert Finding("a", "b", 0.1184, (-0.1, 0.1), "fine", "", mcse=0.0312).value_text == (
        "0.118 ± 0.031"
    )
    assert Finding("a", "b", 0.1184, (-0.1, 0.1), "fine", "").value_text == "0.118"


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        ([("note", False)], "fine"),
        ([("fine", False), ("use with care", False)], "use with care"),
        ([("fine", False), ("do not trust", True)], "use with care"),
        ([("do not trust", False), ("use with care", True)], "do not trust"),
    ],
)
def test_the_worst_verdict_counts(verdicts, worst):
    found = [Finding("a", "b", 0.0, 1.0, v, "", caps=caps) for v, caps in verdicts]
    assert overall(found) == worst
