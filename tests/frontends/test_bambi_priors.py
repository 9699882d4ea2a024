"""bambi.Prior objects: read as PyMC reads them, or refused with the way out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.frontends.bambi_priors import (
    coefficient_prior,
    effect_priors,
    is_bambi_prior,
    scale_prior,
)


@dataclass
class Prior:
    """What a bambi.Prior looks like; Bambi itself takes seconds to import."""

    name: str
    args: dict = field(default_factory=dict)
    dist: object = None

    def __str__(self):
        return f"{self.name}({', '.join(self.args)})"


COEFFICIENTS = [
    ("Normal", {}),
    ("Normal", {"mu": 0.5, "sigma": 2.0}),
    ("StudentT", {"nu": 4.0}),
    ("StudentT", {"nu": 4.0, "mu": 0.5, "sigma": 2.0}),
    ("Laplace", {"mu": 0.5, "b": 2.0}),
    ("Cauchy", {"alpha": 0.5, "beta": 2.0}),
]
SCALES = [
    ("HalfNormal", {}),
    ("HalfNormal", {"sigma": 2.0}),
    ("HalfCauchy", {"beta": 2.0}),
    ("HalfStudentT", {"nu": 4.0}),
    ("HalfStudentT", {"nu": 4.0, "sigma": 2.0}),
    ("Exponential", {"lam": 2.0}),
    ("Uniform", {}),
    ("Uniform", {"lower": 0.0, "upper": 3.0}),
    ("Gamma", {"alpha": 2.0, "beta": 3.0}),
    ("InverseGamma", {"alpha": 2.0}),
    ("InverseGamma", {"alpha": 2.0, "beta": 3.0}),
    ("LogNormal", {}),
    ("LogNormal", {"mu": 0.5, "sigma": 2.0}),
]


@pytest.mark.parametrize(("name", "arguments"), [*COEFFICIENTS, *SCALES])
def test_densities_are_pymcs_under_bambis_own_objects(name, arguments):
    """Names of arguments and what PyMC takes where they are missing."""
    import bambi as bmb
    import pymc as pm

    given = bmb.Prior(name, **arguments)
    assert is_bambi_prior(given)
    at = np.array([0.2, 0.9])
    expected = pm.logp(getattr(pm, name).dist(**arguments), at).eval()
    if (name, arguments) in SCALES:
        actual = scale_prior(given, "1|g").log_density_sigma(at)
    else:
        prior = coefficient_prior(given, "x")
        if isinstance(prior, vmrp.Normal):
            actual = -0.5 * ((at - prior.mu) / prior.sigma) ** 2
            actual -= np.log(prior.sigma * np.sqrt(2 * np.pi))
        else:
            squares = (at - prior.location) ** 2
            actual = [float(prior.log_density_of_squares(s[None])) for s in squares]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_they_are_accepted_wherever_ours_are(survey):
    import bambi as bmb

    theirs = {
        "Intercept": bmb.Prior("StudentT", nu=4, mu=0, sigma=2.5),
        "common": bmb.Prior("Laplace", mu=0, b=1),
        "x": bmb.Prior("Flat"),
        "educ": bmb.Prior("Normal", mu=0, sigma=np.array([2.0])),
        "group_specific": bmb.Prior("Normal", mu=0, sigma=bmb.Prior("HalfNormal", sigma=1)),
        "1|age": bmb.Prior("InverseGamma", alpha=2, beta=1),
    }
    ours = {
        "Intercept": vmrp.StudentT(4, 0, 2.5),
        "common": vmrp.Laplace(0, 1),
        "x": vmrp.Flat(),
        "educ": vmrp.Normal(0, 2.0),
        "group_specific": vmrp.HalfNormal(1),
        "1|age": vmrp.InverseGamma(2, 1, on="sd"),
    }
    formula = "y ~ x + male + educ + (1|state) + (1|age)"
    a, b = (vmrp.Model(formula, survey, priors=p).glmm for p in (theirs, ours))
    np.testing.assert_array_equal(a.common.prior_mean, b.common.prior_mean)
    np.testing.assert_array_equal(a.common.prior_sd, b.common.prior_sd)
    assert a.common.mixtures == b.common.mixtures
    assert [g.prior for g in a.groups] == [g.prior for g in b.groups]


def test_parameters_of_the_likelihood(survey):
    frame = survey.assign(z=survey["x"] + survey["y"])
    prior = Prior("HalfStudentT", {"nu": np.array(4.0), "sigma": np.array(2.0)})
    glmm = vmrp.Model("z ~ male", frame, family="gaussian", priors={"sigma": prior}).glmm
    assert glmm.parameters[0].prior == vmrp.HalfStudentT(4, 2)
    with pytest.raises(vmrp.PriorError, match=r"'sigma' is Weibull.*a parameter of the likelihood"):
        vmrp.Model("z ~ male", frame, family="gaussian", priors={"sigma": Prior("Weibull")})


def test_each_effect_has_its_own_prior():
    inner = Prior("Gamma", {"alpha": np.array([2.0, 3.0]), "beta": np.array(0.5)})
    prior = Prior("Normal", {"mu": np.array(0.0), "sigma": inner})
    expected = [vmrp.Gamma(2.0, 0.5), vmrp.Gamma(3.0, 0.5)]
    assert effect_priors(prior, "c|g", 2) == expected
    with pytest.raises(vmrp.PriorError, match=r"'c\|g'.*alpha has 2 values.*3 effects"):
        effect_priors(prior, "c|g", 3)
    with pytest.raises(vmrp.PriorError, match=r"'c\|g' is Laplace.*are normal here"):
        effect_priors(Prior("Laplace", {"mu": 0.0, "b": inner}), "c|g", 2)


@pytest.mark.slow
def test_bambi_is_not_imported_for_it():
    code = """
import sys, types, pandas as pd, pymc_vmrp as vmrp
data = pd.DataFrame({"x": [1., 2, 3, 4, 0, 1], "y": [0, 1, 1, 0, 1, 0], "g": list("aabbcc")})
prior = types.SimpleNamespace(name="Laplace", args={"mu": 0, "b": 1})
vmrp.Model("y ~ x + (1|g)", data, priors={"x": prior})
assert not {"bambi", "pymc"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def nested(name, **arguments):
    return Prior("Normal", {"mu": 0, "sigma": Prior(name, arguments)})


@pytest.mark.parametrize(
    ("key", "prior", "message"),
    [
        ("x", Prior("SkewNormal", {"alpha": 1}), r"'x' is SkewNormal.*Neither.*PyMC.*StudentT"),
        ("x", Prior("TruncatedNormal", {"mu": 0}), "TruncatedNormal.*leave out the bounds"),
        ("x", Prior("HalfNormal", {"sigma": 1}), "'x' is HalfNormal.*a common term use one of"),
        ("x", Prior("Normal", {"sigma": Prior("HalfNormal")}), "'x'.*sigma has a prior of its own"),
        ("x", Prior("StudentT"), "'x'.*give nu a value"),
        ("x", Prior("StudentT", {"nu": 3, "lam": 1}), "'x'.*lam is not read.*nu and mu and sigma"),
        ("x", Prior("Flat", {"mu": 1}), "takes no arguments"),
        ("x", Prior("Normal", {"sigma": -1}), "'x'.*Normal: sigma must be positive"),
        ("x", Prior("Mine", dist=lambda: None), r"'x'.*dist=.*Normal"),
        ("x", Prior("Normal", {"sigma": np.ones(3)}), "'x' has 3 values"),
        ("1|age", Prior("LKJCholeskyCov", {"eta": 1}), r"1\|age.*Neither.*vmrp.LKJ"),
        ("1|age", nested("Weibull"), r"1\|age.*Weibull.*HalfNormal"),
        (
            "1|age",
            nested("HalfNormal", sigma=Prior("Exponential", {"lam": 1})),
            "sigma has a prior",
        ),
        ("1|age", Prior("Normal", {"mu": 0, "sigma": 2}), r"1\|age.*fixes the sd"),
        ("1|age", Prior("Normal", {"mu": 1, "sigma": Prior("HalfNormal")}), r"1\|age.*mean 0"),
        ("1|age", Prior("Normal", {"mu": Prior("Normal")}), r"1\|age.*mean 0"),
        ("1|age", nested("Uniform", lower=0.5, upper=2), "lower must be 0"),
        ("1|age", nested("Uniform", lower="a", upper=2), "lower must be a number"),
        ("1|age", Prior("Normal", {"mu": "a", "sigma": 1}), r"1\|age.*mu must be a number"),
        ("1|age", nested("Uniform", upper=np.inf), "Uniform: upper must be finite"),
        ("1+x|state", nested("HalfNormal"), r"2 correlated effects.*LKJ.*\|\|"),
    ],
)
def test_what_cannot_be_honoured_is_an_error_with_the_remedy(survey, key, prior, message):
    with pytest.raises(vmrp.PriorError, match=message):
        vmrp.Model("y ~ x + (1 + x|state) + (1|age)", survey, priors={key: prior})
