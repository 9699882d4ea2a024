"""Twenty standard deviations from 1,500 answers, integrated, against long Gibbs chains."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.integration import integrate

PEOPLE, PLACES = ["gender", "educ", "race", "age_cat"], ["state", "division"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 20180611])
def test_sigmas_are_those_of_gibbs(shared, seed, monkeypatch):
    """The mode of θ, with many σ's at zero, says neither where the mass is nor how wide."""
    monkeypatch.setattr(integrate, "_SEED", seed)
    folder = shared / "ces2020_deep_1500"
    terms = [*PEOPLE, *PLACES, *(f"{a}:{b}" for a, b in combinations(PEOPLE, 2))]
    terms += [f"{a}:{b}" for a in PEOPLE for b in PLACES]
    formula = "y ~ biden_vote_share + " + " + ".join(f"(1|{term})" for term in terms)
    model = vmrp.Model(formula, pd.read_csv(folder / "survey.csv.gz"))
    idata = model.fit(4000, random_seed=1, hyperparameters="integrated", progressbar=False)
    assert idata["fit"].attrs["converged"] == 1
    gibbs = pd.read_csv(folder / "gibbs_sigmas.csv").set_index("variable")
    for term in terms:
        name = f"1|{term}_sigma"
        draws, row = idata["posterior"][name].to_numpy().ravel(), gibbs.loc[name]
        assert abs(np.median(draws) - row["median"]) < 0.1 * (row["q95"] - row["q5"])
