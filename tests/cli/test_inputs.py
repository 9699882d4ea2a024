"""Tables of a command: merged, with the order of their levels; saved fits."""

from __future__ import annotations

import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.cli.inputs import read_tables

AGES = ["young", "middle", "old, very"]


@pytest.fixture
def folder(tmp_path):
    frame = pd.DataFrame({"y": [0, 1, 1, 0], "age": [AGES[i] for i in (2, 0, 1, 0)], "s": 1})
    frame.to_csv(tmp_path / "survey.csv", index=False)
    frame.assign(age=pd.Categorical(frame["age"], AGES, ordered=True)).to_parquet(
        tmp_path / "survey.parquet"
    )
    pd.DataFrame({"age": AGES, "n": [3, 2, 1]}).to_csv(tmp_path / "cells.csv", index=False)
    pd.DataFrame({"age": AGES, "v": [1, 2, 3]}).to_csv(tmp_path / "ages.csv", index=False)
    return tmp_path


def orders(tables):
    return [list(t["age"].cat.categories) for t in (tables.survey, tables.cells)]


def test_an_order_that_is_typed(folder):
    typed = ['age=young, middle,"old, very"']
    tables = read_tables(folder / "survey.csv", folder / "cells.csv", None, typed)
    assert orders(tables) == [AGES, AGES]
    assert tables.survey["age"].cat.ordered
    assert tables.orders == {"age": AGES}


@pytest.mark.parametrize("join", [[], ["ages.csv"]])
def test_an_order_of_the_table_is_kept(folder, join):
    paths = [folder / name for name in join]
    tables = read_tables(folder / "survey.parquet", folder / "cells.csv", paths, None)
    assert orders(tables) == [AGES, AGES]
    if join:
        assert tables.survey["v"].tolist() == [3, 1, 2, 1]


def test_an_order_that_was_saved_with_the_fit(folder):
    saved = {"age": AGES[::-1]}
    tables = read_tables(folder / "survey.csv", folder / "cells.csv", None, None, saved)
    assert orders(tables) == [AGES[::-1], AGES[::-1]]
    # the table's own, and what is typed, come first
    tables = read_tables(folder / "survey.parquet", folder / "cells.csv", None, None, saved)
    assert orders(tables) == [AGES, AGES]
    typed = ['age=middle,"old, very",young']
    tables = read_tables(folder / "survey.csv", folder / "cells.csv", None, typed, saved)
    assert orders(tables)[0][0] == "middle"


def test_levels_that_the_survey_never_saw_are_no_error(folder):
    pd.DataFrame({"age": ["ancient", "young"], "n": 1}).to_csv(folder / "c.csv", index=False)
    tables = read_tables(folder / "survey.parquet", folder / "c.csv", None, None)
    assert tables.cells["age"].tolist() == ["ancient", "young"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["age"], "must name a column"),
        (["age=young"], "must name a column"),
        (["age=,young"], "must name a column"),
        (["age=young,mid\rdle"], "must name a column"),
        (['age=young,"middle'], "must name a column"),
        (["age=" + "x" * 200_000 + ",y"], "must name a column"),
        (["age=young,young"], "twice"),
        (["age=young,old", "age=old,young"], "twice for one column"),
        (["age=young,middle"], "leaves out 'old, very' of the survey"),
        (["s=1,2"], "holds no text"),
        (["agee=1,2"], "did you mean 'age'"),
    ],
)
def test_orders_that_are_none(folder, typed, message):
    with pytest.raises(vmrp.DataError, match=message):
        read_tables(folder / "survey.csv", folder / "cells.csv", None, typed)


def test_ordered_numbers_keep_their_categories(folder):
    """They are no text: an order of text levels must not empty them."""
    survey = pd.read_csv(folder / "survey.csv")
    survey["k"] = pd.Categorical([3, 1, 2, 1], [3, 1, 2], ordered=True)
    survey.to_parquet(folder / "k.parquet")
    pd.DataFrame({"k": [1, 2, 3], "n": 1}).to_csv(folder / "k.csv", index=False)
    tables = read_tables(folder / "k.parquet", folder / "k.csv", None, None, {"k": ["3", "1"]})
    assert tables.survey["k"].tolist() == [3, 1, 2, 1]
    assert tables.cells["k"].tolist() == [1, 2, 3]
    assert "k" not in tables.orders
