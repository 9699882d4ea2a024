"""One model, two engines: the joint density of the pm.Model is that of the GLMM."""

from __future__ import annotations

import numpy as np
import pytest
from pytensor.compile.mode import get_mode
from scipy.special import gammaln

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.variables import effect_variables

# A handful of evaluations do not repay compilation, but log(1 - p) needs its stable form.
MODE = get_mode("FAST_COMPILE").including("canonicalize", "stabilize")

# Each formula with the priors it is tested under.
CASES = {
    "d1_huang_wand": ("y ~ male + educ + (1|state) + (1|state:age)", {}),
    "d1_other_priors": (
        "y ~ x + (1|state) + (0 + x|state) + (1|age) + (1|educ)",
        {
            "1|state": vmrp.HalfStudentT(3, 2),
            "x|state": vmrp.HalfNormal(1.5),
            "1|age": vmrp.InverseWishart(3, 0.7),
        },
    ),
    "d1_scale_priors": (
        "y ~ x + (1|state) + (0 + x|state) + (1|age) + (1|educ) + (1|state:age) + (1|state:educ)"
        " + (1|age:educ)",
        {
            "1|state": vmrp.HalfCauchy(0.7),
            "x|state": vmrp.Exponential(1.5),
            "1|age": vmrp.Uniform(9.0),
            "1|educ": vmrp.Gamma(2.0, 1.5),
            "1|state:age": vmrp.Gamma(1.5, 0.5, on="variance"),
            "1|state:educ": vmrp.InverseGamma(2.0, 1.0, on="sd"),
            "1|age:educ": vmrp.LogNormal(-0.7, 1.3),
        },
    ),
    "d2_huang_wand": ("y ~ x + (1 + x|state)", {"1|state": vmrp.HuangWand(3.5, [2, 5])}),
    "d2_inverse_wishart": (
        "y ~ x + (1 + x|state) + (1|age)",
        {"1+x|state": vmrp.InverseWishart(4.5, [[1.0, 0.3], [0.3, 0.5]])},
    ),
    "d2_lkj": (
        "y ~ x + (1 + x|state)",
        {"1+x|state": vmrp.LKJ(2.5, [vmrp.HalfNormal(0.8), vmrp.Gamma(2, 1, on="variance")])},
    ),
    "d3_lkj": (
        "y ~ x + (1 + age|state)",
        {"1+age|state": vmrp.LKJ(1, [vmrp.HalfCauchy(1), vmrp.Exponential(2), vmrp.Uniform(9)])},
    ),
    "d3_huang_wand": ("y ~ x + (1 + age|state)", {}),
    "splines": (
        "y ~ s(x, k=6) + s(z, k=5, bs='cr', by=educ) + s(x, k=6, bs='bs', by=male) + (1|state)",
        {"s(x)": vmrp.HalfNormal(2), "s(z, by=educ)[HS]": vmrp.Exponential(1)},
    ),
    "random_walk": ("y ~ x + rw(wave) + (1 + x|state)", {"rw(wave)": vmrp.HalfStudentT(3, 1)}),
    "members": ("y ~ x + (1 + x|mm(state, other)) + (1|mm(age, next, weights=cbind(w, v)))", {}),
    "mixtures": (
        "y ~ x + male + educ + age + (1|state)",
        {
            "Intercept": vmrp.StudentT(5, 0.2, 1.5),
            "x": vmrp.Laplace([0.1], [0.7]),
            "male": vmrp.Cauchy(-0.1, 1.3),
            "educ": vmrp.Horseshoe(0.3),
            "age": vmrp.StudentT(3, 0.1, (0.5, 0.8)),
        },
    ),
    "horseshoe": ("y ~ x + age + (1|state)", {"common": vmrp.Horseshoe()}),
    "flat_uncentred": ("y ~ 0 + x + educ + (1 + x||state)", {"common": "flat"}),
}


@pytest.fixture(scope="module", params=CASES)
def model(request, survey):
    formula, priors = CASES[request.param]
    rng = np.random.default_rng(5)
    n = len(survey)
    survey = survey.assign(
        z=rng.normal(size=n),
        wave=rng.integers(1, 6, n),
        other=rng.permutation(survey["state"].to_numpy()),
        next=rng.permutation(survey["age"].to_numpy()),
        w=rng.random(n),
        v=1.0,
    )
    return vmrp.Model(
        formula, survey, priors=priors, center_predictors=request.param != "flat_uncentred"
    )


def random_points(pm_model, n, seed):
    """Random values of the free variables: unconstrained normals, transformed back."""
    rng = np.random.default_rng(seed)
    start = pm_model.initial_point()
    forward = pm_model.compile_fn(
        pm_model.unobserved_value_vars, inputs=pm_model.value_vars, mode=MODE
    )
    names = [v.name for v in pm_model.unobserved_value_vars]
    for _ in range(n):
        point = {k: rng.normal(0, 0.7, np.shape(v)) for k, v in start.items()}
        yield point, dict(zip(names, forward(point), strict=True))


def log_density_in_pymc_coordinates(glmm, named):
    """Log joint of the GLMM at ``named``, as a density of the pm.Model's free variables."""
    beta = [np.ravel(named["Intercept"])] if glmm.common.intercept else []
    beta += [np.ravel(named[term.name]) for term in glmm.common.terms]
    coefficients, covariances, aux, log_jacobian = [np.concatenate(beta)], [], [], 0.0
    for group in glmm.groups:
        u = np.concatenate([np.atleast_2d(named[v.name]) for v in effect_variables(glmm, group)])
        if group.report is not None:
            u = u @ group.report.backward.T
        if group.basis is not None:  # named as the formula writes them
            u = np.linalg.solve(group.basis, u)
        coefficients.append(u.T.ravel())
        if group.d == 1:
            sigma = float(np.ravel(named[f"{group.name}_sigma"])[0])
            covariances.append(np.array([[[sigma**2]]]))
            aux.append(None)
            log_jacobian += u.size * np.log(sigma)  # u = σz
            if f"{group.name}_variance" not in named:
                log_jacobian += np.log(2 * sigma)  # σ² from σ
            continue
        sigma, a, jacobian = covariance_block(group, named)
        covariances.append(sigma[None])
        aux.append(a)
        log_jacobian += jacobian + 0.5 * len(group.levels) * np.linalg.slogdet(sigma)[1]
    scales, jacobian = horseshoe_scales(glmm, named)
    value = log_joint(glmm, np.concatenate(coefficients)[None], covariances, aux, scales=scales)
    return float(value[0]) + log_jacobian + jacobian


def horseshoe_scales(glmm, named):
    """Local and global scales of each mixture that keeps them, and log |∂β/∂z| with β = τλz."""
    scales, log_jacobian = [], 0.0
    for mixture in glmm.common.mixtures:
        if not isinstance(mixture.prior, vmrp.Horseshoe):
            scales.append(None)
            continue
        terms = [t.name for t in glmm.common.terms] if mixture.name == "common" else [mixture.name]
        local = np.concatenate([np.ravel(named[f"{name}_lambda"]) for name in terms])
        tau = named.get(f"{mixture.name}_tau", mixture.prior.tau)
        scales.append((local[None], np.asarray(tau)[None]))
        log_jacobian += np.log(local * tau).sum()
    return scales, log_jacobian


def covariance_block(group, named):
    read = lkj_block if isinstance(group.prior, vmrp.LKJ) else vector_block
    return read(group, named)


def vector_block(group, named):
    """Σ of a block from Bartlett's factor B, and log |∂Σ/∂(χ², below)|."""
    d = group.d
    b = np.diag(np.sqrt(named[f"{group.name}_chi2"]))
    lower = [(i, j) for i in range(d) for j in range(i)]
    for value, (i, j) in zip(named[f"{group.name}_bartlett"], lower, strict=True):
        b[i, j] = value
    if isinstance(group.prior, vmrp.HuangWand):
        a = named[f"{group.name}_a"]
        root = np.diag(np.sqrt(a / (2 * group.prior.nu)))
        a = a[None]
    else:
        root, a = np.linalg.cholesky(np.linalg.inv(group.prior.parameters(d)[1])), None
    t = root @ b
    precision = t @ t.T
    i = np.arange(1, d + 1)
    jacobian = (
        -np.log(2 * np.diag(b)).sum()  # diagonal of B from χ²
        + (i * np.log(np.diag(root))).sum()  # T = root·B, column by column
        + d * np.log(2)
        + ((d - i + 1) * np.log(np.diag(t))).sum()  # Σ⁻¹ = TT'
        - (d + 1) * np.linalg.slogdet(precision)[1]  # Σ from Σ⁻¹
    )
    return np.linalg.inv(precision), a, jacobian


def lkj_block(group, named):
    """Σ of a block from its sds and partial correlations, and log |∂Σ/∂(them)|."""
    d = group.d
    expressions = list(dict.fromkeys(effect.expression for effect in group.effects))
    names = [f"{expression}|{group.factor}" for expression in expressions]
    reported = np.concatenate([np.ravel(named[f"{name}_sigma"]) for name in names])
    correlation = np.eye(d)
    pairs = [(a, b) for b in range(d) for a in range(b)]
    for rho, (a, b) in zip(named[f"{group.name}_corr"], pairs, strict=True):
        correlation[a, b] = correlation[b, a] = rho
    covariance = correlation * np.outer(reported, reported)
    if group.basis is not None:
        back = np.linalg.inv(group.basis)
        covariance, names = back @ covariance @ back.T, [f"{name}_centred" for name in names]
    sigma = np.sqrt(np.diag(covariance))
    z = 2 * named[f"{group.name}_partial"] - 1
    columns = np.array([j for i in range(d) for j in range(i)])
    jacobian = (
        d * np.log(2)
        + d * np.log(sigma).sum()  # Σ from σ and R
        + (0.5 * (d - columns - 2) * np.log1p(-(z**2))).sum()  # R from z (Stan reference, 10.9)
        + len(z) * np.log(2)
    )
    for name in names:
        if f"{name}_variance" in named:
            jacobian -= np.log(2 * named[f"{name}_sigma"])
    return covariance, None, jacobian


def test_joint_density_equals_glmm(model):
    pm_model = model.to_pymc()
    log_p = pm_model.compile_logp(jacobian=False, mode=MODE)
    differences = [
        log_p(point) - log_density_in_pymc_coordinates(model.glmm, named)
        for point, named in random_points(pm_model, 20, seed=1)
    ]
    # "up to one constant": the binomial coefficients of the cells, which Bernoulli rows lack
    np.testing.assert_allclose(differences, np.mean(differences), rtol=0, atol=1e-8)
    y, n = model.glmm.response.statistics[0], model.glmm.response.statistics[1]
    constant = (gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum()
    assert np.mean(differences) == pytest.approx(constant, abs=1e-6)


def test_one_coefficient_is_a_scalar_also_under_a_prior_written_as_a_sequence(survey):
    model = vmrp.Model("y ~ x", survey, priors={"x": vmrp.StudentT(3, [0.1], [0.7])})
    assert model.to_pymc()["x"].ndim == 0


def test_names_are_bambis(slopes_model):
    pm_model = slopes_model.to_pymc()
    names = {v.name for v in pm_model.unobserved_RVs}
    assert {"Intercept", "x", "male", "1|state", "x|state", "1|state_sigma", "1|age"} <= names
    assert pm_model.named_vars_to_dims["1|state"] == ("state__factor_dim",)
    assert list(pm_model.coords["state__factor_dim"]) == list("ABCDEF")


def test_binomial_response_is_observed_per_cell(intercepts_model):
    pm_model = intercepts_model.to_pymc()
    assert pm_model.observed_RVs[0].name == "y"
    observed = pm_model.rvs_to_values[pm_model.observed_RVs[0]].eval()
    assert observed.sum() == intercepts_model.glmm.response.statistics[0].sum()
