"""Coordinate ascent for every family: the ELBO, q(φ), weights, offsets, order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, PARAMETERS, simulate
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.families import get_family

EVERY = pytest.mark.parametrize(("family", "link"), CASES)
TIGHT = {"tol": 1e-7, "max_iter": 2000, "hyperparameters": "mean_field"}


def model_of(family, link, n=150, seed=3, data=None, formula=None, **kwargs):
    simulated = simulate(family, link, n, seed, groups=6, continuous=False)
    data = simulated.data if data is None else data
    return vmrp.Model(formula or simulated.formula, data, family, link=link, **kwargs)


def assert_same_posterior(a, b, rtol=1e-4):
    np.testing.assert_allclose(a.mean(), b.mean(), atol=rtol * a.sd().min(), rtol=rtol)
    np.testing.assert_allclose(a.sd(), b.sd(), rtol=rtol)
    for mine, others in zip(a.fit.state.factors, b.fit.state.factors, strict=True):
        np.testing.assert_allclose(
            mine.expected_precision, others.expected_precision, rtol=10 * rtol
        )
    if a.fit.state.parameters is not None:
        for mine, others in zip(
            a.fit.state.parameters.moments(), b.fit.state.parameters.moments(), strict=True
        ):
            np.testing.assert_allclose(mine, others, rtol=10 * rtol)


@EVERY
def test_elbo_never_falls_and_acceleration_does_not_move_the_optimum(family, link):
    model = model_of(family, link)
    fast = model.approximate(**TIGHT)
    assert fast.converged
    plain = run(model.glmm, Options(accelerate="none", expansion="none", tol=1e-8, max_iter=5000))
    elbo = np.array(plain.elbo)
    last = elbo[plain.warmup :]
    assert (np.diff(last) >= -1e-9 * (1 + np.abs(last[:-1]))).all()
    assert plain.converged
    assert fast.elbo == pytest.approx(elbo[-1], abs=1e-4)
    np.testing.assert_allclose(fast.mean(), plain.state.gaussian.mean, atol=2e-4)


@EVERY
def test_elbo_is_its_monte_carlo_estimate(family, link):
    """ELBO = E_q[log p − log q], the auxiliaries of Σ and the nodes of φ apart."""
    model = model_of(family, link, priors={"group_specific": vmrp.HalfNormal(1)})
    q = model.approximate(**TIGHT)
    draws = q.sample(4000, 1)
    difference = q.log_joint(draws) - q.log_density(draws)
    difference = difference[np.isfinite(difference)]
    assert len(difference) > 3990
    error = difference.std() / np.sqrt(len(difference))
    assert q.elbo == pytest.approx(difference.mean(), abs=5 * error + 2e-3)


def test_negative_binomial_counts_that_are_not_overdispersed():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=1000).round(1), "g": rng.integers(0, 10, 1000)})
    mu = 3 * np.exp(0.1 * data["x"])
    for y in (rng.poisson(mu), rng.binomial((2 * mu).round().astype(int) + 1, 0.5)):
        q, reference = (
            vmrp.Model("y ~ x + (1|g)", data.assign(y=y), family).approximate(
                hyperparameters="mean_field"
            )
            for family in ("negativebinomial", "poisson")
        )
        assert q.fit.converged
        assert q.elbo < 0
        np.testing.assert_allclose(q.mean()[:2], reference.mean()[:2], atol=0.01)


@pytest.mark.parametrize("rate", [1e-4, 1e-6, 1e-7])
def test_rare_events_among_many_trials(rate):
    """The rates of a binomial, Poisson and negative binomial likelihood agree."""
    rng = np.random.default_rng(3)
    trials = rng.integers(10**8, 10**9, 100)
    data = pd.DataFrame({"x": rng.normal(size=100), "g": rng.integers(0, 10, 100), "n": trials})
    data["y"] = rng.poisson(trials * rate * np.exp(0.1 * data["x"]))
    formula = "x + offset(np.log(n)) + (1|g)"
    poisson = vmrp.Model(f"y ~ {formula}", data, "poisson")
    reference = poisson.fit(hyperparameters="mean_field")["fit"]
    for model in (
        vmrp.Model("p(y, n) ~ x + (1|g)", data, "binomial"),
        vmrp.Model(f"y ~ {formula}", data, "negativebinomial"),
    ):
        fit = model.fit(hyperparameters="mean_field")["fit"]
        assert fit.attrs["converged"]
        for name in ("Intercept", "x"):
            shift = fit["mean"][name] - reference["mean"][name]
            assert abs(shift) < 0.5 * reference["sd"][name]


@pytest.mark.parametrize(("family", "link"), [c for c in CASES if c[1] in ("probit", "cloglog")])
def test_separated_categories_converge_under_wide_marginals(family, link):
    """Marginals of η many sds of the likelihood wide, where few nodes would miss its bend."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"k": np.arange(30) % 20, "y": rng.integers(0, 2, 30), "n": 1})
    formula = "y ~ C(k)" if family == "bernoulli" else "p(y, n) ~ C(k)"
    q = vmrp.Model(formula, data, family, link=link).approximate(hyperparameters="mean_field")
    assert q.fit.converged
    assert q.sd().max() > 3


@pytest.mark.parametrize("family", ["poisson", "gamma"])
def test_rows_without_weight_may_be_far_out(family):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": rng.normal(size=60), "y": rng.poisson(2, 60) + 1, "w": 1.0})
    kept = vmrp.Model("y ~ x", data, family, weights="w").approximate(**TIGHT)
    data.loc[60] = {"x": -1e3, "y": 1, "w": 0.0}
    q = vmrp.Model("y ~ x", data, family, weights="w").approximate(**TIGHT)
    np.testing.assert_allclose(q.mean(), kept.mean(), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_skewed_responses_with_wide_priors_converge(seed):
    """Cells of tiny responses know little at the start: E e^−η must not run away there."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"k": np.arange(120) % 60, "x": rng.normal(size=120)})
    data["log_size"] = rng.normal(-1, 3, 120)
    data["y"] = np.exp(data["log_size"] + 0.3 * data["x"]) * rng.gamma(0.3, size=120)
    q = vmrp.Model("y ~ x + C(k) + offset(log_size)", data, "gamma").approximate(
        hyperparameters="mean_field"
    )
    assert q.fit.converged


@EVERY
def test_heavy_weights_converge_to_the_same_means(family, link):
    """As cells of millions of rows do: the likelihood alone decides, at whatever weight."""
    simulated = simulate(family, link, 120, 5, groups=5, continuous=False)
    light, heavy = (
        model_of(
            family, link, data=simulated.data.assign(w=w), formula=simulated.formula, weights="w"
        ).approximate(hyperparameters="mean_field")
        for w in (1e3, 1e5)
    )
    assert heavy.fit.converged
    np.testing.assert_allclose(heavy.mean()[:2], light.mean()[:2], atol=0.05)


@EVERY
def test_weights_of_two_are_doubled_data(family, link):
    simulated = simulate(family, link, 120, 5, groups=5, continuous=False)
    data = simulated.data.assign(w=2)
    doubled = pd.concat([data, data], ignore_index=True)
    weighted = model_of(family, link, data=data, formula=simulated.formula, weights="w")
    twice = model_of(family, link, data=doubled, formula=simulated.formula)
    np.testing.assert_allclose(
        weighted.glmm.response.statistics[1], twice.glmm.response.statistics[1]
    )
    assert weighted.glmm.response.log_base == pytest.approx(twice.glmm.response.log_base)
    assert_same_posterior(weighted.approximate(**TIGHT), twice.approximate(**TIGHT))


@EVERY
def test_rows_of_no_weight_are_no_data(family, link):
    simulated = simulate(family, link, 150, 6, groups=5, continuous=False)
    data = simulated.data.assign(w=np.r_[np.ones(110), np.zeros(40)])
    kept = data.iloc[:110]
    with_zeros = model_of(family, link, data=data, formula=simulated.formula, weights="w")
    without = model_of(family, link, data=kept, formula=simulated.formula)
    if set(kept["g"]) == set(data["g"]) and set(kept["h"]) == set(data["h"]):
        assert_same_posterior(with_zeros.approximate(**TIGHT), without.approximate(**TIGHT))
    else:
        raise AssertionError("the test's data must have every level in its first rows")


@EVERY
def test_a_constant_offset_moves_the_intercept_alone(family, link):
    simulated = simulate(family, link, 150, 7, groups=5, continuous=False)
    flat = {"Intercept": "flat", "group_specific": vmrp.HalfNormal(1)}
    kwargs = {
        "priors": flat | ({"sigma": vmrp.HalfNormal(2)} if family in ("gaussian", "t") else {})
    }
    plain = model_of(family, link, data=simulated.data, formula=simulated.formula, **kwargs)
    data = simulated.data.assign(o=0.7)
    moved = model_of(family, link, data=data, formula=simulated.formula + "+ offset(o)", **kwargs)
    a, b = plain.approximate(**TIGHT), moved.approximate(**TIGHT)
    assert a.mean()[0] == pytest.approx(b.mean()[0] + 0.7, abs=1e-4)
    np.testing.assert_allclose(a.mean()[1:], b.mean()[1:], atol=1e-4)
    np.testing.assert_allclose(a.sd(), b.sd(), rtol=1e-3)


@EVERY
@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_terms_and_levels_does_not_matter(family, link, seed):
    rng = np.random.default_rng(seed)
    simulated = simulate(family, link, 120, 8, groups=5, continuous=False)
    data = simulated.data.assign(o=rng.normal(0, 0.2, 120).round(1), w=rng.uniform(0.5, 2, 120))
    response = simulated.formula.split("~")[0]
    terms = ["x", "(1|g)", "(1|h)", "offset(o)"]
    renamed = {name: f"{rng.integers(10**6):06d}{name}" for name in sorted(set(data["g"]))}
    shuffled = data.sample(frac=1, random_state=int(rng.integers(10**6)))
    shuffled["g"] = shuffled["g"].map(renamed)
    a = vmrp.Model(response + "~" + "+".join(terms), data, family, link=link, weights="w")
    b = vmrp.Model(
        response + "~" + "+".join(rng.permutation(terms)), shuffled, family, link=link, weights="w"
    )
    p, q = a.approximate(**TIGHT), b.approximate(**TIGHT)
    assert p.elbo == pytest.approx(q.elbo, abs=1e-5)
    first, second = named_means(a, p), named_means(b, q)
    for level, name in renamed.items():
        assert first["1|g", level] == pytest.approx(second["1|g", name], abs=1e-4)
    for key in first.keys() & second.keys():
        assert first[key] == pytest.approx(second[key], abs=1e-4)


def named_means(model, q):
    glmm, mean = model.glmm, q.mean()
    out = {"Intercept": mean[0], "x": mean[1]}
    for j, group in enumerate(glmm.groups):
        for level, value in zip(group.levels, mean[glmm.group_slice(j)], strict=True):
            out[group.name, level] = value
    return out


def test_sigma_of_a_gaussian_is_the_normal_inverse_gamma_posterior():
    """Without groups and with one coefficient, mean field is known up to one fixed point."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(2, 1.5, 40)})
    priors = {"Intercept": "flat", "sigma": vmrp.InverseGamma(2.0, 3.0)}
    q = vmrp.Model("y ~ 1", data, "gaussian", priors).approximate(**TIGHT)
    # q(σ²) = IG(2 + n/2, 3 + ½E Σ(y − μ)²) and q(μ) = N(ȳ, 1/(n E σ⁻²))
    shape, ss = 2 + 20, float(((data["y"] - data["y"].mean()) ** 2).sum())
    precision = 1.0
    for _ in range(200):
        precision = shape / (3 + 0.5 * (ss + 1 / precision))
    assert q.sd()[0] == pytest.approx(1 / np.sqrt(40 * precision), rel=1e-6)
    marginal = stats.invgamma(shape, scale=3 + 0.5 * (ss + 1 / precision))
    mean = integrate.quad(lambda v: np.sqrt(v) * marginal.pdf(v), 0, np.inf)[0]
    assert q.fit.state.parameters.moments()[0][0] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("family", ["negativebinomial", "gamma", "beta_binomial", "t"])
def test_tabulated_q_is_the_density_it_says(family):
    """q(φ) ∝ p(φ) exp E ℓ(η, φ), whatever the nodes: draws, density and moments agree."""
    model = model_of(family, None, n=400)
    q = model.approximate(**TIGHT)
    factor = q.fit.state.parameters
    rng = np.random.default_rng(0)
    draws = factor.sample(rng, 40_000)
    mean, sd = factor.moments()
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * sd.max() / 200)
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.03)
    if draws.shape[1] == 1:
        grid = np.linspace(draws.min(), draws.max(), 4001)[:, None]
        density = np.exp(factor.log_density(grid))
        assert integrate.trapezoid(density, grid[:, 0]) == pytest.approx(1, abs=2e-3)
    name = model.glmm.free_parameters[0].name
    assert abs(np.log(mean[0] / PARAMETERS[name])) < 1  # the truth is near


def test_finer_nodes_change_nothing(monkeypatch):
    from pymc_vmrp.cavi import nodes

    model = model_of("gamma", None)  # whose α has a mean: a half-Cauchy tail has none
    usual = model.approximate(**TIGHT)
    monkeypatch.setattr(nodes, "_SPACING", 0.5)
    monkeypatch.setattr(nodes, "_DROP", 20.0)
    finer = model.approximate(**TIGHT)
    assert_same_posterior(usual, finer, rtol=1e-3)


def test_nodes_follow_the_mode(monkeypatch):
    """Where the first guess is far off, nodes are placed until they hold the mass."""
    simulated = simulate("gamma", "log", 500, 1)
    data = simulated.data.assign(y=np.exp(0.01 * np.random.default_rng(0).normal(size=500)))
    model = vmrp.Model("y ~ 1 + (1|h)", data, "gamma")
    q = model.approximate(**TIGHT)
    assert q.converged
    alpha = q.fit.state.parameters.moments()[0][0]
    assert alpha == pytest.approx(1 / 0.01**2, rel=0.15)


def test_a_new_family_is_one_object():
    """A family of one's own: exponential, the gamma family of shape 1."""
    gamma = get_family("gamma")
    own = type(gamma)(
        **{
            **vars(gamma),
            "name": "exponential",
            "parameters": (),
            "log_likelihood": lambda eta, s, _: gamma.log_likelihood(eta, s, (1.0,)),
            "derivatives": lambda eta, s, _: gamma.derivatives(eta, s, (1.0,)),
            "expectations": None,
        }
    )
    simulated = simulate("gamma", "log", 200, 1, groups=5)
    fixed = vmrp.Model(simulated.formula, simulated.data, "gamma", {"alpha": 1.0})
    model = vmrp.Model(simulated.formula, simulated.data, own)
    assert model.family == "exponential"
    a, b = fixed.approximate(**TIGHT), model.approximate(**TIGHT)
    np.testing.assert_allclose(a.mean(), b.mean(), atol=1e-6)


def test_polya_gamma_is_for_logistic_families():
    with pytest.raises(vmrp.VmrpError, match="use bound='quadrature'"):
        model_of("poisson", None).approximate("polya-gamma", hyperparameters="mean_field")


def test_an_outlier_may_have_a_site_of_negative_precision():
    simulated = simulate("t", "identity", 60, 1, groups=5)
    simulated.data.loc[0, "y"] = 40.0
    q = vmrp.Model(simulated.formula, simulated.data, "t", {"nu": 3.0, "sigma": 1.0}).approximate(
        **TIGHT
    )
    assert q.converged
    assert (q.fit.state.point.sites.precision < 0).any()
    assert isinstance(q.elbo, float)
