import pickle
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from benchmarks.simulated_families import CASES, simulate
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.inference.method import Draw, Drawing
from pymc_vmrp.inference.methods import get_method


@pytest.fixture(scope="module")
def exact_model():
    """Gaussian with known σ and no group-specific terms: q is the posterior."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=25), "z": rng.normal(size=25)})
    frame["y"] = rng.normal(size=25)
    priors = {"Intercept": vmrp.Normal(0, 1), "common": vmrp.Normal(0, 1), "sigma": 0.7}
    return vmrp.Model("y ~ x + z", frame, "gaussian", priors=priors)


def _cavi() -> Drawing:
    method = get_method("cavi")
    return Drawing(method, method.options())


@dataclass(frozen=True)
class Distorted:
    """CAVI with its draws' deviations multiplied by ``factor``, and moved by ``shift`` sds."""

    cavi: Draw
    factor: float = 1.0
    shift: float = 0.0

    def __call__(self, glmm, draws, random_seed):
        sample = self.cavi(glmm, draws, random_seed)
        mean, sd = sample.coefficients.mean(0), sample.coefficients.std(0)
        moved = mean + self.factor * (sample.coefficients - mean) + self.shift * sd
        return Draws(moved, sample.covariances, sample.parameters)


@pytest.fixture(scope="module")
def distorted():
    """Distorted fits of CAVI; a fit of the same responses and seed is made once."""
    made = {}

    def remembered(glmm, draws, random_seed):
        key = (pickle.dumps(glmm), draws, random_seed)
        if key not in made:
            made[key] = _cavi()(glmm, draws, random_seed)
        return made[key]

    return lambda **kwargs: Distorted(remembered, **kwargs)


def test_the_exact_posterior_passes(exact_model):
    result = vmrp.calibrate(exact_model, 200, random_seed=2, progressbar=False)
    table = result.table()
    assert set(table["variable"]) == {"Intercept", "x", "z", "lp"}
    assert table["p_holm"].min() > 0.05
    assert table["p_ks"].min() > 0.01
    assert (table["implies"] == "").all()
    assert (result.failed, result.not_converged) == ([], [])
    ranks = result.ranks.to_array().to_numpy()
    assert (ranks.min() >= 0, ranks.max() <= 199) == (True, True)
    assert len(np.unique(ranks)) > 150


@pytest.mark.parametrize(
    ("change", "implied"),
    [({"factor": 0.5}, "too narrow"), ({"factor": 2.0}, "too wide"), ({"shift": 0.6}, "shifted")],
)
def test_planted_errors_are_found(exact_model, distorted, change, implied):
    wrong = distorted(**change)
    table = vmrp.calibrate(exact_model, 150, fit=wrong, random_seed=3, progressbar=False).table()
    of_coefficients = table[table["variable"] != "lp"]
    assert (of_coefficients["p_holm"] < 0.01).all()
    assert (of_coefficients["implies"] == implied).all()


def independent(glmm, draws, random_seed):
    """Right marginals, but every coefficient drawn independently."""
    sample = vmrp_cavi(glmm, draws, random_seed)
    rng = np.random.default_rng(random_seed)
    shuffled = rng.permuted(sample.coefficients, axis=0)
    return Draws(shuffled, sample.covariances, sample.parameters)


def vmrp_cavi(glmm, draws, random_seed):
    return _cavi()(glmm, draws, random_seed)


def test_lp_sees_what_marginals_do_not():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=25)})
    frame["z"] = frame["x"] + rng.normal(0, 0.2, 25)
    frame["y"] = rng.normal(size=25)
    priors = {"Intercept": vmrp.Normal(0, 1), "common": vmrp.Normal(0, 1), "sigma": 0.7}
    model = vmrp.Model("y ~ x + z", frame, "gaussian", priors=priors)
    table = vmrp.calibrate(model, 150, fit=independent, random_seed=5, progressbar=False).table()
    table = table.set_index("variable")
    assert table.loc["lp", "p_holm"] < 1e-6
    assert table.drop("lp")["p_holm"].min() > 0.01


def test_vsbc_asks_for_the_middle_alone(exact_model, distorted):
    narrow = vmrp.calibrate(
        exact_model, 150, "vsbc", fit=distorted(factor=0.5), random_seed=3,
        progressbar=False,
    ).table()  # fmt: skip
    assert narrow[narrow["variable"] != "lp"]["p_holm"].min() > 0.01
    moved = vmrp.calibrate(
        exact_model, 150, "vsbc", fit=distorted(shift=0.6), random_seed=3,
        progressbar=False,
    ).table()  # fmt: skip
    moved = moved[moved["variable"] != "lp"]
    assert (moved["p_holm"] < 0.01).all()
    assert (moved["mean_deviation"] < 0).all()  # the truth lies below the draws
    assert "chi2" not in moved


@pytest.mark.slow
@pytest.mark.parametrize(("family", "link"), CASES)
def test_every_family(family, link):
    simulated = simulate(family, link, 60, 1, continuous=False)
    priors = {
        "Intercept": vmrp.Normal(0, 0.5),
        "common": vmrp.Normal(0, 0.5),
        "group_specific": vmrp.HalfNormal(0.3),
    }
    model = vmrp.Model(simulated.formula, simulated.data, family, priors=priors, link=link)
    for parameter in model.glmm.free_parameters:
        priors[parameter.name] = vmrp.LogNormal(0.5, 0.3)
    model = vmrp.Model(simulated.formula, simulated.data, family, priors=priors, link=link)
    result = vmrp.calibrate(model, 2, random_seed=1, progressbar=False)
    assert result.failed == []
    parameters = {p.name for p in model.glmm.free_parameters}
    assert {"Intercept", "x", "1|g", "1|g_sigma", "lp", *parameters} <= set(result.pit)
    assert result.pit["1|g"].dims == ("simulation", "g__factor_dim")


def test_results_do_not_depend_on_the_number_of_simulations(exact_model):
    few, more = (vmrp.calibrate(exact_model, n, random_seed=7, progressbar=False) for n in (3, 5))
    xr.testing.assert_equal(few.pit, more.pit.isel(simulation=slice(3)))


@pytest.mark.slow
def test_processes_give_the_same(exact_model):
    one, two = (
        vmrp.calibrate(exact_model, 6, random_seed=7, cores=cores, progressbar=False)
        for cores in (1, 2)
    )
    xr.testing.assert_equal(one.pit, two.pit)


def sometimes(glmm, draws, random_seed):
    """Fails for a third of the data sets, and warns for another."""
    kind = random_seed % 3
    if kind == 0:
        raise RuntimeError("no luck")
    if kind == 1:
        warnings.warn("too few steps", vmrp.ConvergenceWarning, stacklevel=2)
    return vmrp_cavi(glmm, draws, random_seed)


def test_failures_are_counted_and_listed(exact_model):
    with pytest.warns(vmrp.ConvergenceWarning, match=r"failed and have no ranks.*no luck"):
        result = vmrp.calibrate(exact_model, 12, fit=sometimes, random_seed=1, progressbar=False)
    assert len(result.simulations) == 12
    assert result.failed
    assert result.not_converged
    assert result.pit.sizes["simulation"] == 12 - len(result.failed)
    assert set(result.failed).isdisjoint(result.pit["simulation"].to_numpy())
    assert set(result.not_converged) <= set(result.pit["simulation"].to_numpy())
    assert "no luck" in result.simulations.loc[result.failed[0], "message"]
    assert "too few" in result.simulations.loc[result.not_converged[0], "message"]


def test_when_all_fail():
    frame = pd.DataFrame({"y": [0, 3, 1, 2], "x": [0.0, 1, 2, 3]})
    model = vmrp.Model("y ~ x", frame, "poisson", priors={"Intercept": vmrp.Normal(900, 1)})
    with pytest.raises(vmrp.VmrpError, match=r"None of the 3 .*linear predictors reach"):
        vmrp.calibrate(model, 3, random_seed=1, progressbar=False)


class Interrupted:
    def __init__(self):
        self.calls = 0

    def __call__(self, glmm, draws, random_seed):
        self.calls += 1
        if self.calls == 4:
            raise KeyboardInterrupt
        return vmrp_cavi(glmm, draws, random_seed)


def test_ctrl_c_keeps_what_is_complete(exact_model):
    with pytest.warns(vmrp.ConvergenceWarning, match="interrupted after 3 of 10"):
        result = vmrp.calibrate(
            exact_model, 10, fit=Interrupted(), random_seed=1, progressbar=False
        )
    assert len(result.simulations) == 3
    assert "3 simulations of 10" in repr(result)


def test_ctrl_c_within_a_fit(exact_model, monkeypatch):
    from pymc_vmrp.cavi import run

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_iterate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vmrp.calibrate(exact_model, 3, random_seed=1, progressbar=False)


def test_arguments_are_checked_before_the_work(exact_model):
    frame = pd.DataFrame({"y": [0, 1, 1, 0], "g": list("aabb")})
    with pytest.raises(vmrp.VmrpError, match="method='sbd'"):
        vmrp.calibrate(exact_model, method="sbd")
    with pytest.raises(vmrp.VmrpError, match="no argument 'bounds'"):
        vmrp.calibrate(exact_model, fit_options={"bounds": "quadrature"})
    with pytest.raises(vmrp.VmrpError, match="bound='exact' is not known"):
        vmrp.calibrate(exact_model, fit_options={"bound": "exact"})
    options = {"bound": "polya-gamma", "hyperparameters": "integrated"}
    with pytest.raises(vmrp.VmrpError, match="needs bound='quadrature'"):
        vmrp.calibrate(vmrp.Model("y ~ (1|g)", frame), fit_options=options)
    with pytest.raises(vmrp.VmrpError, match="leave them out with fit="):
        vmrp.calibrate(exact_model, fit=independent, fit_options={})
    with pytest.raises(vmrp.PriorError, match="'Intercept' is improper"):
        vmrp.calibrate(vmrp.Model("y ~ (1|g)", frame, priors={"Intercept": "flat"}))
    with pytest.raises(vmrp.VmrpError, match=r"does not pickle.*cores=1"):
        vmrp.calibrate(exact_model, fit=lambda *_: None, cores=2)


def test_a_plot(exact_model):
    import matplotlib

    matplotlib.use("Agg")
    result = vmrp.calibrate(exact_model, 20, random_seed=2, progressbar=False)
    assert result.to_datatree()["prior_sbc"].sizes["draw"] == 20
    assert result.plot("x") is not None


def test_correlations_smooths_walks_and_memberships_are_ranked():
    rng = np.random.default_rng(6)
    n = 80
    frame = pd.DataFrame(
        {
            "x": rng.uniform(size=n).round(1),
            "age": rng.integers(1, 6, n),
            "g": rng.choice(list("abc"), n),
            "h": rng.choice(list("abc"), n),
            "w": rng.integers(0, 3, n),
            "y": rng.integers(0, 2, n),
        }
    )
    priors = {
        "Intercept": vmrp.Normal(0, 1),
        "common": vmrp.StudentT(3, 0, 1),
        "smooths": vmrp.HalfNormal(0.5),
        "group_specific": vmrp.HuangWand(2, 0.5),
    }
    formula = "y ~ s(x, k=5) + rw(age) + (1 + x|g) + (1|mm(g, h))"
    model = vmrp.Model(formula, frame, priors=priors, weights="w")
    result = vmrp.calibrate(model, 2, random_seed=1, progressbar=False)
    assert result.failed == []
    assert {"1+x|g_corr", "rw(age)", "rw(age)_sigma", "s(x)", "x|g_sigma"} <= set(result.pit)
    assert result.pit["rw(age)"].shape == (2, 5)
    assert "1,x" in set(result.table()["element"])
