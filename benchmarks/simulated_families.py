"""Simulated surveys with known truth, one response for each family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pymc_vmrp.glmm.families import families, get_family

TRUTH = {"Intercept": 0.3, "x": 0.4, "1|g_sigma": 0.5, "1|h_sigma": 0.4}
PARAMETERS = {"sigma": 0.8, "alpha": 2.5, "nu": 4.0, "kappa": 8.0}
CASES = list(families())


@dataclass(frozen=True)
class Simulated:
    """Data, the model's formula, and what they were drawn from."""

    data: pd.DataFrame
    formula: str
    family: str
    link: str
    truth: dict[str, np.ndarray]


def simulate(
    family: str, link: str, n: int, seed: int, groups: int = 20, continuous: bool = True
) -> Simulated:
    """``n`` rows: η = 0.3 + 0.4x + u_g + v_h, or with x of three values where not continuous."""
    rng = np.random.default_rng(seed)
    chosen = get_family(family, link)
    g, h = rng.integers(0, groups, n), rng.integers(0, 5, n)
    x = rng.normal(size=n) if continuous else rng.integers(-1, 2, n) * 1.0
    u, v = rng.normal(0, 0.5, groups), rng.normal(0, 0.4, 5)
    eta = 0.3 + 0.4 * x + u[g] + v[h]
    trials = rng.integers(1, 15, n) if chosen.response == "proportion" else None
    phi = tuple(PARAMETERS[p.name] for p in chosen.parameters)
    data = pd.DataFrame(
        {"x": x, "g": [f"g{i:03d}" for i in g], "h": [f"h{i}" for i in h], "row": np.arange(n)}
    )
    data["y"] = chosen.draw(rng, eta, trials, phi)
    if trials is not None:
        data["t"] = trials
    response = "y" if trials is None else "p(y, t)"
    truth = {"x": np.array(0.4), "1|g": u, "1|h": v}
    return Simulated(data, f"{response} ~ x + (1|g) + (1|h)", family, link, truth)
