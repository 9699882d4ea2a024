"""Does `diagnose` tell a fit that failed from a sound one? Planted failures, their sound twins."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp

Case = Callable[[bool, np.random.Generator], tuple[vmrp.Model, dict[str, Any]]]

_DEEP = (
    "support ~ male + repvote + (1|state) + (1|eth) + (1|educ) + (1|age) + (1|male:eth)"
    " + (1|educ:age) + (1|educ:eth) + (1|state:eth) + (1|state:educ) + (1|state:age)"
    " + (1|eth:educ:age)"
)


def iterations(sound: bool, rng: np.random.Generator) -> tuple[vmrp.Model, dict[str, Any]]:
    """Coordinate ascent is stopped after three sweeps."""
    survey = vmrp.simulate(2000, random_seed=int(rng.integers(2**31)))
    mean_field = {"hyperparameters": "mean_field", "max_iter": 3}
    options = {"hyperparameters": "integrated"} if sound else mean_field
    return vmrp.Model(survey.formula, survey.survey), options


def deep_interactions(sound: bool, rng: np.random.Generator) -> tuple[vmrp.Model, dict[str, Any]]:
    """A strong factorization, where terms overlap: sds are too small."""
    survey = vmrp.simulate(3000, random_seed=int(rng.integers(2**31)))
    options = {"hyperparameters": "integrated"} if sound else {"factorization": "strong"}
    return vmrp.Model(_DEEP, survey.survey), options


def two_modes(sound: bool, rng: np.random.Generator) -> tuple[vmrp.Model, dict[str, Any]]:
    """Two clusters under a likelihood with heavy tails: the mean may be that of either."""
    groups = np.tile(list("ABCDE"), 8)
    centre = np.zeros(40) if sound else np.where(np.arange(40) < 20, -4.0, 4.0)
    frame = pd.DataFrame({"y": centre + rng.normal(0, 0.3, 40), "g": groups})
    priors = {"nu": 3.0, "sigma": 0.3, "1|g": vmrp.HalfNormal(0.3)}
    model = vmrp.Model("y ~ 1 + (1|g)", frame, family="t", priors=priors)
    return model, {"hyperparameters": "integrated"}


def heavy_tails(sound: bool, rng: np.random.Generator) -> tuple[vmrp.Model, dict[str, Any]]:
    """A Gaussian likelihood, and errors of a Student t with 2 degrees of freedom."""
    n, levels = 600, 20
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    noise = rng.normal(size=n) if sound else rng.standard_t(2, n)
    y = 1 + 0.5 * x + 0.5 * rng.normal(size=levels)[g] + noise
    frame = pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})
    return vmrp.Model("y ~ x + (1|g)", frame, family="gaussian"), {"hyperparameters": "integrated"}


def near_separation(sound: bool, rng: np.random.Generator) -> tuple[vmrp.Model, dict[str, Any]]:
    """A rare trait that only ever goes with a 1, under a vague prior: a skewed posterior."""
    n, levels = 800, 12
    g = rng.integers(0, levels, n)
    trait = (np.arange(n) < (300 if sound else 8)).astype(float)
    effect = 0.8 if sound else 30.0
    eta = -0.3 + 0.5 * rng.normal(size=levels)[g] + effect * trait
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame({"y": y, "trait": trait, "g": [f"g{i:02d}" for i in g]})
    model = vmrp.Model("y ~ trait + (1|g)", frame, priors={"trait": vmrp.Normal(0, 10)})
    return model, {"hyperparameters": "integrated"}


CASES: dict[str, Case] = {
    "too few iterations": iterations,
    "strong factorization, deep interactions": deep_interactions,
    "two modes": two_modes,
    "Gaussian, heavy tails": heavy_tails,
    "near-separation": near_separation,
}


def planted(repeats: int = 5, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Verdicts on each failure and on its sound twin, and the first reason given."""
    rows = []
    for name, case in CASES.items():
        if names and name not in names:
            continue
        for sound in (False, True):
            for seed in range(repeats):
                found, seconds = _diagnosis(case, sound, seed)
                rows.append(
                    {
                        "case": name,
                        "fit": "sound" if sound else "failure",
                        "verdict": found.verdict,
                        "seconds": seconds,
                        "reason": (found.reasons or [""])[0],
                    }
                )
    return pd.DataFrame(rows)


def _diagnosis(case: Case, sound: bool, seed: int) -> tuple[vmrp.Diagnosis, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, options = case(sound, np.random.default_rng(seed))
        idata = model.fit(1000, random_seed=seed, **options)
        began = time.perf_counter()
        found = vmrp.diagnose(model, idata, random_seed=seed)
    return found, time.perf_counter() - began


def _survey(rng: np.random.Generator) -> vmrp.Model:
    survey = vmrp.simulate(int(rng.integers(500, 4000)), random_seed=int(rng.integers(2**31)))
    return vmrp.Model(survey.formula, survey.survey)


def _slopes(rng: np.random.Generator) -> vmrp.Model:
    n, levels = int(rng.integers(300, 1500)), 25
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    effects = rng.multivariate_normal([0, 0], [[0.4, 0.1], [0.1, 0.2]], levels)[g]
    y = 0.3 + 0.5 * x + effects[:, 0] + effects[:, 1] * x + rng.normal(size=n)
    frame = pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})
    return vmrp.Model("y ~ x + (1 + x|g)", frame, family="gaussian")


def _binary_slopes(rng: np.random.Generator) -> vmrp.Model:
    n, levels = int(rng.integers(500, 3000)), 20
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    effects = rng.multivariate_normal([0, 0], [[0.4, 0.1], [0.1, 0.2]], levels)[g]
    p = 1 / (1 + np.exp(0.5 - 0.5 * x - effects[:, 0] - effects[:, 1] * x))
    y = (rng.random(n) < p).astype(int)
    frame = pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})
    return vmrp.Model("y ~ x + (1 + x|g)", frame)


def _counts(rng: np.random.Generator) -> vmrp.Model:
    n, levels = int(rng.integers(300, 1500)), 20
    g, x = rng.integers(0, levels, n), rng.normal(size=n)
    mean = np.exp(1 + 0.3 * x + 0.4 * rng.normal(size=levels)[g])
    y = rng.negative_binomial(3, 3 / (3 + mean))
    frame = pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})
    return vmrp.Model("y ~ x + (1|g)", frame, family="negativebinomial")


_SOUND = (_survey, _slopes, _binary_slopes, _counts)


def false_alarms(fits: int = 100, hyperparameters: str = "integrated") -> pd.DataFrame:
    """Verdicts on fits of the model that the data were simulated from."""
    rows = []
    for seed in range(fits):
        make = _SOUND[seed % len(_SOUND)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = make(np.random.default_rng(1000 + seed))
            idata = model.fit(1000, random_seed=seed, hyperparameters=hyperparameters)
            began = time.perf_counter()
            found = vmrp.diagnose(model, idata, random_seed=seed)
        rows.append(
            {
                "model": make.__name__.strip("_"),
                "seed": seed,
                "verdict": found.verdict,
                "seconds": time.perf_counter() - began,
                "reason": (found.reasons or [""])[0],
            }
        )
    return pd.DataFrame(rows)
