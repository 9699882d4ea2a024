import arviz as az
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.inference.fit import fit_model
from pymc_vmrp.selection import select as module
from pymc_vmrp.selection.result import Scored, rank
from pymc_vmrp.selection.training import training


@pytest.fixture(scope="module")
def frame():
    """An interaction of a and b, no effect of z, and twenty levels of g."""
    rng = np.random.default_rng(1)
    n = 500
    out = pd.DataFrame(
        {
            "a": rng.choice(list("pqrs"), n),
            "b": rng.choice(list("uvwx"), n),
            "g": rng.choice([f"g{i:02d}" for i in range(20)], n),
            "z": rng.normal(size=n).round(1),
        }
    )
    effect = dict(zip(sorted(set(out["a"] + out["b"])), rng.normal(0, 1.2, 16), strict=True))
    eta = (out["a"] + out["b"]).map(effect)
    return out.assign(y=(rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int))


@pytest.fixture(scope="module")
def models(frame):
    return {
        "main": vmrp.Model("y ~ (1|a) + (1|b)", frame),
        "interaction": vmrp.Model("y ~ (1|a) + (1|b) + (1|a:b)", frame),
        "noise": vmrp.Model("y ~ z + (1|a) + (1|b)", frame),
    }


@pytest.fixture(scope="module")
def by_loo(models):
    return vmrp.select(models, random_seed=1, progressbar=False)


@pytest.fixture(scope="module")
def exact():
    """Gaussian with known σ and no groups: q, LOO and evidence are known in closed form."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.normal(size=18), "z": rng.normal(size=18)})
    data["y"] = 0.5 + data["x"] + rng.normal(0, 0.8, 18)

    def model(formula):
        priors = {"Intercept": vmrp.Normal(0, 2), "common": vmrp.Normal(0, 1), "sigma": 0.8}
        if formula.endswith("~ 1"):
            del priors["common"]
        return vmrp.Model(formula, data, "gaussian", priors=priors, center_predictors=False)

    return data, {name: model(f"y ~ {name}") for name in ("1", "x", "x + z")}


def covariance_of_response(data, name):
    columns = [] if name == "1" else name.split(" + ")
    design = np.column_stack([np.ones(len(data)), *(data[c] for c in columns)])
    prior = np.diag([4.0, *[1.0] * len(columns)])
    return design @ prior @ design.T + 0.64 * np.eye(len(data))


def exact_loo(data, name):
    """Log p(y_i | others): y is jointly normal with known covariance."""
    precision = np.linalg.inv(covariance_of_response(data, name))
    variance = 1 / np.diag(precision)
    mean = data["y"] - variance * (precision @ data["y"])
    return stats.norm(mean, np.sqrt(variance)).logpdf(data["y"])


def test_a_planted_interaction_is_found(by_loo, models):
    assert by_loo.best == "interaction"
    table = by_loo.table
    for name in ("main", "noise"):
        assert table.loc[name, "difference"] < -3 * table.loc[name, "se_difference"]
    assert table["converged"].all()
    assert (table["bad_k"] == 0).all()
    assert 4 < table.loc["interaction", "p_loo"] < 17
    assert table.loc["interaction", ["difference", "se_difference"]].tolist() == [0, 0]
    assert set(by_loo.fits) == set(models)
    assert vmrp.select(models, "elbo", progressbar=False).best == "interaction"


def test_loo_is_arvizs(by_loo, models):
    tree = models["interaction"].fit(
        1000, random_seed=1, log_likelihood=True, hyperparameters="mean_field"
    )
    reference = az.loo(tree, pointwise=True, reff=1.0)
    assert by_loo.table.loc["interaction", "elpd"] == pytest.approx(reference.elpd)
    assert by_loo.table.loc["interaction", "p_loo"] == pytest.approx(reference.p)
    np.testing.assert_allclose(by_loo.pointwise["interaction"], reference.elpd_i)
    assert by_loo.table.loc["interaction", "se"] == pytest.approx(reference.se)


def test_the_corrected_one_too(exact):
    _, models = exact
    ours = vmrp.select(
        {"x": models["x"]}, correction=True, draws=500, random_seed=1, progressbar=False
    )
    tree = models["x"].fit(500, random_seed=1, log_likelihood=True, hyperparameters="mean_field")
    stat = tree["sample_stats"]
    reference = az.loo_approximate_posterior(tree, stat["lp"], stat["log_q"], pointwise=True)
    np.testing.assert_allclose(ours.pointwise["x"], reference.elpd_i)


@pytest.mark.parametrize("criterion", ["loo", "kfold"])
def test_loo_and_n_folds_are_exact_where_q_is(exact, criterion):
    data, models = exact
    result = vmrp.select(
        models, criterion, folds=len(data), draws=8000, random_seed=1, progressbar=False
    )
    for name in models:
        np.testing.assert_allclose(result.pointwise[name], exact_loo(data, name), atol=0.06)
    assert result.best == max(models, key=lambda name: exact_loo(data, name).sum())


def test_the_elbo_is_the_evidence_where_q_is_exact(exact):
    data, models = exact
    evidence = {
        name: stats.multivariate_normal(cov=covariance_of_response(data, name)).logpdf(data["y"])
        for name in models
    }
    table = vmrp.select(models, "elbo", progressbar=False).table
    for name in models:
        assert table.loc[name, "elbo"] == pytest.approx(evidence[name], abs=1e-6)
    assert table["se_difference"].isna().all()
    largest = max(evidence.values())
    assert table.loc["1", "difference"] == pytest.approx(evidence["1"] - largest, abs=1e-6)


def test_kfold_is_refitting(models, frame):
    """Against models of the training rows, and Model.predict for the rows left out."""
    result = vmrp.select(
        {"main": models["main"]}, "kfold", folds=3, draws=4000, random_seed=1, progressbar=False
    )
    from pymc_vmrp.selection.folds import stratified_folds

    fold = stratified_folds(frame["y"].to_numpy(), 3, np.random.default_rng(1))
    for k in range(3):
        model = vmrp.Model("y ~ (1|a) + (1|b)", frame[fold != k])
        left = frame[fold == k]
        tree = model.fit(4000, random_seed=5, hyperparameters="mean_field")
        model.predict(tree, data=left)
        p = tree["posterior"]["p"].mean(("chain", "draw")).to_numpy()
        expected = np.log(np.where(left["y"] == 1, p, 1 - p))
        np.testing.assert_allclose(result.pointwise["main"][fold == k], expected, atol=0.02)


def test_leaving_out_whole_groups(frame):
    model = vmrp.Model("y ~ (1|a) + (1|g)", frame)
    by_name, by_labels = (
        vmrp.select(
            [model], "kfold", folds=5, group=group, draws=200, random_seed=1, progressbar=False
        )
        for group in ("g", frame["g"])
    )
    assert by_name.table["elpd"].tolist() == by_labels.table["elpd"].tolist()
    assert len(by_name.pointwise) == 20  # one value per level: rows of a level go together
    assert by_name.pointwise.iloc[:, 0].sum() == pytest.approx(by_name.table["elpd"].iloc[0])


def test_new_levels_have_the_variance_between_levels():
    """Density of an unseen level's response: the marginal one, wider than given its effect."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(30), 10)
    frame = pd.DataFrame({"g": group, "y": rng.normal(0, 2, 30)[group] + rng.normal(size=300)})
    model = vmrp.Model("y ~ (1|g)", frame, "gaussian")
    result = vmrp.select(
        [model], "kfold", folds=30, group="g", draws=1000, random_seed=1, progressbar=False
    )
    expected = stats.norm(0, np.sqrt(4 + 1)).logpdf(frame["y"]).sum()
    assert result.table["elpd"].iloc[0] == pytest.approx(expected, rel=0.03)


def test_whole_weights_are_repeated_rows(frame):
    weighted = frame.groupby(["a", "b", "y"], as_index=False).size().rename(columns={"size": "w"})
    repeated = weighted.loc[weighted.index.repeat(weighted["w"])]
    one = vmrp.select(
        {"m": vmrp.Model("y ~ (1|a:b)", weighted, weights="w")}, random_seed=1, progressbar=False
    ).table
    other = vmrp.select(
        {"m": vmrp.Model("y ~ (1|a:b)", repeated)}, random_seed=1, progressbar=False
    ).table
    columns = ["elpd", "se", "p_loo"]
    np.testing.assert_allclose(one[columns], other[columns], rtol=1e-6)
    fractional = vmrp.Model("y ~ (1|a:b)", weighted.assign(w=weighted["w"] + 0.5), weights="w")
    with pytest.raises(vmrp.DataError, match="fractional weights"):
        vmrp.select([fractional])


def test_families_of_the_same_counts_can_be_compared():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=150)})
    frame["y"] = rng.poisson(np.exp(frame["x"]) * rng.gamma(0.7, 1 / 0.7, 150))
    result = vmrp.select(
        {name: vmrp.Model("y ~ x", frame, name) for name in ("poisson", "negativebinomial")},
        random_seed=1, progressbar=False,
    )  # fmt: skip
    assert result.best == "negativebinomial"


def test_standard_errors_are_those_of_differences():
    a, b = np.array([-1.0, -2.0, -3.0, -0.5]), np.array([-1.5, -2.5, -3.0, -1.5])
    timing = {"converged": True, "seconds": 1.0}
    table, pointwise = rank("loo", {"b": Scored(b.sum(), b), "a": Scored(a.sum(), a)}, [timing] * 2)
    assert table.index.tolist() == ["a", "b"]
    assert table.loc["b", "difference"] == pytest.approx(-2.0)
    assert table.loc["b", "se_difference"] == pytest.approx(np.sqrt(4 * np.var(b - a, ddof=1)))
    assert "too close" in table.loc["b", "warning"]
    assert pointwise.columns.tolist() == ["b", "a"]


def test_models_of_other_rows_are_refused(frame, models):
    main = models["main"]
    cases = {
        "500 and 499 rows": frame.iloc[1:],
        "different labels": frame.set_index(frame.index + 1),
        r"responses differ in 1 rows, first [01] and [01] in row '7'": frame.assign(
            y=np.where(frame.index == 7, 1 - frame["y"], frame["y"])
        ),
    }
    for message, data in cases.items():
        with pytest.raises(vmrp.DataError, match=f"'one' and 'other' cannot.*{message}"):
            vmrp.select({"one": main, "other": vmrp.Model("y ~ (1|a) + (1|b)", data)})
    weighted = vmrp.Model("y ~ (1|a)", frame.assign(w=2.0), weights="w")
    with pytest.raises(vmrp.DataError, match="weights differ"):
        vmrp.select([main, weighted])


def test_arguments(models, frame):
    with pytest.raises(vmrp.VmrpError, match="criterion='waic'"):
        vmrp.select(models, "waic")
    with pytest.raises(vmrp.VmrpError, match="refit='hmc'"):
        vmrp.select(models, refit="hmc")
    with pytest.raises(vmrp.VmrpError, match="group= is for criterion='kfold'"):
        vmrp.select(models, group="a")
    with pytest.raises(vmrp.VmrpError, match=r"group='c' is no grouping factor.*'a', 'a:b', 'b'"):
        vmrp.select(models, "kfold", group="c")
    with pytest.raises(vmrp.DataError, match="a label for each of the 500 rows"):
        vmrp.select(models, "kfold", group=[1, 2])
    with pytest.raises(vmrp.VmrpError, match="folds=501 exceeds the 500 rows"):
        vmrp.select(models, "kfold", folds=501)
    with pytest.raises(vmrp.VmrpError, match="at least one"):
        vmrp.select({})
    with pytest.raises(vmrp.VmrpError, match="same formula"):
        vmrp.select([models["main"], models["main"]])
    with pytest.raises(vmrp.VmrpError, match=r"select.* takes a pymc_vmrp\.Model"):
        vmrp.select(["y ~ x"])
    flat = vmrp.Model("y ~ z + (1|a)", frame, priors={"z": "flat"})
    table = vmrp.select({"flat": flat}, "elbo", progressbar=False).table
    assert "no evidence under the flat prior of z" in table.loc["flat", "warning"]


@pytest.mark.slow
def test_ctrl_c_keeps_the_models_that_are_complete(models, monkeypatch):
    def interrupted(model, *args):
        if model is models["interaction"].read_model:
            raise KeyboardInterrupt
        return fit_model(model, *args)

    monkeypatch.setattr(module, "fit_model", interrupted)
    with pytest.warns(vmrp.ConvergenceWarning, match="only 'main' of 3 models"):
        result = vmrp.select(models, "elbo", refit="nuts", progressbar=False)
    assert list(result.fits) == ["main"]
    assert result.refit is None


def _asked(monkeypatch):
    """What NUTS is asked for, which is not run."""
    asked = []

    def noted(model, method, draws, random_seed, options):
        if method == "nuts":
            asked.append((model, draws, random_seed, options))
            return "refitted"
        return fit_model(model, method, draws, random_seed, options)

    monkeypatch.setattr(module, "fit_model", noted)
    return asked


@pytest.mark.slow
def test_the_best_is_refitted(models, monkeypatch):
    asked = _asked(monkeypatch)
    result = vmrp.select(
        models, "elbo", refit="nuts", refit_options={"draws": 50}, random_seed=3, progressbar=False
    )
    assert result.refit == "refitted"
    start = {"warm_start": result.fits["interaction"]}
    assert asked == [(models["interaction"].read_model, 50, 3, start)]
    assert "best 'interaction'" in repr(result)


@pytest.mark.slow
@pytest.mark.parametrize("start", [{"warm_start": None}, {"initvals": {}}])
def test_a_start_of_ones_own_is_kept(models, monkeypatch, start):
    asked = _asked(monkeypatch)
    vmrp.select(models, "elbo", refit="nuts", refit_options=start, progressbar=False)
    assert [options for *_, options in asked] == [start]


@pytest.mark.slow
def test_folds_in_processes_give_the_same(models):
    one, two = (
        vmrp.select(
            {"main": models["main"]}, "kfold", folds=3, cores=cores, random_seed=1,
            progressbar=False,
        ).table["elpd"].iloc[0]
        for cores in (1, 2)
    )  # fmt: skip
    assert one == two


def test_training_rows_alone_count(frame, models):
    model = models["interaction"]
    rows = np.flatnonzero(frame["a"] != "p")
    part = training(model.glmm, model.observations, rows)
    assert part.glmm.response.statistics[1].sum() == len(rows)


def test_a_row_without_a_finite_density_is_named(models, monkeypatch):
    """A response that every draw holds for impossible would make the whole sum infinite."""
    from dataclasses import replace

    from pymc_vmrp.selection import criteria as module

    def impossible(*arguments):
        found = real(*arguments)
        elpd = found.elpd.copy()
        elpd[0] = -np.inf
        return replace(found, elpd=elpd)

    real = module.loo
    monkeypatch.setattr(module, "loo", impossible)
    (name, model), *_ = models.items()
    with pytest.raises(
        vmrp.DataError, match=rf"{name!r} gives \d+ rows no finite.*the first of row"
    ):
        vmrp.select({name: model}, draws=200, random_seed=1)
