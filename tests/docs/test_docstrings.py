"""Examples in docstrings run, with names that stand for a reader's own data and models."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import pymc_vmrp as vmrp

EXAMPLES = {
    "LKJ": vmrp.LKJ,
    "Model": vmrp.Model,
    "Model.predict": vmrp.Model.predict,
    "Model.prior_predictive": vmrp.Model.prior_predictive,
    "calibrate": vmrp.calibrate,
    "fit": vmrp.fit,
    "prior_predictive": vmrp.prior_predictive,
    "select": vmrp.select,
}


def names():
    """What the examples take for granted."""
    import arviz as az
    import bambi as bmb
    import pymc as pm

    survey = vmrp.simulate(300, n_states=6, random_seed=1).survey
    priors = {
        "Intercept": vmrp.Normal(0, 1), "common": vmrp.Normal(0, 1),
        "group_specific": vmrp.HalfNormal(1),
    }  # fmt: skip
    model = vmrp.Model("support ~ male + (1|state)", survey, priors=priors)
    state, _ = survey["state"].factorize()
    return {
        "vmrp": vmrp,
        "az": az,
        "bmb": bmb,
        "pm": pm,
        "survey": survey,
        "model": model,
        "idata": model.fit(100, random_seed=1, hyperparameters="mean_field"),
        "new": survey.head(3),
        "main": model,
        "deep": vmrp.Model("support ~ male + (1|state) + (1|age)", survey),
        "state": state,
        "y": survey["support"].to_numpy(),
        "data": survey.rename(columns={"support": "y", "male": "x", "state": "g"}),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(name):
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(EXAMPLES[name]))
    assert examples
    namespace = names()
    for example in examples:  # what they print, such as progress, is not compared
        exec(example.source, namespace)


def test_no_example_is_left_out():
    found = 0
    for module in pkgutil.walk_packages(vmrp.__path__, "pymc_vmrp."):
        origin = find_spec(module.name).origin
        text = Path(origin).read_text()
        assert "doctest: +SKIP" not in text, module.name
        found += len(re.findall(r"^ +Examples\n +-+$", text, re.MULTILINE))
    assert found == len(EXAMPLES)
