"""Bambi models: read with the density of Bambi's own pm.Model, and reported as Bambi reports."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.bambi.read import BAMBI_FAMILIES, read_bambi
from pymc_vmrp.glmm.families import families
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.results.idata import data_digest

bmb = pytest.importorskip("bambi")


@pytest.fixture(scope="module")
def frame():
    """60 rows; the combination g = p, h = u does not occur."""
    rng = np.random.default_rng(3)
    n = 64
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n).round(1),
            "z": rng.normal(2, 3, size=n),
            "c": rng.choice(list("abc"), n),
            "g": rng.choice(list("pqrs"), n),
            "h": rng.choice(["u", "v"], n),
            "e": rng.uniform(0.5, 2, n),
            "w": rng.integers(1, 4, n),
        }
    )
    eta = 0.5 * data["x"] + data["g"].map({"p": -1.0, "q": 0.0, "r": 0.5, "s": 1.0})
    data["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    data["s"] = np.where(data["y"] == 1, "yes", "no")
    data["n"] = rng.integers(1, 9, n)
    data["k"] = rng.binomial(data["n"], 1 / (1 + np.exp(-eta)))
    data["count"] = rng.poisson(np.exp(eta))
    data["real"] = 3 + 2 * eta + rng.normal(size=n)
    data["positive"] = rng.gamma(3.0, np.exp(eta) / 3)
    return data[~((data["g"] == "p") & (data["h"] == "u"))].reset_index(drop=True)


def nested(name, **arguments):
    return bmb.Prior("Normal", mu=0, sigma=bmb.Prior(name, **arguments))


def model(formula, data, family, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bmb.Model(formula, data, family=family, **options)


CASES = {
    "bernoulli": ("y ~ x + c + (1|g) + (c|g) + (1|g:h) + (x|h)", "bernoulli", {}),
    "level": ("s['yes'] ~ c * x + (0 + c|h)", "bernoulli", {"link": "cloglog"}),
    "binomial": ("p(k, n) ~ offset(e) + x + (1|g) + (1|h)", "binomial", {"link": "probit"}),
    "gaussian": (
        "real ~ x + c + z + (1|g) + (x|g)",
        "gaussian",
        lambda: {
            "priors": {
                "x": bmb.Prior("StudentT", nu=4, mu=0.2, sigma=1.5),
                "c": bmb.Prior("Laplace", mu=0, b=np.array([0.5, 2.0])),
                "1|g": nested("HalfStudentT", nu=3, sigma=2),
                "x|g": nested("Exponential", lam=2),
            }
        },
    ),
    "weighted": (
        "weighted(real, w) ~ 1 + (1|g)",
        "gaussian",
        lambda: {"noncentered": False, "priors": {"1|g": nested("Gamma", alpha=2, beta=1)}},
    ),
    "poisson": ("count ~ bs(z, df=4) + offset(np.log(e)) + (1|g)", "poisson", {}),
    "negativebinomial": (
        "count ~ 0 + x + c + (x|g)",
        "negativebinomial",
        lambda: {"priors": {"x|g": nested("InverseGamma", alpha=3, beta=1)}},
    ),
    "gamma": (
        "positive ~ scale(z) + (1|g) + (poly(x, 2)|h)",
        "gamma",
        lambda: {"link": "log", "priors": {"1|g": nested("HalfCauchy", beta=1.5)}},
    ),
    "t": (
        "real ~ x:c + (1|g)",
        "t",
        lambda: {"priors": {"nu": 5.0, "1|g": nested("LogNormal", mu=-0.5, sigma=0.7)}},
    ),
    "beta_binomial": ("p(k, n) ~ x + (1|g)", "beta_binomial", {"center_predictors": False}),
    "weighted_counts": ("weighted(count, w) ~ x + (1|h)", "negativebinomial", {}),
    "interactions": ("y ~ x * c + (x * c|g) + (1|g/h)", "bernoulli", {}),
    "flat": (
        "count ~ x + z + (1|g)",
        "poisson",
        lambda: {"auto_scale": False, "priors": {"1|g": nested("Uniform", lower=0, upper=40)}},
    ),
}


def built(name, data):
    formula, family, options = CASES[name]
    return model(formula, data, family, **(options() if callable(options) else options))


@pytest.fixture(scope="module")
def bernoulli(frame):
    return built("bernoulli", frame)


@pytest.fixture(scope="module")
def fitted(bernoulli):
    """One fit; predictions go into copies of it."""
    return vmrp.fit(bernoulli, draws=300, random_seed=1, hyperparameters="mean_field")


def points(pm_model, n):
    """Random values of the free variables, and everything the pm.Model computes from them."""
    from pytensor.compile.mode import get_mode

    mode = get_mode("FAST_COMPILE").including("canonicalize", "stabilize")
    outputs = pm_model.unobserved_value_vars
    forward = pm_model.compile_fn(outputs, inputs=pm_model.value_vars, mode=mode)
    log_p = pm_model.compile_logp(jacobian=False, mode=mode)
    rng = np.random.default_rng(11)
    start = pm_model.initial_point()
    for _ in range(n):
        point = {name: rng.normal(0, 0.3, np.shape(value)) for name, value in start.items()}
        values = forward(point)
        yield log_p(point), dict(zip((v.name for v in outputs), values, strict=True))


def log_density(spec, named):
    """Our log joint at PyMC's values, as a density of what PyMC samples."""
    glmm, layout = spec.glmm, spec.layout
    reported = {source: one for one in layout.variables for source in one.sources}
    beta = [np.ravel(named["Intercept"])] if glmm.common.intercept else []
    beta += [np.ravel(named[reported[term.name].name]) for term in glmm.common.terms]
    coefficients, covariances, extra = [*beta], [], 0.0
    for group in glmm.groups:
        variable = reported[group.name]
        at = variable.sources.index(group.name)
        u = np.asarray(named[variable.name])
        u = u if variable.axis is None else u[:, at]  # PyMC's order is levels, effects
        sigma = np.ravel(named[reported[f"{group.name}_sigma"].name])[at]
        levels = layout.levels.get(group.name)
        known = np.arange(len(u)) if levels is None else levels.known
        coefficients.append(u[known])
        covariances.append(np.array([[[sigma**2]]]))
        extra += norm.logpdf(np.delete(u, known), 0, sigma).sum() + np.log(2 * sigma)
        if f"{variable.name}_offset" in named:
            extra += len(u) * np.log(sigma)  # u = σz
    phi = [[float(named[reported[one.name].name]) for one in glmm.free_parameters]]
    value = log_joint(
        glmm, np.concatenate(coefficients)[None], tuple(covariances), parameters=np.array(phi)
    )
    return float(value[0]) + extra


@pytest.mark.parametrize("name", CASES)
def test_density_is_that_of_bambis_own_model(name, frame):
    theirs_model = built(name, frame)
    spec = read_bambi(theirs_model)  # before it is built
    theirs_model.build()
    pairs = [
        (log_density(spec, named), expected)
        for expected, named in points(theirs_model.backend.model, 5)
    ]
    ours, theirs = np.array(pairs).T
    assert np.isfinite(theirs).all()
    # Bambi's probit has the root of 2 in 32 bits
    tolerance = 1e-7 if name == "binomial" else 1e-9
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-7)


@pytest.fixture
def sparse_dot():
    """Bambi's way of multiplying that is right for one column of numbers too."""
    bmb.config["SPARSE_DOT"] = True
    yield
    bmb.config["SPARSE_DOT"] = False


SUMMED = ("real ~ (x:z|g)", "real ~ x + (poly(z, 1)|h)")


@pytest.mark.parametrize("formula", SUMMED)
def test_one_column_of_numbers_is_fitted_as_it_is_written(frame, sparse_dot, formula):
    theirs_model = model(formula, frame, "gaussian")
    spec = read_bambi(theirs_model)
    theirs_model.build()
    for expected, named in points(theirs_model.backend.model, 3):
        assert log_density(spec, named) == pytest.approx(expected, rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", vmrp.PriorWarning)  # of few levels
        vmrp.fit(theirs_model, draws=5, hyperparameters="mean_field", progressbar=False)


@pytest.mark.parametrize("formula", SUMMED)
def test_what_bambi_sums_over_all_rows_is_told(frame, formula):
    name = formula.split("(", 1)[1][:-1]
    with pytest.warns(UserWarning, match=rf"{re.escape(repr(name))}.*SPARSE_DOT"):
        vmrp.fit(model(formula, frame, "gaussian"), draws=5, hyperparameters="mean_field")


def test_rows_pool_into_cells(frame):
    categories = model("y ~ c + (1|g) + (1|g:h)", frame, "bernoulli")
    spec = read_bambi(categories)
    assert spec.glmm.n_cells == len(frame[["c", "g", "h"]].drop_duplicates())
    assert spec.glmm.response.statistics[0].sum() == frame["y"].sum()
    counts = read_bambi(model("real ~ c + offset(e) + (1|g)", frame, "gaussian"))
    assert counts.glmm.n_cells == len(frame[["c", "g"]].drop_duplicates())


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(12)), st.sampled_from(["poisson", "gaussian", "gamma"]))
def test_the_order_of_rows_does_not_matter(order, family):
    data = pd.DataFrame(
        {
            "y": [1, 2, 3, 4, 1, 2, 5, 3, 2, 1, 6, 2],
            "x": [0.5, -1.0, 0.0, 0.5] * 3,
            "c": list("aabbccaabbcc"),
            "g": list("ppqqrrpqrpqr"),
        }
    )
    link = "identity" if family == "gaussian" else "log"
    one, other = (
        read_bambi(model("y ~ x + (1|g) + (c|g)", rows, family, link=link)).glmm
        for rows in (data, data.iloc[list(order)].reset_index(drop=True))
    )
    assert data_digest(one) == data_digest(other)
    np.testing.assert_allclose(one.common.prior_sd, other.common.prior_sd, rtol=1e-12)
    np.testing.assert_allclose(one.common.center, other.common.center, atol=1e-12)


def test_levels_without_rows_stay_out_of_the_model(bernoulli):
    spec = read_bambi(bernoulli)
    (group,) = [g for g in spec.glmm.groups if g.name == "1|g:h"]
    assert "p:u" not in group.levels
    assert len(group.levels) == 7
    assert spec.layout.levels["1|g:h"].unseen.tolist() == [0]


def test_no_matrix_of_rows_by_levels():
    """formulae makes one; reading does not make another."""
    import tracemalloc

    rng = np.random.default_rng(0)
    rows, levels = 4000, 400
    data = pd.DataFrame({"y": rng.integers(0, 2, rows), "g": rng.integers(0, levels, rows)})
    large = model("y ~ (1|g)", data.astype({"g": str}), "bernoulli")
    tracemalloc.start()
    read_bambi(large)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows * levels  # a byte for each would be more


def same_variables(one, other):
    assert list(one.data_vars) == list(other.data_vars)
    assert set(one.coords) == set(other.coords)
    for name in other.data_vars:
        assert one[name].dims == other[name].dims
        assert one[name].dtype == other[name].dtype
    for name in other.coords:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])


def same_structure(ours, theirs):
    for group in ("posterior", "observed_data"):
        same_variables(ours[group].to_dataset(), theirs[group].to_dataset())
        for key in ("modeling_interface", "modeling_interface_version"):
            assert ours[group].attrs[key] == theirs[group].attrs[key]
    np.testing.assert_array_equal(
        ours["observed_data"].to_dataset().to_array(),
        theirs["observed_data"].to_dataset().to_array(),
    )


def nuts(theirs_model, draws=6, tune=6, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return vmrp.fit(
            theirs_model, method="nuts", draws=draws, random_seed=1, tune=tune, progressbar=False,
            chains=options.pop("chains", 1), **options,
        )  # fmt: skip


def made_by_bambi(theirs_model):
    """What Bambi makes of draws (of zeros) of its pm.Model, without the minute of sampling them."""
    import xarray as xr

    pm_model = theirs_model.backend.model
    dims = pm_model.named_vars_to_dims
    means = theirs_model.family.likelihood.params
    names = [
        v.name for v in pm_model.unobserved_RVs if v in pm_model.free_RVs or v.name not in means
    ]
    labels = {dim: list(pm_model.coords[dim]) for name in names for dim in dims.get(name, ())}
    variables = {
        name: (
            ("chain", "draw", *dims.get(name, ())),
            np.zeros((1, 6, *(len(labels[dim]) for dim in dims.get(name, ())))),
        )
        for name in names
    }
    labels |= {"chain": np.arange(1), "draw": np.arange(6)}
    draws = xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=labels)})
    return theirs_model.backend._clean_results(draws, True, False)["posterior"].to_dataset()


@pytest.mark.parametrize("name", CASES)
def test_structure_is_that_of_bambis_own_results(name, frame):
    theirs_model = built(name, frame)
    idata = vmrp.fit(theirs_model, draws=6, random_seed=1, hyperparameters="mean_field")
    same_variables(idata["posterior"].to_dataset(), made_by_bambi(theirs_model))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_structure_is_that_of_bambis_own_fit(name, frame):
    theirs_model = built(name, frame)
    ours = vmrp.fit(theirs_model, draws=6, random_seed=1, hyperparameters="mean_field")
    same_structure(ours, nuts(theirs_model))


@pytest.mark.slow
def test_aliases(frame):
    theirs_model = model("real ~ x + c + (1|g) + (c|h)", frame, "gaussian")
    theirs_model.set_alias(
        {"x": "slope", "c": "class", "1|g": "by_g", "c|h": "by_h", "sigma": "noise", "real": "out"}
    )
    ours = vmrp.fit(theirs_model, draws=6, random_seed=1, hyperparameters="mean_field")
    same_structure(ours, nuts(theirs_model))
    theirs_model.predict(ours, kind="response")
    assert "out" in ours["posterior_predictive"]


def test_the_intercept_is_the_uncentred_one(frame):
    theirs_model = model("real ~ z", frame, "gaussian")
    idata = vmrp.fit(theirs_model, draws=4000, random_seed=1, hyperparameters="mean_field")
    slope, intercept = np.polyfit(frame["z"], frame["real"], 1)
    assert float(idata["posterior"]["z"].mean()) == pytest.approx(slope, abs=0.05)
    assert float(idata["posterior"]["Intercept"].mean()) == pytest.approx(intercept, abs=0.1)
    assert float(idata["fit/mean"]["Intercept"]) == pytest.approx(intercept, abs=0.1)


def test_predict_on_the_models_own_rows_is_the_linear_predictor(bernoulli, fitted, frame):
    idata = bernoulli.predict(fitted, inplace=False)
    post = fitted["posterior"].to_dataset().isel(chain=0)
    g, h, c = (post[dim].to_numpy().tolist() for dim in ("g__factor_dim", "h__factor_dim", "c_dim"))
    pairs = post["g:h__factor_dim"].to_numpy().tolist()
    row = frame.iloc[17]
    eta = post["Intercept"] + post["x"] * row["x"]
    eta = eta + post["1|g"][:, g.index(row["g"])] + post["x|h"][:, h.index(row["h"])] * row["x"]
    eta = eta + post["1|g:h"][:, pairs.index(f"{row['g']}:{row['h']}")]
    eta = eta + post["1|h"][:, h.index(row["h"])]
    if row["c"] in c:
        eta = eta + post["c"][:, c.index(row["c"])]
        eta = eta + post["c|g"][:, c.index(row["c"]), g.index(row["g"])]
    expected = 1 / (1 + np.exp(-eta.to_numpy()))
    np.testing.assert_allclose(idata["posterior"]["p"][0, :, 17], expected, rtol=1e-10)


def test_bambi_predicts_checks_and_compares(bernoulli, fitted, frame):
    import arviz as az

    idata = bernoulli.predict(fitted, kind="response", inplace=False, random_seed=1)
    assert idata["posterior_predictive"]["y"].shape == (1, 300, len(frame))
    new = frame.head(5).assign(g="nowhere", x=0.3)
    with pytest.raises(ValueError, match="new groups"):
        bernoulli.predict(fitted, data=new, inplace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        there = bernoulli.predict(
            fitted, data=new, inplace=False, sample_new_groups=True, random_seed=1
        )
    assert there["posterior"]["p"].shape == (1, 300, 5)
    bernoulli.compute_log_likelihood(idata)
    stats = idata["sample_stats"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loo = az.loo_approximate_posterior(
            idata, log_p=stats["lp"].to_numpy(), log_q=stats["log_q"].to_numpy()
        )
    assert np.isfinite(loo.elpd)


@pytest.mark.parametrize("what", ["predictions", "comparisons", "slopes"])
def test_interpret(bernoulli, fitted, what):
    import copy

    table = getattr(bmb.interpret, what)(bernoulli, copy.deepcopy(fitted), "x").summary
    assert np.isfinite(table["estimate"]).all()


def test_log_likelihood_is_bambis(frame):
    theirs_model = built("gaussian", frame)
    idata = vmrp.fit(
        theirs_model, draws=20, random_seed=1, hyperparameters="mean_field", log_likelihood=True
    )
    ours = idata["log_likelihood"]["real"].to_numpy()
    theirs_model.compute_log_likelihood(idata)
    np.testing.assert_allclose(ours, idata["log_likelihood"]["real"].to_numpy(), rtol=1e-9)


def test_lp_is_bambis_log_density(frame):
    """Up to the change of variables; levels without rows are part of lp and of log q."""
    theirs_model = model("y ~ (1|g:h)", frame, "bernoulli")
    idata = vmrp.fit(theirs_model, draws=5, random_seed=1, hyperparameters="mean_field")
    post = idata["posterior"].to_dataset().isel(chain=0)
    sigma, u = post["1|g:h_sigma"].to_numpy(), post["1|g:h"].to_numpy()
    log_p = theirs_model.backend.model.compile_logp(jacobian=False)
    for i in range(5):
        theirs = log_p(
            {
                "Intercept": post["Intercept"].to_numpy()[i],
                "1|g:h_sigma_log__": np.log(sigma[i]),
                "1|g:h_offset": u[i] / sigma[i],
            }
        )
        jacobian = u.shape[1] * np.log(sigma[i]) + np.log(2 * sigma[i])
        ours = float(idata["sample_stats"]["lp"][0, i])
        assert ours == pytest.approx(theirs - jacobian, abs=1e-7)


def test_effects_of_levels_without_rows_have_their_prior(bernoulli):
    idata = vmrp.fit(bernoulli, draws=4000, random_seed=1, hyperparameters="mean_field")
    post = idata["posterior"].to_dataset()
    ratio = (post["1|g:h"].sel({"g:h__factor_dim": "p:u"}) / post["1|g:h_sigma"]).to_numpy()
    assert abs(ratio.mean()) < 4 / np.sqrt(4000)
    assert ratio.std() == pytest.approx(1, abs=0.05)
    mean, sd = (idata[f"fit/{what}"]["1|g:h"].to_numpy()[0] for what in ("mean", "sd"))
    assert mean == 0
    assert sd == pytest.approx(np.sqrt(float((post["1|g:h_sigma"] ** 2).mean())), rel=0.1)


def test_results_repeat_for_a_seed_and_leave_the_model_built(frame):
    theirs_model = model("y ~ x + (1|g:h)", frame, "bernoulli")
    one, two, other = (
        vmrp.fit(theirs_model, draws=10, random_seed=seed, hyperparameters="mean_field")
        for seed in (3, 3, 4)
    )
    assert theirs_model.built
    assert one["posterior"].to_dataset().identical(two["posterior"].to_dataset())
    assert not one["posterior"].to_dataset().equals(other["posterior"].to_dataset())


def test_include_response_params(bernoulli):
    idata = vmrp.fit(
        bernoulli, draws=10, hyperparameters="mean_field", include_response_params=True
    )
    assert idata["posterior"]["p"].dims == ("chain", "draw", "__obs__")


def test_gibbs(bernoulli, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vmrp.SamplingWarning)
        idata = vmrp.fit(bernoulli, method="gibbs", draws=20, tune=20, chains=2, random_seed=1)
    assert idata["posterior"].sizes["chain"] == 2
    assert list(idata["posterior"].data_vars) == list(fitted["posterior"].data_vars)
    assert len(vmrp.compare(fitted, idata)) > len(fitted["posterior"].data_vars)
    bernoulli.predict(idata)


def broken(data, what):
    """Bambi models that are not read, with what the message names."""
    truncated = "truncated(real, lb=-50)"
    return {
        "distributional": lambda: model(bmb.Formula("real ~ x", "sigma ~ x"), data, "gaussian"),
        "family": lambda: model("positive ~ x", data, "weibull"),
        "link": lambda: model("positive ~ x", data, "gamma"),
        "hsgp": lambda: model("real ~ hsgp(x, m=5, c=2)", data, "gaussian"),
        "response": lambda: model(f"{truncated} ~ x", data, "gaussian"),
        "weighted": lambda: model("weighted(positive, w) ~ x", data, "gamma", link="log"),
        "potentials": lambda: model("y ~ x", data, "bernoulli", potentials=[("x", lambda b: b)]),
        "common": lambda: model("y ~ x", data, "bernoulli", priors={"x": bmb.Prior("VonMises")}),
        "half_flat": lambda: model("y ~ x + (1|g)", data, "bernoulli", auto_scale=False),
        "not_normal": lambda: model(
            "y ~ (1|g)",
            data,
            "bernoulli",
            priors={"1|g": bmb.Prior("Laplace", mu=0, b=bmb.Prior("HalfNormal", sigma=1))},
        ),
        "mean": lambda: model(
            "y ~ (1|g)",
            data,
            "bernoulli",
            priors={
                "1|g": bmb.Prior(
                    "Normal",
                    mu=bmb.Prior("Normal", mu=0, sigma=1),
                    sigma=bmb.Prior("HalfNormal", sigma=1),
                )
            },
        ),
        "parameter": lambda: model(
            "real ~ x", data, "gaussian", priors={"sigma": bmb.Prior("Weibull", alpha=1, beta=1)}
        ),
    }[what]()


BROKEN = {
    "distributional": (vmrp.FormulaError, "'sigma' has a formula"),
    "family": (vmrp.FormulaError, "'weibull'"),
    "link": (vmrp.FormulaError, "'inverse'.*: log"),
    "hsgp": (vmrp.FormulaError, r"hsgp\(x"),
    "response": (vmrp.FormulaError, "truncated"),
    "weighted": (vmrp.FormulaError, r"weighted\(positive, w\).*'gamma'"),
    "potentials": (vmrp.FormulaError, "potentials"),
    "common": (vmrp.PriorError, "'x' is VonMises"),
    "half_flat": (vmrp.PriorError, r"'1\|g' is HalfFlat"),
    "not_normal": (vmrp.PriorError, r"'1\|g' is Laplace"),
    "mean": (vmrp.PriorError, r"'1\|g' .* mean 0"),
    "parameter": (vmrp.PriorError, "'sigma' is Weibull"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_not_read_is_named_with_the_remedy(frame, what):
    kind, message = BROKEN[what]
    theirs_model = broken(frame, what)
    with pytest.raises(kind, match=f"(?s){message}.*bambi_model.fit"):
        vmrp.fit(theirs_model)


@pytest.mark.parametrize("formula", ["real ~ bad + (1|g)", "real ~ (bad|g)", "bad ~ x"])
def test_infinite_values_are_told_by_their_column(frame, formula):
    data = frame.assign(bad=np.where(frame["x"] > 0.5, np.inf, frame["x"]))
    name = r"bad\|g" if "|g" in formula and "(bad" in formula else "bad"
    with pytest.raises(vmrp.DataError, match=f"'{name}' has values .* infinite"):
        vmrp.fit(model(formula, data, "gaussian", priors={"bad|g": nested("HalfNormal", sigma=1)}))


@pytest.mark.parametrize("name", ["sigma", "mu", "draw", "c_dim", "x"])
def test_names_that_mean_two_things_are_refused_before_the_fit(frame, name):
    data = frame.assign(**{name: frame["x"], "real": frame["real"]})
    theirs_model = model(f"real ~ c + {name}", data, "gaussian")
    if name == "x":
        theirs_model.set_alias({"x": "c"})
        name = "c"
    with pytest.raises(vmrp.FormulaError, match=f"two things called '{name}'.*set_alias"):
        vmrp.fit(theirs_model)


def test_sds_of_effects_may_be_given_as_a_list(frame):
    one, two = (
        read_bambi(
            model(
                "real ~ c + (c|g)",
                frame,
                "gaussian",
                priors={"c|g": nested("HalfNormal", sigma=sds)},
            )
        ).glmm.groups
        for sds in ([1.0, 2.0], np.array([1.0, 2.0]))
    )
    assert [group.prior for group in one[-2:]] == [group.prior for group in two[-2:]]
    assert one[-2].prior != one[-1].prior


def test_the_page_of_the_docs_lists_what_is_supported():
    from bambi.defaults import get_builtin_family

    page = (Path(__file__).parents[3] / "docs" / "bambi.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    told = {first.split("`")[1]: set(re.findall("`([a-z]+)`", links)) for first, links in rows}
    told["gamma"] -= {"inverse"}  # named there as Bambi's default
    supported = {}
    for cls, name in BAMBI_FAMILIES.items():
        theirs = get_builtin_family(name)
        assert type(theirs).__name__ == cls
        links = set(theirs.SUPPORTED_LINKS[theirs.likelihood.parent])
        supported[name] = links & {link for one, link in families() if one == name}
    assert told == supported


def test_arguments(bernoulli):
    with pytest.raises(vmrp.VmrpError, match=r"'tunes'.*bambi_model\.fit"):
        vmrp.fit(bernoulli, tunes=3)
    with pytest.raises(vmrp.VmrpError, match="method"):
        vmrp.fit(bernoulli, method="laplace")
    with pytest.raises(vmrp.VmrpError, match="draws"):
        vmrp.fit(bernoulli, draws=0)
    with pytest.raises(vmrp.VmrpError, match="bound"):
        vmrp.fit(bernoulli, bound="tight")


@pytest.mark.slow
def test_moments_agree_with_nuts(frame):
    """With a prior of the sd that leaves no tail: four levels do not, and NUTS gets lost in it."""
    formula, family, _ = CASES["poisson"]
    sd = bmb.Prior("HalfNormal", sigma=1)
    priors = {"1|g": bmb.Prior("Normal", mu=0, sigma=sd)}
    theirs_model = model(formula, frame, family, priors=priors)
    ours = vmrp.fit(theirs_model, draws=4000, random_seed=1)["posterior"].to_dataset()
    theirs = nuts(theirs_model, draws=2500, tune=1000, chains=2)["posterior"].to_dataset()
    for name in ("Intercept", "bs(z, df=4)", "1|g", "1|g_sigma"):
        sd = theirs[name].std(("chain", "draw"))
        shift = (ours[name].mean(("chain", "draw")) - theirs[name].mean(("chain", "draw"))) / sd
        ratio = ours[name].std(("chain", "draw")) / sd
        assert float(abs(shift).max()) < 0.15
        assert float(abs(ratio - 1).max()) < 0.15
