"""pm.Models recognised as GLMMs: the proof passes, or the error names the variable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp
from benchmarks.pymc_models import REFUSED, SUPPORTED
from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.pymc.graph import evaluate, numeric
from pymc_vmrp.frontends.pymc.proof import prove
from pymc_vmrp.frontends.pymc.reading import Point
from pymc_vmrp.frontends.pymc.recognise import recognise_model
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import HalfCauchy, HalfNormal, ScaleDensity
from pymc_vmrp.mcmc.free_values import free_values

# blocks and common effects that the teaching models must turn into
BLOCKS = {
    "radon_centred": (2, [("a", 20, 1)]),
    "radon_non_centred": (2, [("z", 20, 1)]),
    "group_predictor": (2, [("a", 25, 1)]),
    "slopes_lkj_centred": (2, [("ab", 25, 2)]),
    "slopes_lkj_non_centred": (2, [("z", 25, 2)]),
    "slopes_independent": (2, [("u", 25, 1), ("u", 25, 1)]),
    "zero_sum": (1, [("u", 8, 1)]),
    "shared_sd": (1, [("v+u", 18, 1)]),
    "nested_hierarchy": (1, [("school", 12, 1), ("class", 48, 1)]),
    "poisson_overdispersed": (1, [("e", 150, 1), ("u", 15, 1)]),
    "lasso_like": (7, [("u", 10, 1)]),
}
FAMILIES = {
    "tadpoles": ("binomial", "logit"),
    "admissions": ("binomial", "logit"),
    "irt_1pl": ("bernoulli", "logit"),
    "hierarchical_probit": ("bernoulli", "probit"),
    "dose_response_cloglog": ("binomial", "cloglog"),
    "negative_binomial": ("negativebinomial", "log"),
    "robust_regression": ("t", "identity"),
    "beta_binomial": ("beta_binomial", "logit"),
    "gamma_durations": ("gamma", "log"),
    "beta_regression": ("Beta", "graph"),
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_teaching_models_are_proven(name):
    recognised = recognise_model(SUPPORTED[name]())
    glmm = recognised.glmm
    assert abs(recognised.log_constant.value) < 1e-6  # all densities are normalised
    if name in BLOCKS:
        common, blocks = BLOCKS[name]
        assert glmm.common.size == common
        found = {(g.name, len(g.levels), g.d) for g in glmm.groups}
        assert found == set(blocks)
    if name in FAMILIES:
        assert (glmm.family.name, glmm.family.link) == FAMILIES[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_glm_is_refused(name):
    make, variable = REFUSED[name]
    with pytest.raises(ModelError, match=f"'{variable}'.*pm.sample"):
        recognise_model(make())


def test_centred_and_non_centred_are_one_glmm():
    centred = recognise_model(SUPPORTED["radon_centred"]()).glmm
    other = recognise_model(SUPPORTED["radon_non_centred"]()).glmm
    np.testing.assert_allclose(centred.response.statistics, other.response.statistics)
    np.testing.assert_allclose(centred.rows.dense(22), other.rows.dense(22))
    assert centred.groups[0].prior == other.groups[0].prior == HalfNormal(1.0)


def test_what_was_not_understood_fails_the_proof():
    recognised = recognise_model(SUPPORTED["radon_centred"]())
    translation = recognised.translation
    glmm = translation.assembled.glmm
    wrong_prior = replace(glmm.groups[0], prior=HalfNormal(1.001))
    wrong_mean = replace(glmm.common, prior_mean=glmm.common.prior_mean + 0.01)
    shifted = (glmm.response.statistics[0] + 1e-4, *glmm.response.statistics[1:])
    for wrong in (
        replace(glmm, groups=(wrong_prior,)),
        replace(glmm, common=wrong_mean),
        replace(glmm, response=replace(glmm.response, statistics=shifted)),
    ):
        tampered = replace(translation, assembled=replace(translation.assembled, glmm=wrong))
        with pytest.raises(ModelError, match="not understood"):
            prove(tampered)


def test_priors_of_covariance_matrices():
    glmm = recognise_model(SUPPORTED["slopes_lkj_non_centred"]()).glmm
    assert glmm.groups[0].prior == LKJ(2.0, (HalfNormal(1.0), HalfNormal(1.0)))


def _one_block(sd, **latent):
    rng = np.random.default_rng(1)
    g = rng.integers(0, 6, 40)
    with pm.Model() as model:
        u = pm.Normal("u", 0, **({"sigma": sd()} if sd else latent), shape=6)
        pm.Normal("y", 1.0 + u[g], 0.7, observed=rng.normal(size=40))
    return model


@pytest.mark.parametrize(
    ("sd", "prior"),
    [
        (lambda: 2 * pm.HalfNormal("s", 1.5), HalfNormal(3.0)),
        (lambda: pm.HalfCauchy("s", 2) / 4, HalfCauchy(0.5)),
        (lambda: pt.sqrt(pm.InverseGamma("v", 3, 2)), vmrp.InverseGamma(3, 2, on="variance")),
    ],
)
def test_priors_of_scaled_standard_deviations(sd, prior):
    found = recognise_model(_one_block(sd)).glmm.groups[0].prior
    sigma = np.array([0.1, 0.8, 2.5])
    values = np.diff([p.log_density_sigma(sigma) for p in (found, prior)], axis=0)
    # scales are in the columns: their densities are those of another unit of σ
    assert np.isfinite(values).all()
    assert type(found) is type(prior)


@pytest.mark.parametrize(
    "sd",
    [
        lambda: pm.TruncatedNormal("s", 1, 1, lower=0.2),
        lambda: pm.Uniform("s", 0.3, 4),
        lambda: pm.Weibull("s", 1.5, 2),
        lambda: pm.Gamma("precision", 2, 2) ** -0.5,
        lambda: pt.exp(pm.Gumbel("log_s", 0, 0.5)),
    ],
)
def test_any_density_of_a_standard_deviation(sd):
    recognised = recognise_model(_one_block(sd))
    assert abs(recognised.log_constant.value) < 1e-6
    prior = recognised.glmm.groups[0].prior
    sigma = np.exp(np.linspace(-9, 9, 20_001))
    mass = np.trapezoid(np.exp(prior.log_density_sigma(sigma)) * sigma, np.log(sigma))
    assert isinstance(prior, ScaleDensity)
    assert mass == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "family", ["poisson", "binomial", "normal", "known", "multiples", "student"]
)
@pytest.mark.parametrize("form", ["centred", "non-centred"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_random_models_have_the_density_that_pymc_gives_them(family, form, seed):
    """The proof is the test: it raises where log densities differ by more than 1e-8."""
    rng = np.random.default_rng(seed)
    n = 30
    with pm.Model() as model:
        eta = pm.Normal("a", rng.normal(), rng.uniform(0.5, 3))
        for k in range(rng.integers(1, 4)):
            levels = int(rng.integers(2, 7))
            index = rng.integers(0, levels, n)
            weight = rng.normal(size=n) if rng.random() < 0.5 else np.ones(n)
            sd = [pm.HalfNormal, pm.Exponential, pm.HalfCauchy][k](f"s{k}", rng.uniform(0.5, 2))
            mean = pm.Normal(f"m{k}", 0, 1.0) if rng.random() < 0.5 else 0.3
            if form == "centred":
                u = pm.Normal(f"u{k}", mean, sd, shape=levels)
            else:
                u = mean + pm.Normal(f"z{k}", 0, 1, shape=levels) * sd
            eta = eta + weight * u[index]
        if family == "poisson":
            pm.Poisson("y", 2.5 * pm.math.exp(eta), observed=rng.integers(0, 5, n))
        elif family == "binomial":
            pm.Binomial("y", 7, logit_p=eta - 0.4, observed=rng.integers(0, 8, n))
        elif family == "normal":
            pm.Normal("y", eta, pm.HalfNormal("sigma", 2), observed=rng.normal(size=n))
        elif family == "known":
            pm.Normal("y", eta, rng.uniform(0.5, 2, n), observed=rng.normal(size=n))
        elif family == "multiples":
            sds = pm.HalfNormal("sigma", 2) * rng.uniform(0.5, 2, n)
            pm.Normal("y", eta, sds, observed=rng.normal(size=n))
        else:
            pm.StudentT(
                "y", nu=4, mu=eta, sigma=pm.HalfNormal("sigma", 2), observed=rng.normal(size=n)
            )
    assert abs(recognise_model(model).log_constant.value) < 100


RESPONSES = {
    "bernoulli": "y", "binomial": "p(k, n)", "poisson": "k", "negativebinomial": "k",
    "gaussian": "z", "t": "z", "gamma": "p", "beta_binomial": "p(k, n)",
}  # fmt: skip


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(list(RESPONSES)),
    st.sampled_from(
        [
            "1 + x + (1|g)", "x + (1|g) + (0 + x|g)", "0 + x + (1|g) + (1|h)", "x + (1 + x||g)",
            "(1|g) + s(x, k=5)", "rw(t) + (1|h)", "1 + (1|mm(a, b))",
        ]
    ),
    st.integers(0, 10**6),
)  # fmt: skip
def test_models_of_the_package_come_back(family, formula, seed):
    """Model → pm.Model → GLMM: the log density is the model's own, up to one constant."""
    rng = np.random.default_rng(seed)
    model = vmrp.Model(f"{RESPONSES[family]} ~ {formula}", _frame(rng), family=family)
    pymc_model = model.to_pymc()
    back = recognise_model(pymc_model)
    parts = back.translation.parts
    assert back.glmm.n_coefficients == model.glmm.n_coefficients
    assert len(back.glmm.groups) == len(model.glmm.groups)
    log_scale = numeric(parts.inputs, parts.in_inputs([v.log_scale for v in parts.latents]))
    differences = []
    for _ in range(4):
        own = _random_draws(model.glmm, rng)
        values = free_values(model.glmm, own, 0)
        point = _point(parts, values)
        draws, log_jacobian = back.translation.to_glmm(point)
        theirs = log_joint(
            back.glmm, draws.coefficients, draws.covariances, parameters=draws.parameters
        )
        # the densities of x = μ + sz and of z differ by s, and those of Σ = σ² and of σ by 2σ
        scales = sum(float(v) for v in log_scale(*point.arguments))
        sds = [np.sqrt(c[0, 0, 0]) for c in own.covariances]
        effects = [g.d * len(g.levels) for g in model.glmm.groups]
        of_model = float(log_joint(
            model.glmm, own.coefficients, own.covariances, parameters=own.parameters
        )[0])  # fmt: skip
        of_model += sum(n * np.log(sd) + np.log(2 * sd) for n, sd in zip(effects, sds, strict=True))
        differences.append(of_model + scales - float(theirs[0]) - log_jacobian)
    assert np.ptp(differences) < 1e-8 * max(1.0, abs(of_model))


def _frame(rng):
    import pandas as pd

    n = 40
    data = pd.DataFrame(
        {
            "g": rng.integers(0, 5, n).astype(str), "h": rng.integers(0, 3, n).astype(str),
            "a": rng.choice(list("pqr"), n), "b": rng.choice(list("pqr"), n),
            "x": rng.normal(size=n).round(1), "t": rng.integers(0, 6, n),
            "y": rng.integers(0, 2, n), "k": rng.integers(0, 5, n), "n": 7,
            "z": rng.normal(size=n), "p": rng.gamma(2, 1, n),
        }
    )  # fmt: skip
    data.loc[:1, "y"] = [0, 1]
    return data


def _random_draws(glmm, rng):
    covariances = tuple(rng.uniform(0.2, 1.5, (1, 1, 1)) for _ in glmm.groups)
    phi = rng.uniform(0.5, 2, (1, len(glmm.free_parameters)))
    return Draws(0.3 * rng.normal(size=(1, glmm.n_coefficients)), covariances, phi)


def _point(parts, values):
    """The inputs of the graphs from values of the free variables, all of known mean and scale."""
    known = evaluate([p for v in parts.latents for p in (v.location, v.scale)])
    z = [
        np.broadcast_to((values[v.name] - known[2 * j]) / known[2 * j + 1], v.shape)
        for j, v in enumerate(parts.latents)
    ]
    theta = [np.asarray(values[h.name], dtype=float).reshape(h.shape) for h in parts.hypers]
    return Point(tuple(z), tuple(theta))


@pytest.mark.parametrize("kind", ["of a hyperparameter", "of an effect"])
def test_potentials(kind):
    with pm.Model() as model:
        s = pm.HalfNormal("s", 1)
        u = pm.Normal("u", 0, s, shape=3)
        pm.Potential("more", -3 * s**2 if kind == "of a hyperparameter" else -(u[0] ** 2))
        pm.Normal("y", u[[0, 1, 1, 2]], 0.5, observed=[0.1, 0.3, 0.2, -0.8])
    if kind == "of an effect":
        with pytest.raises(ModelError, match="'more' is a Potential"):
            recognise_model(model)
        return
    prior = recognise_model(model).glmm.groups[0].prior
    sigma = np.array([0.2, 0.9])
    # a half-normal with precision 1 + 6
    expected = HalfNormal(7**-0.5).log_density_sigma(sigma)
    np.testing.assert_allclose(np.diff(prior.log_density_sigma(sigma)), np.diff(expected))


def test_levels_without_rows_are_told_apart():
    rng = np.random.default_rng(2)
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("s", 1), shape=6)
        pm.Normal("y", u[rng.integers(0, 4, 40)], 0.7, observed=rng.normal(size=40))
    recognised = recognise_model(model)
    ((latent, elements),) = recognised.translation.terms.untouched
    assert recognised.translation.parts.latents[latent].name == "u"
    assert elements.tolist() == [4, 5]


def test_a_flat_level_without_rows_is_refused():
    with pm.Model() as model:
        u = pm.Flat("u", shape=3)
        pm.Normal("y", u[[0, 1, 0]], 1.0, observed=np.ones(3))
    with pytest.raises(ModelError, match="'u' is flat"):
        recognise_model(model)


def test_integer_arguments_that_overflow_in_pymc_are_named():
    with pm.Model() as model:
        s = pm.HalfStudentT("s", nu=4, sigma=50)
        pm.Normal("y", pm.Normal("u", 0, s, shape=3), 1.0, observed=np.ones(3))
    with pytest.raises(ModelError, match="'s' has a log density in PyMC"):
        recognise_model(model)


def test_data_and_dims_may_change_and_the_model_is_left_alone():
    make = SUPPORTED["radon_centred"]
    model = make()
    before = [v.name for v in model.basic_RVs]
    recognise_model(model)
    assert [v.name for v in model.basic_RVs] == before
    with model:
        pm.set_data({"floor": np.zeros(300), "county_idx": np.zeros(300, dtype=int)})
    assert recognise_model(model).glmm.n_cells == 1


def test_a_model_that_cannot_be_evaluated_is_an_error_in_words():
    with pm.Model() as model:
        u = pm.Normal("u", 0, pm.HalfNormal("s", 1), shape=3)
        group = np.array([0, 1, 2, 3, 1, 0, 2, 1])  # one too many
        pm.Normal("y", u[group], 1, observed=np.arange(8.0))
    with pytest.raises(vmrp.ModelError, match=r"cannot be evaluated \(IndexError.*debug"):
        vmrp.fit(model, random_seed=1)
