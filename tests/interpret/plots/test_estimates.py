from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.interpret.plots.estimates import align, read_effects, read_table


def test_effects_are_read_as_their_table_has_them(twelve):
    shown, table = read_effects(twelve, ci_prob=0.5), twelve.table(0.5)
    np.testing.assert_array_equal(shown.estimates.mean, table["mean"])
    np.testing.assert_array_equal(shown.estimates.low, table["eti50_lb"])
    np.testing.assert_array_equal(shown.estimates.high, table["eti50_ub"])
    assert shown.estimates.interval == "50% interval"
    assert shown.average == pytest.approx(np.average(table["mean"], weights=twelve.weights))
    assert shown.title == "effect of t (1 - 0)"


def test_contrasts(make):
    several = make(contrasts=("1 - 0", "2 - 0"), g=["a", "b"])
    with pytest.raises(vmrp.DataError, match="several: pass contrast=, one of '1 - 0', '2 - 0'"):
        read_effects(several)
    with pytest.raises(vmrp.VmrpError, match="contrast='3 - 0' is not known"):
        read_effects(several, "3 - 0")
    np.testing.assert_allclose(
        read_effects(several, "2 - 0").estimates.mean, several.values[1].mean(axis=1)
    )
    with pytest.raises(vmrp.VmrpError, match="contrast='2 - 0' is not known"):
        read_effects(make(g=["a", "b"]), "2 - 0")


def test_what_is_no_effects(twelve):
    with pytest.raises(vmrp.DataError, match="effects must be what effects"):
        read_effects(twelve.table())
    with pytest.raises(vmrp.VmrpError, match="ci_prob must lie between"):
        read_effects(twelve, ci_prob=90)


def ols(effects, **more):
    table = effects.table()
    return pd.DataFrame(
        {"estimate": table["mean"] + 1, "lower": table["mean"], "upper": table["mean"] + 2, **more}
    )


def test_another_method_in_any_order_of_rows_and_columns(twelve):
    shown = read_effects(twelve)
    shuffled = ols(twelve, method="ols").sample(frac=1, random_state=1).reorder_levels(["k", "g"])
    other = align(read_table(shuffled, "other"), shown, "other")
    np.testing.assert_allclose(other.mean, shown.estimates.mean + 1)
    np.testing.assert_allclose(other.high, shown.estimates.mean + 2)
    assert (other.method, other.interval) == ("ols", "interval")


def test_groups_that_another_method_lacks_are_nan(twelve):
    shown = read_effects(twelve)
    other = align(read_table(ols(twelve).iloc[3:], "other"), shown, "other")
    assert np.isnan(other.mean).tolist() == [True] * 3 + [False] * 9
    np.testing.assert_allclose(other.mean[3:], shown.estimates.mean[3:] + 1)


def test_columns_called_like_those_of_tables(make):
    effects = make(method=["web", "phone"], lower=["x", "y"])
    shown = read_effects(effects)
    assert shown.names == ("method", "lower")
    other = read_table(effects.table(), "other", None, shown.names)
    np.testing.assert_array_equal(align(other, shown, "other").mean, shown.estimates.mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(index={"a": "z"}), "groups that the effects do not have.*g='z', k=0"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "a group twice: g='a', k=0"),
        (lambda t: t.droplevel("k"), "must be indexed by the groups, that is by g, k.*has g"),
        (lambda t: t.reset_index(drop=True), "its index has nothing"),
        (lambda t: t.drop(columns="estimate"), "no column 'estimate' or 'mean'"),
        (lambda t: t.drop(columns="upper"), "needs one interval"),
        (lambda t: t.assign(eti90_lb=0, eti90_ub=1), "needs one interval.*has 2"),
        (lambda t: t.assign(lower="low"), "'lower' of other must hold numbers"),
        (lambda t: t.assign(method=["ols"] * 6 + ["split"] * 6), "several methods, 'ols', 'split'"),
        (lambda t: [1, 2], "other must be a DataFrame, not a list"),
    ],
)
def test_bad_tables(twelve, change, message):
    with pytest.raises(vmrp.DataError, match=message):
        align(read_table(change(ols(twelve)), "other"), read_effects(twelve), "other")
