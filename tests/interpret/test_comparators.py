"""Plain estimates against statsmodels on written-out designs, and what must not change them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

import pymc_vmrp as vmrp
from tests.interpret.conftest import experiment

BY = ["region", "party"]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def rows_of(n=400, seed=0):
    """A treatment, two binary factors, a covariate, and weights."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"t": rng.integers(0, 2, n), "a": rng.integers(0, 2, n)})
    frame["b"] = rng.choice(["u", "v"], n)
    frame["x"] = rng.normal(size=n)
    frame["arm"] = rng.choice(["control", "left", "right"], n)
    frame["dose"] = rng.choice([0.0, 1.0, 2.5], n)
    frame["y"] = frame.t * (1 + frame.a) + 0.5 * frame.x + (1 + frame.a) * rng.normal(size=n)
    frame["z"] = (rng.random(n) < 1 / (1 + np.exp(-frame.y + 0.5))).astype(int)
    frame["c"] = rng.poisson(np.exp(0.3 * frame.y))
    frame["w"] = rng.integers(1, 4, n)
    return frame


def effects_of(formula, frame, treatment, by, family="gaussian", scale="response", **options):
    contrast = options.pop("contrast", None)
    model = vmrp.Model(formula, frame, family=family, **options)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field", tol=0.05)
    return vmrp.effects(model, idata, treatment, by=by, scale=scale, contrast=contrast)


def picked(table, method):
    return table.xs(method, level="method")


def test_crossed_binary_factors_give_differences_of_means():
    frame = rows_of()
    table = effects_of("y ~ t + (1 + t|a:b)", frame, "t", ["a", "b"]).compare()
    grouped = frame.groupby(["a", "b", "t"])["y"]
    mean, error = grouped.mean().unstack(), (grouped.var() / grouped.size()).unstack()
    for method in ("crossed", "separate"):
        mine = picked(table, method)
        np.testing.assert_allclose(mine["estimate"], mean[1] - mean[0], **CLOSE)
        # HC2 is Neyman's standard error
        np.testing.assert_allclose(mine["se"], np.sqrt(error.sum(axis=1)), **CLOSE)


def test_against_ols_written_out():
    frame = rows_of()
    table = effects_of("y ~ t + x + (1 + t|a:b)", frame, "t", ["a", "b"]).compare(ci_prob=0.8)
    ols = smf.ols("y ~ 0 + C(a):C(b) + t:C(a):C(b) + x", frame).fit(cov_type="HC2")
    reach = stats.t.ppf(0.9, len(frame) - 9)
    for (a, b), row in picked(table, "crossed").iterrows():
        name = f"t:C(a)[{a}]:C(b)[{b}]"
        np.testing.assert_allclose(row["estimate"], ols.params[name], **CLOSE)
        np.testing.assert_allclose(row["se"], ols.bse[name], **CLOSE)
        ends = [row["ci80_lb"], row["ci80_ub"]]
        expected = ols.params[name] + np.array([-1, 1]) * reach * ols.bse[name]
        np.testing.assert_allclose(ends, expected, **CLOSE)
    for (a, b), row in picked(table, "separate").iterrows():
        alone = smf.ols("y ~ t + x", frame[(frame.a == a) & (frame.b == b)]).fit(cov_type="HC2")
        np.testing.assert_allclose(row[["estimate", "se"]].astype(float),
                                   [alone.params["t"], alone.bse["t"]], **CLOSE)  # fmt: skip
    one = smf.ols("y ~ t + C(a) + C(b) + x", frame).fit(cov_type="HC2")
    constant = picked(table, "constant")
    np.testing.assert_allclose(constant["estimate"], one.params["t"], **CLOSE)
    np.testing.assert_allclose(constant["se"], one.bse["t"], **CLOSE)


def test_terms_of_the_treatment_and_of_groups_are_no_covariates():
    frame = rows_of()
    plain = effects_of("y ~ t + (1 + t|a:b)", frame, "t", ["a", "b"]).compare()
    more = effects_of("y ~ t + a + t:x + a:x + (1 + t|a:b) + (1|arm)", frame, "t", ["a", "b"])
    columns = ["estimate", "se"]
    for method in ("crossed", "separate", "constant"):
        np.testing.assert_allclose(
            picked(plain, method)[columns], picked(more.compare(), method)[columns], **CLOSE
        )


@pytest.mark.parametrize(
    ("response", "family", "theirs"),
    [("z", "bernoulli", sm.families.Binomial()), ("c", "poisson", sm.families.Poisson())],
)
def test_response_scale_against_margins_of_statsmodels(response, family, theirs):
    """Average differences of means within each group, and the delta method."""
    frame = rows_of(800)
    found = effects_of(f"{response} ~ t + x + (1 + t|a:b)", frame, "t", ["a", "b"], family)
    mine = picked(found.compare(), "crossed")
    fit = smf.glm(f"{response} ~ 0 + C(a):C(b) + t:C(a):C(b) + x", frame, family=theirs).fit(
        tol=1e-14
    )
    design = fit.model.exog
    weight = fit.family.weights(fit.fittedvalues.to_numpy())
    bread = np.linalg.inv((design.T * weight) @ design)
    hat = weight * np.einsum("ij,jk,ik->i", design, bread, design)
    errors = fit.resid_response.to_numpy() / np.sqrt(1 - hat)
    cov = bread @ (design.T * errors**2) @ design @ bread
    for at, row in mine.iterrows():
        there = frame[(frame.a == at[0]) & (frame.b == at[1])]
        high, low = design_at(there, 1, fit), design_at(there, 0, fit)
        means = [fit.family.fitted(d @ fit.params.to_numpy()) for d in (high, low)]
        slopes = [fit.family.link.inverse_deriv(d @ fit.params.to_numpy()) for d in (high, low)]
        gradient = (slopes[0] @ high - slopes[1] @ low) / len(there)
        np.testing.assert_allclose(row["estimate"], (means[0] - means[1]).mean(), **CLOSE)
        np.testing.assert_allclose(row["se"], np.sqrt(gradient @ cov @ gradient), **CLOSE)


def design_at(frame, t, fit):
    """The design of statsmodels' formula, by the names of its columns."""
    columns = {}
    for name in fit.params.index:
        value = np.ones(len(frame))
        for part in name.split(":"):
            if part.startswith("C("):
                level = part[part.index("[") + 1 : -1]
                value = value * (frame[part[2]].astype(str) == level).to_numpy()
            else:
                value = value * (t if part == "t" else frame[part].to_numpy())
        columns[name] = value
    return np.column_stack(list(columns.values()))


def test_saturated_logit_is_a_difference_of_shares():
    frame = rows_of(800)
    table = effects_of("z ~ t + (1 + t|a:b)", frame, "t", ["a", "b"], "bernoulli").compare()
    grouped = frame.groupby(["a", "b", "t"])["z"]
    p, n = grouped.mean().unstack(), grouped.size().unstack()
    mine = picked(table, "crossed")
    np.testing.assert_allclose(mine["estimate"], p[1] - p[0], **CLOSE)
    error = np.sqrt((p * (1 - p) / (n - 1)).sum(axis=1))
    np.testing.assert_allclose(mine["se"], error, **CLOSE)
    half = stats.norm.ppf(0.95) * error
    np.testing.assert_allclose(mine["ci90_ub"], p[1] - p[0] + half, **CLOSE)
    link = effects_of("z ~ t + (1 + t|a:b)", frame, "t", ["a", "b"], "bernoulli", "link")
    odds = np.log(p / (1 - p))
    np.testing.assert_allclose(
        picked(link.compare(), "separate")["estimate"], odds[1] - odds[0], **CLOSE
    )


def test_weights_stand_for_repeats():
    frame = rows_of(200)
    again = frame.loc[frame.index.repeat(frame.w)]
    for response, family in (("y", "gaussian"), ("z", "bernoulli")):
        formula = f"{response} ~ t + x + (1 + t|a)"
        one = effects_of(formula, frame, "t", "a", family, weights="w").compare()
        two = effects_of(formula, again, "t", "a", family).compare()
        for method in ("crossed", "separate", "constant"):
            pd.testing.assert_frame_equal(
                picked(one, method).drop(columns="width_ratio"),
                picked(two, method).drop(columns="width_ratio"), rtol=1e-10,
            )  # fmt: skip


def test_trials_stand_for_rows():
    frame = rows_of(400)
    trials = frame.groupby(["a", "b", "t"], as_index=False).agg(s=("z", "sum"), n=("z", "size"))
    one = effects_of("p(s, n) ~ t + (1 + t|a:b)", trials, "t", ["a", "b"], "binomial").compare()
    two = effects_of("z ~ t + (1 + t|a:b)", frame, "t", ["a", "b"], "bernoulli").compare()
    columns = ["estimate", "se"]
    for method in ("crossed", "separate", "constant"):
        np.testing.assert_allclose(
            picked(one, method)[columns], picked(two, method)[columns], **CLOSE
        )


def test_order_of_rows_and_names_of_levels_do_not_matter():
    frame = rows_of(300)
    formula = "z ~ t + x + (1 + t|a:b)"
    table = effects_of(formula, frame, "t", ["a", "b"], "bernoulli").compare()
    shuffled = frame.sample(frac=1, random_state=3)
    same = effects_of(formula, shuffled, "t", ["a", "b"], "bernoulli").compare()
    named = frame.assign(a=frame.a.map({0: "one", 1: "nil"}), b=frame.b.map({"u": "z", "v": "k"}))
    other = effects_of(formula, named, "t", ["a", "b"], "bernoulli").compare()
    other = other.rename(index={"one": 0, "nil": 1, "z": "u", "k": "v"})
    for method in ("crossed", "separate", "constant"):
        mine = picked(table, method)[["estimate", "se"]]
        np.testing.assert_allclose(mine, picked(same, method)[["estimate", "se"]], **CLOSE)
        relabelled = picked(other, method).reindex(mine.index)[["estimate", "se"]]
        np.testing.assert_allclose(mine, relabelled, **CLOSE)


def test_several_arms():
    frame = rows_of()
    table = effects_of("y ~ arm + x + (1 + arm|a)", frame, "arm", "a").compare()
    ols = smf.ols("y ~ 0 + C(a) + C(a):C(arm, Treatment) + x", frame).fit(cov_type="HC2")
    mine = picked(table, "crossed")
    for a in (0, 1):
        for arm in ("left", "right"):
            row = mine.loc[(a, f"{arm} - control")]
            name = f"C(a)[{a}]:C(arm, Treatment)[T.{arm}]"
            np.testing.assert_allclose(row["estimate"], ols.params[name], **CLOSE)
            np.testing.assert_allclose(row["se"], ols.bse[name], **CLOSE)


def test_numeric_treatment_with_a_contrast_and_its_slope():
    frame = rows_of()
    formula = "y ~ dose + (1 + dose|a)"
    table = effects_of(formula, frame, "dose", "a", contrast=(0.0, 2.5)).compare()
    slope = effects_of(formula, frame, "dose", "a", contrast="slope").compare()
    for a in (0, 1):
        fit = smf.ols("y ~ dose", frame[frame.a == a]).fit(cov_type="HC2")
        expected = np.array([fit.params["dose"], fit.bse["dose"]])
        row = picked(table, "separate").loc[a][["estimate", "se"]].astype(float)
        np.testing.assert_allclose(row, 2.5 * expected, **CLOSE)
        row = picked(slope, "separate").loc[a][["estimate", "se"]].astype(float)
        np.testing.assert_allclose(row, expected, **CLOSE)


def test_factors_of_numbers_are_arms():
    frame = rows_of()
    found = effects_of(
        "y ~ C(dose) + (1 + C(dose)|a)", frame, "dose", "a", contrast=[(0.0, 1.0), (0.0, 2.5)]
    )
    mine = picked(found.compare(), "crossed")["estimate"]
    means = frame.groupby(["a", "dose"])["y"].mean().unstack()
    np.testing.assert_allclose(
        mine.xs("2.5 - 0.0", level="contrast"), means[2.5] - means[0], **CLOSE
    )


def test_a_number_is_no_factor_because_of_another_whose_name_begins_alike():
    frame = experiment()
    frame["dose"] = np.random.default_rng(3).choice([1.0, 2.0, 4.0], len(frame))
    frame["dose2"] = (frame["x"] > 0).astype(int)
    found = []
    for further in ("dose2", "C(dose2)"):
        model = vmrp.Model(
            f"normal ~ dose + {further} + (0 + dose|region)", frame, family="gaussian"
        )
        idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
        table = vmrp.effects(model, idata, "dose", "region", contrast=(1, 4)).compare()
        found.append(table.drop("hierarchical", level="method")["estimate"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8)


@pytest.mark.parametrize("name", ["se", "lower", "upper", "width_ratio"])
def test_groups_may_be_called_as_columns_of_the_table(name):
    frame = experiment()
    tables = []
    for by in ("region", name):
        model = vmrp.Model(
            f"normal ~ treat + (1 + treat|{by})",
            frame.rename(columns={"region": by}),
            family="gaussian",
        )
        idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
        tables.append(vmrp.effects(model, idata, "treat", by).compare())
    assert tables[1].index.names == [name, "method"]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_names=False)


def test_slope_of_a_logit_is_that_of_small_steps():
    frame = rows_of(800)
    formula = "z ~ dose + x + (1 + dose|a)"
    slope = effects_of(formula, frame, "dose", "a", "bernoulli", contrast="slope").compare()
    for a in (0, 1):
        there = frame[frame.a == a]
        fit = smf.logit("z ~ dose + x", there).fit(disp=0, tol=1e-14)
        margin = fit.get_margeff(dummy=False).margeff[0]
        np.testing.assert_allclose(picked(slope, "separate")["estimate"][a], margin, **CLOSE)


def test_offsets_and_known_sds():
    frame = rows_of()
    frame["size"] = np.exp(np.random.default_rng(1).normal(size=len(frame))).round(2)
    formula = "c ~ t + offset(np.log(size)) + (1 + t|a)"
    mine = picked(effects_of(formula, frame, "t", "a", "poisson").compare(), "crossed")
    totals = frame.groupby(["a", "t"])[["c", "size"]].sum()
    rate = (totals["c"] / totals["size"]).unstack()
    expected = (rate[1] - rate[0]) * frame.groupby("a")["size"].mean()
    np.testing.assert_allclose(mine["estimate"], expected, **CLOSE)
    formula = "se(y, size) ~ t + (1 + t|a)"
    mine = picked(effects_of(formula, frame, "t", "a").compare(), "separate")
    for a in (0, 1):
        there = frame[frame.a == a]
        fit = smf.wls("y ~ t", there, weights=there["size"] ** -2.0).fit(cov_type="HC2")
        row = mine.loc[a][["estimate", "se"]].astype(float)
        np.testing.assert_allclose(row, [fit.params["t"], fit.bse["t"]], **CLOSE)


def test_groups_without_an_arm_and_empty_crossings_are_reported():
    frame = rows_of()
    frame = frame[~((frame.a == 0) & (frame.b == "u"))]
    frame = frame[~((frame.a == 1) & (frame.b == "v") & (frame.t == 1))]
    for formula in ("y ~ t + (1 + t|a:b)", "y ~ t + x + (1 + t|a:b)"):
        found = effects_of(formula, frame, "t", ["a", "b"])
        table = found.compare()
        for method in ("crossed", "separate"):
            mine = picked(table, method)
            assert mine["note"].to_dict() == {
                (0, "v"): "", (1, "u"): "", (1, "v"): "t is 0 in all rows", (0, "u"): "no rows",
            }  # fmt: skip
            assert mine["estimate"].isna().tolist() == [False, False, True, True]
        assert picked(table, "hierarchical")["note"].to_dict()[1, "v"] == "lacks an arm"
        assert picked(table, "constant")["estimate"].notna().all()
    found = effects_of(
        "y ~ arm + (1 + arm|a)", rows_of().query("a == 0 or arm != 'left'"), "arm", "a"
    )
    notes = picked(found.compare(), "crossed")["note"]
    assert notes[1, "left - control"] == "no rows of left"
    assert notes[1, "right - control"] == ""


def test_repeated_columns_are_reported_and_harmless():
    frame = rows_of()
    frame["twice"] = 2 * frame.x
    plain = effects_of("y ~ t + x + (1 + t|a)", frame, "t", "a").compare()
    twice = effects_of("y ~ t + x + twice + (1 + t|a)", frame, "t", "a").compare()
    for method in ("crossed", "separate", "constant"):
        one, two = picked(plain, method), picked(twice, method)
        np.testing.assert_allclose(one[["estimate", "se"]], two[["estimate", "se"]], **CLOSE)
        assert (one["note"] == "").all()
        assert two["note"].str.fullmatch(r"rank \d of \d columns").all()


def test_a_covariate_that_is_the_treatment_leaves_no_estimate():
    frame = rows_of()
    frame["same"] = frame.t * 1.0
    table = effects_of("y ~ t + same + (1 + t|a)", frame, "t", "a").compare()
    for method in ("crossed", "separate", "constant"):
        mine = picked(table, method)
        assert mine["estimate"].isna().all()
        assert mine["note"].str.startswith("not determined by the rows").all()


@pytest.mark.parametrize("covariate", ["", " + x"])
def test_perfect_separation_is_reported(covariate):
    frame = rows_of(800)
    frame.loc[(frame.a == 1) & (frame.t == 1), "z"] = 1
    formula = f"z ~ t{covariate} + (1 + t|a)"
    link = picked(effects_of(formula, frame, "t", "a", "bernoulli", "link").compare(), "crossed")
    assert link["note"].tolist() == ["", "perfectly separated"]
    assert link["estimate"].isna().tolist() == [False, True]
    response = picked(effects_of(formula, frame, "t", "a", "bernoulli").compare(), "crossed")
    assert response["note"].tolist() == ["", "perfectly separated"]
    assert response["se"].isna().tolist() == [False, True]
    if not covariate:
        base = frame[(frame.a == 1) & (frame.t == 0)]["z"].mean()
        assert response["estimate"][1] == pytest.approx(1 - base, abs=1e-9)
    calm = smf.logit("z ~ t", frame[frame.a == 0]).fit(disp=0)
    if not covariate:
        np.testing.assert_allclose(link["estimate"][0], calm.params["t"], rtol=1e-8)


def test_an_arm_without_events_is_reported():
    frame = rows_of(400)
    frame.loc[(frame.a == 1) & (frame.t == 1), "c"] = 0
    found = effects_of("c ~ t + (1 + t|a)", frame, "t", "a", "poisson", "link")
    mine = picked(found.compare(), "separate")
    assert mine["note"].tolist() == ["", "perfectly separated"]


def test_an_arm_of_one_row_has_no_standard_error():
    frame = rows_of(200)
    few = frame[(frame.a == 0) | (frame.t == 0)]
    one = frame[(frame.a == 1) & (frame.t == 1)].head(1)
    table = effects_of("y ~ t + (1 + t|a)", pd.concat([few, one]), "t", "a").compare()
    mine = picked(table, "crossed")
    assert mine["note"].tolist() == ["", "one row of an arm"]
    assert mine["se"].isna().tolist() == [False, True]
    assert mine["estimate"].notna().all()


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_groups_whose_answers_agree(rows):
    """Few answers of 0 and 1 often do, and a group may have as many rows as coefficients."""
    frame = rows_of(200)
    alike = frame[(frame.a == 1)].head(rows).assign(t=np.arange(rows) % 2, y=1.0)
    table = effects_of("y ~ t + (1 + t|a)", pd.concat([frame[frame.a == 0], alike]), "t", "a")
    mine = picked(table.compare(), "separate")
    assert mine["estimate"][1] == pytest.approx(0, abs=1e-12)
    expected = {2: "one row of an arm", 3: "one row of an arm", 5: "answers are fitted exactly"}
    assert mine["note"].tolist() == ["", expected[rows]]


def test_a_separated_arm_of_one_row_leaves_other_groups_their_errors():
    frame = rows_of(300)
    apart = pd.DataFrame({"t": [0, 1, 1, 1], "z": [1, 1, 0, 1], "x": [0.1, 0.2, 0.3, -0.4], "a": 2})
    both = pd.concat([frame, apart])
    formula = "z ~ t + x + (1 + t|a)"
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with_it = picked(effects_of(formula, both, "t", "a", "bernoulli").compare(), "separate")
        crossed = picked(effects_of(formula, both, "t", "a", "bernoulli").compare(), "crossed")
    without = picked(effects_of(formula, frame, "t", "a", "bernoulli").compare(), "separate")
    np.testing.assert_allclose(with_it["se"][:2], without["se"], rtol=1e-6)
    assert crossed["se"].isna().tolist() == [False, False, True]
    assert crossed["note"].tolist()[:2] == ["", ""]


def test_ours_are_beside_and_widths_are_relative(linear):
    model, idata = linear
    found = vmrp.effects(model, idata, "treat", by=BY)
    table, ours = found.compare(ci_prob=0.5), found.table(ci_prob=0.5)
    assert table.index.names == [*BY, "method"]
    mine = picked(table, "hierarchical")
    np.testing.assert_allclose(mine["estimate"], ours["mean"])
    np.testing.assert_allclose(mine["ci50_lb"], ours["eti50_lb"])
    width = ours["eti50_ub"] - ours["eti50_lb"]
    other = picked(table, "crossed")
    np.testing.assert_allclose(
        other["width_ratio"], (other["ci50_ub"] - other["ci50_lb"]) / width.to_numpy()
    )
    assert set(table.index.get_level_values("method")) == {
        "hierarchical", "crossed", "separate", "constant",
    }  # fmt: skip


def test_without_groups():
    frame = rows_of()
    table = effects_of("y ~ t + (1|a)", frame, "t", None).compare()
    difference = frame[frame.t == 1]["y"].mean() - frame[frame.t == 0]["y"].mean()
    assert list(table.index) == ["hierarchical", "crossed", "separate", "constant"]
    np.testing.assert_allclose(table["estimate"].iloc[1:], difference, **CLOSE)


def test_a_group_whose_rows_count_for_nothing_is_reported():
    """Such as rows of no trials."""
    from pymc_vmrp.interpret.contrasts import Contrast
    from pymc_vmrp.interpret.plain_estimates import Asked, estimate_crossed, estimate_separate
    from pymc_vmrp.interpret.plain_rows import plain_rows

    model = vmrp.Model("y ~ t + (1 + t|a)", rows_of(100), family="gaussian")
    rows = plain_rows(model.read_model, "t", ["a"])
    rows = rows.take(np.flatnonzero(rows.group == 0))
    asked = Asked((Contrast("1 - 0", 0, 1),), True, sm.families.Gaussian(), True)
    for found in (estimate_crossed(asked, rows), estimate_separate(asked, rows)[0]):
        assert [one.notes for one in found[0]] == [(), ("no rows",)]
        assert np.isnan(found[0][1].value)


@pytest.mark.slow
def test_bambi_and_pymc_models():
    import bambi as bmb
    import pymc as pm

    frame = rows_of()
    expected = effects_of("y ~ t + x + (1 + t|a)", frame, "t", "a").compare()
    theirs = bmb.Model("y ~ t + x + (1 + t|a)", frame)
    found = vmrp.effects(theirs, vmrp.fit(theirs, draws=20, random_seed=1), "t", by="a")
    with pm.Model() as plain:
        t, x = pm.Data("t", frame.t.to_numpy()), pm.Data("x", frame.x.to_numpy())
        a = pm.Data("a", frame.a.to_numpy())
        eta = pm.Normal("b0") + pm.Normal("b1") * t + pm.Normal("b2") * x
        slope = pm.Normal("v", 0, pm.HalfNormal("sv"), shape=2)
        level = pm.Normal("u", 0, pm.HalfNormal("su"), shape=2)
        pm.Normal("y", eta + level[a] + slope[a] * t, pm.HalfNormal("sigma"), observed=frame.y)
    other = vmrp.effects(plain, vmrp.fit(plain, draws=20, random_seed=1), "t", by="a")
    for one in (found, other):
        for method in ("crossed", "separate", "constant"):
            np.testing.assert_allclose(
                picked(one.compare(), method)[["estimate", "se"]],
                picked(expected, method)[["estimate", "se"]], **CLOSE,
            )  # fmt: skip


def test_errors(linear, frame):
    model, idata = linear
    found = vmrp.effects(model, idata, "treat", by=BY)
    with pytest.raises(vmrp.VmrpError, match="method='lasso' is not known; choose one of ols"):
        found.compare("lasso")
    with pytest.raises(vmrp.VmrpError, match="ci_prob"):
        found.compare(ci_prob=1)
    over = vmrp.effects(model, idata, "treat", by=BY, data=frame)
    with pytest.raises(vmrp.DataError, match="call effects\\(\\) without data="):
        over.compare()
    with pytest.raises(vmrp.DataError, match="without data="):
        found.population(frame.drop(columns="treat"), None, by="region").compare()


def test_a_design_that_is_too_large_is_reported(linear, monkeypatch):
    from pymc_vmrp.interpret import plain_estimates

    model, idata = linear
    monkeypatch.setattr(plain_estimates, "_MOST_VALUES", 400 * 10)
    table = vmrp.effects(model, idata, "treat", by=BY).compare()
    assert picked(table, "crossed")["note"].str.startswith("not estimated").all()
    assert picked(table, "crossed")["estimate"].isna().all()
    assert picked(table, "separate")["estimate"].notna().all()
    assert picked(table, "constant")["estimate"].notna().all()


def test_an_offset_that_reads_the_treatment_has_no_plain_counterpart():
    frame = rows_of()
    found = effects_of("y ~ t + offset(0.5 * t) + (0 + t|a)", frame, "t", "a")
    with pytest.raises(vmrp.DataError, match=r"offset .*reads the treatment 't'"):
        found.compare()
