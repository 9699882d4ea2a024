"""Predictions, comparisons and slopes against Bambi's, where its rule is sound, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp

bmb = pytest.importorskip("bambi")

FORMULA = "binary ~ x + party + treat + x:treat + (1 + treat|region)"


@pytest.fixture(scope="module")
def bambi(frame):
    model = bmb.Model(FORMULA, frame, family="bernoulli")
    return model, vmrp.fit(model, draws=100, random_seed=1, hyperparameters="mean_field")


def assert_same(mine, theirs):
    """Bambi orders the predictors that nobody asked for at random."""
    mine, theirs = mine.summary, theirs.summary
    assert sorted(mine.columns) == sorted(theirs.columns)
    numbers = [c for c in theirs if c == "estimate" or c.startswith(("lower", "upper"))]
    keys = sorted(set(theirs.columns) - set(numbers))
    tables = [t.astype(dict.fromkeys(keys, str)).sort_values(keys) for t in (mine, theirs)]
    for key in keys:
        assert tables[0][key].tolist() == tables[1][key].tolist()
    np.testing.assert_allclose(tables[0][numbers], tables[1][numbers], atol=1e-8)


CALLS = {
    "all rows": ("predictions", {}),
    "a grid": ("predictions", {"conditional": ["party", "treat"]}),
    "values": ("predictions", {"conditional": {"x": [-1.0, 0.5]}, "use_hdi": False}),
    "a curve": ("predictions", {"conditional": "x", "prob": [0.5, 0.9]}),
    "levels": ("comparisons", {"contrast": "party", "conditional": ["treat"]}),
    "rows": ("comparisons", {"contrast": {"treat": [0, 1]}}),
    "ratios": ("comparisons", {"contrast": "x", "comparison": "ratio"}),
    "lifts": ("comparisons", {"contrast": {"x": [0.0, 1.0, 2.0]}, "comparison": "lift"}),
}


@pytest.mark.parametrize("case", CALLS)
def test_bambis_interpret(bambi, case):
    name, arguments = CALLS[case]
    model, idata = bambi
    theirs = getattr(bmb.interpret, name)(model, idata, **arguments)
    assert_same(getattr(vmrp, name)(model, idata, **arguments), theirs)


def test_slopes_are_bambis_up_to_its_one_sided_difference(bambi):
    mine = vmrp.slopes(*bambi, {"x": 0.3}, ["treat"]).summary
    theirs = bmb.interpret.slopes(*bambi, {"x": 0.3}, ["treat"]).summary
    merged = mine.merge(theirs, on=["treat", "value"])
    np.testing.assert_allclose(merged["estimate_x"], merged["estimate_y"], rtol=1e-4)


def test_columns_of_two_values_are_compared_as_such(bambi):
    table = vmrp.comparisons(*bambi, "treat").summary
    assert set(table["value"]) == {"0_vs_1"}


def test_averages_are_taken_over_draws(bambi, frame):
    model, idata = bambi
    rows = vmrp.comparisons(model, idata, "treat")
    average = vmrp.comparisons(model, idata, "treat", average_by="party", use_hdi=False)
    draws = rows.draws["posterior"]["estimate"].to_numpy()
    for k, party in enumerate(average.summary["party"]):
        mean = draws[:, :, (frame["party"] == party).to_numpy()].mean(axis=-1)
        mine = average.draws["posterior"]["estimate"].to_numpy()[:, :, k]
        np.testing.assert_allclose(mine, mean, rtol=1e-10)
        low = average.summary.filter(like="lower").iloc[k, 0]
        assert low == pytest.approx(np.quantile(mean, 0.055), rel=1e-2)
    whole = vmrp.comparisons(model, idata, "treat", average_by="all")
    assert whole.summary["estimate"].item() == pytest.approx(draws.mean())


def test_average_comparisons_are_effects(binary):
    table = vmrp.comparisons(*binary, "treat", average_by=["region", "party"]).summary
    effects = vmrp.effects(*binary, "treat", by=["region", "party"]).table()
    np.testing.assert_allclose(
        table.set_index(["region", "party"])["estimate"], effects["mean"], rtol=1e-10
    )


def test_average_slopes_are_derivatives(binary, frame):
    model, idata = binary
    p = model.predict(idata, inplace=False)["posterior"]["p"].to_numpy()
    exact = p * (1 - p) * idata["posterior"]["x"].to_numpy()[:, :, None]
    found = vmrp.slopes(model, idata, "x", average_by="all").summary["estimate"].item()
    assert found == pytest.approx(exact.mean(), rel=1e-5)
    relative = vmrp.slopes(model, idata, "x", average_by="all", slope="eyex").summary
    by_hand = (exact * frame["x"].to_numpy() / p).mean()
    assert relative["estimate"].item() == pytest.approx(by_hand, rel=1e-4)


def test_own_functions(binary):
    def log_odds_ratio(reference, contrast):
        return np.log(contrast / (1 - contrast) * (1 - reference) / reference)

    odds = vmrp.comparisons(*binary, "treat", average_by="all", comparison=log_odds_ratio)
    link = vmrp.effects(*binary, "treat", scale="link")
    assert odds.summary["estimate"].item() == pytest.approx(link.values.mean(), rel=1e-8)
    assert odds.summary["estimate_type"].item() == "log_odds_ratio"


def test_weights_stand_for_repeats(binary, frame):
    counts = np.random.default_rng(0).integers(0, 3, len(frame))
    call = {"contrast": "treat", "average_by": "party", "use_hdi": False}
    weighted = vmrp.comparisons(*binary, data=frame.assign(n=counts), weights="n", **call)
    repeated = vmrp.comparisons(*binary, data=frame.loc[frame.index.repeat(counts)], **call)
    pd.testing.assert_frame_equal(weighted.summary, repeated.summary, rtol=1e-10)


BAD = {
    "contrast": ({"contrast": "ally"}, "'ally', which the model does not read"),
    "level": ({"contrast": {"party": ["up", "left"]}}, "no such level"),
    "one value": ({"contrast": {"treat": [1]}}, "two values"),
    "conditional": ({"conditional": "ally"}, "'ally'"),
    "conditional itself": ({"conditional": ["treat"]}, "itself"),
    "values": ({"conditional": {"x": ["a"]}}, "holds numbers"),
    "average_by": ({"average_by": "ally"}, "'ally'"),
    "comparison": ({"comparison": "odds"}, "comparison= must be"),
    "shape": ({"comparison": lambda a, b: 1.0}, "shape"),
    "prob": ({"prob": 2.0}, "prob"),
    "weights": ({"weights": "n"}, "weights="),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named(binary, case):
    arguments, message = BAD[case]
    with pytest.raises(vmrp.VmrpError, match=message):
        vmrp.comparisons(*binary, **{"contrast": "treat"} | arguments)


def test_slopes_are_for_numbers(binary):
    with pytest.raises(vmrp.DataError, match="use comparisons"):
        vmrp.slopes(*binary, "party")


def test_memory_is_refused_before_the_work(binary, monkeypatch):
    from pymc_vmrp.solvers import choose

    monkeypatch.setattr(choose, "physical_memory", lambda: 10_000)
    with pytest.raises(vmrp.DataError, match="average_by="):
        vmrp.predictions(*binary)


def test_slopes_where_a_predictor_bends_on_a_scale_of_its_own():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"dose": np.exp(2.5 * rng.normal(size=200))})
    frame["y"] = np.log(frame["dose"]) + rng.normal(size=200)
    model = vmrp.Model("y ~ np.log(dose)", frame, family="gaussian")
    idata = model.fit(50, random_seed=1, hyperparameters="mean_field")
    found = vmrp.slopes(model, idata, "dose").draws["posterior"]["estimate"]
    slope = idata["posterior"]["np.log(dose)"].to_numpy()[..., None]
    np.testing.assert_allclose(found, slope / frame["dose"].to_numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["term", "value", "estimate_type", "estimate"])
def test_columns_called_as_those_of_tables_are_refused_where_both_are_shown(frame, name):
    frame = frame.rename(columns={"region": name})
    model = vmrp.Model(f"binary ~ treat + (1|{name}) + (1|party)", frame)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    assert len(vmrp.comparisons(model, idata, "treat", average_by="party").summary) == 3
    assert name == "estimate" or name in vmrp.predictions(model, idata, name).summary
    with pytest.raises(vmrp.DataError, match=rf"called '{name}'.*rename"):
        vmrp.comparisons(model, idata, "treat", average_by=name)


def test_narrow_tails_are_not_rounded_away(binary):
    wide = vmrp.predictions(*binary, average_by="all", use_hdi=False, prob=[0.99999, 0.99998])
    draws = wide.draws["posterior"]["estimate"].to_numpy().ravel()
    ends = [c for c in wide.summary if c.startswith("lower")]
    assert len(ends) == 2
    expected = np.quantile(draws, [0.000005, 0.00001])
    np.testing.assert_allclose(wide.summary[ends].to_numpy()[0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda reference: reference, "'<lambda>' raised TypeError.*positional"),
        (lambda reference, contrast: "more", "'<lambda>' returned .*real numbers"),
        (
            lambda reference, contrast: contrast - 1j * reference,
            "'<lambda>' returned .*real numbers",
        ),
        (lambda reference, contrast: reference[0], "element by element"),
        (lambda reference, contrast: np.subtract(contrast, reference, out=contrast), "read-only"),
    ],
)
def test_functions_that_compare_nothing_are_named(binary, function, message):
    with pytest.raises(vmrp.DataError, match=message):
        vmrp.comparisons(*binary, "treat", comparison=function, average_by="all")


def test_no_values_to_vary_are_an_error(binary):
    with pytest.raises(vmrp.DataError, match=r"conditional= has no values of 'x'"):
        vmrp.predictions(*binary, {"x": []})
