"""What factorizations of q(β, u), both bounds and MAVB cost in accuracy, against long NUTS runs."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pymc_vmrp as vmrp
from benchmarks import accuracy, data
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.results.sampled import Sampled

# name in the table, and arguments of approximate()
FACTORIZATIONS: dict[str, dict[str, Any]] = {
    "joint": {},
    "partial": {"factorization": "partial"},
    "strong": {"factorization": "strong"},
    "collapsed, common effects kept": {"factorization": "collapsed", "kept": ()},
    "collapsed, main effects kept": {"factorization": "collapsed"},
}
BOUNDS = ("polya-gamma", "quadrature")


def against_nuts(shared: Path, draws: int = 10_000) -> pd.DataFrame:
    """State estimates, common and group-specific effects of the simulated survey, by option."""
    case = accuracy.nuts_cases(shared)[0]
    model, cells = case.model(), data.for_nuts_reference(case.cells)
    reference = data.nuts_states(case.states)
    rows = []
    for (name, options), bound in product(FACTORIZATIONS.items(), BOUNDS):
        model.approximate(
            bound=bound, hyperparameters="mean_field", **options
        )  # what is compiled, is compiled now
        q = model.approximate(bound=bound, hyperparameters="mean_field", **options)
        plain = q.sample(draws, 1)
        for mavb in (False, True):
            tree = _tree(model, q.augment(plain, 2) if mavb else plain)
            states = accuracy.states(model, tree, cells, reference)
            rows.append(
                {
                    "factorization": name,
                    "bound": bound,
                    "mavb": mavb,
                    "sweeps": q.fit.iterations,
                    "fit_s": q.fit.seconds,
                    "elbo": q.elbo,
                    "states_shift": states["mean_abs_shift"],
                    "states_sd_ratio": states["mean_sd_ratio"],
                    **_effects(tree, case.terms),
                }
            )
    return pd.DataFrame(rows)


def _tree(model: vmrp.Model, draws: Draws) -> Any:
    sampled = Sampled(draws.as_chain(), {}, np.random.default_rng(0))
    return model.read_model.reports.datatree(sampled)


def _effects(tree: Any, path: Path) -> dict[str, float]:
    posterior = tree["posterior"].to_dataset()
    sample = ("chain", "draw")
    table = accuracy.elements(posterior.mean(sample), posterior.std(sample), path)
    table = table[~table["term"].str.endswith("_sigma")]
    is_group = table["term"].str.contains("|", regex=False)
    out = {}
    for name, part in (("common", table[~is_group]), ("group", table[is_group])):
        out[f"{name}_shift"] = part["shift"].mean()
        out[f"{name}_sd_ratio"] = part["sd_ratio"].mean()
        out[f"{name}_min_sd_ratio"] = part["sd_ratio"].min()
    return out
