"""The warning of grouping factors with two or three levels."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 200
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, n),
            "x": rng.normal(size=n),
            "two": rng.choice(["f", "m"], n),
            "three": rng.choice(list("abc"), n),
            "four": rng.choice(list("abcd"), n),
        }
    )


def told(formula, data, priors=None):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        vmrp.Model(formula, data, priors=priors)
    return [str(w.message) for w in caught if issubclass(w.category, vmrp.PriorWarning)]


def test_one_warning_names_the_terms_the_remedy_and_the_docs(data):
    (message,) = told("y ~ x + (1|two) + (x|three) + (1|four)", data)
    for part in ("'1|two' (2 levels)", "'1+x|three' (3 levels)", "HalfNormal", "'Few levels'"):
        assert part in message
    assert "four" not in message


def test_correlated_effects_are_sent_to_lkj(data):
    (message,) = told("y ~ x + (x|two)", data)
    assert "priors={'1+x|two': vmrp.LKJ(1, vmrp.HalfNormal(s))}" in message


@pytest.mark.parametrize("key", ["1|two", "group_specific"])
def test_who_gave_a_prior_is_not_warned(data, key):
    assert not told("y ~ x + (1|two)", data, {key: vmrp.HalfNormal(0.5)})
    assert not told("y ~ x + (1|four) + (1|two:four)", data)


def test_the_demo_is_quiet():
    simulated = vmrp.simulate(300, random_seed=1)
    assert not told(simulated.formula, simulated.survey)


def test_it_points_at_the_users_line(data):
    with pytest.warns(vmrp.PriorWarning) as caught:
        vmrp.Model("y ~ (1|two)", data)
    assert caught[0].filename == __file__


def test_docs_have_the_section():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    assert re.search(r"^### Few levels$", page, re.M)
