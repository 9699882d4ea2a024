"""Fits from elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.diagnostics.optima import other_optima


@pytest.mark.parametrize("apart", [0.0, 4.0])
def test_two_clusters_under_heavy_tails_are_two_optima(apart):
    rng = np.random.default_rng(0)
    centre = np.where(np.arange(40) < 20, -apart, apart)
    frame = pd.DataFrame({"y": centre + rng.normal(0, 0.3, 40), "g": list("abcde") * 8})
    priors = {"nu": 3.0, "sigma": 0.3, "1|g": vmrp.HalfNormal(0.3)}
    model = vmrp.Model("y ~ 1 + (1|g)", frame, family="t", priors=priors)
    found = other_optima(model.glmm, np.random.default_rng(1))
    assert found.several == (apart > 0)
    assert found.starts >= 3


def test_a_survey_has_one():
    simulation = vmrp.simulate(500, n_states=8, random_seed=1)
    model = vmrp.Model("support ~ male + (1|state) + (1|eth)", simulation.survey)
    found = other_optima(model.glmm, np.random.default_rng(1))
    assert (found.starts, found.others) == (6, 0)
