"""diagnose: the table and the verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp

SOUND = {"hyperparameters": "integrated"}


@pytest.fixture(scope="module")
def model():
    simulation = vmrp.simulate(600, n_states=8, random_seed=3)
    return vmrp.Model("support ~ male + (1|state) + (1|eth) + (1|educ)", simulation.survey)


@pytest.fixture(scope="module")
def sound(model):
    return model.fit(500, random_seed=1, **SOUND)


@pytest.mark.slow
def test_a_sound_fit_is_fine(model, sound):
    found = vmrp.diagnose(model, sound, random_seed=1)
    assert found.verdict == "fine"
    assert found.reasons == []
    assert {"convergence", "other optima", "k-hat", "short MCMC: shift"} <= set(
        found.table["check"]
    )
    assert repr(found).startswith("Verdict: fine")
    assert {"shift", "sd_ratio", "pareto_k", "kind"} <= set(found.estimands.columns)
    assert "state=S01" in found.estimands.index


@pytest.mark.slow
def test_what_a_verdict_rests_on_is_shown(model, sound):
    """Both ends of a limit, and the Monte Carlo error that is granted before it is applied."""
    found = vmrp.diagnose(model, sound, random_seed=1, restarts=0)
    table = found.table.set_index("check")
    assert set(table.loc["short MCMC: shift", "limit"]) == {"-0.1 to 0.1"}
    assert set(table.loc["short MCMC: sd ratio", "limit"]) == {"0.909 to 1.1"}
    assert (table.loc[["short MCMC: shift", "short MCMC: sd ratio"], "mcse"] > 0).all()
    shifts = table.loc["short MCMC: shift"]
    beyond = shifts["value"].abs() - 3 * shifts["mcse"] > 0.1
    assert ((shifts["verdict"] == "fine") == ~beyond).all()
    ratios = table.loc["short MCMC: sd ratio"]
    beyond = np.log(ratios["value"]).abs() - 3 * ratios["mcse"] / ratios["value"] > np.log(1.1)
    assert ((ratios["verdict"] == "fine") == ~beyond).all()
    assert max(map(len, repr(found).splitlines())) <= 80
    assert " ± " in repr(found)


@pytest.mark.slow
def test_it_is_repeatable(model, sound):
    a, b = (vmrp.diagnose(model, sound, random_seed=5, restarts=0) for _ in range(2))
    pd.testing.assert_frame_equal(a.table, b.table)


@pytest.mark.filterwarnings("ignore::pymc_vmrp.errors.ConvergenceWarning")
def test_too_few_iterations_are_not_to_be_trusted(model):
    fit = model.fit(500, random_seed=1, max_iter=2, hyperparameters="mean_field")
    found = vmrp.diagnose(model, fit, mcmc=False)
    assert found.verdict == "do not trust"
    assert "max_iter" in found.reasons[0]


def test_a_fit_that_missed_a_better_optimum_is_not_to_be_trusted(model, sound):
    worse = sound.copy(deep=True)
    worse["fit"]["elbo"] = worse["fit"]["elbo"] - 30.0  # as if it had ended elsewhere
    found = vmrp.diagnose(model, worse, mcmc=False, loo=False, restarts=2, random_seed=1)
    assert found.verdict == "do not trust"
    assert "ELBO that is" in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        ("theta_error", 1.9, "do not trust"),
        ("theta_error", np.nan, "do not trust"),
        ("theta_disagreement", 0.5, "do not trust"),
        ("theta_disagreement", np.inf, "do not trust"),
        ("theta_drop", 6.0, "use with care"),
        ("theta_drop", np.nan, "use with care"),
        ("converged", 0, "do not trust"),
    ],
)
def test_points_in_the_wrong_place_are_never_fine(model, sound, figure, value, verdict):
    """Whatever the other checks say: a fit may look sound by all of them."""
    bad = sound.copy(deep=True)
    bad["fit"].attrs[figure] = value
    found = vmrp.diagnose(model, bad, mcmc=False, loo=False, restarts=0, random_seed=1)
    assert found.verdict == verdict
    row = found.table.set_index("of").loc["fit" if figure == "converged" else figure]
    assert row["verdict"] == verdict
    assert "the points of the hyperparameters" in row["meaning"].lower()
    assert row["meaning"] in found.reasons


def test_the_limit_of_the_drop_grows_with_the_hyperparameters(model, sound):
    """Draws of d coordinates lie d/2 nats below the mode on average."""
    for size, verdict in ((1, "use with care"), (20, "fine")):
        tree = sound.copy(deep=True)
        tree["fit"].attrs |= {"theta_drop": 9.0, "theta_size": size}
        found = vmrp.diagnose(model, tree, mcmc=False, loo=False, restarts=0, random_seed=1)
        assert found.table.set_index("of").loc["theta_drop", "verdict"] == verdict


@pytest.mark.slow
def test_understated_sds_are_found(model):
    idata = model.fit(500, random_seed=1, factorization="strong")
    found = vmrp.diagnose(model, idata, random_seed=1, restarts=0)
    assert found.verdict == "do not trust"
    assert found.estimands.loc["Intercept", "sd_ratio"] < 0.7


@pytest.mark.slow
def test_hyperparameters_alone_call_for_care():
    """Mean field understates the σ's of a survey, and state estimates are right all the same."""
    simulation = vmrp.simulate(3000, random_seed=2)
    model = vmrp.Model("support ~ male + repvote + (1|state)", simulation.survey)
    idata = model.fit(1000, random_seed=1, hyperparameters="mean_field")

    def states(draws):
        return vmrp.poststratify(model, draws, simulation.cells, by="state")

    found = vmrp.diagnose(model, idata, states, random_seed=1, restarts=0)
    assert found.verdict != "do not trust"
    of = found.table.set_index(["check", "of"])["verdict"]
    assert of["short MCMC: sd ratio", "chosen estimands"] == "fine"
    assert of["short MCMC: sd ratio", "hyperparameters"] != "fine"


@pytest.mark.slow
def test_a_wrong_family_is_found():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.standard_t(2, 400), "g": list("abcdefgh") * 50})
    model = vmrp.Model("y ~ 1 + (1|g)", frame, family="gaussian")
    found = vmrp.diagnose(model, model.fit(500, random_seed=1, **SOUND), random_seed=1)
    assert found.verdict == "do not trust"
    assert any("tails" in reason for reason in found.reasons)


def test_a_model_without_groups():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=200)})
    frame["y"] = (rng.random(200) < 1 / (1 + np.exp(-frame["x"]))).astype(int)
    model = vmrp.Model("y ~ x", frame)
    assert vmrp.diagnose(model, model.fit(500, random_seed=1), random_seed=1).verdict == "fine"


def test_chains_are_checked_too(model):
    """Short chains of MCMC are no fit to trust; long enough ones are."""
    idata = model.fit(800, tune=200, inference_method="gibbs", random_seed=1)
    found = vmrp.diagnose(model, idata, mcmc=False, loo=False)
    assert {"R-hat", "bulk ESS"} <= set(found.table["check"])
    idata.attrs["max_rhat"] = 1.03
    assert vmrp.diagnose(model, idata, mcmc=False, loo=False).verdict == "use with care"
    idata.attrs["max_rhat"] = 1.2
    assert vmrp.diagnose(model, idata, mcmc=False, loo=False).verdict == "do not trust"
    idata.attrs["max_rhat"] = float("nan")
    assert "One chain" in vmrp.diagnose(model, idata, mcmc=False, loo=False).reasons[0]


def test_without_mcmc_there_is_no_clean_bill(survey):
    """An improper prior of Σ leaves no sampler to check the fit with."""
    with pytest.warns(vmrp.PriorWarning):
        model = vmrp.Model("y ~ x + (1|state)", survey, priors={"1|state": "jeffreys"})
    found = vmrp.diagnose(model, model.fit(200, random_seed=1), random_seed=1)
    assert found.verdict == "use with care"
    assert "No MCMC could check" in found.reasons[0]


def test_a_saved_fit_is_as_good(model, sound, tmp_path):
    sound.to_netcdf(tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as read:
        found = vmrp.diagnose(model, read, random_seed=1, mcmc=False)
    assert found.verdict == "fine"


def test_what_is_no_model_is_an_error(sound):
    with pytest.raises(vmrp.DataError, match=r"takes a pymc_vmrp\.Model.*not a str"):
        vmrp.diagnose("model", sound)


def test_a_fit_of_another_model_is_an_error(model):
    other = vmrp.Model("support ~ 1 + (1|state)", vmrp.simulate(300, random_seed=1).survey)
    with pytest.raises(vmrp.DataError, match="another model"):
        vmrp.diagnose(model, other.fit(100, random_seed=1))


@pytest.mark.slow
def test_every_planted_failure_is_found_and_no_twin_is():
    from benchmarks.trust import planted

    table = planted(repeats=1)
    assert (table.loc[table["fit"] == "failure", "verdict"] == "do not trust").all()
    assert (table.loc[table["fit"] == "sound", "verdict"] != "do not trust").all()
