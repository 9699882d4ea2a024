"""Which treatment of the hyperparameters a model gets."""

from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.inference import approximation


def _chosen(model, **options):
    return model.fit(100, random_seed=1, **options)["fit"].attrs["hyperparameters"]


def test_small_models_are_integrated(intercepts_model):
    assert _chosen(intercepts_model) == "integrated"
    assert _chosen(intercepts_model, hyperparameters="mean_field") == "mean_field"


@pytest.mark.parametrize("limit", ["_MOST_OPERATIONS", "_MOST_COORDINATES"])
def test_large_ones_are_not(intercepts_model, monkeypatch, limit):
    monkeypatch.setattr(approximation, limit, 2)
    assert _chosen(intercepts_model) == "mean_field"
    assert _chosen(intercepts_model, hyperparameters="integrated") == "integrated"


def test_likelihoods_on_nodes_count_their_nodes(survey, monkeypatch):
    """A probit needs nodes where a logit does not: the same rows are more work."""
    logit, probit = (
        vmrp.Model("y ~ x + (1|state)", survey, link=link) for link in (None, "probit")
    )
    rows, width = logit.glmm.rows.values.shape
    monkeypatch.setattr(approximation, "_MOST_OPERATIONS", 10 * rows * width**2)
    assert (_chosen(logit), _chosen(probit)) == ("integrated", "mean_field")


@pytest.mark.parametrize(
    ("options", "priors"),
    [
        ({"bound": "polya-gamma"}, {}),
        ({"factorization": "partial"}, {}),
        ({}, {"common": vmrp.Horseshoe()}),
        ({}, {"1|state": "jeffreys"}),
    ],
)
def test_what_cannot_be_integrated_is_mean_field_unless_asked_for(survey, options, priors):
    model = vmrp.Model("y ~ male + x + (1|state)", survey, priors=priors)
    assert _chosen(model, **options) == "mean_field"
    with pytest.raises(vmrp.VmrpError, match="hyperparameters='integrated' needs"):
        model.fit(100, hyperparameters="integrated", **options)


def test_models_without_hyperparameters_have_nothing_to_integrate(survey):
    assert _chosen(vmrp.Model("y ~ male + x", survey)) == "mean_field"


def test_the_choice_depends_on_the_model_alone(intercepts_model):
    a, b = (intercepts_model.fit(50, random_seed=1) for _ in range(2))
    np.testing.assert_array_equal(a["posterior"]["1|state"], b["posterior"]["1|state"])


def test_an_unknown_treatment_names_those_there_are(intercepts_model):
    with pytest.raises(vmrp.VmrpError, match=r"hyperparameters.*auto, mean_field, integrated"):
        intercepts_model.fit(hyperparameters="laplace")
