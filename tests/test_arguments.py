"""Every argument of every public function, with odd values: an error that names the argument.

The table lists what each argument may be; what it may not be follows, and is tried. Arguments that
are checked elsewhere (formulas, data frames, priors, families) have tests of their own.
"""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.plots import plot_estimates

HUGE = 10**30
NOT_NUMBERS = ["a", "1", None, [1], {}, (), 1 + 1j, np.array([1, 2]), object()]
ODD = {
    "count": [0, -1, -5, 1.5, np.nan, np.inf, -np.inf, True, HUGE, *NOT_NUMBERS],
    "count_or_none": [0, -1, 1.5, np.nan, np.inf, True, HUGE, "a", [1], 1j],
    "whole_or_none": [-1, 1.5, np.nan, True, HUGE, "a", [1], 1j],  # 0 is one
    "whole": [-1, 1.5, np.nan, True, HUGE, "a", None, [1], 1j],
    "positive": [0, -1.0, np.nan, np.inf, True, 1e30, "a", None, [1], 1j],
    "positive_or_none": [0, -1.0, np.nan, np.inf, True, 1e30, "a", [1], 1j],
    "probability": [0, 1, -0.5, 1.5, 90, np.nan, np.inf, True, "0.9", None, [0.9], 1j],
    "flag": ["no", "False", "", 0, 1, 2.0, None, np.nan, [], [True]],
    "flag_or_none": ["no", "", 0, 1, np.nan, [], [True]],
    "seed": ["a", -1, 1.5, np.nan, True, [1, 2], {}, np.random.default_rng(1), 1j],
    "seed_or_generator": ["a", -1, 1.5, np.nan, True, [1, 2], {}, np.random.RandomState(1), 1j],
    "choice": ["", "nonsense", 1, True, None, np.nan, ["a"]],
    "choice_or_none": ["", "nonsense", 1, True, np.nan, ["a"]],
    "name": ["", 1, True, None, np.nan, ["n"], 1j],
    "names": [1, True, np.nan, {"a": 1}, [1], [None], 1j, object()],
    "tree": [None, 1, "fit.nc", pd.DataFrame(), {}, [], object()],
    "tree_or_none": [1, "fit.nc", pd.DataFrame(), {}, [], object()],
    "model": [None, 1, "y ~ x", {}, [], object()],
    "options": [1, "a", [1], {1: 2}, True],
    "callable": [1, "a", [], {}, True],
    "frame": [None, 1, "a", {}, [], {"g": ["a"]}, np.zeros((2, 2)), object()],
    "frame_or_none": [1, "a", {}, [], {"g": ["a"]}, np.zeros((2, 2)), object()],
    "names_or_none": [1, True, np.nan, {"a": 1}, [1], [None], 1j, object()],
    "name_or_none": ["", 1, True, np.nan, ["n"], 1j],
    "probabilities": [0, 1, -0.5, 90, np.nan, True, "0.9", [], [0.9, 2], ["a"], 1j],
    "effects": [None, 1, "a", {}, [], object()],
}


@pytest.fixture(scope="module")
def survey():
    rng = np.random.default_rng(1)
    n = 60
    return pd.DataFrame(
        {"x": rng.normal(size=n), "g": rng.choice(list("abcde"), n), "y": rng.integers(0, 2, n)}
    )


@pytest.fixture(scope="module")
def model(survey):
    return vmrp.Model("y ~ s(x, k=4) + (1|g)", survey)


@pytest.fixture(scope="module")
def posterior(model):
    return model.approximate(hyperparameters="mean_field", progressbar=False)


@pytest.fixture(scope="module")
def idata(model):
    return model.fit(110, random_seed=1, hyperparameters="mean_field", progressbar=False)


@pytest.fixture
def calls_on_effects(survey):
    """The functions about effects of a treatment, and the methods of what they return."""
    data = survey.assign(
        treat=np.arange(len(survey)) % 2, sex=np.where(np.arange(len(survey)) % 3, "f", "m")
    )
    model = vmrp.Model("y ~ x + (1 + treat|g) + (1 + treat|sex)", data)
    idata = model.fit(30, random_seed=1, hyperparameters="mean_field", progressbar=False)
    found = vmrp.effects(model, idata, "treat", by=["g", "sex"])
    curve = vmrp.comparisons(model, idata, "treat", conditional="x")
    fit = {"model": (model, "model"), "idata": (idata, "tree")}
    rows = {
        "data": (data, "frame_or_none"), "weights": ("x", "name_or_none"),
        "sample_new_groups": (None, "flag_or_none"), "random_seed": (1, "seed_or_generator"),
        "progressbar": (False, "flag_or_none"),
    }  # fmt: skip
    data["x"] = data["x"].abs()
    interpret = {
        **fit, "conditional": (None, "names_or_none"), "average_by": ("g", "names_or_none"),
        "use_hdi": (True, "flag"), "prob": (0.9, "probabilities"), **rows,
    }  # fmt: skip
    scale = {"scale": ("response", "choice")}
    one = {"contrast": (None, "choice_or_none"), "ci_prob": (0.9, "probability")}
    plot = {"effects": (found, "effects"), **one, "level_names": (None, "options")}
    return {
        "predictions": (vmrp.predictions, interpret),
        "comparisons": (
            vmrp.comparisons,
            {**interpret, "contrast": ("treat", "name"), "comparison": ("diff", "choice")},
        ),
        "slopes": (
            vmrp.slopes,
            {**interpret, "wrt": ("x", "name"), "eps": (0.01, "positive_or_none"),
             "slope": ("dydx", "choice")},
        ),
        "effects": (
            vmrp.effects,
            {**fit, "treatment": ("treat", "name"), "by": ("g", "names_or_none"), **scale,
             "contrast": (None, "choice_or_none"), **rows},
        ),
        "amce": (
            vmrp.amce,
            {**fit, "attributes": (["treat"], "names"), "by": ("g", "names_or_none"), **scale,
             "distribution": (None, "options"), "base": (None, "options"), **rows},
        ),
        "groups": (
            vmrp.groups,
            {"data": (data, "frame"), "by": ("g", "names"), "treatment": ("treat", "name"),
             "least": (10, "count")},
        ),
        "Effects.table": (found.table, {"ci_prob": (0.9, "probability")}),
        "Effects.average": (
            found.average,
            {"weights": (None, "choice_or_none"), "ci_prob": (0.9, "probability")},
        ),
        "Effects.extremes": (found.extremes, one),
        "Effects.ranks": (found.ranks, one),
        "Effects.spread": (found.spread, one),
        "Effects.shares": (found.shares, one),
        "Effects.moderators": (found.moderators, one),
        "Effects.contrast": (found.contrast, {"a": (("a", "f"), "effects"),
                                              "b": (("b", "f"), "effects"), **one}),
        "Effects.population": (
            found.population,
            {"cells": (data, "frame"), "weights": ("x", "name_or_none"),
             "by": (None, "names_or_none")},
        ),
        "Effects.compare": (
            found.compare, {"method": ("ols", "choice"), "ci_prob": (0.9, "probability")}
        ),
        "plot_effects": (
            vmrp.plot_effects,
            {**plot, "other": (None, "options"), "facet": (None, "name_or_none"),
             "order": ("effect", "choice"), "labels": (None, "names_or_none")},
        ),
        "plot_effect_distribution": (
            vmrp.plot_effect_distribution,
            {**plot, "draws": (False, "flag"), "bins": (None, "count_or_none")},
        ),
        "plot_effect_moderators": (vmrp.plot_effect_moderators, plot),
        "plot_effect_grid": (
            vmrp.plot_effect_grid,
            {**plot, "rows": ("g", "names_or_none"), "columns": ("sex", "names_or_none"),
             "centre": ("zero", "choice")},
        ),
        "plot_effect_slope": (
            vmrp.plot_effect_slope,
            {**plot, "effects": (curve, "effects"), "x": ("x", "name_or_none")},
        ),
    }  # fmt: skip


@pytest.fixture
def calls(model, idata, posterior, survey, calls_on_effects):
    """Every public function: the call, its arguments as they should be, and what they may be."""
    cells = pd.DataFrame({"x": [0.0, 1.0], "g": ["a", "b"], "n": [1, 2]})
    estimates = vmrp.poststratify(model, idata, cells, by="g")
    of_model = {"model": (model, "model"), "idata": (idata, "tree")}
    summaries = {**of_model, "ci_prob": (0.9, "probability")}
    seed = {"random_seed": (1, "seed")}
    bar = {"progressbar": (False, "flag_or_none")}
    cavi = {
        "bound": ("quadrature", "choice"), "tol": (1e-4, "positive"), "max_iter": (5, "count"),
        "solver": ("auto", "choice"), "accelerate": ("anderson", "choice"),
        "expansion": ("translation", "choice"), "hyperparameters": ("auto", "choice"),
        "theta_ess": (200, "positive"), "factorization": ("joint", "choice"),
        "kept": (None, "names"), **bar,
    }  # fmt: skip
    fit = {
        "draws": (5, "count"), **seed, **bar, "inference_method": ("cavi", "choice"),
        "log_likelihood": (False, "flag"), "log_prior": (False, "flag"),
    }  # fmt: skip
    return {
        **calls_on_effects,
        "Model": (
            vmrp.Model,
            {
                "formula": ("y ~ x + (1|g)", "name"), "data": (survey, None),
                "center_predictors": (True, "flag"), "dropna": (False, "flag"),
                "environment": ("caller", "choice"),
            },
        ),
        "Model.approximate": (model.approximate, cavi),
        "Model.fit (cavi)": (model.fit, {**fit, **cavi}),
        "Model.fit (gibbs)": (
            model.fit,
            {
                **fit, "inference_method": ("gibbs", None), "tune": (5, "whole_or_none"),
                "chains": (1, "count_or_none"), "cores": (1, "count_or_none"),
                "thin": (1, "count"), "warm_start": (None, "tree_or_none"),
            },
        ),
        "Model.fit (nuts)": (
            model.fit,
            {
                **fit, "inference_method": ("nuts", None), "tune": (5, "whole_or_none"),
                "chains": (1, "count_or_none"), "cores": (1, "count_or_none"),
                "whiten": (None, "flag_or_none"), "warm_start": (None, "tree_or_none"),
            },
        ),
        "Model.fit (advi)": (
            model.fit, {**fit, "inference_method": ("advi", None), "n": (5, "count")}
        ),
        "Model.predict": (
            model.predict,
            {
                "idata": (idata, "tree"), "kind": ("response_params", "choice"),
                "inplace": (True, "flag"), "include_group_specific": (True, "flag"),
                "sample_new_groups": (False, "flag"), "random_seed": (1, "seed_or_generator"),
                "exclude": (None, "names"), "terms": (False, "flag"), **bar,
            },
        ),
        "Model.prior_predictive": (
            model.prior_predictive,
            {"draws": (5, "count"), "random_seed": (1, "seed_or_generator")},
        ),
        "Model.summary": (
            model.summary, {"idata": (idata, "tree"), "ci_prob": (0.9, "probability")}
        ),
        "predict": (
            vmrp.predict,
            {
                **of_model, "kind": ("response_params", "choice"),
                "inplace": (True, "flag"), "include_group_specific": (True, "flag"),
                "sample_new_groups": (False, "flag"), "random_seed": (1, "seed_or_generator"),
                "exclude": (None, "names"), "terms": (False, "flag"), **bar,
            },
        ),
        "prior_predictive": (
            vmrp.prior_predictive,
            {
                "model": (model, "model"), "draws": (5, "count"),
                "random_seed": (1, "seed_or_generator"),
            },
        ),
        "summary": (vmrp.summary, summaries),
        "VariationalPosterior.sample": (
            posterior.sample, {"draws": (5, "count"), "random_seed": (1, "seed_or_generator")}
        ),
        "VariationalPosterior.augment": (
            posterior.augment, {"draws": (5, "count"), "random_seed": (1, "seed_or_generator")}
        ),
        "fit": (
            vmrp.fit,
            {
                "model": (model, "model"), "method": ("cavi", "choice"), "draws": (5, "count"),
                **seed,
            },
        ),
        "fixef": (vmrp.fixef, summaries),
        "ranef": (vmrp.ranef, summaries),
        "coef": (vmrp.coef, summaries),
        "varcorr": (vmrp.varcorr, summaries),
        "icc": (vmrp.icc, summaries),
        "compare": (
            vmrp.compare,
            {"a": (idata, "tree"), "b": (idata, "tree"), "var_names": ("Intercept", "names")},
        ),
        "plot_compare": (
            vmrp.plot_compare,
            {
                "a": (idata, "tree"), "b": (idata, "tree"), "var_names": ("Intercept", "names"),
                "labels": (("a", "b"), "names"),
            },
        ),
        "plot_estimates": (plot_estimates, {"estimates": (estimates, "tree")}),
        "poststratify": (
            vmrp.poststratify,
            {
                **of_model, "cells": (cells, None), "weights": ("n", "name"), "by": ("g", "names"),
                "sample_new_groups": (None, "flag_or_none"),
                "random_seed": (1, "seed_or_generator"), "chunk_size": (5, "count"),
            },
        ),
        "smooth_effects": (
            vmrp.smooth_effects,
            {**of_model, "term": ("s(x)", "name"), "data": (cells, None)},
        ),
        "ppc_by_group": (
            vmrp.ppc_by_group,
            {
                "idata": (idata, "tree"), "by": (survey["g"], None),
                "ci_prob": (0.9, "probability"),
            },
        ),
        "resample": (
            vmrp.resample, {"idata": (idata, "tree"), "draws": (5, "count_or_none"), **seed}
        ),
        "diagnose": (
            vmrp.diagnose,
            {
                **of_model, "estimands": (None, "callable"), "mcmc": (False, "flag"),
                "loo": (False, "flag"), "restarts": (0, "whole"), **seed, **bar,
            },
        ),
        "select": (
            vmrp.select,
            {
                "models": ({"a": model}, "model"), "criterion": ("elbo", "choice"),
                "refit": (None, "choice_or_none"), "folds": (2, "count"),
                "correction": (False, "flag"), "draws": (5, "count"),
                "inference_method": ("cavi", "choice"),
                "fit_options": (None, "options"), "refit_options": (None, "options"), **seed,
                "cores": (1, "count"), **bar,
            },
        ),
        "calibrate": (
            vmrp.calibrate,
            {
                "model": (model, "model"), "simulations": (2, "count"),
                "method": ("sbc", "choice"), "fit": (None, "callable"),
                "inference_method": ("cavi", "choice"),
                "fit_options": (None, "options"), "draws": (5, "count"), **seed,
                "cores": (1, "count"), **bar,
            },
        ),
        "simulate": (
            vmrp.simulate, {"n": (5, "count"), "n_states": (4, "count"), **seed}
        ),
    }  # fmt: skip


# how a message may call an argument otherwise
PARTS = {"term": "smooth", "model": "Model", "models": "model"}


def test_odd_arguments_are_errors_that_name_them(calls, capfd):
    """Nothing is computed for them, and nothing but a package error comes out."""
    faults = []
    for name, (call, arguments) in calls.items():
        good = {key: value for key, (value, _) in arguments.items()}
        for key, (_, kind) in arguments.items():
            for value in ODD.get(kind, []) if kind else []:
                try:
                    call(**{**good, key: value})
                except vmrp.VmrpError as error:
                    if key not in str(error) and PARTS.get(key, key) not in str(error):
                        faults.append(f"{name}({key}={value!r}): the error names no {key}: {error}")
                except Exception as error:
                    faults.append(f"{name}({key}={value!r}): {type(error).__name__}: {error}")
                else:
                    faults.append(f"{name}({key}={value!r}) was accepted")
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults)


def test_the_table_has_every_public_function_and_argument(calls):
    """What is public and takes arguments is in the table, and each of its arguments is."""
    functions = {
        name: getattr(vmrp, name)
        for name in vmrp.__all__
        if inspect.isfunction(getattr(vmrp, name))
    }
    assert set(functions) <= set(calls)
    elsewhere = {  # frames, priors and fits, which have tests of their own
        "Model": {"family", "priors", "link", "weights"},
        "Model.predict": {"data"},
        "predict": {"data"},
        "select": {"group"},
        "plot_estimates": {"reference", "reference_label"},
    }
    for name, (call, arguments) in calls.items():
        if name.startswith("Model.fit (cavi)") or name.startswith("Model.fit (advi)"):
            continue  # tune, chains and cores are errors there: below
        taken = {
            key
            for key, p in inspect.signature(call).parameters.items()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
        }
        assert taken - set(arguments) <= elsewhere.get(name, set()), name


@pytest.mark.parametrize("method", ["cavi", "advi", "fullrank_advi", "pathfinder"])
@pytest.mark.parametrize("argument", ["chains", "cores", "tune"])
def test_methods_with_independent_draws_have_no_chains(model, method, argument):
    with pytest.raises(vmrp.VmrpError, match=rf"{argument}=.*{method}.*one chain.*draws="):
        model.fit(5, inference_method=method, **{argument: 4})


def test_a_model_in_the_place_of_its_fit_and_the_other_way_round(model, idata):
    with pytest.raises(vmrp.VmrpError, match="draws"):
        vmrp.resample(model, idata)
    with pytest.raises(vmrp.DataError, match="var_names"):
        vmrp.compare(idata, idata, "nonsense")
    with pytest.raises(vmrp.DataError, match=r"pm\.Model, not a xarray\.DataTree"):
        vmrp.fixef(idata, model)


@pytest.mark.parametrize(
    "prior",
    [
        vmrp.Normal, vmrp.StudentT, vmrp.Cauchy, vmrp.Laplace, vmrp.HuangWand, vmrp.InverseWishart,
        vmrp.HalfNormal, vmrp.HalfCauchy, vmrp.HalfStudentT, vmrp.Exponential, vmrp.Gamma,
        vmrp.InverseGamma, vmrp.LogNormal, vmrp.Uniform, vmrp.Horseshoe, vmrp.LKJ,
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["a", np.nan, np.inf, -np.inf, {}, [], True, 1j, object()])
def test_arguments_of_priors(prior, value):
    for name in inspect.signature(prior).parameters:
        others = {
            other: 1.0
            for other, p in inspect.signature(prior).parameters.items()
            if p.default is inspect.Parameter.empty and other != name
        }
        with pytest.raises(vmrp.PriorError, match=name):
            prior(**{**others, name: value})
