"""Models as people write them, sound ones and others, in small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.frontends.pymc.recognise import recognise_model

RNG = np.random.default_rng(1)
N, G = 60, 6
GROUP, X = RNG.integers(0, G, N), RNG.normal(size=N)
Y = 1 + 0.6 * X + RNG.normal(0, 0.5, G)[GROUP] + RNG.normal(0, 0.8, N)
COUNT, ANSWER = RNG.poisson(np.exp(0.5 + 0.3 * X)), (RNG.random(N) < 0.6).astype(int)
SOUND: dict[str, tuple[Callable[[], object], tuple[str, str]]] = {}
REFUSED: dict[str, tuple[Callable[[], object], str]] = {}


def sound(family: str, link: str):
    def register(make):
        SOUND[make.__name__] = make, (family, link)
        return make

    return register


def refused(message: str):
    def register(make):
        REFUSED[make.__name__] = make, message
        return make

    return register


def eta(sd=None):
    b = pm.Normal("b", 0, 1, shape=2)
    s = pm.HalfNormal("sd", 1) if sd is None else sd()
    return b[0] + b[1] * X + pm.Normal("u", 0, s, shape=G)[GROUP]


def lkj(levels: int):
    sds = pm.HalfNormal.dist(1)
    chol, _, _ = pm.LKJCholeskyCov("c", n=2, eta=2, sd_dist=sds)
    return pm.MvNormal("u", 0, chol=chol, shape=(levels, 2))


@sound("gaussian", "identity")
def missing_responses():
    pm.Normal("y", eta(), 1, observed=np.where(np.arange(N) == 3, np.nan, Y))


@sound("t", "identity")
def degrees_of_freedom_from_one():
    nu = pm.Exponential("nu_minus_one", 1 / 29) + 1
    pm.StudentT("y", nu=nu, mu=eta(), sigma=pm.HalfNormal("sigma", 2), observed=Y)


@sound("negativebinomial", "log")
def a_parameter_from_a_tenth():
    alpha = pm.Exponential("alpha", 1) + 0.1
    pm.NegativeBinomial("y", mu=pt.exp(eta()), alpha=alpha, observed=COUNT)


@sound("gaussian", "identity")
def a_sigma_with_something_added():
    pm.Normal("y", eta(), pm.HalfNormal("s", 1) + 1e-6, observed=Y)


@sound("Normal", "graph")
def a_sigma_with_a_floor():
    pm.Normal("y", eta(), pt.maximum(pm.HalfNormal("s", 1), 1e-3), observed=Y)


@sound("gaussian", "identity")
def correlated_slopes_of_empty_levels():
    u = lkj(G + 3)
    pm.Normal("y", u[GROUP, 0] + u[GROUP, 1] * X, 1, observed=Y)


@sound("gaussian", "identity")
def correlated_slopes_of_a_level_without_predictor():
    u = lkj(G)
    pm.Normal("y", u[GROUP, 0] + u[GROUP, 1] * np.where(GROUP == 2, 0, X), 1, observed=Y)


@sound("gaussian", "identity")
def a_sigma_without_transform():
    sd = lambda: pm.HalfNormal("s", 1, default_transform=None)  # noqa: E731
    pm.Normal("y", eta(sd), 1, observed=Y)


@sound("gaussian", "identity")
def an_initial_value_that_is_a_variable():
    mean = pm.Normal("mean")
    a = pm.Normal("a", mean, 1, initval=mean + pt.zeros(G), shape=G)
    pm.Normal("y", a[GROUP], 1, observed=Y)


@sound("gaussian", "identity")
def no_predictors():
    b = pm.Normal("b", 0, 1, shape=0)
    pm.Normal("y", pm.Normal("a") + X[:, None][:, :0] @ b, 1, observed=Y)


@sound("Mixture", "graph")
def a_likelihood_of_one_number():
    pm.ZeroInflatedPoisson("y", psi=0.8, mu=pt.exp(pm.Normal("a", 0, 1)), observed=COUNT)


@sound("LogNormal", "graph")
def a_table_of_responses():
    a = pm.Normal("a", 0, 1, shape=20)
    pm.LogNormal("y", a[:, None] + X[:3], 1.0, observed=np.exp(Y).reshape(20, 3))


@sound("gaussian", "identity")
def a_log_sigma():
    log_sd = pm.Normal("log_sd", -1, 1)
    pm.Normal("y", eta(lambda: pt.exp(log_sd)), pt.exp(pm.Normal("log_sigma")), observed=Y)


@sound("gaussian", "identity")
def centred_on_a_large_scale():
    mean = pm.Normal("mean", 1e7, 1e6)
    u = pm.Normal("u", 0, pm.HalfNormal("sd", 1e6), shape=G)
    pm.Normal("y", mean + u[GROUP], pm.HalfNormal("sigma", 1e6), observed=1e7 + 1e6 * Y)


@refused("'y' has the distribution Normal, whose log density has kinks or steps")
def a_rounded_predictor():
    pm.Normal("y", pt.round(eta()), 1, observed=np.round(Y))


@refused("'y' has the distribution Bernoulli, whose log density has kinks or steps")
def a_threshold():
    pm.Bernoulli("y", p=pt.switch(eta() > 0, 0.9, 0.1), observed=ANSWER)


@refused("'limit' is a Potential with a step")
def a_potential_with_a_step():
    s = pm.HalfNormal("s", 1)
    pm.Potential("limit", pt.switch(s > 0.9, 0.0, -100.0))
    pm.Normal("y", eta(lambda: s), 1, observed=Y)


@refused("'limit' is a Potential that cuts off values")
def a_potential_that_cuts_off():
    s = pm.HalfNormal("s", 1)
    pm.Potential("limit", pt.switch(s > 0.3, 0.0, -np.inf))
    pm.Normal("y", eta(lambda: s), 1, observed=Y)


@refused("'y' has the distribution Poisson, whose log density has kinks")
def a_clipped_predictor():
    pm.Poisson("y", pt.exp(pt.clip(eta(), -2, 2)), observed=COUNT)


@refused("'y' has the distribution Bernoulli, whose log density has kinks")
def a_clipped_probability():
    pm.Bernoulli("y", p=pt.clip(pm.math.sigmoid(eta()), 0.1, 0.9), observed=ANSWER)


@refused("'u' has a scale that is not proportional to .* of 's'")
def an_sd_with_a_floor():
    pm.Normal("y", eta(lambda: pt.maximum(pm.HalfNormal("s", 1), 0.5)), 1, observed=Y)


@refused("'u' has a scale that depends on both 's2' and 's1'")
def two_sds():
    def sd():
        return pt.sqrt(pm.HalfNormal("s1") ** 2 + pm.HalfNormal("s2") ** 2)

    pm.Normal("y", eta(sd), 1, observed=Y)


@refused("'y' has total_size=")
def a_minibatch():
    x, y = pm.Minibatch(X, Y, batch_size=10)
    pm.Normal("y", pm.Normal("a") * x, 1, observed=y, total_size=N)


@refused("'y' depends on a random variable that is not part of the model")
def a_variable_outside_of_the_model():
    pm.Normal("y", pm.Normal("a") + pm.Normal.dist(0, 1, shape=N), 1, observed=Y)


@refused("perfectly separated")
def separation():
    b = pm.Flat("b", shape=2)
    pm.Bernoulli("y", logit_p=b[0] + b[1] * X, observed=(X > 0).astype(int))


@refused("'chain' has the name of a dimension")
def a_name_that_arviz_uses():
    pm.Normal("y", pm.Normal("chain"), 1, observed=Y)


@refused("'a_dim_0' has the name of a dimension")
def a_name_of_a_dimension():
    a, other = pm.Normal("a", shape=3), pm.Normal("a_dim_0")
    pm.Normal("y", a.sum() + other, 1, observed=Y)


@refused("'y' has missing values")
def missing_counts():
    counts = np.where(np.arange(N) == 3, np.nan, COUNT)
    pm.Poisson("y", pt.exp(eta()), observed=counts)


@refused("'y' has rows whose linear predictor is not a number: look for missing values")
def a_missing_predictor():
    pm.Normal("y", pm.Normal("b") * np.where(np.arange(N) == 3, np.nan, X), 1, observed=Y)


@refused("'b' is in single precision")
def single_precision():
    pm.Normal("y", pm.Normal("b", 0, 1, shape=G, dtype="float32")[GROUP], 1, observed=Y)


@refused("cannot be copied by PyMC")
def data_of_half_named_dims():
    design = pm.Data("design", np.column_stack([X, X**2]), dims=(None, "f"))
    pm.Normal("y", design @ pm.Normal("b", dims="f"), 1, observed=Y)


@refused("'y' has no rows")
def no_rows():
    pm.Normal("y", pm.Normal("a"), 1, observed=np.zeros(0))


@refused("parameters outside of their support .*sigma > 0")
def an_sd_of_zero():
    pm.Normal("y", pm.Normal("a", 0, 0.0), 1, observed=Y)


@refused("'y' has rows that are indexed behind the link function")
def an_index_behind_the_link():
    pm.Weibull("y", 2.0, pt.exp(pm.Normal("a", 0, 1, shape=G))[GROUP], observed=np.exp(Y))


@sound("Poisson", "graph")
def no_exposure():
    exposure = np.where(np.arange(N) < 3, 0.0, 1.0)
    pm.Poisson("y", exposure * pt.exp(eta()), observed=np.where(exposure > 0, COUNT, 0))


@refused("'y' has a log density .*outside of the distribution's support")
def responses_outside_of_the_support():
    pm.Bernoulli("y", logit_p=eta(), observed=ANSWER + 1)


@refused("'y' has parameters outside of their support .* a link function is missing")
def no_link():
    pm.Bernoulli("y", p=eta(), observed=ANSWER)


@refused("'a' has a prior that is not Gaussian .Uniform., and is a term of the linear predictor")
def a_uniform_intercept():
    pm.Normal("y", pm.Uniform("a", -5, 5) + eta(), 1, observed=Y)


@refused("'nobody' is one that the data do not depend on")
def an_unused_variable():
    pm.HalfNormal("nobody")
    pm.Normal("y", eta(), 1, observed=Y)


@refused("'phi' has the multivariate prior ICAR, which is not known")
def neighbours():
    w = np.eye(G, k=1) + np.eye(G, k=-1)
    pm.Normal("y", pm.ICAR("phi", W=w)[GROUP] * pm.HalfNormal("s"), 1, observed=Y)


@pytest.mark.parametrize("name", SOUND)
def test_sound_models(name):
    make, family = SOUND[name]
    with pm.Model() as model:
        make()
    found = recognise_model(model).glmm.family
    assert (found.name, found.link) == family


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::Warning")
def test_refusals(name):
    make, message = REFUSED[name]
    with pm.Model() as model:
        make()
    with pytest.raises(VmrpError, match=f"(?s){message}"):
        recognise_model(model)


def test_a_part_of_another_model():
    with pm.Model(), pm.Model(name="inner") as inner:
        pm.Normal("y", eta(), 1, observed=Y)
    with pytest.raises(VmrpError, match="part of another model"):
        recognise_model(inner)
