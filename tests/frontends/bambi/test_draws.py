"""Draws as Bambi reports them, turned back into what its pm.Model samples."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.bambi.draws import free_variables

bmb = pytest.importorskip("bambi")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(4)
    n = 60
    data = pd.DataFrame(
        {
            "x": rng.normal(1, 1, n),
            "z": rng.normal(-2, 3, n),
            "c": rng.choice(list("abc"), n),
            "g": rng.choice(list("pqrs"), n),
            "h": rng.choice(["u", "v"], n),
        }
    )
    data["y"] = 2 + data["x"] + rng.normal(size=n)
    return data


CASES = {
    "slopes": ("y ~ x + c + x:z + (1|g:h) + (c|g) + (x|h)", {}, {}),
    "centred": ("y ~ x * c + (c|g)", {"noncentered": False}, {}),
    "uncentred_columns": ("y ~ bs(z, df=4) + (1|g)", {"center_predictors": False}, {}),
    "no_intercept": ("y ~ 0 + x + (0 + x|g)", {}, {}),
    "aliases": (
        "y ~ x + c + (c|h) + (1|g)",
        {},
        {"Intercept": "a", "c": "class", "c|h": "by_h", "sigma": "noise"},
    ),
}


def model(formula, data, aliases=None, **options):
    made = bmb.Model(formula, data, **options)
    made.set_alias(aliases or {})
    return made


@pytest.mark.parametrize("name", CASES)
def test_bambi_reports_the_values_it_started_from(frame, name):
    """Through Bambi's own deterministics and its own way back to what it reports."""
    import pymc as pm
    import xarray as xr
    from pytensor.compile.mode import get_mode

    formula, options, aliases = CASES[name]
    theirs_model = model(formula, frame, aliases, **options)
    idata = vmrp.fit(theirs_model, draws=4, random_seed=1, hyperparameters="mean_field")
    free = free_variables(theirs_model, idata)["posterior"].to_dataset()
    pm_model = theirs_model.backend.model
    assert set(free.data_vars) == {variable.name for variable in pm_model.free_RVs}
    every = pm.compute_deterministics(
        free, model=pm_model, extend_dataset=True, progressbar=False,
        compile_kwargs={"mode": get_mode("FAST_COMPILE")},
    )  # fmt: skip
    every = every.drop_vars("mu", errors="ignore")
    again = theirs_model.backend._clean_results(
        xr.DataTree.from_dict({"posterior": every}), True, False
    )["posterior"].to_dataset()
    reported = idata["posterior"].to_dataset()
    assert set(again.data_vars) == set(reported.data_vars)
    for one in reported.data_vars:
        np.testing.assert_allclose(again[one].to_numpy(), reported[one].to_numpy(), atol=1e-10)


def test_a_fit_of_another_model_or_other_data_is_refused(frame):
    small, large = model("y ~ x", frame), model("y ~ x + (1|g)", frame)
    idata = vmrp.fit(small, draws=4, hyperparameters="mean_field")
    with pytest.raises(vmrp.DataError, match=r"no variable '1\|g"):
        vmrp.fit(large, method="nuts", warm_start=idata)
    idata = vmrp.fit(large, draws=4, hyperparameters="mean_field")
    fewer = model("y ~ x + (1|g)", frame.replace({"g": {"p": "t"}}))
    with pytest.raises(vmrp.DataError, match=r"'g__factor_dim'.*other data"):
        vmrp.fit(fewer, method="nuts", warm_start=idata)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["pymc", "nutpie"])
def test_nuts_starts_at_a_fit(frame, sampler):
    formula, _, aliases = CASES["aliases"]
    theirs_model = model(formula, frame, aliases)
    cavi = vmrp.fit(theirs_model, draws=400, random_seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nuts = vmrp.fit(
            theirs_model, method="nuts", warm_start=cavi, nuts_sampler=sampler, draws=400,
            chains=2, cores=1, random_seed=1, progressbar=False, target_accept=0.95,
        )  # fmt: skip
    ours, theirs = (tree["posterior"].to_dataset() for tree in (cavi, nuts))
    assert theirs.sizes["draw"] == 400
    assert set(ours.data_vars) == set(theirs.data_vars)
    for name in ("a", "x", "class", "noise", "1|g"):
        sd = theirs[name].std(("chain", "draw"))
        shift = (ours[name].mean(("chain", "draw")) - theirs[name].mean(("chain", "draw"))) / sd
        assert float(abs(shift).max()) < 0.4
