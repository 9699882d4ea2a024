"""The partitioned solver against the dense one, on random designs."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.glmm import threads
from pymc_vmrp.solvers import partitioned as module
from pymc_vmrp.solvers.dense import DenseSolver
from pymc_vmrp.solvers.layout import lay_out
from pymc_vmrp.solvers.partition import candidates
from pymc_vmrp.solvers.partitioned import PartitionedSolver
from pymc_vmrp.solvers.sites import Sites
from tests.cavi.designs import random_glmm

TIGHT = {"rtol": 1e-8, "atol": 1e-8}


def sites_and_precisions(glmm, seed):
    rng = np.random.default_rng(seed)
    sites = Sites(rng.uniform(0, 2, glmm.n_cells), rng.normal(size=glmm.n_cells))
    precisions = []
    for group in glmm.groups:
        root = rng.normal(size=(group.d, group.d))
        precisions.append(root @ root.T + np.exp(rng.normal(0, 2)) * np.eye(group.d))
    return sites, precisions


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_every_partition_gives_what_the_dense_solver_gives(seed):
    glmm = random_glmm(seed)
    at = sites_and_precisions(glmm, seed)
    dense = DenseSolver(glmm, expand=True).solve(*at)
    gradient = np.sin(np.arange(glmm.n_cells))
    rng = np.random.default_rng(seed)
    index = rng.permutation(glmm.n_coefficients)[:8]
    points = dense.mean + rng.normal(size=(3, glmm.n_coefficients))
    for partition in candidates(glmm):
        solver = PartitionedSolver(glmm, lay_out(glmm, partition), expand=True)
        q = solver.solve(*at)
        np.testing.assert_allclose(q.mean, dense.mean, **TIGHT)
        np.testing.assert_allclose(q.variances(), dense.variances(), **TIGHT)
        assert q.log_det_precision == pytest.approx(dense.log_det_precision, rel=1e-8, abs=1e-8)
        for a, b in zip(q.row_moments(), dense.row_moments(), strict=True):
            np.testing.assert_allclose(a, b, **TIGHT)
        np.testing.assert_allclose(
            q.marginal_covariance(index), dense.marginal_covariance(index), **TIGHT
        )
        np.testing.assert_allclose(q.row_response(gradient), dense.row_response(gradient), **TIGHT)
        for j in range(len(glmm.groups)):
            np.testing.assert_allclose(q.second_moment(j), dense.second_moment(j), **TIGHT)
            levels = glmm.group_index(j)
            np.testing.assert_allclose(
                q.level_covariances(levels), dense.level_covariances(levels), **TIGHT
            )
        np.testing.assert_allclose(q.log_density(points), dense.log_density(points), **TIGHT)
        for name in ("curvature", "slope"):
            ours, theirs = (getattr(g.quadratic(), name) for g in (q, dense))
            np.testing.assert_allclose(ours, theirs, **TIGHT)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["quadrature", "polya-gamma"]))
def test_a_whole_fit_does_not_depend_on_the_solver(seed, bound):
    glmm = random_glmm(seed)
    fits = [run(glmm, Options(bound, 1e-10, 3000, solver)) for solver in ("dense", "partitioned")]
    dense, partitioned = (fit.state for fit in fits)
    assert all(fit.converged for fit in fits)
    assert partitioned.elbo == pytest.approx(dense.elbo, rel=1e-8)
    np.testing.assert_allclose(partitioned.gaussian.mean, dense.gaussian.mean, **TIGHT)
    np.testing.assert_allclose(
        partitioned.gaussian.variances(), dense.gaussian.variances(), **TIGHT
    )


@pytest.mark.parametrize("by_loops", [0, 128])
def test_large_blocks_go_through_blas_and_lapack(monkeypatch, by_loops):
    """The designs above have small blocks: here own × touched is beyond the loops' threshold."""
    monkeypatch.setattr(module, "_LARGEST_BY_LOOPS", by_loops)
    rng = np.random.default_rng(1)
    glmm = random_glmm(11, states=2)
    n = glmm.n_cells
    columns = rng.normal(size=(n, 40))
    common = type(glmm.common)(columns, (), True, columns.mean(0), np.zeros(41), np.full(41, 2.0))
    wide = type(glmm)(glmm.family, glmm.response, common, glmm.groups)
    at = sites_and_precisions(wide, 5)
    dense = DenseSolver(wide, expand=True).solve(*at)
    by_state = next(p for p in candidates(wide) if p.factor == "state")
    q = PartitionedSolver(wide, lay_out(wide, by_state), expand=True).solve(*at)
    assert q.arrow.solver.layout.sizes.max() * 41**2 > 2048
    assert q.log_det_precision == pytest.approx(dense.log_det_precision, rel=1e-10)
    np.testing.assert_allclose(q.variances(), dense.variances(), **TIGHT)
    np.testing.assert_allclose(q.row_moments()[1], dense.row_moments()[1], **TIGHT)
    np.testing.assert_allclose(q.quadratic().curvature, dense.quadratic().curvature, **TIGHT)
    away = q.mean[None, :] + 1
    np.testing.assert_allclose(q.log_density(away), dense.log_density(away), **TIGHT)


def test_samples_have_the_moments_of_q():
    glmm = random_glmm(7, states=5)
    q = PartitionedSolver(glmm, lay_out(glmm, next(candidates(glmm)))).solve(
        *sites_and_precisions(glmm, 7)
    )
    everything = np.arange(glmm.n_coefficients)
    covariance = q.marginal_covariance(everything)
    draws = q.sample(np.random.default_rng(0), 60_000)
    sd = np.sqrt(np.diag(covariance))
    z = (draws.mean(0) - q.mean) / sd * np.sqrt(len(draws))
    assert np.abs(z).max() < 5
    scaled = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.abs(scaled).max() < 5 / np.sqrt(len(draws)) * 1.5


@pytest.mark.parametrize("solver", ["dense", "partitioned"])
def test_the_number_of_threads_does_not_matter(solver, monkeypatch):
    monkeypatch.setattr(threads, "_OPERATIONS", 0.0)  # threads even for this small model
    glmm = random_glmm(21, states=8)
    before = numba.get_num_threads()
    try:
        fits = []
        for n in (1, 2, 2):
            numba.set_num_threads(min(n, before))
            fits.append(run(glmm, Options(solver=solver)))
    finally:
        numba.set_num_threads(before)
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.state.gaussian.mean, fits[0].state.gaussian.mean)
        assert fit.state.elbo == fits[0].state.elbo
        assert fit.elbo == fits[0].elbo


def test_draws_do_not_depend_on_threads_and_repeat(slopes_model):
    q = slopes_model.approximate(solver="partitioned", hyperparameters="mean_field")
    a, b = q.sample(300, 3), q.sample(300, 3)
    np.testing.assert_array_equal(a.coefficients, b.coefficients)


def test_a_singular_model_is_an_error(survey):
    priors = {"common": "flat", "Intercept": "flat"}
    glmm = vmrp.Model("y ~ x + (1|state)", survey, priors=priors).glmm
    twice = type(glmm.common)(
        np.column_stack([glmm.common.columns] * 2), (), True, np.zeros(2),
        np.zeros(3), np.full(3, np.inf),
    )  # fmt: skip
    singular = type(glmm)(glmm.family, glmm.response, twice, glmm.groups)
    for solver in ("dense", "partitioned"):
        with pytest.raises(vmrp.DataError, match="singular"):
            run(singular, Options(solver=solver))
