"""Factorizations of q(β, u) against dense matrices, on random designs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.accelerate import ACCELERATORS
from pymc_vmrp.cavi.expand import EXPANSIONS
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.solvers import factorize
from pymc_vmrp.solvers.collapsed import CollapsedSolver
from pymc_vmrp.solvers.factorize import FACTORIZATIONS, default_kept, factorized_solver
from tests.cavi.designs import BOUNDS, random_glmm
from tests.solvers.test_partitioned import sites_and_precisions

TIGHT = {"rtol": 1e-8, "atol": 1e-8}
CHOICES = [
    ("partial", None),
    ("strong", None),
    ("collapsed", ()),
    ("collapsed", None),
    ("collapsed", ("1+x|state",)),
    ("collapsed", ("1|state:age", "1|age")),
    ("by level", ("1+x|state", "1|age")),
    ("by level", ("1|state:age",)),
]


@contextmanager
def named(factorization):
    """The value of factorization=; "by level" puts the largest kept term outside of the border."""
    if factorization != "by level":
        yield factorization
        return
    with mock.patch.object(factorize, "_MOST_KEPT", 0):
        yield "collapsed"


def make(glmm, factorization, kept, expand=False):
    with named(factorization) as factorization:
        return factorized_solver(glmm, factorization, kept, expand=expand)


def fit_by(glmm, bound, tol, max_iter, accelerate, expansion, factorization, kept):
    with named(factorization) as factorization:
        options = Options(bound, tol, max_iter, "auto", accelerate, expansion, factorization, kept)
        return run(glmm, options)


def dense_precision(glmm, sites, precisions):
    """P and h of the joint Gaussian."""
    x = glmm.rows.dense(glmm.n_coefficients)
    matrix = (x.T * sites.precision) @ x
    right = x.T @ sites.shift
    common = np.arange(glmm.common.size)
    matrix[common, common] += glmm.common.prior_sd**-2
    right[common] += glmm.common.prior_sd**-2 * glmm.common.prior_mean
    for j, precision in enumerate(precisions):
        where = glmm.group_slice(j)
        matrix[where, where] += np.kron(np.eye(len(glmm.groups[j].levels)), precision)
    return matrix, right


def labels_of_parts(glmm, factorization, kept):
    """A number for each independent part of the coefficients; 0 for what is kept."""
    labels = np.zeros(glmm.n_coefficients, dtype=int)
    for j, group in enumerate(glmm.groups):
        where = glmm.group_slice(j)
        levels = np.repeat(np.arange(len(group.levels)), group.d)
        if factorization == "partial":
            labels[where] = 1
        elif factorization == "strong":
            labels[where] = 1 + j
        elif group.name not in kept:
            labels[where] = 1 + labels.max() + levels
    return labels


def dense_covariance(glmm, matrix, factorization, kept):
    """V of the best q of this form, by definition."""
    kept = default_kept(glmm) if kept is None else kept
    labels = labels_of_parts(glmm, factorization, kept)
    same = labels[:, None] == labels
    if factorization not in ("collapsed", "by level"):
        return np.linalg.inv(np.where(same, matrix, 0.0))
    c, r = np.flatnonzero(labels == 0), np.flatnonzero(labels > 0)
    inverse = np.linalg.inv(matrix[np.ix_(c, c)])
    loading = inverse @ matrix[np.ix_(c, r)]
    schur = matrix[np.ix_(r, r)] - matrix[np.ix_(r, c)] @ loading
    own = np.linalg.inv(np.where(same[np.ix_(r, r)], schur, 0.0))
    out = np.empty_like(matrix)
    out[np.ix_(r, r)] = own
    out[np.ix_(c, r)] = -loading @ own
    out[np.ix_(r, c)] = out[np.ix_(c, r)].T
    out[np.ix_(c, c)] = inverse + loading @ own @ loading.T
    return out


@pytest.mark.parametrize(("factorization", "kept"), CHOICES)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_moments_are_those_of_dense_matrices(factorization, kept, seed):
    glmm = random_glmm(seed)
    sites, precisions = sites_and_precisions(glmm, seed)
    matrix, right = dense_precision(glmm, sites, precisions)
    mean = np.linalg.solve(matrix, right)
    covariance = dense_covariance(glmm, matrix, factorization, kept)
    x = glmm.rows.dense(glmm.n_coefficients)
    q = make(glmm, factorization, kept, expand=True).solve(sites, precisions)
    np.testing.assert_allclose(q.mean, mean, **TIGHT)
    np.testing.assert_allclose(q.variances(), np.diag(covariance), **TIGHT)
    assert q.log_det_precision == pytest.approx(-np.linalg.slogdet(covariance)[1], abs=1e-7)
    row_mean, row_variance = q.row_moments()
    np.testing.assert_allclose(row_mean, x @ mean, **TIGHT)
    np.testing.assert_allclose(
        row_variance, np.einsum("ij,jk,ik->i", x, covariance, x, optimize=True), **TIGHT
    )
    index = np.random.default_rng(seed).permutation(glmm.n_coefficients)[:9]
    np.testing.assert_allclose(
        q.marginal_covariance(index), covariance[np.ix_(index, index)], **TIGHT
    )
    for j in range(len(glmm.groups)):
        levels = glmm.group_index(j)
        expected = covariance[levels[:, :, None], levels[:, None, :]]
        np.testing.assert_allclose(q.level_covariances(levels), expected, **TIGHT)
    gradient = np.sin(np.arange(glmm.n_cells))
    response = x @ np.linalg.solve(matrix, x.T @ gradient)
    np.testing.assert_allclose(q.row_response(gradient), response, rtol=1e-4, atol=1e-4)
    for j, group in enumerate(glmm.groups):
        where = glmm.group_slice(j)
        u = mean[where].reshape(-1, group.d)
        expected = u.T @ u
        for g in range(len(group.levels)):
            at = where.start + g * group.d + np.arange(group.d)
            expected = expected + covariance[np.ix_(at, at)]
        np.testing.assert_allclose(q.second_moment(j), expected, **TIGHT)
    points = mean + np.random.default_rng(seed).normal(size=(3, len(mean)))
    reference = stats.multivariate_normal(mean, covariance, allow_singular=False)
    np.testing.assert_allclose(q.log_density(points), reference.logpdf(points), rtol=1e-7)


@pytest.mark.parametrize(("factorization", "kept"), CHOICES)
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_the_quadratic_is_the_expectation_over_rows(factorization, kept, seed):
    glmm = random_glmm(seed)
    sites, precisions = sites_and_precisions(glmm, seed)
    q = make(glmm, factorization, kept, expand=True).solve(sites, precisions)
    p = glmm.n_coefficients
    moment = q.marginal_covariance(np.arange(p)) + np.outer(q.mean, q.mean)
    x = glmm.rows.dense(p)
    selectors = [np.where(np.arange(p) < glmm.common.size, x, 0.0)]
    for j, group in enumerate(glmm.groups):
        where, d = glmm.group_slice(j), group.d
        own = x[:, where].reshape(len(x), -1, d)  # z_a of each row and level
        for b in range(d):
            for a in range(d):
                selector = np.zeros((len(x), p))
                selector[:, where][:, b::d] = own[:, :, a]
                selectors.append(selector)
    t = np.array(selectors)
    curvature = np.einsum("n,anp,pq,bnq->ab", sites.precision, t, moment, t, optimize=True)
    slope = np.einsum("n,anp,p->a", sites.shift, t, q.mean)
    np.testing.assert_allclose(q.quadratic().curvature[1:], curvature[1:], atol=1e-7)
    np.testing.assert_allclose(q.quadratic().slope[1:], slope[1:], atol=1e-7)


@pytest.mark.parametrize(("factorization", "kept"), CHOICES)
def test_samples_have_the_moments_of_q(factorization, kept):
    glmm = random_glmm(7, states=5)
    q = make(glmm, factorization, kept).solve(*sites_and_precisions(glmm, 7))
    covariance = q.marginal_covariance(np.arange(glmm.n_coefficients))
    draws = q.sample(np.random.default_rng(0), 60_000)
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((draws.mean(0) - q.mean) / sd * np.sqrt(len(draws))).max() < 5
    scaled = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.abs(scaled).max() < 7.5 / np.sqrt(len(draws))


@pytest.mark.slow
@pytest.mark.parametrize("bound", sorted(BOUNDS))
@pytest.mark.parametrize(("factorization", "kept"), CHOICES)
def test_every_accelerator_and_expansion_reaches_the_same_fixed_point(bound, factorization, kept):
    glmm = random_glmm(3, states=6)
    fits = [
        fit_by(glmm, bound, 1e-8, 20000, accelerate, expansion, factorization, kept)
        for accelerate, expansion in zip(
            [*ACCELERATORS, "anderson", "anderson"],
            [*EXPANSIONS, "none", "translation"],
            strict=True,
        )
    ]
    for fit in fits:
        assert fit.converged
        for part in (fit.elbo[: fit.warmup], fit.elbo[fit.warmup :]):
            assert np.diff(part).min(initial=0) >= -1e-7  # the engine's own slack is 3e-8 here
        assert fit.state.elbo == pytest.approx(fits[0].state.elbo, abs=1e-5)
        np.testing.assert_allclose(fit.state.gaussian.mean, fits[0].state.gaussian.mean, atol=2e-4)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(CHOICES))
def test_plain_sweeps_never_lower_the_elbo(seed, choice):
    """Without acceleration every sweep is accepted as it is: nothing safeguards it."""
    glmm = random_glmm(seed)
    factorization, kept = choice
    fit = fit_by(glmm, "polya-gamma", 1e-9, 60, "none", "none", factorization, kept)
    assert len(fit.elbo) == fit.iterations  # none was rejected
    assert np.diff(fit.elbo).min(initial=0) >= -1e-9 * (1 + abs(fit.elbo[-1]))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(BOUNDS)))
def test_the_finer_the_factorization_the_lower_the_elbo(seed, bound):
    glmm = random_glmm(seed)
    names = tuple(group.name for group in glmm.groups)

    def elbo(factorization, kept=None):
        options = Options(bound, 1e-7, 5000, factorization=factorization, kept=kept)
        return run(glmm, options).state.elbo

    joint, strong = elbo("joint"), elbo("strong")
    some = elbo("collapsed", names[:1])
    assert joint >= elbo("partial") - 1e-4 >= strong - 2e-4
    assert joint >= some - 1e-4
    assert some >= elbo("collapsed", ()) - 1e-4
    # "strong" holds the levels of a term together where rows share them, which "collapsed" does not
    if all(group.codes.ndim == 1 for group in glmm.groups):
        assert elbo("collapsed", ()) >= strong - 1e-4
    assert elbo("collapsed", names) == pytest.approx(joint, abs=1e-4)


@pytest.mark.parametrize("factorization", FACTORIZATIONS)
def test_the_elbo_is_its_monte_carlo_estimate(survey, factorization):
    priors = {"group_specific": vmrp.HalfStudentT(3, 2)}
    model = vmrp.Model("y ~ x + (1|state) + (0 + x|state)", survey, priors=priors)
    kept = () if factorization == "collapsed" else None
    q = model.approximate(factorization=factorization, kept=kept, hyperparameters="mean_field")
    draws = q.sample(100_000, 1)
    difference = log_joint(q.glmm, draws.coefficients, draws.covariances) - q.log_density(draws)
    error = difference.std() / np.sqrt(len(draws))
    assert q.elbo == pytest.approx(difference.mean(), abs=4 * error)


def test_strong_needs_no_joint_precision_where_it_does_not_fit(monkeypatch):
    glmm = random_glmm(5, states=6)
    expected = run(glmm, Options(factorization="strong", tol=1e-8, max_iter=2000))
    choose = factorize.choose_solver

    def refuse(model, *arguments):
        if model is glmm:
            raise vmrp.VmrpError("too large")
        return choose(model, *arguments)

    monkeypatch.setattr(factorize, "choose_solver", refuse)
    fit = run(glmm, Options(factorization="strong", tol=1e-8, max_iter=2000))
    assert fit.solver == "conjugate-gradients"
    np.testing.assert_allclose(fit.state.gaussian.mean, expected.state.gaussian.mean, atol=1e-6)
    with pytest.raises(vmrp.VmrpError, match="too large"):
        run(glmm, Options(factorization="strong", solver="dense"))


def test_two_crossed_factors_of_many_levels():
    """Beyond what a joint Gaussian could hold; the means of both factors recover the truth."""
    rng = np.random.default_rng(0)
    n, levels = 60_000, 4000
    glmm = crossed(rng, n, levels)
    fit = run(glmm, Options(factorization="collapsed"))
    assert fit.converged
    sigma = [factor.sigma_moments()[0][0] for factor in fit.state.factors]
    np.testing.assert_allclose(sigma, [0.8, 0.5], rtol=0.12)


def crossed(rng, n, levels):
    small = random_glmm(1, states=2)
    codes = [rng.integers(0, levels, n) for _ in range(2)]
    effects = [rng.normal(0, sd, levels) for sd in (0.8, 0.5)]
    eta = sum(u[c] for u, c in zip(effects, codes, strict=True))
    group = next(g for g in small.groups if g.factor == "age")
    groups = tuple(
        replace(
            group,
            factor=name,
            levels=tuple(map(str, range(levels))),
            codes=c.astype(np.int32),
            values=np.ones((n, 1)),
        )
        for name, c in zip("ab", codes, strict=True)
    )
    none = np.zeros(0)
    common = replace(
        small.common, columns=np.empty((n, 0)), terms=(), intercept=True,
        center=none, prior_mean=np.zeros(1), prior_sd=np.ones(1),
    )  # fmt: skip
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    response = replace(small.response, statistics=(y, np.ones(n)))
    return replace(small, response=response, common=common, groups=groups)


def test_too_many_kept_are_an_error(monkeypatch):
    monkeypatch.setattr(factorize, "physical_memory", lambda: 1000.0)
    with pytest.raises(vmrp.VmrpError, match="Name fewer"):
        factorized_solver(random_glmm(3), "collapsed")


def test_the_largest_kept_term_stays_out_of_the_border():
    glmm = random_glmm(3, states=6)
    solver = make(glmm, "by level", ("1+x|state", "1|age"))
    names = [group.name for group in glmm.groups]
    assert (names[solver.by_level], [names[j] for j in solver.kept]) == ("1+x|state", ["1|age"])
    assert factorized_solver(glmm, "collapsed", ("1+x|state",)).by_level is None


def test_default_kept_are_main_effects():
    glmm = random_glmm(3, states=6)
    kept = default_kept(glmm)
    assert "1|age" in kept
    assert not any(":" in name for name in kept)
    solver = factorized_solver(glmm, "collapsed")
    assert isinstance(solver, CollapsedSolver)
    assert solver.by_level is None
    large = crossed(np.random.default_rng(0), 500, 300)
    assert default_kept(large) == ("1|b",)
    assert factorized_solver(large, "collapsed").by_level == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"factorization": "weak"}, "factorization"),
        ({"kept": ("1|state",)}, "collapsed"),
        ({"factorization": "collapsed", "kept": ("1|county",)}, "county"),
        ({"factorization": "collapsed", "kept": "1|state"}, "sequence"),
        ({"factorization": "collapsed", "solver": "dense"}, "own solver"),
    ],
)
def test_bad_options(intercepts_model, options, match):
    with pytest.raises(vmrp.VmrpError, match=match):
        intercepts_model.approximate(**options)


def test_the_datatree_says_which(intercepts_model):
    for factorization in FACTORIZATIONS:
        tree = intercepts_model.fit(10, factorization=factorization, random_seed=1)
        assert tree["fit"].attrs["factorization"] == factorization
