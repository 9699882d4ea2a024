"""Real surveys and published references: skipped where ../shared is not there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import accuracy, data, factorization, hyperparameters


@pytest.mark.parametrize("form", sorted(accuracy.VGLMER_NAMES))
def test_polya_gamma_is_the_published_algorithm(shared, form):
    table = accuracy.published_algorithm(shared, form)
    assert len(table) == 129
    assert table["shift"].abs().max() <= 0.02
    assert (table["sd_ratio"] - 1).abs().max() <= 0.01


@pytest.fixture(scope="module")
def nuts(shared):
    return accuracy.nuts_states(shared).set_index(["data", "bound"])


@pytest.mark.parametrize("case", ["simulated 5,000", "CCES 59,810"])
def test_quadrature_agrees_with_nuts(nuts, case):
    row = nuts.loc[(case, "quadrature")]
    assert row["mean_abs_shift"] <= 0.04
    assert 0.97 <= row["mean_sd_ratio"] <= 1.02


def test_polya_gamma_understates_the_sds(nuts):
    assert nuts.loc[("simulated 5,000", "polya-gamma"), "mean_sd_ratio"] < 0.97


def test_ghitza_gelman_state_sds_are_those_of_hmc(shared):
    table = accuracy.ghitza_gelman(shared).set_index(["model", "bound"])["median_sd_ratio"]
    for model in (1, 4):
        assert 0.98 <= table[model, "quadrature"] <= 1.02
        assert table[model, "polya-gamma"] == pytest.approx(0.92, abs=0.01)  # as published


def test_cces_samples_beat_raw_means(shared):
    table = accuracy.cces_samples(shared, samples=4)
    assert (table["ratio"] < 1).all()
    assert table["ratio"].mean() <= 0.65


def test_nuts_reference_coding(shared):
    frame = data.for_nuts_reference(data.cces(shared).cells)
    assert frame["region"].cat.categories[0] == "Northeast"


@pytest.mark.slow
def test_forms_of_q_against_nuts(shared):
    table = factorization.against_nuts(shared, draws=4000)
    table = table[table["bound"] == "quadrature"].set_index(["factorization", "mavb"])
    sd = table["common_sd_ratio"].xs(False, level="mavb")
    # the less q holds together, the more sd it loses
    assert sd["joint"] > sd["collapsed, main effects kept"] > 0.85
    assert sd["collapsed, common effects kept"] > sd["partial"] + 0.1
    assert sd["partial"] < 0.55
    assert sd["strong"] < 0.55
    # MAVB gives some back, and leaves state estimates alone
    with_mavb = table.xs(True, level="mavb")
    assert (with_mavb["common_sd_ratio"] > sd).all()
    np.testing.assert_allclose(
        with_mavb["states_sd_ratio"], table["states_sd_ratio"].xs(False, level="mavb"), rtol=1e-9
    )
    assert table["states_sd_ratio"].between(0.96, 1.04).all()


def test_integrated_hyperparameters_agree_with_nuts(shared):
    table = hyperparameters.surveys(shared, names=("simulated 5,000",)).set_index("hyperparameters")
    ours, field = table.loc["integrated"], table.loc["mean_field"]
    assert ours["mean_abs_shift"] <= 0.03
    assert ours["max_abs_shift"] <= 0.1
    assert 0.98 <= ours["mean_sd_ratio"] <= 1.02
    assert ours["min_sd_ratio"] >= 0.9
    assert ours["log_sigma_shift"] <= 0.15  # draws of σ are as many as points
    assert 0.93 <= ours["log_sigma_width"] <= 1.07
    assert field["min_sd_ratio"] < 0.75


@pytest.mark.slow
def test_no_sd_is_much_too_large_when_hyperparameters_are_integrated(shared):
    """Those of eth against Gibbs: its σ has a heavy tail that the 10,000 NUTS draws have missed."""
    case = next(c for c in accuracy.nuts_cases(shared) if c.name == "simulated 5,000")
    model = case.model()
    idata = model.fit(1000, random_seed=1, hyperparameters="integrated")
    table, _ = hyperparameters._against(idata, pd.read_csv(case.terms))
    assert table.loc[table["term"] != "1|eth", "ratio"].max() <= 1.3
    chains = model.fit(4000, tune=500, chains=4, cores=2, random_seed=3, inference_method="gibbs")
    gibbs = chains["posterior"]["1|eth"].std(("chain", "draw"))
    assert float((idata["fit/sd"].to_dataset()["1|eth"] / gibbs).max()) <= 1.3


def test_integrated_hyperparameters_agree_with_mcmc_of_small_models(shared):
    table = hyperparameters.small(shared).set_index(["data", "hyperparameters"])
    ours = table.xs("integrated", level="hyperparameters")
    assert (ours["max_abs_shift"] <= 0.05).all()
    assert ours["min_sd_ratio"].min() >= 0.97
    assert ours["max_sd_ratio"].max() <= 1.03
    assert table.loc[("radon, uniform", "mean_field"), "max_abs_shift"] > 0.15
    assert table.loc[("eight schools", "mean_field"), "max_abs_shift"] <= 0.1


@pytest.mark.slow
def test_integrated_hyperparameters_keep_the_state_sds_of_hmc(shared):
    table = hyperparameters.ghitza_gelman(shared).set_index(["model", "hyperparameters"])
    for model in (1, 4):
        row = table.loc[(model, "integrated")]
        assert 0.98 <= row["median_sd_ratio"] <= 1.02
        assert row["sd_log_weight"] < 0.6
