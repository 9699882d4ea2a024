"""Grouping factors: levels, their order, and levels never seen."""

from __future__ import annotations

import pandas as pd

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.formula.factors import level_name


def groups(model):
    return {group.name: group for group in model.glmm.groups}


def test_levels_are_those_observed_in_order(survey):
    part = survey.query("not (state == 'B' and age == '55+')")
    group = groups(vmrp.Model("y ~ (1|state:age)", part))["1|state:age"]
    assert list(group.levels) == sorted(
        {f"{s}:{a}" for s, a in zip(part.state, part.age, strict=True)}
    )
    assert "B:55+" not in group.levels


def test_categories_keep_their_order_and_unused_ones_go(survey):
    order = ["Z", "F", "E", "D", "C", "B", "A"]
    data = survey.assign(state=pd.Categorical(survey["state"], order, ordered=True))
    model = vmrp.Model("y ~ state + (1|state)", data)
    assert groups(model)["1|state"].levels == tuple("FEDCBA")
    assert model.glmm.common.terms[0].labels == tuple("EDCBA")


def test_numbers_may_group(survey):
    data = survey.assign(
        code=survey["state"].map(dict(zip("ABCDEF", [10, 9, 1, 2, 30, 4], strict=True)))
    )
    assert groups(vmrp.Model("y ~ (1|code)", data))["1|code"].levels == (
        "1",
        "2",
        "4",
        "9",
        "10",
        "30",
    )


def test_unseen_levels_are_named(survey):
    model = vmrp.Model("y ~ (1|state) + (1|state:age)", survey)
    new = survey.iloc[:3].assign(state=["Q", "A", "P"], age=["55+", "99", "18-34"])
    frame = model.encoder.prepare(new, "new")
    unseen = model.encoder.unseen_levels(frame)
    assert unseen[0] == ("P", "Q")
    assert [level_name(key) for key in unseen[1]] == ["A:99", "P:18-34", "Q:55+"]
    encoded = model.encoder.encode(frame, unseen, "new")
    assert encoded.codes[0].tolist() == [7, 0, 6]
