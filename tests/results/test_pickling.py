"""Everything that a user holds can be pickled and copied, and is the same afterwards."""

from __future__ import annotations

import copy
import pickle

import cloudpickle
import numpy as np
import pytest

import pymc_vmrp as vmrp

WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "cloudpickle": lambda value: cloudpickle.loads(cloudpickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
FITS = {
    "mean field": {"hyperparameters": "mean_field"},
    "integrated": {"hyperparameters": "integrated", "theta_ess": 20},
    "integrated, partitioned": {
        "hyperparameters": "integrated", "theta_ess": 20, "solver": "partitioned",
    },
    "strong": {"factorization": "strong"},
    "collapsed": {"factorization": "collapsed"},
}  # fmt: skip


@pytest.fixture(scope="module")
def model(survey):
    priors = {"1+x|state": vmrp.LKJ(2, vmrp.HalfNormal(1)), "1|educ": vmrp.HalfNormal(1)}
    return vmrp.Model("y ~ x + (x|state) + (1|age) + (1|educ)", survey, priors=priors)


@pytest.fixture(scope="module", params=FITS)
def posterior(request, model):
    return model.approximate(progressbar=False, **FITS[request.param])


@pytest.mark.parametrize("way", WAYS)
def test_posteriors_give_the_same_bits(posterior, way):
    again = WAYS[way](posterior)
    one, two = posterior.sample(20, 1), again.sample(20, 1)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
    np.testing.assert_array_equal(posterior.log_density(one), again.log_density(two))
    np.testing.assert_array_equal(posterior.sd(), again.sd())
    assert again.elbo == posterior.elbo
    assert repr(again) == repr(posterior)


@pytest.mark.parametrize("way", WAYS)
def test_models_fit_and_predict_alike(model, survey, way):
    again = WAYS[way](model)
    one, two = (
        m.fit(20, random_seed=1, hyperparameters="mean_field", progressbar=False)
        for m in (model, again)
    )
    np.testing.assert_array_equal(one["posterior"]["x"], two["posterior"]["x"])
    again.predict(one, data=survey.iloc[:3])  # a fit of the one is a fit of the other
    moved = WAYS[way](one)
    assert moved.equals(one)
    model.predict(moved, data=survey.iloc[:3])


@pytest.mark.slow
def test_processes_of_joblib_take_models_and_send_results(model):
    joblib = pytest.importorskip("joblib")
    run = joblib.delayed(model.approximate)
    (found,) = joblib.Parallel(n_jobs=2)([run(theta_ess=20.0, progressbar=False)])
    expected = model.approximate(theta_ess=20.0, progressbar=False)
    assert found.elbo == pytest.approx(expected.elbo, abs=1e-8)


@pytest.mark.parametrize("way", WAYS)
def test_what_functions_return(model, survey, way):
    idata = model.fit(110, random_seed=1, hyperparameters="mean_field", progressbar=False)
    held = [
        vmrp.diagnose(model, idata, mcmc=False, restarts=0, loo=False),
        vmrp.select({"a": model}, "elbo", draws=5),
        vmrp.simulate(20, 4, random_seed=1),
        vmrp.compare(idata, idata),
        vmrp.Normal([0, 1], 2),
        vmrp.LKJ(2, [vmrp.HalfNormal(1), vmrp.Exponential(2)]),
        vmrp.DataError("text"),
    ]
    for value in held:
        assert repr(WAYS[way](value)) == repr(value)
