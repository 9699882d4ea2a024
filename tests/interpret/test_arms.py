"""Groups that lack an arm: judged by the rows that the model saw, whichever rows are averaged."""

from __future__ import annotations

import pytest

import pymc_vmrp as vmrp
from tests.interpret.conftest import FORMULA, experiment


@pytest.fixture(scope="module")
def without():
    """Nobody of the region W is treated; nobody lives in the region of cells, X."""
    frame = experiment(200)
    frame = frame[(frame["region"] != "W") | (frame["treat"] == 0)].reset_index(drop=True)
    model = vmrp.Model(FORMULA.replace("y", "normal", 1), frame, family="gaussian")
    return frame, model, model.fit(50, random_seed=1, hyperparameters="mean_field")


def pooled(found):
    return found.table()["pooled"].to_dict()


def test_the_model_s_rows_decide(without):
    frame, model, idata = without
    expected = {"E": False, "N": False, "S": False, "W": True}
    assert pooled(vmrp.effects(model, idata, "treat", "region")) == expected
    # the same rows as data=, and a sample in which all of W are treated and nobody else is
    assert pooled(vmrp.effects(model, idata, "treat", "region", frame)) == expected
    other = frame.assign(treat=(frame["region"] == "W").astype(int))
    found = vmrp.effects(model, idata, "treat", "region", other, contrast=(0, 1))
    assert pooled(found) == expected


def test_a_population_has_groups_that_the_survey_lacks(without):
    frame, model, idata = without
    cells = frame.drop(columns="treat").assign(n=1)
    cells.loc[0, "region"] = "X"
    with pytest.warns(UserWarning, match="region"):
        found = vmrp.effects(model, idata, "treat", "region").population(cells, by="region")
    assert pooled(found) == {"E": False, "N": False, "S": False, "W": True, "X": True}
    assert not vmrp.effects(model, idata, "treat").table()["pooled"].any()


def test_columns_that_the_model_does_not_read(without):
    frame, model, idata = without
    other = frame.assign(half=frame.index % 2)
    other = other[(other["half"] == 0) | (other["treat"] == 1)]
    assert pooled(vmrp.effects(model, idata, "treat", "half", other)) == {0: False, 1: True}


def test_numbers_are_arms_where_the_formula_says_so():
    frame = experiment(300).assign(dose=lambda d: d.index % 4)
    frame = frame[(frame["region"] != "W") | (frame["dose"] != 3)]
    for term, lacks in (("C(dose)", True), ("dose", False)):
        model = vmrp.Model(f"normal ~ {term} + (1 + {term}|region)", frame, family="gaussian")
        idata = model.fit(20, random_seed=1, hyperparameters="mean_field", tol=0.1)
        found = vmrp.effects(model, idata, "dose", "region", contrast=(1, 3))
        assert pooled(found) == {"E": False, "N": False, "S": False, "W": lacks}
        assert ("n[3]" in found.table().columns) == lacks
