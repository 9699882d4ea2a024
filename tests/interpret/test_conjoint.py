"""Component effects against averages made by hand, and what must not change them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import pymc_vmrp as vmrp
from tests.interpret.conftest import experiment

FORMULA = "chosen ~ job * origin + age + (1 + job + origin|party)"
ATTRIBUTES = ["job", "origin", "age"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def profiles(n=300, seed=0):
    """Profiles of three attributes that are not independent, and a group of respondents."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "job": rng.choice(["cook", "doctor", "nurse"], n),
            "origin": rng.choice(["here", "there"], n),
            "age": rng.choice([20, 40, 60], n),
            "party": rng.choice(["left", "right"], n),
        }
    )
    frame.loc[(frame.job == "doctor") & (rng.random(n) < 0.5), "origin"] = "here"
    eta = 0.8 * (frame.job == "doctor") - 0.5 * (frame.origin == "there") * (frame.party == "right")
    frame["chosen"] = (rng.random(n) < expit(eta - 0.2)).astype(int)
    return frame


@pytest.fixture(scope="module")
def frame():
    return profiles()


@pytest.fixture(scope="module")
def fitted(frame):
    model = vmrp.Model(FORMULA, frame)
    return model, model.fit(60, random_seed=1, hyperparameters="mean_field", tol=0.05)


def means(model, idata, frame):
    """Mean responses of rows, shape (rows, draws)."""
    predicted = vmrp.predict(model, idata, data=frame, inplace=False)
    mean = predicted["posterior"]["p"].stack(s=("chain", "draw"))
    return mean.transpose(..., "s").to_numpy()


def by_hand(fitted, frame, attribute, level, base, weights=None):
    high = means(*fitted, frame.assign(**{attribute: level}))
    low = means(*fitted, frame.assign(**{attribute: base}))
    return np.average(high - low, axis=0, weights=weights)


def test_joint_empirical_distribution(fitted, frame):
    found = vmrp.amce(*fitted, ATTRIBUTES, by="party")
    drawn = found.draws["posterior"]["amce"]
    assert list(drawn["component"].values) == [
        "job[doctor]", "job[nurse]", "origin[there]", "age[40]", "age[60]",
    ]  # fmt: skip
    for attribute, level, base in (("job", "nurse", "cook"), ("origin", "there", "here"),
                                   ("age", 60, 20)):  # fmt: skip
        for party, rows in frame.groupby("party"):
            mine = drawn.sel(component=f"{attribute}[{level}]", party=party)
            expected = by_hand(fitted, rows, attribute, level, base)
            np.testing.assert_allclose(mine.to_numpy().ravel(), expected, **CLOSE)
    one = vmrp.effects(*fitted, "origin", by="party")
    np.testing.assert_allclose(found["origin"].values, one.values, **CLOSE)


def test_given_marginals_are_independent(fitted, frame):
    """Every profile is made by hand, with the product of its probabilities."""
    given = {"origin": {"here": 0.3, "there": 0.7}, "age": {20: 0.5, 60: 0.5, 40: 0.0}}
    found = vmrp.amce(*fitted, ATTRIBUTES, by="party", distribution=given)
    for k, level in enumerate(("doctor", "nurse")):
        for g, party in enumerate(("left", "right")):
            grid = pd.DataFrame(
                [{"job": "cook", "origin": o, "age": a, "party": party, "p": p * q}
                 for (o, p), (a, q) in itertools.product(*(d.items() for d in given.values()))]
            )  # fmt: skip
            expected = by_hand(fitted, grid, "job", level, "cook", grid["p"])
            np.testing.assert_allclose(found["job"].values[k, g], expected, **CLOSE)
    # the attribute's own distribution does not matter, and those not named stay joint
    partly = vmrp.amce(*fitted, ["job", "origin"], by="party", distribution={"job": {"nurse": 1}})
    rows = frame[frame.party == "right"].assign(job="nurse")
    expected = by_hand(fitted, rows, "origin", "there", "here")
    np.testing.assert_allclose(partly["origin"].values[0, 1], expected, **CLOSE)
    alone = vmrp.amce(*fitted, "job", by="party")
    np.testing.assert_allclose(partly["job"].values, alone["job"].values, **CLOSE)


def test_the_empirical_distribution_of_one_attribute_given(fitted, frame):
    """With two attributes in the model's data, giving what is there changes nothing."""
    rows = frame.assign(age=40)
    shares = rows["origin"].value_counts(normalize=True).to_dict()
    whole = vmrp.amce(*fitted, ["job", "origin"], data=rows)
    given = vmrp.amce(*fitted, ["job", "origin"], data=rows.assign(party="left"),
                      distribution={"origin": shares})  # fmt: skip
    left = vmrp.amce(*fitted, ["job", "origin"], data=rows.assign(party="left"))
    np.testing.assert_allclose(given["job"].values, left["job"].values, **CLOSE)
    assert not np.allclose(whole["job"].values, left["job"].values)


def test_linear_models_and_the_link_scale(frame):
    frame = frame.assign(rating=frame.chosen + np.random.default_rng(1).normal(size=len(frame)))
    model = vmrp.Model(FORMULA.replace("chosen", "rating"), frame, family="gaussian")
    idata = model.fit(40, random_seed=1, hyperparameters="mean_field", tol=0.05)
    given = {"origin": {"here": 0.25, "there": 0.75}}
    found = vmrp.amce(model, idata, ["job", "origin"], by="party", distribution=given)
    post = idata["posterior"].to_dataset()
    slope = post["job"].sel(job_dim="nurse") + post["job|party"].sel(
        job__expr_dim="nurse", party__factor_dim="left"
    )
    expected = slope + 0.75 * post["job:origin"].sel({"job:origin_dim": "nurse, there"})
    np.testing.assert_allclose(found["job"].values[1, 0], expected.to_numpy().ravel(), **CLOSE)
    link = vmrp.amce(model, idata, ["job", "origin"], by="party", distribution=given, scale="link")
    np.testing.assert_allclose(link["job"].values, found["job"].values, **CLOSE)


def test_table(fitted, frame):
    found = vmrp.amce(*fitted, ["job", "origin"], by="party")
    table = found.table(ci_prob=0.8)
    assert table.index.names == ["attribute", "level", "party"]
    row = table.loc[("job", "nurse", "right")]
    np.testing.assert_allclose(row["mean"], found["job"].values[1, 1].mean())
    assert row["base"] == "cook"
    assert row["n"] == ((frame.job == "nurse") & (frame.party == "right")).sum()
    assert {"median", "sd", "eti80_lb", "eti80_ub", "p_positive", "pooled"} <= set(table.columns)
    assert len(table) == 6
    given = vmrp.amce(*fitted, ["job", "origin"], by="party",
                      distribution={"job": {"nurse": 0.5, "cook": 0.5}})  # fmt: skip
    assert (given.table()["n"].to_numpy() == table["n"].to_numpy()).all()
    assert "job against cook, origin against here" in repr(found)
    single = vmrp.amce(*fitted, "origin")
    assert single.table().index.tolist() == [("origin", "there")]
    assert single.draws["posterior"]["amce"].dims == ("chain", "draw", "component")


def test_order_repeats_and_bases(fitted, frame):
    found = vmrp.amce(*fitted, ATTRIBUTES, by="party")
    shuffled = vmrp.amce(*fitted, ATTRIBUTES, by="party", data=frame.sample(frac=1, random_state=1))
    counts = np.random.default_rng(2).integers(0, 4, len(frame))
    given = {"origin": {"here": 0.3, "there": 0.7}}
    pairs = [
        (found, shuffled),
        *[
            (
                vmrp.amce(*fitted, ATTRIBUTES, by="party", distribution=how,
                          data=frame.loc[frame.index.repeat(counts)]),
                vmrp.amce(*fitted, ATTRIBUTES, by="party", distribution=how,
                          data=frame.assign(w=counts), weights="w"),
            )
            for how in (None, given)
        ],
    ]  # fmt: skip
    for one, two in pairs:
        for name in ATTRIBUTES:
            np.testing.assert_allclose(one[name].values, two[name].values, **CLOSE)
    other = vmrp.amce(*fitted, ATTRIBUTES, by="party", base={"job": "nurse"})
    np.testing.assert_allclose(other["job"].values[0], -found["job"].values[1], **CLOSE)
    np.testing.assert_allclose(other["origin"].values, found["origin"].values, **CLOSE)


def test_new_levels_are_drawn_once_for_all_attributes(fitted, frame):
    rows = frame.assign(party="new")
    asked = {"data": rows, "sample_new_groups": True, "scale": "link"}
    found = vmrp.amce(*fitted, ["job", "origin"], **asked)
    assert not np.array_equal(
        found["job"].values, vmrp.amce(*fitted, ["job", "origin"], **asked)["job"].values
    )
    one, two = (vmrp.amce(*fitted, n, random_seed=3, **asked) for n in ("job", ["origin", "job"]))
    np.testing.assert_array_equal(one["job"].values, two["job"].values)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"attributes": []}, "attributes= names no column"),
        ({"attributes": ["jobs"]}, "'jobs' is no column that the model reads"),
        ({"by": "job"}, "by= has the treatment 'job' itself"),
        ({"by": "county"}, "by= asks for 'county', which the model does not read"),
        ({"by": "job", "attributes": ["age"], "scale": "link"}, "do not differ by 'job'"),
        ({"weights": "w"}, "weights= names a column of data="),
        ({"distribution": [1]}, "distribution= must be a dict"),
        ({"distribution": {"job": [1]}}, "distribution= must be a dict.*'job' has"),
        ({"distribution": {"party": {"left": 1}}}, "'party', which is none of the attributes"),
        ({"distribution": {"job": {"judge": 1}}}, "'judge', which is no level of 'job'"),
        ({"distribution": {"job": {"cook": 0.5, "nurse": 0.4}}}, "'job' sum to 0.9, not to 1"),
        ({"distribution": {"job": {"cook": 1.5, "nurse": -0.5}}}, "'nurse' of 'job' the probab"),
        ({"distribution": {"job": {"cook": np.nan}}}, "'cook' of 'job' the probability nan"),
        ({"distribution": {"origin": {"here": 1}}, "by": "origin", "attributes": ["job"]},
         "'origin', which is none of the attributes"),
        ({"base": {"job": "judge"}}, "base= has 'judge', which is no level of 'job'"),
        ({"base": {"jobs": "cook"}}, "base= has 'jobs', which is none of the attributes"),
        ({"base": "cook"}, "base= must be a dict"),
    ],
)  # fmt: skip
def test_bad_input(fitted, arguments, match):
    with pytest.raises(vmrp.DataError, match=match):
        vmrp.amce(*fitted, **{"attributes": ATTRIBUTES, **arguments})


def test_bad_data(fitted, frame):
    for change, match in (
        ({"w": -1.0}, "'w' of data has negative values"),
        ({"party": None, "w": 1}, "missing values in 'party' \\(300 rows\\)"),
        ({"job": "cook", "w": 1}, "'job' does not vary: all rows have 'cook'"),
        ({"age": np.arange(300) / 7, "w": 1}, "'age' has 300 values, more than 50"),
    ):
        with pytest.raises(vmrp.DataError, match=match):
            vmrp.amce(*fitted, ATTRIBUTES, data=frame.assign(**change), weights="w")
    with pytest.raises(vmrp.DataError, match="no column 'origin'"):
        vmrp.amce(*fitted, ATTRIBUTES, data=frame.drop(columns="origin"))
    with pytest.raises(vmrp.VmrpError, match="scale='odds'"):
        vmrp.amce(*fitted, ATTRIBUTES, scale="odds")
    with pytest.raises(vmrp.VmrpError, match="attribute='party'"):
        _ = vmrp.amce(*fitted, "job")["party"]


def test_too_many_profiles(fitted, monkeypatch):
    from pymc_vmrp.interpret import conjoint

    monkeypatch.setattr(conjoint, "_MOST_ROWS", 7)
    given = {"origin": {"here": 0.3, "there": 0.7}, "age": {20: 0.5, 60: 0.5}}
    with pytest.raises(
        vmrp.DataError,
        match=r"makes 4 profiles for each of 2 distinct rows, more than 7 .* name fewer",
    ):
        vmrp.amce(*fitted, ATTRIBUTES, by="party", distribution=given)


def test_a_level_that_a_group_never_had(frame):
    rows = frame[~((frame.party == "left") & (frame.job == "nurse"))]
    model = vmrp.Model(FORMULA, rows)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field", tol=0.05)
    expected = {
        ("job", "doctor", "left"): False, ("job", "doctor", "right"): False,
        ("job", "nurse", "left"): True, ("job", "nurse", "right"): False,
    }  # fmt: skip
    for data in (None, frame):
        table = vmrp.amce(model, idata, ["job"], by="party", data=data).table()
        assert table["pooled"].to_dict() == expected


def test_levels_that_are_numbers_are_counted_and_flagged():
    """Numbers count as levels: the table is that of the same attribute as text."""
    frame = experiment()
    frame = frame.assign(level=np.random.default_rng(4).integers(1, 5, len(frame)))
    frame = frame[~((frame["region"] == "N") & (frame["level"] == 3))]
    tables = []
    for data in (frame, frame.assign(level=frame["level"].astype(str))):
        model = vmrp.Model("normal ~ C(level) + (1 + C(level)|region)", data, family="gaussian")
        idata = model.fit(30, random_seed=1, hyperparameters="mean_field")
        tables.append(vmrp.amce(model, idata, "level", "region").table())
    numbers, text = (table.reset_index() for table in tables)
    for column in ("n", "pooled"):
        assert numbers[column].tolist() == text[column].tolist()
    assert numbers["pooled"].sum() == 1
    assert numbers["n"].sum() == (frame["level"] > 1).sum()


@pytest.mark.parametrize("name", ["base", "n"])
def test_groups_may_be_called_as_columns_of_the_table(name):
    frame = experiment()
    tables = []
    for by in ("region", name):
        renamed = frame.rename(columns={"region": by})
        model = vmrp.Model(f"normal ~ treat + (1 + treat|{by})", renamed, family="gaussian")
        idata = model.fit(30, random_seed=1, hyperparameters="mean_field")
        tables.append(vmrp.amce(model, idata, "treat", by).table())
    assert tables[1].index.names == ["attribute", "level", name]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_names=False)
