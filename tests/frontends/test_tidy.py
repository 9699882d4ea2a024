"""Columns of whatever type as grouping factors, predictors and responses."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.tidy import tidy_column

pa = pytest.importorskip("pyarrow")

TIMES = pd.DatetimeIndex(["2020-01-02", "2020-01-10", "2020-02-01 12:00", "2019-05-05"])
DAYS = [datetime.date(2020, 1, day) for day in (9, 10, 2, 1)]
DECIMALS = [decimal.Decimal(v) for v in (9, 10, 2, 1)]
TEXT = ["b", "a", "c", "d"]

LABELS = {
    "datetime": (TIMES, ["2019-05-05", "2020-01-02", "2020-01-10", "2020-02-01 12:00:00"]),
    "time zone": (
        TIMES.tz_localize("Europe/Berlin"),
        [
            "2019-05-05 00:00:00+02:00",
            "2020-01-02 00:00:00+01:00",
            "2020-01-10 00:00:00+01:00",
            "2020-02-01 12:00:00+01:00",
        ],
    ),
    "period": (
        pd.PeriodIndex(["2020Q3", "2020Q1", "2019Q4", "2020Q2"], freq="Q"),
        ["2019Q4", "2020Q1", "2020Q2", "2020Q3"],
    ),
    "date": (DAYS, ["2020-01-01", "2020-01-02", "2020-01-09", "2020-01-10"]),
    "time": (
        [datetime.time(hour) for hour in (9, 10, 2, 1)],
        ["01:00:00", "02:00:00", "09:00:00", "10:00:00"],
    ),
    "timedelta": (
        pd.to_timedelta([9, 10, 2, 1], unit="D"),
        ["1 days 00:00:00", "2 days 00:00:00", "9 days 00:00:00", "10 days 00:00:00"],
    ),
    "interval": (
        pd.arrays.IntervalArray.from_breaks([0, 5, 10, 15, 20]),
        ["(0, 5]", "(5, 10]", "(10, 15]", "(15, 20]"],
    ),
    "categories of dates": (
        pd.Categorical(TIMES),
        ["2019-05-05", "2020-01-02", "2020-01-10", "2020-02-01 12:00:00"],
    ),
    "Arrow dictionary": (
        pd.array(TEXT, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        ["a", "b", "c", "d"],
    ),
    "Arrow text": (pd.array(TEXT, dtype=pd.ArrowDtype(pa.string())), ["a", "b", "c", "d"]),
    "Arrow large text": (
        pd.array(TEXT, dtype=pd.ArrowDtype(pa.large_string())),
        ["a", "b", "c", "d"],
    ),
    "Arrow date": (
        pd.array(DAYS, dtype=pd.ArrowDtype(pa.date32())),
        ["2020-01-01", "2020-01-02", "2020-01-09", "2020-01-10"],
    ),
    "Arrow timestamp": (
        pd.array(TIMES, dtype=pd.ArrowDtype(pa.timestamp("us"))),
        ["2019-05-05", "2020-01-02", "2020-01-10", "2020-02-01 12:00:00"],
    ),
    "string": (pd.array(TEXT, dtype="string"), ["a", "b", "c", "d"]),
    "Int64": (pd.array([9, 10, 2, 1], dtype="Int64"), ["1", "2", "9", "10"]),
    "Arrow integers": (pd.array([9, 10, 2, 1], dtype="int16[pyarrow]"), ["1", "2", "9", "10"]),
    "decimals": (DECIMALS, ["1.0", "2.0", "9.0", "10.0"]),
    "Arrow decimals": (
        pd.array(DECIMALS, dtype=pd.ArrowDtype(pa.decimal128(5))),
        ["1", "2", "9", "10"],
    ),
    "mixed categories": (pd.Categorical([1, "a", 2.5, "b"]), ["1", "2.5", "a", "b"]),
    "spaces": (["a", "a ", " a", "a  "], [" a", "a", "a ", "a  "]),
    "words": (["None", "nan", "", "NA"], ["", "NA", "None", "nan"]),
}


def _frame(values):
    rng = np.random.default_rng(4)
    rows = np.arange(80) % 4
    is_object = isinstance(values, np.ndarray) and values.dtype == object
    column = pd.Series(values, dtype=object if is_object else None)
    return pd.DataFrame(
        {
            "y": rng.integers(0, 2, 80),
            "x": rng.normal(size=80),
            "v": column.iloc[rows].reset_index(drop=True),
        }
    )


@pytest.mark.parametrize(("values", "labels"), LABELS.values(), ids=LABELS.keys())
def test_labels_of_grouping_factors(values, labels):
    data = _frame(values)
    model = vmrp.Model("y ~ x + (x|v)", data)
    group = model.glmm.groups[0]
    assert [level.removesuffix(".0") for level in group.levels] == [
        level.removesuffix(".0") for level in labels
    ]
    for new in (data.tail(1), data.head(3)):
        frame = model.encoder.prepare(new, "new")
        assert model.encoder.unseen_levels(frame) == [()]
        codes = model.encoder.encode(frame, [()], "new").codes[0]
        whole = model.encoder.encode(model.encoder.prepare(data, "data"), [()], "data").codes[0]
        np.testing.assert_array_equal(codes, whole[data.index.get_indexer(new.index)])


@pytest.mark.parametrize("kind", ["datetime", "time zone", "period", "date", "Arrow dictionary"])
def test_labels_are_stored_and_poststratified(kind, tmp_path):
    import xarray as xr

    values, labels = LABELS[kind]
    data = _frame(values)
    model = vmrp.Model("y ~ x + (1|v)", data)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    idata.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")
    stored = xr.open_datatree(tmp_path / "fit.nc", engine="h5netcdf")
    assert list(stored["posterior"]["v__factor_dim"].values) == labels
    cells = data.drop_duplicates("v").assign(n=5)
    typed = vmrp.poststratify(model, stored, cells)["posterior"]
    as_text = vmrp.poststratify(
        model, stored, cells.assign(v=tidy_column(cells["v"], "cells").astype(str))
    )["posterior"]
    for name in typed.data_vars:
        np.testing.assert_allclose(typed[name], as_text[name])


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_an_instant_in_two_time_zones_is_one_level(order):
    """Its label is that of UTC, whichever row comes first; a single zone keeps its own."""
    utc = pd.date_range(
        "2020-10-24 23:30", periods=4, freq="30min", tz="UTC"
    )  # the clock goes back
    mixed = [*utc, *utc.tz_convert("Europe/Berlin"), *utc.tz_convert("Asia/Kolkata")]
    column = pd.Series(mixed, dtype=object)[order]
    found = tidy_column(column.rename("v"), "data")
    assert list(found.cat.categories) == [f"2020-10-{t}:00+00:00" for t in (
        "24 23:30", "25 00:00", "25 00:30", "25 01:00")]  # fmt: skip
    assert (found.astype(str) == [str(v.tz_convert("UTC")) for v in column]).all()
    berlin = tidy_column(pd.Series(utc.tz_convert("Europe/Berlin"), name="v"), "data")
    assert berlin.nunique() == 4
    assert berlin.iloc[3] == "2020-10-25 02:00:00+01:00"


def test_new_rows_in_another_time_zone_are_never_other_levels_without_a_word():
    data = _frame(TIMES.tz_localize("UTC"))
    model = vmrp.Model("y ~ x + (1|v)", data)
    idata = model.fit(5, random_seed=1, hyperparameters="mean_field")
    new = data.assign(v=data["v"].dt.tz_convert("Asia/Kolkata"))
    with pytest.raises(vmrp.DataError, match=r"never saw, of 'v'.*\+05:30"):
        model.predict(idata, data=new)


def test_walks_follow_the_calendar():
    model = vmrp.Model("y ~ rw(v)", _frame(TIMES))
    assert model.glmm.groups[0].report.labels[0] == "2019-05-05"


@pytest.mark.parametrize("formula", ["y ~ v", "y ~ v:x", "y ~ (v|x)", "y ~ I(v)", "y ~ s(v, k=3)"])
def test_dates_are_neither_numbers_nor_categories(formula):
    data = _frame(TIMES).assign(x=lambda frame: frame.index % 3)
    with pytest.raises(vmrp.DataError, match="'v'"):
        vmrp.Model(formula, data)


NUL = ["a", "a\x00", "b", "c"]
SURROGATE = ["a", "\ud800", "b", "c"]


@pytest.mark.parametrize(
    "values",
    [
        pd.array(NUL, dtype="str"),
        np.array(NUL, dtype=object),
        pd.Categorical(NUL),
        pd.array(NUL, dtype="string[python]"),
        pd.array(NUL, dtype=pd.ArrowDtype(pa.string())),
        np.array(SURROGATE, dtype=object),
        pd.Categorical.from_codes([0, 1, 2, 3], pd.Index(SURROGATE, dtype=object)),
    ],
)
@pytest.mark.parametrize("formula", ["y ~ (1|v)", "y ~ v", "y ~ (1|v:x)", "y ~ (1|mm(v, w))"])
def test_levels_that_no_file_tells_apart(values, formula):
    data = _frame(values).assign(x="k", w="a")
    with pytest.raises(vmrp.DataError, match=r"Column 'v' of data.*Recode"):
        vmrp.Model(formula, data)


@pytest.mark.parametrize("kind", ["decimals", "Arrow decimals", "Int64", "Arrow integers"])
@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
def test_numbers_of_any_type_are_numbers(kind, family):
    data = _frame(LABELS[kind][0])
    plain = data.assign(v=data["v"].astype(float))
    for formula in ("v ~ x", "x ~ v") if family == "gaussian" else ("v ~ x",):
        one, other = (vmrp.Model(formula, frame, family) for frame in (data, plain))
        np.testing.assert_allclose(one.glmm.common.columns, other.glmm.common.columns)
    weighted = [vmrp.Model("y ~ x", frame, weights="v") for frame in (data, plain)
                if not isinstance(frame["v"].iloc[0], decimal.Decimal)]  # fmt: skip
    assert len({model.glmm.response.statistics[0].sum() for model in weighted}) == 1


@pytest.mark.parametrize("role", ["response", "predictor", "weights", "trials", "offset"])
def test_complex_numbers_are_refused(role):
    data = _frame(TEXT).assign(i=1j, n=5)
    formula, family, weights = {
        "response": ("i ~ x", "gaussian", None),
        "predictor": ("y ~ i", "bernoulli", None),
        "weights": ("y ~ x", "bernoulli", "i"),
        "trials": ("p(y, i) ~ x", "binomial", None),
        "offset": ("y ~ x + offset(i)", "bernoulli", None),
    }[role]
    with pytest.raises(vmrp.DataError, match=r"'i'|trials"):
        vmrp.Model(formula, data, family, weights=weights)


def test_frames_of_other_libraries_are_named():
    table = pa.table({"y": [0, 1], "x": [1.0, 2.0]})
    with pytest.raises(vmrp.DataError, match=r"pyarrow\.lib\.Table.*data\.to_pandas\(\)"):
        vmrp.Model("y ~ x", table)
    with pytest.raises(vmrp.DataError, match=r"not dict.*pandas\.DataFrame"):
        vmrp.Model("y ~ x", {"y": [0, 1], "x": [1.0, 2.0]})
    import xarray as xr

    with pytest.raises(vmrp.DataError, match=r"xarray.*to_dataframe"):
        vmrp.Model("y ~ x", xr.Dataset({"y": ("i", [0, 1])}))
