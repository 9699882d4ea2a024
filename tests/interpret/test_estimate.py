"""Effects against sums made by hand from the named posterior, and what must not change them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import pymc_vmrp as vmrp
from tests.interpret.conftest import FORMULA, experiment

BY = ["region", "party"]
INVERSE = {"identity": lambda eta: eta, "logit": expit, "log": np.exp}


def slope_by_hand(posterior, region, party):
    """The common slope plus every varying slope that applies."""
    return (
        posterior["treat"]
        + posterior["treat|region"].sel(region__factor_dim=region)
        + posterior["treat|party"].sel(party__factor_dim=party)
        + posterior["treat|region:party"].sel(**{"region:party__factor_dim": f"{region}:{party}"})
    )


def intercept_by_hand(posterior, region, party):
    return (
        posterior["Intercept"]
        + posterior["1|region"].sel(region__factor_dim=region)
        + posterior["1|party"].sel(party__factor_dim=party)
        + posterior["1|region:party"].sel(**{"region:party__factor_dim": f"{region}:{party}"})
    )


def test_effects_are_the_sums_by_hand(fitted, frame):
    model, idata = fitted
    posterior = idata["posterior"].to_dataset()
    found = vmrp.effects(model, idata, "treat", by=BY).draws["posterior"]["effect"]
    inverse = INVERSE[model.link]
    for (region, party), rows in frame.groupby(BY):
        base = intercept_by_hand(posterior, region, party)
        slope = slope_by_hand(posterior, region, party)
        of_rows = [
            inverse(base + posterior["x"] * x + slope) - inverse(base + posterior["x"] * x)
            for x in rows["x"]
        ]
        mine = found.sel(region=region, party=party)
        np.testing.assert_allclose(mine, sum(of_rows) / len(rows), atol=1e-10, rtol=1e-10)


def test_on_the_link_scale_they_are_slopes(fitted):
    model, idata = fitted
    posterior = idata["posterior"].to_dataset()
    found = vmrp.effects(model, idata, "treat", by=BY, scale="link").draws["posterior"]["effect"]
    expected = slope_by_hand(posterior, "S", "left")
    np.testing.assert_allclose(found.sel(region="S", party="left"), expected, atol=1e-12)


def test_order_and_labels_of_rows_do_not_matter(binary, frame):
    model, idata = binary
    table = vmrp.effects(model, idata, "treat", by=BY, data=frame).table()
    shuffled = frame.sample(frac=1, random_state=1).set_index(np.arange(len(frame)) * 7)
    same = vmrp.effects(model, idata, "treat", by=BY[::-1], data=shuffled).table()
    pd.testing.assert_frame_equal(
        table, same.swaplevel().sort_index().reindex(table.index), rtol=1e-10
    )
    own = vmrp.effects(model, idata, "treat", by=BY).table()
    pd.testing.assert_frame_equal(table, own, rtol=1e-10)


def test_weights_stand_for_repeats(binary, frame):
    model, idata = binary
    counts = np.random.default_rng(2).integers(0, 3, len(frame))
    repeated = vmrp.effects(model, idata, "treat", "region", frame.loc[frame.index.repeat(counts)])
    weighted = vmrp.effects(model, idata, "treat", "region", frame.assign(n=counts), weights="n")
    np.testing.assert_allclose(weighted.values, repeated.values, rtol=1e-10)
    pd.testing.assert_frame_equal(weighted.arms, repeated.arms, check_dtype=False)


def test_split_groups_average_to_the_whole(binary):
    model, idata = binary
    split = vmrp.effects(model, idata, "treat", by=BY)
    whole = vmrp.effects(model, idata, "treat", by="region")
    for k, region in enumerate(whole.groups.levels[0]):
        inside = split.groups.position[0] == split.groups.levels[0].index(region)
        mean = np.average(split.values[0, inside], axis=0, weights=split.weights[inside])
        np.testing.assert_allclose(whole.values[0, k], mean, rtol=1e-10)
    np.testing.assert_allclose(
        vmrp.effects(model, idata, "treat").values[0, 0], split.group_shares @ split.values[0]
    )


def test_parts_add_up(linear):
    found = vmrp.effects(*linear, "treat", by=BY)
    assert set(found.parts) == {
        "treat", "treat|region", "treat|party", "treat|region:party",
    }  # fmt: skip
    np.testing.assert_allclose(sum(found.parts.values()), found.values, atol=1e-12)


def test_arms_of_text_and_their_contrasts(frame):
    arms = frame.assign(
        arm=np.where(frame["treat"] == 0, "none", np.where(frame["x"] > 0, "b", "a"))
    )
    arms["arm"] = pd.Categorical(arms["arm"], ["none", "a", "b"])
    model = vmrp.Model("normal ~ arm + (1 + arm|region)", arms, family="gaussian")
    idata = model.fit(100, random_seed=1, hyperparameters="mean_field")
    found = vmrp.effects(model, idata, "arm", by="region")
    assert found.contrasts == ("a - none", "b - none")
    pairs = vmrp.effects(model, idata, "arm", by="region", contrast="pairwise")
    assert pairs.contrasts == ("a - none", "b - none", "b - a")
    np.testing.assert_allclose(pairs.values[2], pairs.values[1] - pairs.values[0], atol=1e-12)
    one = vmrp.effects(model, idata, "arm", by="region", contrast=("b", "a"))
    np.testing.assert_allclose(one.values[0], -pairs.values[2], atol=1e-12)
    assert list(found.table().index.names) == ["region", "contrast"]


def test_numbers_have_slopes_or_contrasts(binary, frame):
    model, idata = binary
    posterior = idata["posterior"].to_dataset()
    slope = vmrp.effects(model, idata, "x", by="region", contrast="slope")
    model.predict(idata, inplace=True)
    p = idata["posterior"]["p"].to_numpy().reshape(-1, len(frame))
    exact = p * (1 - p) * posterior["x"].to_numpy().reshape(-1, 1)
    for k, region in enumerate(slope.groups.levels[0]):
        mine = exact[:, (frame["region"] == region).to_numpy()].mean(axis=1)
        np.testing.assert_allclose(slope.values[0, k], mine, rtol=1e-5)
    moved = vmrp.effects(model, idata, "x", contrast=(0, 1), scale="link")
    np.testing.assert_allclose(moved.values[0, 0], posterior["x"].to_numpy().ravel(), rtol=1e-10)


def test_a_group_without_an_arm_is_pooled_and_flagged():
    frame = experiment(300, seed=4)
    frame.loc[frame["region"] == "W", "treat"] = 0
    model = vmrp.Model(FORMULA.replace("y", "normal", 1), frame, family="gaussian")
    idata = model.fit(100, random_seed=1, hyperparameters="mean_field")
    table = vmrp.effects(model, idata, "treat", by="region").table()
    assert table["pooled"].to_dict() == {"E": False, "N": False, "S": False, "W": True}
    assert table.loc["W", "n[1]"] == 0
    assert table.loc["W", "sd"] > table.loc[["E", "N", "S"], "sd"].max()


def test_a_population_has_its_own_shares(binary, frame):
    model, idata = binary
    found = vmrp.effects(model, idata, "treat", by=BY)
    cells = frame.groupby([*BY, "x"], as_index=False).size().rename(columns={"size": "n"})
    whole = found.population(cells, "n", by="region")
    expected = vmrp.effects(model, idata, "treat", by="region")
    np.testing.assert_allclose(whole.values, expected.values, rtol=1e-10)
    assert not whole.table()["pooled"].any()


def test_new_groups_come_from_their_distribution(linear, frame):
    model, idata = linear
    cells = frame.head(40).assign(region=["Mars"] * 20 + ["N"] * 20, n=1)
    found = vmrp.effects(
        model, idata, "treat", "region", cells, sample_new_groups=True, random_seed=3
    )
    known = vmrp.effects(model, idata, "treat", "region").table()
    assert found.table().loc["Mars", "sd"] > known["sd"].max()
    with pytest.warns(UserWarning, match="Mars"):
        vmrp.effects(model, idata, "treat", "region", cells)
    with pytest.raises(vmrp.DataError, match="Mars"):
        vmrp.effects(model, idata, "treat", "region", cells, sample_new_groups=False)


BAD = {
    "no such treatment": ({"treatment": "ally"}, "'ally' is no column"),
    "treatment in by": ({"by": ["treat", "region"]}, "itself"),
    "unknown by": ({"by": "pid"}, "'pid'.*pass data="),
    "by that makes no difference": (
        {"by": ["region", "party", "x"], "scale": "link"},
        "do not differ by 'x'",
    ),
    "weights without data": ({"weights": "n"}, "weights="),
    "a number": ({"treatment": "x"}, "'x' is a number with"),
    "a name that tables have": ({"by": "mean"}, "'mean', which tables of effects have"),
    "no such arm": ({"contrast": ("a", 1)}, "no arm of 'treat'"),
    "bad contrast": ({"contrast": 3}, "contrast="),
    "scale": ({"scale": "logit"}, "scale"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(binary, case):
    arguments, message = BAD[case]
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.effects(*binary, **{"treatment": "treat", "by": "region"} | arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(treat=1), "does not vary"),
        (lambda f: f.assign(treat=(f["region"] == "N").astype(int)), "within any group"),
        (lambda f: f.assign(party=None), "missing values in 'party'"),
        (lambda f: f.assign(n=-1.0), "negative"),
        (lambda f: f.drop(columns="x"), "no column 'x'"),
    ],
)
def test_bad_data_are_named(binary, frame, change, message):
    changed = change(frame.assign(n=1.0))
    with pytest.raises(vmrp.DataError, match=message):
        vmrp.effects(*binary, "treat", "region", changed, "n")


def test_the_effect_on_the_treated(binary, frame):
    treated = frame[frame["treat"] == 1]
    found = vmrp.effects(*binary, "treat", "region", treated, contrast=(0, 1))
    per_row = vmrp.comparisons(
        *binary, {"treat": [0, 1]}, data=treated, average_by="region"
    ).summary
    np.testing.assert_allclose(found.table()["mean"], per_row["estimate"], rtol=1e-10)
    assert not found.table()["pooled"].any()  # the model saw both arms in every region


@pytest.mark.parametrize(("response", "family"), [("normal", "gaussian"), ("count", "poisson")])
def test_an_offset_that_reads_the_treatment_is_part_of_its_effect(frame, response, family):
    plain = f"{response} ~ x + treat + (1 + treat|region)"
    model = vmrp.Model(f"{plain} + offset(0.5 * treat)", frame, family=family)
    idata = model.fit(50, random_seed=1, hyperparameters="mean_field")
    posterior = idata["posterior"].to_dataset()
    slope = posterior["treat"] + posterior["treat|region"] + 0.5
    found = vmrp.effects(model, idata, "treat", "region", scale="link")
    laid = found.draws["posterior"]["effect"]
    np.testing.assert_allclose(laid, slope.transpose(*slope.dims), atol=1e-12)
    average = found.average().loc["superpopulation", "mean"]
    assert average == pytest.approx(float(posterior["treat"].mean()) + 0.5, abs=1e-12)
    assert found.shares()["mean"].sum() == pytest.approx(1)
    alone = vmrp.Model(f"{response} ~ x + (1|region) + offset(0.5 * treat)", frame, family=family)
    fit = alone.fit(50, random_seed=1, hyperparameters="mean_field")
    np.testing.assert_allclose(vmrp.effects(alone, fit, "treat", scale="link").values, 0.5)


@pytest.fixture(scope="module")
def doses():
    """A dose whose values span eight powers of ten, and whose logarithm matters."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {"dose": np.exp(4 * rng.normal(size=200)), "level": rng.integers(1, 5, 200)}
    )
    frame["normal"] = np.log(frame["dose"]) + frame["level"] + rng.normal(size=200)
    model = vmrp.Model("normal ~ np.log(dose) + C(level)", frame, family="gaussian")
    return frame, model, model.fit(50, random_seed=1, hyperparameters="mean_field")


def test_slopes_where_a_predictor_bends_on_a_scale_of_its_own(doses):
    frame, model, idata = doses
    slope = idata["posterior"]["np.log(dose)"].to_numpy().ravel()
    found = vmrp.effects(model, idata, "dose", contrast="slope").values[0, 0]
    np.testing.assert_allclose(found, slope * (1 / frame["dose"]).mean(), rtol=1e-5)


@pytest.mark.parametrize("term", ["C(level)", "(1|level)"])
def test_slopes_are_not_for_numbers_that_are_taken_for_groups(doses, term):
    frame = doses[0]
    model = vmrp.Model(f"normal ~ dose + {term}", frame, family="gaussian")
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    with pytest.raises(vmrp.DataError, match=r"'slope'.*'level'"):
        vmrp.effects(model, idata, "level", contrast="slope", sample_new_groups=True)
    with pytest.raises(vmrp.DataError, match=r"wrt=.*'level'"):
        vmrp.slopes(model, idata, "level", average_by="all", sample_new_groups=True)


def test_new_groups_are_refused_as_such_where_slopes_are_asked_for(binary, frame):
    elsewhere = frame.assign(region="X")
    with pytest.raises(vmrp.DataError, match=r"^data has levels that the model never saw"):
        vmrp.effects(*binary, "x", data=elsewhere, contrast="slope", sample_new_groups=False)


def test_slopes_at_the_end_of_a_functions_domain_are_refused_by_name(frame):
    frame = frame.assign(dose=frame["treat"] * 2.0 + frame["treat"] * frame["x"].abs())
    model = vmrp.Model("normal ~ np.sqrt(dose)", frame, family="gaussian")
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    with pytest.raises(vmrp.DataError, match=r"'slope'.*'dose'.*sqrt"):
        vmrp.effects(model, idata, "dose", contrast="slope")


def test_a_contrast_that_is_named_twice_counts_once(binary):
    found = vmrp.effects(*binary, "treat", "region", contrast=[(0, 1), (0, 1)])
    assert found.contrasts == ("1 - 0",)
    same = vmrp.effects(*binary, "treat", "region", contrast=(False, True))
    np.testing.assert_array_equal(same.values, found.values)


def test_names_of_contrasts_are_their_own(frame):
    """The arms "b", "a", "b - a" and "a - a" have two contrasts that would read "b - a - a"."""
    arms = ["a", "b", "b - a", "a - a"]
    frame = frame.assign(arm=np.random.default_rng(2).choice(arms, len(frame)))
    model = vmrp.Model("binary ~ arm + (1|region)", frame)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    found = vmrp.effects(model, idata, "arm", contrast="pairwise")
    assert len(set(found.contrasts)) == 6


def test_a_population_has_no_groups_by_treatment(binary, frame):
    found = vmrp.effects(*binary, "treat", "region")
    with pytest.raises(vmrp.DataError, match="'treat' itself"):
        found.population(frame, None, by=["treat", "region"])


@pytest.mark.parametrize("ordered", [False, True])
def test_categories_of_given_rows_may_lack_the_arms_that_are_compared(frame, ordered):
    arm = pd.Categorical(frame["party"], ["none", "left", "right"], ordered)
    frame = frame.assign(arm=arm)
    model = vmrp.Model("binary ~ x + arm + (1 + arm|region)", frame)
    idata = model.fit(30, random_seed=1, hyperparameters="mean_field")
    treated = frame[frame["arm"] == "left"]
    cut = treated.assign(arm=treated["arm"].cat.remove_unused_categories())
    pair = ("none", "right")
    found = [vmrp.effects(model, idata, "arm", "region", f, contrast=pair) for f in (treated, cut)]
    np.testing.assert_array_equal(found[0].values, found[1].values)
    asked = {"arm": list(pair)}
    tables = [
        getattr(vmrp, name)(model, idata, asked, average_by=by, data=f).summary
        for f in (treated, cut)
        for name, by in [("comparisons", "region"), ("predictions", None)]
    ]
    np.testing.assert_allclose(tables[0]["estimate"], found[0].values[0].mean(axis=1), rtol=1e-10)
    pd.testing.assert_frame_equal(tables[0], tables[2])
    pd.testing.assert_frame_equal(tables[1], tables[3], check_dtype=False, check_categorical=False)
    with pytest.raises(vmrp.DataError, match="contrast= has 'up' for 'arm'"):
        vmrp.comparisons(model, idata, {"arm": ["none", "up"]}, data=cut)
