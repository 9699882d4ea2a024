"""Every family against scipy, finite differences, numerical integration, and itself row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, ndtr

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families import families, get_family
from pymc_vmrp.glmm.families.family import Rows

FAMILIES = list(families().values())
EVERY = pytest.mark.parametrize("family", FAMILIES, ids=repr)
ETA = np.linspace(-2.5, 2.5, 11)
PARAMETERS = {"sigma": 1.7, "alpha": 2.3, "nu": 3.1, "kappa": 4.5}


def phi(family):
    return tuple(PARAMETERS[parameter.name] for parameter in family.parameters)


def some_rows(family, n=40, seed=0, weighted=False, offset=False):
    """Responses with ties, trials where the family counts, weights and offsets where asked for."""
    rng = np.random.default_rng(seed)
    trials = rng.integers(1, 6, n) if family.response == "proportion" else None
    y = {
        "binary": lambda: rng.integers(0, 2, n),
        "proportion": lambda: rng.binomial(trials, 0.4),
        "count": lambda: rng.poisson(2.0, n),
        "positive": lambda: np.round(rng.gamma(2.0, size=n), 1) + 0.1,
        "real": lambda: np.round(rng.normal(size=n), 1),
    }[family.response]()
    weights = rng.uniform(0.2, 3, n) if weighted else None
    known = rng.normal(0, 0.5, n) if offset else None
    return Rows(y, trials, weights, known)


def scipys(family, y, trials, eta):
    mu = family.inverse_link(eta)
    a = PARAMETERS["alpha"]
    return {
        "bernoulli": lambda: stats.bernoulli.logpmf(y, mu),
        "binomial": lambda: stats.binom.logpmf(y, trials, mu),
        "gaussian": lambda: stats.norm.logpdf(y, mu, PARAMETERS["sigma"]),
        "poisson": lambda: stats.poisson.logpmf(y, mu),
        "negativebinomial": lambda: stats.nbinom.logpmf(y, a, a / (a + mu)),
        "gamma": lambda: stats.gamma.logpdf(y, a, scale=mu / a),
        "t": lambda: stats.t.logpdf(y, PARAMETERS["nu"], mu, PARAMETERS["sigma"]),
        "beta_binomial": lambda: stats.betabinom.logpmf(
            y, trials, PARAMETERS["kappa"] * mu, PARAMETERS["kappa"] * (1 - mu)
        ),
    }[family.name]()


def one_cell_each(n):
    return Cells(np.arange(n), np.arange(n))


def test_the_families_that_the_docs_promise():
    links = {"bernoulli": 3, "binomial": 3}
    names = ["bernoulli", "binomial", "gaussian", "poisson", "negativebinomial", "gamma", "t"]
    names.append("beta_binomial")
    assert {(f.name, f.link) for f in FAMILIES} == set(families())
    assert sorted(f.name for f in FAMILIES) == sorted(
        n for n in names for _ in range(links.get(n, 1))
    )


@EVERY
def test_log_likelihood_is_scipys(family):
    rows = some_rows(family, len(ETA))
    statistics = family.pool(rows, one_cell_each(len(ETA)))
    actual = family.log_likelihood(ETA, statistics, phi(family)) + family.constants(rows)
    np.testing.assert_allclose(actual, scipys(family, rows.y, rows.trials, ETA), rtol=1e-9)


@EVERY
def test_derivatives_are_finite_differences(family):
    h = 1e-4
    statistics = family.pool(some_rows(family, len(ETA)), one_cell_each(len(ETA)))
    first, second = family.derivatives(ETA, statistics, phi(family))
    high, middle, low = (
        family.log_likelihood(ETA + s, statistics, phi(family)) for s in (h, 0, -h)
    )
    np.testing.assert_allclose(first, (high - low) / (2 * h), atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(second, (high - 2 * middle + low) / h**2, atol=2e-5, rtol=1e-5)


@EVERY
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_pooled_cells_have_the_likelihood_of_their_rows(family, seed, weighted, offset):
    """ΣᵢWᵢ log p(yᵢ | η + oᵢ), however rows are pooled, with constants and absorbed offsets."""
    rng = np.random.default_rng(seed)
    rows = some_rows(family, 30, seed, weighted, offset and family.absorbs_offset)
    group = rng.integers(0, 4, 30)
    keys = (
        [group]
        if family.pools
        else [group, rows.y, *([] if rows.trials is None else [rows.trials])]
    )
    _, first, index = np.unique(
        np.column_stack(keys), axis=0, return_index=True, return_inverse=True
    )
    cells = Cells(index.ravel(), first)
    statistics = family.pool(rows, cells)
    eta = rng.normal(size=4).clip(-2, 2)  # scipy loses digits of 1 - p beyond
    pooled = family.log_likelihood(eta[group[first]], statistics, phi(family)).sum()
    pooled += rows.weighted(family.constants(rows)).sum()
    known = 0.0 if rows.offset is None else rows.offset
    one_by_one = scipys(family, rows.y, rows.trials, eta[group] + known)
    np.testing.assert_allclose(pooled, (rows.ones * one_by_one).sum(), rtol=1e-9)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.expectations], ids=repr)
def test_closed_form_expectations_are_integrals(family):
    mean, variance = np.repeat(ETA, 3), np.tile([0.01, 0.3, 1.5], len(ETA))
    rows = some_rows(family, len(mean))
    statistics = family.pool(rows, one_cell_each(len(mean)))
    z = np.linspace(-12, 12, 4801)
    weight = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    eta = mean[:, None] + np.sqrt(variance)[:, None] * z
    columns = tuple(s[:, None] for s in statistics)
    first, second = family.derivatives(eta, columns, phi(family))
    value = family.log_likelihood(eta, columns, phi(family))
    expected = family.expectations(mean, variance, statistics, phi(family))
    # the logistic closed form is exact to 2e-8 for one trial
    for actual, integrand in zip(expected, (value, first, -second), strict=True):
        np.testing.assert_allclose(actual, integrand @ weight, rtol=1e-6, atol=5e-7)


@EVERY
def test_log_concave_means_what_it_says(family):
    rows = some_rows(family, 60)
    statistics = tuple(s[:, None] for s in family.pool(rows, one_cell_each(60)))
    second = family.derivatives(np.linspace(-8, 8, 161)[None], statistics, phi(family))[1]
    assert (second.max() <= 1e-9) == family.log_concave


@EVERY
def test_draws_have_the_mean_of_the_inverse_link(family):
    rng, eta = np.random.default_rng(3), np.array([-1.0, 0.3, 0.9])
    trials = np.array([4, 1, 9]) if family.response == "proportion" else None
    each = 1 if trials is None else trials[:, None]
    draws = family.draw(
        rng, np.repeat(eta[:, None], 40_000, 1),
        None if trials is None else np.repeat(trials[:, None], 40_000, 1), phi(family),
    ) / each  # fmt: skip
    error = draws.std(1) / np.sqrt(draws.shape[1])
    assert (np.abs(draws.mean(1) - family.inverse_link(eta)) < 5 * error).all()


@EVERY
def test_start_is_finite(family):
    statistics = family.pool(some_rows(family), one_cell_each(40))
    mean, variance = family.start(statistics)
    assert mean.shape == variance.shape == (40,)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.link == "log"], ids=repr)
def test_start_stays_near_the_data_whatever_the_weights(family):
    rows = some_rows(family)
    once, _ = family.start(family.pool(rows, one_cell_each(40)))
    heavy = replace(rows, weights=np.full(40, 1e6))
    start, _ = family.start(family.pool(heavy, one_cell_each(40)))
    assert abs(np.median(start) - np.median(once)) < 1


@pytest.mark.parametrize("alpha", [1e2, 199.0, 201.0, 1e6, 1e12, 1e18])
def test_negative_binomial_goes_over_into_poisson(alpha):
    """Without loss of digits: log Γ(α) is 4e19 at α = 1e18."""
    family = get_family("negativebinomial")
    y, mean, variance = np.arange(30.0), np.linspace(-2, 5, 30), np.full(30, 0.2)
    statistics = y, np.ones(30)
    poisson = stats.poisson.logpmf(y, np.exp(mean))
    values = family.log_likelihood(mean, statistics, (alpha,))
    # −(y − μ)² + y, over 2α, is the first term of the difference
    first = ((y - np.exp(mean)) ** 2 - y) / (2 * alpha)
    np.testing.assert_allclose(values - poisson, first, atol=1e-12 + 4e6 / alpha**2)
    expected = family.expectations(mean, variance, statistics, (alpha,))
    rate = np.exp(mean + 0.1)
    np.testing.assert_allclose(expected.slope, y - rate, atol=1e-6 + 2e5 / alpha)
    np.testing.assert_allclose(expected.curvature, rate, rtol=1e-6 + 1e3 / alpha)


def test_inverse_links():
    np.testing.assert_allclose(get_family("bernoulli", "probit").inverse_link(ETA), ndtr(ETA))
    np.testing.assert_allclose(get_family("bernoulli").inverse_link(ETA), expit(ETA))
    cloglog = get_family("binomial", "cloglog").inverse_link
    np.testing.assert_allclose(cloglog(ETA), 1 - np.exp(-np.exp(ETA)))
    assert cloglog(np.array([800.0])) == 1


def test_far_predictors_stay_finite():
    for link in ("logit", "probit", "cloglog"):
        family = get_family("binomial", link)
        statistics = (np.array([1.0, 0.0, 2.0]), np.array([2.0, 2.0, 2.0]))
        for eta in (-300.0, -35.0, 25.0):
            at = np.full(3, eta)
            first, second = family.derivatives(at, statistics, ())
            value = family.log_likelihood(at, statistics, ())
            assert np.isfinite(np.concatenate([value, first, second])).all(), (link, eta)


def test_unknown_families_and_links():
    with pytest.raises(vmrp.FormulaError, match=r"choose one of .*poisson"):
        get_family("possion")
    with pytest.raises(vmrp.FormulaError, match="logit, probit, cloglog"):
        get_family("bernoulli", "log")
    with pytest.raises(vmrp.FormulaError, match="leave it out"):
        get_family(get_family("poisson"), "identity")
