"""Every function for every door: a formula, a Bambi model and a pm.Model of one regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.doors import read_model

bmb = pytest.importorskip("bambi")
pm = pytest.importorskip("pymc")
pytestmark = pytest.mark.filterwarnings("ignore")

FORMULA = "y ~ x + (1|g)"
SIGMA = 0.8


def _data():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=300), "g": rng.choice(list("abcdef"), 300)})
    data["x"] -= data["x"].mean()  # the pm.Model's intercept is then the formula's
    eta = 0.5 * data["x"] + data["g"].map(dict(zip("abcdef", rng.normal(0, 0.7, 6), strict=True)))
    return data.assign(y=(rng.random(300) < 1 / (1 + np.exp(-eta))).astype(int), n=1)


DATA = _data()
CODE = DATA["g"].astype("category").cat.codes  # by which a pm.Model knows levels
CELLS = DATA[["x", "g"]].assign(code=CODE, n=np.arange(1, 301))


def _of_formula():
    priors = {
        "Intercept": vmrp.Normal(0, 1.5), "x": vmrp.Normal(0, 1),
        "1|g": vmrp.HalfNormal(SIGMA),
    }  # fmt: skip
    return vmrp.Model(FORMULA, DATA, priors=priors)


def _of_bambi():
    group = bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=SIGMA))
    priors = {
        "Intercept": bmb.Prior("Normal", mu=0, sigma=1.5),
        "x": bmb.Prior("Normal", mu=0, sigma=1), "1|g": group,
    }  # fmt: skip
    return bmb.Model(FORMULA, DATA, family="bernoulli", priors=priors)


def _of_pymc(container=pm.Data):
    with pm.Model(coords={"group": list("abcdef")}) as model:
        g, x = container("code", CODE.to_numpy()), container("x", DATA["x"].to_numpy())
        a, b = pm.Normal("a", 0, 1.5), pm.Normal("b", 0, 1)
        u = pm.Normal("u", 0, pm.HalfNormal("sigma", SIGMA), dims="group")
        eta = a + b * x + u[g]
        pm.Deterministic("chance", pm.math.invlogit(eta))
        pm.Bernoulli("y", logit_p=eta, observed=DATA["y"].to_numpy())
    return model


DOORS = {"formula": _of_formula, "bambi": _of_bambi, "pymc": _of_pymc}


@pytest.fixture(scope="module", params=DOORS)
def door(request):
    model = DOORS[request.param]()
    return request.param, model, vmrp.fit(model, draws=2000, random_seed=1)


@pytest.fixture(scope="module")
def reference():
    model = _of_formula()
    return model, model.fit(2000, random_seed=1)


def _close(ours, theirs, shift=0.1, ratio=0.1):
    """Means within a tenth of their sds, and sds within a tenth; both from 2,000 draws."""
    for axis in (ours, theirs):
        assert np.isfinite(axis).all()
    sd = theirs.std(0)
    assert (np.abs(ours.mean(0) - theirs.mean(0)) / sd).max() < shift
    assert np.abs(ours.std(0) / sd - 1).max() < ratio


def _draws(tree, name):
    values = tree["posterior"][name]
    return values.to_numpy().reshape(2000, -1)


@pytest.mark.slow
def test_summaries_are_alike(door, reference):
    _, model, idata = door
    for function in (vmrp.summary, vmrp.fixef, vmrp.ranef, vmrp.varcorr, vmrp.icc):
        ours, theirs = function(model, idata), function(*reference)
        assert len(ours) == len(theirs)
        by_name = ours["mean"].to_numpy(), theirs["mean"].to_numpy()
        np.testing.assert_allclose(*by_name, atol=0.12 * theirs["sd"].max())


def test_group_totals(door, reference):
    name, model, idata = door
    if name == "pymc":
        with pytest.raises(vmrp.DataError, match="needs a formula"):
            vmrp.coef(model, idata)
        return
    ours, common = vmrp.coef(model, idata), vmrp.fixef(model, idata).loc["Intercept", "mean"]
    own = vmrp.ranef(model, idata)["mean"]
    np.testing.assert_allclose(ours["mean"], own + common, atol=1e-10)
    np.testing.assert_allclose(ours["mean"], vmrp.coef(*reference)["mean"], atol=0.1)


def test_means_of_own_rows_are_alike(door, reference):
    name, model, idata = door
    own = vmrp.predict(model, idata, kind="response", random_seed=1, inplace=False)
    mean = {"formula": "p", "bambi": "p", "pymc": "y_mean"}[name]
    theirs = vmrp.predict(*reference, inplace=False)
    _close(_draws(own, mean), _draws(theirs, "p"))
    assert own["posterior_predictive"]["y"].shape == (1, 2000, 300)
    if name == "pymc":
        np.testing.assert_allclose(_draws(own, mean), _draws(idata, "chance"), atol=1e-10)
    if name == "bambi":
        theirs = model.predict(idata, inplace=False)
        np.testing.assert_allclose(_draws(own, "p"), _draws(theirs, "p"), atol=1e-12)
    table = vmrp.ppc_by_group(own, DATA["g"].to_numpy())
    assert table["rows"].sum() == 300


def test_estimates_are_alike(door, reference):
    name, model, idata = door
    new = pd.concat([CELLS, CELLS.assign(g="new")])
    if name == "pymc":  # whose levels are as many as it was built with
        with pytest.raises(vmrp.DataError, match=r"'code'.*0 to 5"):
            vmrp.poststratify(model, idata, CELLS.assign(code=6), by="g")
        new = CELLS
    ours, theirs = (
        vmrp.poststratify(*pair, new, by="g", sample_new_groups=True, random_seed=1)
        for pair in ((model, idata), reference)
    )
    _close(_draws(ours, "estimate"), _draws(theirs, "estimate"), ratio=0.15)
    if name != "pymc":
        with pytest.raises(vmrp.DataError, match="never saw"):
            vmrp.predict(model, idata, data=new)
    with pytest.raises(vmrp.DataError, match="'x'"):
        vmrp.poststratify(model, idata, CELLS.drop(columns="x"), by="g")
    with pytest.raises(vmrp.DataError, match="'x'"):
        vmrp.poststratify(model, idata, CELLS.assign(x="one"), by="g")


def test_what_a_pymc_model_without_containers_lacks():
    model = _of_pymc(container=lambda name, values: values)
    idata = vmrp.fit(model, draws=20, random_seed=1)
    vmrp.predict(model, idata)
    for call in (
        lambda: vmrp.poststratify(model, idata, CELLS, by="g"),
        lambda: vmrp.predict(model, idata, data=CELLS),
    ):
        with pytest.raises(vmrp.ModelError, match=r"New rows.*pm\.Data"):
            call()


@pytest.mark.slow
def test_judgements(door):
    _, model, idata = door
    found = vmrp.diagnose(model, idata, random_seed=1)
    assert found.verdict != "do not trust"
    assert {"convergence", "k-hat", "short MCMC: shift", "LOO"} <= set(found.table["check"])
    assert vmrp.resample(idata, random_seed=1)["posterior"].sizes["draw"] > 1000
    table = vmrp.compare(idata, idata)
    assert (table["shift"] == 0).all()


def test_ranking_and_calibration(door, reference):
    name, model, _ = door
    chosen = vmrp.select({"one": model, "other": reference[0]}, draws=500, random_seed=1)
    if name != "pymc":  # whose rows have no labels of the data frame
        assert abs(chosen.table["difference"]).max() < 0.5
    quick = {"hyperparameters": "mean_field"}
    found = vmrp.calibrate(model, 3, draws=20, fit_options=quick, random_seed=1)
    assert not found.failed


def test_priors_are_drawn_from(door):
    name, model, _ = door
    prior = vmrp.prior_predictive(model, 300, random_seed=1)
    slope = prior["prior"]["b" if name == "pymc" else "x"].to_numpy()
    assert slope.std() == pytest.approx(1, abs=0.15)
    assert prior["prior_predictive"]["y"].shape == (1, 300, 300)


def test_what_lacks_a_smooth_says_so(door):
    _, model, idata = door
    with pytest.raises(vmrp.DataError, match="no smooth"):
        vmrp.smooth_effects(model, idata, "s(x)", DATA)


@pytest.mark.slow
@pytest.mark.parametrize("method", vmrp.METHODS)
def test_every_method_fits_what_was_read(door, method):
    """Of Bambi models and pm.Models also: by the GLMM that was read of them."""
    if method == "pathfinder":
        pytest.importorskip("pymc_extras")
    name, model, idata = door
    options = {
        "gibbs": {"chains": 2, "tune": 100}, "nuts": {"chains": 1, "tune": 100},
        "advi": {"n": 200}, "fullrank_advi": {"n": 200},
    }.get(method, {})  # fmt: skip
    tree = vmrp.fit(
        read_model(model), method=method, draws=50, random_seed=1, progressbar=False, **options
    )
    assert set(tree["posterior"].data_vars) == set(idata["posterior"].data_vars)
    if name != "pymc":
        assert tree["observed_data"].equals(idata["observed_data"])


@pytest.mark.slow
def test_fits_of_the_models_own_library_are_read(door):
    name, model, _ = door
    if name == "formula":
        pytest.skip("has no other library")
    draws = vmrp.fit(model, method="nuts", draws=60, tune=60, chains=2, cores=1, random_seed=1,
                     progressbar=False)  # fmt: skip
    attrs = draws.attrs
    assert attrs["divergences"] == int(draws["sample_stats"]["diverging"].sum())
    assert attrs["max_rhat"] > 0.9
    assert 0 < attrs["min_ess"] < 1000
    assert attrs["inference_method"] == "nuts"
    table = vmrp.fixef(model, draws)
    own = {"bambi": "x", "pymc": "b"}[name]
    ours = table["mean"].iloc[1]
    assert ours == pytest.approx(float(draws["posterior"][own].mean()), abs=1e-10)
    checks = vmrp.diagnose(model, draws, mcmc=False, loo=False, random_seed=1).table["check"]
    assert {"R-hat", "bulk ESS"} <= set(checks)


def test_a_model_that_was_read_is_a_model(door, monkeypatch):
    """Every function takes it, and reads nothing again."""
    name, model, idata = door
    read = read_model(model)
    pd.testing.assert_frame_equal(vmrp.fixef(read, idata), vmrp.fixef(model, idata))
    for of in ("bambi.door.read_bambi", "pymc.door.recognise_model"):
        monkeypatch.setattr(f"pymc_vmrp.frontends.{of}", None)
    for function in (vmrp.summary, vmrp.ranef, vmrp.varcorr, vmrp.icc):
        assert len(function(read, idata))
    by = "code" if name == "pymc" else "g"
    vmrp.predict(read, idata, data=CELLS.head(2), inplace=False)
    vmrp.poststratify(read, idata, CELLS, by=by)
    vmrp.diagnose(read, idata, mcmc=False, loo=False, restarts=0, random_seed=1)
    vmrp.prior_predictive(read, 20, random_seed=1)
    vmrp.calibrate(read, 2, draws=19, random_seed=1, fit_options={"hyperparameters": "mean_field"})
    vmrp.select({"a": read}, random_seed=1, draws=200)
    vmrp.fit(read, draws=20, random_seed=1)


def test_own_rows_need_no_encoder(door):
    _, model, idata = door

    def fail():
        raise AssertionError("an encoder was made")

    read = replace(read_model(model), make_encoder=fail)
    every = vmrp.predict(read, idata, inplace=False)["posterior"].to_dataset()
    same = vmrp.predict(model, idata, inplace=False)["posterior"].to_dataset()
    assert every.equals(same)


def test_levels_that_only_the_survey_of_bambi_has():
    """Two levels are left out of the data: they are drawn one by one from N(0, Σ)."""
    some = DATA[~DATA["g"].isin(["a", "b"])]
    model = bmb.Model(FORMULA, some, family="bernoulli")
    idata = vmrp.fit(model, draws=1000, random_seed=1)
    estimates = vmrp.poststratify(
        model, idata, CELLS, by="g", sample_new_groups=True, random_seed=1
    )["posterior"]["estimate"]
    a, b, c = (estimates.sel(g=level).to_numpy().ravel() for level in "abc")
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.5
    assert min(a.std(), b.std()) > 1.5 * c.std()
